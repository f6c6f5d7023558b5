/** The resources that `authorize` is asked about. */
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

export function subjectResource({ namespace }: InNamespace, name: string): Resource {
  return { kind: "subject", namespace, name };
}

export function transformResource({ namespace }: InNamespace, name: string): Resource {
  return { kind: "transform", namespace, name };
}
