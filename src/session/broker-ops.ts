/**
 * The broker as a whole: its connections, its figures, its configuration.
 *
 *     145 CONNECTION_LIST  [145, corr, {namespace?, principal?, limit?, after?}] -> {connections: [{id, worker, client, principal, kind, namespace,
 *                          remote, transport, openedMs, publishers, subscriptions, requestsInFlight, unsentBytes}], next: str|nil}
 *     146 CONNECTION_CLOSE [146, corr, {id, reason?}] -> {closed: bool}
 *     156 OVERVIEW         [156, corr, {busiest?}] -> {version, epoch, nowMs, ..., counts, totals, rates, queues, storage, workers, busiest?}
 *     159 CONFIG           [159, corr, {set?: {key: value|nil}}] -> {settings: [{key, value, default, unit, accepts, doc, isLive}]}
 *
 * CONFIG changes what can be changed while the broker runs, until it stops; nil goes back to the value of the start.
 */
import { Op } from "../protocol/index.ts";
import { asInteger, asText, type Fields, fieldsAt, invalid, isMap, optional } from "./arguments.ts";
import { type AnyOperation, define } from "./operation.ts";
import { brokerResource } from "./resources.ts";

const LIST_LIMIT = 1000;
const REASON_LENGTH_MAX = 200;

function asChanges(value: unknown, field: string): Fields {
  if (isMap(value)) return value;
  throw invalid(field, "a map of settings");
}

function asLimit(value: unknown, field: string): number {
  return asInteger(value, field, 1, LIST_LIMIT);
}

function asReason(value: unknown, field: string): string {
  const reason = asText(value, field);
  if (reason.length <= REASON_LENGTH_MAX) return reason;
  throw invalid(field, `at most ${REASON_LENGTH_MAX} characters`);
}

export const brokerOps: readonly AnyOperation[] = [
  define({
    op: Op.CONNECTION_LIST,
    permission: "connection.list",
    parse(args) {
      const fields = fieldsAt(args, 0);
      const limit = optional(fields["limit"], "limit", (value, field) => asInteger(value, field, 1)) ?? LIST_LIMIT;
      return {
        namespace: optional(fields["namespace"], "namespace", asText) ?? null,
        principal: optional(fields["principal"], "principal", asText) ?? null,
        after: optional(fields["after"], "after", asText) ?? null,
        limit: Math.min(limit, LIST_LIMIT),
      };
    },
    resources: () => [brokerResource],
    run: ({ services }, request) => services.connections.list(request),
  }),
  define({
    op: Op.CONNECTION_CLOSE,
    permission: "connection.close",
    parse(args) {
      const fields = fieldsAt(args, 0);
      return { id: asText(fields["id"], "id"), reason: optional(fields["reason"], "reason", asReason) };
    },
    resources: () => [brokerResource],
    about: ({ id }) => `connection ${id}`,
    run: async ({ services }, { id, reason }) => {
      const message = `an administrator closed the connection${reason === undefined ? "" : `: ${reason}`}`;
      return { closed: await services.connections.close(id, message) };
    },
  }),
  define<number | undefined>({
    op: Op.OVERVIEW,
    permission: "metrics.read",
    parse: (args) => optional(fieldsAt(args, 0)["busiest"], "busiest", asLimit),
    resources: () => [brokerResource],
    run: ({ services }, busiest) => services.overview(busiest),
  }),
  define<Fields | undefined>({
    op: Op.CONFIG,
    permission: (set) => (set === undefined ? "config.read" : "config.change"),
    parse: (args) => optional(fieldsAt(args, 0)["set"], "set", asChanges),
    resources: () => [brokerResource],
    about: (set) => `settings ${Object.keys(set ?? {}).join(" ")}`,
    run: async ({ services }, set) => {
      if (set !== undefined) await services.settings.change(set);
      return { settings: services.settings.list() };
    },
  }),
];
