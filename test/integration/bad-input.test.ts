import { test } from "bun:test";

/** Bad input gets a typed error, disturbs nobody else and leaves nothing behind. */

test.todo("unknown ops, bad frames, bad batches, msgpack bombs, half-open sockets, broken credit");
