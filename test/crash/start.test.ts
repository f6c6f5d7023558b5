import { test } from "bun:test";

/** How long a start takes with many bytes in 100 partitions, and what memory it takes. */

test.todo("ready after a clean stop and after a kill, with 100 partitions on disk");
