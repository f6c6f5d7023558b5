/**
 * Quotas: how fast a namespace or a user may publish.
 *
 *     120 QUOTA_PUT    [120, corr, {kind: "namespace"|"user", name, messagesPerSec?, bytesPerSec?, burstMs?}] -> {}
 *     121 QUOTA_DELETE [121, corr, {kind, name}] -> {deleted: bool}
 *     122 QUOTA_LIST   [122, corr, {}] -> {quotas: [{kind, name, messagesPerSec: int|nil, bytesPerSec: int|nil, burstMs}]}
 */
import { BURST_MS_DEFAULT, type Quota, QUOTA_KINDS, type QuotaOwner } from "../broker/index.ts";
import { Op } from "../protocol/index.ts";
import { asInteger, asText, type Fields, fieldsAt, invalid, optional } from "./arguments.ts";
import { type AnyOperation, define } from "./operation.ts";
import { brokerResource } from "./resources.ts";

const PER_SEC_MAX = 1_000_000_000_000;
const BURST_MS_MAX = 3_600_000;

function ownerAt(fields: Fields): QuotaOwner {
  const kind = QUOTA_KINDS.find((candidate) => candidate === fields["kind"]);
  if (kind === undefined) throw invalid("kind", `one of ${QUOTA_KINDS.join(", ")}`);
  return { kind, name: asText(fields["name"], "name") };
}

function rateAt(fields: Fields, field: string): number | null {
  return optional(fields[field], field, (value) => asInteger(value, field, 1, PER_SEC_MAX)) ?? null;
}

function parseQuota(args: readonly unknown[]): Quota {
  const fields = fieldsAt(args, 0);
  const quota = {
    ...ownerAt(fields),
    messagesPerSec: rateAt(fields, "messagesPerSec"),
    bytesPerSec: rateAt(fields, "bytesPerSec"),
    burstMs:
      optional(fields["burstMs"], "burstMs", (value, field) => asInteger(value, field, 0, BURST_MS_MAX)) ??
      BURST_MS_DEFAULT,
  };
  if (quota.messagesPerSec !== null || quota.bytesPerSec !== null) return quota;
  throw invalid("messagesPerSec or bytesPerSec", "at least one of the two");
}

export const quotaOps: readonly AnyOperation[] = [
  define({
    op: Op.QUOTA_PUT,
    permission: "quota.change",
    parse: parseQuota,
    resources: () => [brokerResource],
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
