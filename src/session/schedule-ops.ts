/**
 * Schedules: messages that are published again and again.
 *
 *     123 SCHEDULE_PUT    [123, corr, {name, cron, timezone?, exchange?, key?, value, headers?, missed?: "once"|"skip"}] -> {}
 *     124 SCHEDULE_DELETE [124, corr, {name}] -> {deleted: bool}
 *     125 SCHEDULE_LIST   [125, corr, {}] -> {schedules: [as PUT, {nextMs: int|nil, lastMs: int|nil, error: str|nil}]}
 */
import type { ScheduleRequest } from "../broker/index.ts";
import { Op } from "../protocol/index.ts";
import { asText, fieldsAt, invalid, isMap, optional } from "./arguments.ts";
import { type AnyOperation, define } from "./operation.ts";
import { exchangeResource, namespaceResource } from "./resources.ts";

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

export const scheduleOps: readonly AnyOperation[] = [
  define({
    op: Op.SCHEDULE_PUT,
    permission: "schedule.change",
    parse: parseSchedule,
    resources: ({ exchange }, caller) => [exchangeResource(caller, exchange)],
    run: async ({ namespace, services }, request) => {
      await services.schedules.put(namespace, request);
      return {};
    },
  }),
  define({
    op: Op.SCHEDULE_DELETE,
    permission: "schedule.change",
    parse: (args) => asText(fieldsAt(args, 0)["name"], "name"),
    resources: (_, caller) => [namespaceResource(caller)],
    run: async ({ namespace, services }, name) => ({ deleted: await services.schedules.delete(namespace, name) }),
  }),
  define({
    op: Op.SCHEDULE_LIST,
    permission: "schedule.list",
    parse: (args) => fieldsAt(args, 0),
    resources: (_, caller) => [namespaceResource(caller)],
    run: ({ namespace, services }) => ({ schedules: services.schedules.list(namespace) }),
  }),
];
