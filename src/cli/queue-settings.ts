import type { Command } from "commander";
import type { QueueConfig } from "../client/index.ts";
import { nearestName } from "../stdx/index.ts";
import { collect } from "./command.ts";
import { usageError } from "./exit.ts";
import { countOf, durationOf, sizeOf } from "./units.ts";

/** A queue's settings as they are written at a shell. */

type Kind = "bytes" | "ms" | "count" | "number" | "boolean" | "text";

/** How the value of each setting is written; a dot leads into a group of them. The broker checks ranges. */
const SETTINGS: Readonly<Record<string, Kind>> = {
  durable: "boolean",
  autoDelete: "boolean",
  expiresMs: "ms",
  ordered: "boolean",
  fairShare: "boolean",
  singleActive: "boolean",
  messageTtlMs: "ms",
  priorityMax: "count",
  deliveryPriority: "text",
  lengthMax: "count",
  bytesMax: "bytes",
  overflow: "text",
  deliveryLimit: "count",
  leaseMs: "ms",
  leaseWarningMs: "ms",
  dedupWindowMs: "ms",
  dedupEntriesMax: "count",
  "retry.kind": "text",
  "retry.delayMs": "ms",
  "retry.delayMaxMs": "ms",
  "retry.jitter": "number",
  "retry.attemptsMax": "count",
  "deadLetter.exchange": "text",
  "deadLetter.routingKey": "text",
  "release.ratePerSec": "number",
  "release.bytesPerSec": "bytes",
  "release.burst": "count",
  "release.window.from": "text",
  "release.window.to": "text",
  "release.window.utcOffsetMinutes": "number",
  inFlightMax: "count",
  deferredMax: "count",
  delayedMax: "count",
  groupsMax: "count",
  schemaEnforce: "text",
  schemaStrategy: "text",
  sessionLockMs: "ms",
  sessionStatesMax: "count",
  sessionStateBytesMax: "bytes",
};

const SETTING_NAMES = `${Object.keys(SETTINGS).join(", ")}, weights.<group>`;

export interface SettingOptions {
  config?: string[];
  transient?: boolean;
  ordered?: boolean;
  ttl?: string;
  lengthMax?: string;
  deliveryLimit?: string;
  lease?: string;
  priorityMax?: string;
  schemaEnforce?: string;
  deadLetter?: string;
}

/** The options that set something. */
export function addSettingOptions(command: Command): Command {
  return command
    .option("-c, --config <key=value>", `a setting, as often as needed: ${SETTING_NAMES}`, collect)
    .option("--ttl <duration>", "messages expire after this (messageTtlMs)")
    .option("--length-max <count>", "the most messages it holds; the oldest go unless overflow says otherwise")
    .option("--delivery-limit <count>", "deliveries after which a message is dead-lettered")
    .option("--lease <duration>", "how long a consumer may hold a message (leaseMs)")
    .option("--priority-max <level>", "priorities from 0 to this, at most 31")
    .option("--schema-enforce <mode>", "what records must have: none, id (of a schema) or full (a body that decodes)")
    .option("--dead-letter <exchange:key>", "where failed messages go; :queue is straight to a queue");
}

/** What takes the named settings back to their defaults. */
export function resetsOf(names: readonly string[]): Record<string, unknown> {
  const change: Record<string, unknown> = {};
  for (const name of names) {
    const isGroup = name === "weights" || Object.keys(SETTINGS).some((key) => key.startsWith(`${name}.`));
    setPath(change, isGroup ? name : settingName(name), null);
  }
  return change;
}

/** The settings of `--config key=value` and of the options that stand for the usual ones. */
export function queueConfigOf(options: SettingOptions, config: Record<string, unknown> = {}): QueueConfig {
  for (const pair of options.config ?? []) {
    const split = pair.indexOf("=");
    if (split < 1) throw usageError(`--config: "${pair}" is no key=value`, "write it as lengthMax=1000");
    const key = settingName(pair.slice(0, split));
    setPath(config, key, settingValue(key, pair.slice(split + 1)));
  }
  if (options.transient === true) config["durable"] = false;
  if (options.ordered === true) config["ordered"] = true;
  if (options.ttl !== undefined) config["messageTtlMs"] = durationOf("--ttl", options.ttl);
  if (options.lengthMax !== undefined) config["lengthMax"] = countOf("--length-max", options.lengthMax, 1);
  if (options.deliveryLimit !== undefined)
    config["deliveryLimit"] = countOf("--delivery-limit", options.deliveryLimit, 1);
  if (options.lease !== undefined) config["leaseMs"] = durationOf("--lease", options.lease);
  if (options.priorityMax !== undefined) config["priorityMax"] = countOf("--priority-max", options.priorityMax);
  if (options.schemaEnforce !== undefined) config["schemaEnforce"] = options.schemaEnforce;
  if (options.deadLetter !== undefined) config["deadLetter"] = deadLetterOf(options.deadLetter);
  return config as QueueConfig;
}

/** A group's name may be anything, also with dots. */
const WEIGHT = "weights.";

function settingName(name: string): string {
  if (name.startsWith(WEIGHT) && name.length > WEIGHT.length) return name;
  if (Object.hasOwn(SETTINGS, name)) return name;
  const near = nearestName(name, Object.keys(SETTINGS));
  const advice = near === undefined ? `use ${Object.keys(SETTINGS).join(", ")}` : `did you mean ${near}?`;
  throw usageError(`"${name}" is no queue setting`, advice);
}

function setPath(config: Record<string, unknown>, name: string, value: unknown): void {
  const path = name.startsWith(WEIGHT) ? ["weights", name.slice(WEIGHT.length)] : name.split(".");
  const last = path.pop() as string;
  let at = config;
  for (const word of path) at = (at[word] ??= {}) as Record<string, unknown>;
  at[last] = value;
}

function settingValue(name: string, text: string): unknown {
  switch (name.startsWith(WEIGHT) ? "count" : SETTINGS[name]) {
    case "bytes":
      return sizeOf(name, text);
    case "ms":
      return durationOf(name, text);
    case "count":
      return countOf(name, text);
    case "number": {
      const number = Number(text);
      if (text.trim() === "" || !Number.isFinite(number))
        throw usageError(`${name}: "${text}" is no number`, "write it as 0.5");
      return number;
    }
    case "boolean":
      if (text === "true" || text === "false") return text === "true";
      throw usageError(`${name}: "${text}" is neither true nor false`, "write true or false");
    default:
      return text;
  }
}

/** `exchange`, `exchange:key` or `:queue`, which is the default exchange. */
function deadLetterOf(text: string): { exchange: string; routingKey?: string } {
  const split = text.indexOf(":");
  if (split < 0) return { exchange: text };
  return { exchange: text.slice(0, split), routingKey: text.slice(split + 1) };
}
