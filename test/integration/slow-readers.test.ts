import { test } from "bun:test";

/** Segments go while readers that stopped reading hold unsent views of them. */

test.todo("topics are deleted while slow readers hold views of them: no byte is wrong, and the disk space is freed");
test.todo("segments expire while slow readers hold views of them: what was handed out arrives whole");
test.todo("a consumer that never reads costs bounded memory");
