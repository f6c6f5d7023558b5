/**
 * Quotas and watermarks for what is published by one request. A publisher is held back by not reading from its socket;
 * a request over HTTP waits instead, and is refused after a while.
 */
import { MillraceError } from "../errors/index.ts";
import type { Caller } from "./caller.ts";

const POLL_MS = 20;
/** A request that would wait longer is refused. */
const WAIT_MS_MAX = 5_000;

/** @throws quota_exceeded, low_resources. */
export async function charge({ session, services, namespace, principal }: Caller, bytes: number): Promise<void> {
  if (session !== undefined) {
    session.charge(1, bytes);
    return;
  }
  const { engine, quotas } = services;
  // Quotas are paid into by connections, so the request is one for a moment.
  const connection = engine.connectionOpen();
  try {
    quotas.attach(connection, { namespace, user: principal.name }, false);
    for (let polls = 0; engine.connectionCharge(connection, 0, 0); polls += 1) {
      if (polls * POLL_MS >= WAIT_MS_MAX) {
        throw new MillraceError("quota_exceeded", "the quota of messages or bytes a second is used up for now");
      }
      await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    }
    engine.connectionCharge(connection, 1, bytes);
  } finally {
    engine.connectionClose(connection);
  }
}
