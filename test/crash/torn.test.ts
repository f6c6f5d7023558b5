import { test } from "bun:test";

/** The tail of a log is damaged while the broker is down. */

test.todo("a killed broker whose newest segment is damaged serves everything before the damage and goes on");
