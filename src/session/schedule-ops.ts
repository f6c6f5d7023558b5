/**
 * Schedules: messages that are published again and again.
 *
 *     123 SCHEDULE_PUT    [123, corr, {name, cron, timezone?, exchange?, key?, value, headers?, missed?: "once"|"skip"}] -> {}
 *     124 SCHEDULE_DELETE [124, corr, {name}] -> {deleted: bool}
 *     125 SCHEDULE_LIST   [125, corr, {}] -> {schedules: [as PUT, {nextMs: int|nil, lastMs: int|nil, error: str|nil}]}
 */
import type { ScheduleRequest, ScheduleSummary } from "../broker/index.ts";
import { Op } from "../protocol/index.ts";
import type { Resource } from "../security/index.ts";
import { asText, fieldsAt, invalid, isMap, optional } from "./arguments.ts";
import type { Caller } from "./caller.ts";
import { type AnyOperation, define } from "./operation.ts";
import { exchangeResource, namespaceResource, queueResource } from "./resources.ts";

const CRON_LENGTH_MAX = 256;
const MISSED = ["once", "skip"] as const;

function parseSchedule(args: readonly unknown[]): ScheduleRequest {
  const fields = fieldsAt(args, 0);
  const cron = asText(fields["cron"], "cron");
  if (cron.length > CRON_LENGTH_MAX) throw invalid("cron", `at most ${CRON_LENGTH_MAX} characters`);
  const missed = MISSED.find((word) => word === (fields["missed"] ?? "once"));
  if (missed === undefined) throw invalid("missed", `one of ${MISSED.join(", ")}`);
  return {
    name: asText(fields["name"], "name"),
    cron,
    timezone: optional(fields["timezone"], "timezone", asText) ?? null,
    exchange: optional(fields["exchange"], "exchange", asText) ?? "",
    key: optional(fields["key"], "key", asText) ?? "",
    value: asContent(fields["value"]),
    headers: optional(fields["headers"], "headers", asHeaders) ?? null,
    missed,
  };
}

function asContent(value: unknown): Uint8Array | string | null {
  if (value === undefined || value === null) return null;
  // The frame's bytes are used again.
  if (value instanceof Uint8Array) return value.slice();
  if (typeof value === "string") return value;
  throw invalid("value", "bin, a string or nil");
}

function asHeaders(value: unknown, field: string): Record<string, unknown> {
  if (!isMap(value)) throw invalid(field, "a map");
  const isPlain = (entry: unknown): boolean => ["string", "number", "boolean"].includes(typeof entry);
  if (Object.values(value).every(isPlain)) return { ...value };
  throw invalid(field, "a map of strings, numbers and booleans");
}

/** What a schedule publishes to: rights are those on it. */
function targetOf(caller: Caller, { exchange, key }: Pick<ScheduleRequest, "exchange" | "key">): Resource {
  return exchange === "" ? queueResource(caller, key) : exchangeResource(caller, exchange);
}

function existingTarget(caller: Caller, name: string): Resource[] {
  const existing = caller.services.schedules.find(caller.namespace, name);
  return existing === undefined ? [] : [targetOf(caller, existing)];
}

/** Its message is for those who could have written it. */
function shown(caller: Caller, schedule: ScheduleSummary): ScheduleSummary {
  if (caller.isAllowed("schedule.change", targetOf(caller, schedule))) return schedule;
  return { ...schedule, value: null, headers: null };
}

export const scheduleOps: readonly AnyOperation[] = [
  define({
    op: Op.SCHEDULE_PUT,
    permission: "schedule.change",
    parse: parseSchedule,
    resources: (request, caller) => [targetOf(caller, request), ...existingTarget(caller, request.name)],
    run: async ({ namespace, services }, request) => {
      await services.schedules.put(namespace, request);
      return {};
    },
  }),
  define({
    op: Op.SCHEDULE_DELETE,
    permission: "schedule.change",
    parse: (args) => asText(fieldsAt(args, 0)["name"], "name"),
    resources: (name, caller) => existingTarget(caller, name),
    run: async ({ namespace, services }, name) => ({ deleted: await services.schedules.delete(namespace, name) }),
  }),
  define({
    op: Op.SCHEDULE_LIST,
    permission: "schedule.list",
    parse: (args) => fieldsAt(args, 0),
    resources: (_, caller) => [namespaceResource(caller)],
    run: (caller) => ({
      schedules: caller.services.schedules
        .list(caller.namespace)
        .filter((schedule) => caller.isAllowed("schedule.describe", targetOf(caller, schedule)))
        .map((schedule) => shown(caller, schedule)),
    }),
  }),
];
