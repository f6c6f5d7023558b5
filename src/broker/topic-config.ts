/** The configuration of a topic: keys, ranges, defaults, and how it becomes the core's `LogConfig`. */
import { MillraceError } from "../errors/index.ts";
import { type LogConfig, SCHEMA_ENFORCE, type SchemaEnforce } from "../log/engine.ts";
import { STRATEGIES, type SubjectStrategy } from "../schema/index.ts";

/** What a topic states itself; a key that is absent follows the broker's configuration. */
export type TopicConfig = Partial<TopicSettings>;

/** All settings of a topic: those of its log, and what is asked of its records. */
export interface TopicSettings extends Omit<LogConfig, "internal"> {
  /** Whether records name a schema of the topic's subjects (`id`) and decode with it (`full`). */
  readonly schemaEnforce: SchemaEnforce;
  /** Which subjects those are. */
  readonly schemaStrategy: SubjectStrategy;
}

/** The broker's values for keys that a topic leaves out; the names are those of src/config. */
export interface TopicDefaults {
  readonly segmentBytes: number;
  readonly segmentMs: number;
  readonly retentionMs: number;
  readonly retentionBytes: number;
  readonly tombstoneRetentionMs: number;
  readonly messageBytesMax: number;
}

type Rule =
  | { readonly kind: "integer"; readonly min: number; readonly max: number; readonly unlimited: boolean }
  | { readonly kind: "boolean" }
  | { readonly kind: "choice"; readonly values: readonly string[] };

const MIB = 1024 * 1024;
const GIB = 1024 * MIB;
/** A hundred years: far enough for "keep it", and still exact in every unit. */
const MS_MAX = 100 * 366 * 86_400_000;
const MEMORY_BYTES_DEFAULT = 64 * MIB;

const RULES: { readonly [K in keyof Required<TopicConfig>]: Rule } = {
  segmentBytes: { kind: "integer", min: 64 * 1024, max: 2 * GIB - MIB, unlimited: false },
  segmentMs: { kind: "integer", min: 100, max: MS_MAX, unlimited: false },
  retentionMs: { kind: "integer", min: 1, max: MS_MAX, unlimited: true },
  retentionBytes: { kind: "integer", min: 1, max: Number.MAX_SAFE_INTEGER, unlimited: true },
  compact: { kind: "boolean" },
  tombstoneRetentionMs: { kind: "integer", min: 0, max: MS_MAX, unlimited: false },
  durability: { kind: "choice", values: ["memory", "written", "synced"] },
  messageBytesMax: { kind: "integer", min: 1, max: GIB, unlimited: false },
  storage: { kind: "choice", values: ["log", "memory"] },
  memoryBytesMax: { kind: "integer", min: 64 * 1024, max: 64 * GIB, unlimited: false },
  timestampType: { kind: "choice", values: ["create", "append"] },
  deliveryPriority: { kind: "choice", values: ["high", "normal", "low"] },
  schemaEnforce: { kind: "choice", values: SCHEMA_ENFORCE },
  schemaStrategy: { kind: "choice", values: STRATEGIES },
};

/**
 * Checks the config map of a create or alter request.
 *
 * @param messageBytesMax the broker's own limit, which a topic cannot raise, in bytes.
 * @throws invalid_config naming the key and its range.
 */
export function parseTopicConfig(input: Readonly<Record<string, unknown>>, messageBytesMax: number): TopicConfig {
  for (const [key, value] of Object.entries(input)) {
    if (!Object.hasOwn(RULES, key)) {
      throw invalid(key, value, `is no topic setting; there are ${Object.keys(RULES).join(", ")}`);
    }
    const fault = ruleFault(RULES[key as keyof TopicConfig], value);
    if (fault !== undefined) throw invalid(key, value, fault);
  }
  const config = { ...input } as TopicConfig;
  if ((config.messageBytesMax ?? 0) > messageBytesMax) {
    throw invalid("messageBytesMax", config.messageBytesMax, `must be at most the broker's ${messageBytesMax} bytes`);
  }
  return config;
}

/** Checks what only shows in the whole: `next` is the config after the change, `previous` the one before. */
export function checkTopicConfig(next: TopicConfig, previous: TopicConfig | undefined): void {
  if (previous !== undefined && (previous.storage ?? "log") !== (next.storage ?? "log")) {
    throw invalid("storage", next.storage, "cannot change after the topic was created");
  }
  if (next.storage === "memory") {
    if (next.compact === true) throw invalid("compact", true, 'must be false with storage "memory"');
    if (next.durability === "synced") throw invalid("durability", "synced", 'cannot be kept with storage "memory"');
  }
  if (next.storage !== "memory" && next.memoryBytesMax !== undefined) {
    throw invalid("memoryBytesMax", next.memoryBytesMax, 'is only for storage "memory"');
  }
}

/** The core's view: the topic's own values over the broker's. */
export function logConfigOf(config: TopicConfig, defaults: TopicDefaults): LogConfig {
  const { schemaEnforce: _, schemaStrategy: __, ...own } = config;
  return {
    segmentBytes: defaults.segmentBytes,
    segmentMs: defaults.segmentMs,
    // A compacted topic keeps the last record of each key; age ends it only where the topic says so itself.
    retentionMs: config.compact === true ? -1 : defaults.retentionMs,
    retentionBytes: config.compact === true ? -1 : defaults.retentionBytes,
    compact: false,
    tombstoneRetentionMs: defaults.tombstoneRetentionMs,
    durability: config.storage === "memory" ? "memory" : "written",
    messageBytesMax: defaults.messageBytesMax,
    storage: "log",
    memoryBytesMax: MEMORY_BYTES_DEFAULT,
    timestampType: "create",
    deliveryPriority: "normal",
    ...own,
    internal: false,
  };
}

/** Every setting with the value in force. */
export function settingsOf(config: TopicConfig, defaults: TopicDefaults): TopicSettings {
  const { internal: _, ...log } = logConfigOf(config, defaults);
  const { schemaEnforce = "none", schemaStrategy = "topic" } = config;
  return { ...log, schemaEnforce, schemaStrategy };
}

/** The config of the broker's own compacted logs. */
export function internalLogConfig(defaults: TopicDefaults): LogConfig {
  return {
    ...logConfigOf({ compact: true }, defaults),
    segmentBytes: 16 * MIB,
    durability: "written",
    messageBytesMax: MIB,
    internal: true,
  };
}

/** The config of the transaction log: a commit is one record, with all that it publishes. */
export function transactionLogConfig(defaults: TopicDefaults & { readonly transactionBytesMax: number }): LogConfig {
  const messageBytesMax = defaults.transactionBytesMax * 2 + MIB;
  return { ...internalLogConfig(defaults), segmentBytes: Math.max(16 * MIB, 2 * messageBytesMax), messageBytesMax };
}

/** The config of a space's logs. The broker itself takes away what no queue needs any more. */
export function spaceLogConfig(defaults: TopicDefaults): LogConfig {
  const unlimited = { retentionMs: -1, retentionBytes: -1, durability: "written" } as const;
  return { ...logConfigOf(unlimited, defaults), internal: true };
}

function ruleFault(rule: Rule, value: unknown): string | undefined {
  switch (rule.kind) {
    case "boolean":
      return typeof value === "boolean" ? undefined : "must be true or false";
    case "choice":
      return rule.values.includes(value as string) ? undefined : `must be one of ${rule.values.join(", ")}`;
    case "integer": {
      if (typeof value === "number" && Number.isSafeInteger(value)) {
        if (value >= rule.min && value <= rule.max) return undefined;
        if (rule.unlimited && value === -1) return undefined;
      }
      return `must be an integer from ${rule.min} to ${rule.max}${rule.unlimited ? ", or -1 for no limit" : ""}`;
    }
  }
}

function invalid(key: string, value: unknown, why: string): MillraceError {
  return new MillraceError("invalid_config", `${key} ${why}`, { details: { key, value: printable(value) } });
}

function printable(value: unknown): string {
  return String(value).slice(0, 100);
}
