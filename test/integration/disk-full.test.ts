import { test } from "bun:test";

/** A small tmpfs runs full under a broker. */

test.todo("a full disk refuses publishes with disk_full, reads go on, and writes resume when there is space");
test.todo("a broker that ran full restarts clean and has everything it acknowledged");
