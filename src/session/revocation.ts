/** What becomes of an open session when users or rules change: whatever lost its right ends with `unauthorized`. */
import { namespaceResource, topicResource } from "./resources.ts";
import type { Session } from "./session.ts";
import { publishTouches } from "./touches.ts";

/** What a publisher was opened on. */
export type PublisherTarget = { readonly topic: string } | { readonly exchange: string };

/** Asks again for everything that the session has open. */
export function recheck(session: Session): void {
  const { authorizer } = session.services;
  if (!authorizer.isKnown(session.principal)) {
    session.goodbye("unauthenticated", `the user "${session.principal.name}" is gone or disabled`);
    return;
  }
  if (!session.isAllowed("connect", namespaceResource(session))) {
    session.goodbye(
      "unauthorized",
      `"${session.principal.name}" lost its rights in the namespace "${session.namespace}"`,
    );
    return;
  }
  for (const [pub, target] of session.publishers) permitPublisher(session, pub, target);
  for (const subscription of [...session.subscriptions.values()]) subscription.recheck();
}

/**
 * Tells the core what a publisher may send: everything or nothing, or to the default exchange, to which queues. The
 * publisher stays open, and comes to life again with its right.
 */
export function permitPublisher(session: Session, pub: number, target: PublisherTarget): void {
  session.services.engine.publisherPermit(session.connectionId, pub, permittedKeys(session, target));
}

function permittedKeys(session: Session, target: PublisherTarget): readonly string[] | null {
  if ("exchange" in target && target.exchange === "") {
    return session.services.authorizer.keysOf(session.principal, session.namespace) ?? null;
  }
  const touches =
    "topic" in target
      ? [{ permission: "topic.publish", resource: topicResource(session, target.topic) } as const]
      : publishTouches(session, target.exchange);
  return touches.every(({ permission, resource }) => session.isAllowed(permission, resource)) ? null : [];
}
