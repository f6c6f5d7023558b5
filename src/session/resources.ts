/** The resources that `authorize` is asked about. */
import { splitSubject } from "../broker/index.ts";
import type { Resource } from "../security/index.ts";

interface InNamespace {
  readonly namespace: string;
}

export const brokerResource: Resource = { kind: "broker", namespace: "", name: "" };

export function namespaceResource({ namespace }: InNamespace): Resource {
  return { kind: "namespace", namespace, name: "" };
}

export function topicResource({ namespace }: InNamespace, name: string): Resource {
  return { kind: "topic", namespace, name };
}

export function groupResource({ namespace }: InNamespace, name: string): Resource {
  return { kind: "group", namespace, name };
}

export function exchangeResource({ namespace }: InNamespace, name: string): Resource {
  return { kind: "exchange", namespace, name };
}

export function queueResource({ namespace }: InNamespace, name: string): Resource {
  return { kind: "queue", namespace, name };
}

/** @param subject by its global name, or the scope of a namespace's settings, which has no name. */
export function subjectResource(subject: string): Resource {
  // The settings of all subjects are of no namespace.
  if (subject === "") return { kind: "subject", namespace: "", name: "" };
  return { kind: "subject", ...splitSubject(subject) };
}

export function transformResource({ namespace }: InNamespace, name: string): Resource {
  return { kind: "transform", namespace, name };
}
