import { test } from "bun:test";

/** Data directories that a broker must not open. */

test.todo("a data directory in use, of a newer format, or unreadable is refused with one line");
