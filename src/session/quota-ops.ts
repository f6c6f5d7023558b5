/**
 * Quotas: what a namespace or a user may have.
 *
 *     120 QUOTA_PUT    [120, corr, {kind: "namespace"|"user", name, messagesPerSec?, bytesPerSec?, burstMs?,
 *                                   connectionsMax?, storageBytesMax?, topicsMax?, queuesMax?}] -> {}
 *     121 QUOTA_DELETE [121, corr, {kind, name}] -> {deleted: bool}
 *     122 QUOTA_LIST   [122, corr, {}] -> {quotas: [{kind, name, the limits: int|nil, burstMs,
 *                                   used: {connections, storageBytes, topics, queues}}]}
 */
import {
  BURST_MS_DEFAULT,
  type Quota,
  QUOTA_KINDS,
  QUOTA_LIMITS,
  type QuotaLimits,
  type QuotaOwner,
} from "../broker/index.ts";
import { Op } from "../protocol/index.ts";
import { asInteger, asText, type Fields, fieldsAt, invalid, optional } from "./arguments.ts";
import { type AnyOperation, define } from "./operation.ts";
import { brokerResource } from "./resources.ts";

/** Of messages, bytes and things alike; bytes are the most. */
const LIMIT_MAX = 1_000_000_000_000_000;
const BURST_MS_MAX = 3_600_000;

function ownerAt(fields: Fields): QuotaOwner {
  const kind = QUOTA_KINDS.find((candidate) => candidate === fields["kind"]);
  if (kind === undefined) throw invalid("kind", `one of ${QUOTA_KINDS.join(", ")}`);
  return { kind, name: asText(fields["name"], "name") };
}

/** 0 allows no topic, no queue and no stored byte; with no connection or no message a second there would be nothing to limit. */
function limitAt(fields: Fields, field: (typeof QUOTA_LIMITS)[number]): number | null {
  const min = field.endsWith("PerSec") || field === "connectionsMax" ? 1 : 0;
  return optional(fields[field], field, (value) => asInteger(value, field, min, LIMIT_MAX)) ?? null;
}

function parseQuota(args: readonly unknown[]): Quota {
  const fields = fieldsAt(args, 0);
  const limits: QuotaLimits = {
    messagesPerSec: limitAt(fields, "messagesPerSec"),
    bytesPerSec: limitAt(fields, "bytesPerSec"),
    connectionsMax: limitAt(fields, "connectionsMax"),
    storageBytesMax: limitAt(fields, "storageBytesMax"),
    topicsMax: limitAt(fields, "topicsMax"),
    queuesMax: limitAt(fields, "queuesMax"),
  };
  if (Object.values(limits).every((limit) => limit === null)) {
    throw invalid(QUOTA_LIMITS.join(", "), "at least one of them");
  }
  const burst = optional(fields["burstMs"], "burstMs", (value, field) => asInteger(value, field, 0, BURST_MS_MAX));
  return { ...ownerAt(fields), ...limits, burstMs: burst ?? BURST_MS_DEFAULT };
}

export const quotaOps: readonly AnyOperation[] = [
  define({
    op: Op.QUOTA_PUT,
    permission: "quota.change",
    parse: parseQuota,
    resources: () => [brokerResource],
    about: ({ kind, name }) => `quota of the ${kind} ${name}`,
    run: async ({ services }, quota) => {
      await services.quotas.put(quota);
      return {};
    },
  }),
  define({
    op: Op.QUOTA_DELETE,
    permission: "quota.change",
    parse: (args) => ownerAt(fieldsAt(args, 0)),
    resources: () => [brokerResource],
    about: ({ kind, name }) => `quota of the ${kind} ${name}`,
    run: async ({ services }, owner) => ({ deleted: await services.quotas.delete(owner) }),
  }),
  define({
    op: Op.QUOTA_LIST,
    permission: "quota.list",
    parse: (args) => fieldsAt(args, 0),
    resources: () => [brokerResource],
    run: ({ services }) => ({ quotas: services.quotas.list() }),
  }),
];
