/** The configuration of a queue: keys, ranges, and the form that the core reads. */
import { MillraceError } from "../errors/index.ts";
import {
  boolean,
  canonical,
  differingKey,
  type Fields,
  integer,
  invalidConfig,
  isFields,
  mismatch,
  readFields,
  type Rule,
} from "./rules.ts";

/** What happens to messages beyond `lengthMax` and `bytesMax`. */
export type Overflow = "drop-head" | "reject" | "dead-letter";

/** When a message comes again that its consumer could not handle. */
export interface RetryPolicy {
  /** The same delay each time, one that grows by it, or one that doubles. Default "exponential". */
  readonly kind?: "fixed" | "linear" | "exponential";
  /** Default 1,000. */
  readonly delayMs?: number;
  /** Default 60,000. */
  readonly delayMaxMs?: number;
  /** The part of a delay that is random, 0 to 1. Default 0. */
  readonly jitter?: number;
  /** Deliveries after which the message is dead-lettered. Default: the queue's deliveryLimit. */
  readonly attemptsMax?: number;
}

/** The hours of a day in which messages are given out. */
export interface ReleaseWindow {
  /** "HH:MM". */
  readonly from: string;
  /** "HH:MM"; before `from` it is the next day's. */
  readonly to: string;
  /** Of the place whose clock is meant. Default 0. */
  readonly utcOffsetMinutes?: number;
}

export interface QueueConfig {
  /** False: gone with a restart of the broker, and its messages with it. Default true. */
  readonly durable?: boolean;
  /** Belongs to the connection that declares it, and goes with it. */
  readonly exclusive?: boolean;
  /** Goes when its last consumer has left. */
  readonly autoDelete?: boolean;
  /** Goes when nobody has used it for so long. */
  readonly expiresMs?: number;
  /** At most one unsettled message of each group (x-group, else the routing key), in order. */
  readonly ordered?: boolean;
  /** Groups (x-group, else the routing key) take turns. Not with `ordered` or `priorityMax`; limits need overflow "reject". */
  readonly fairShare?: boolean;
  /** How many messages of a group go out in its turn, by its name, 1 to 1,000. Default 1 each. */
  readonly weights?: Readonly<Record<string, number>>;
  /** One consumer at a time gets messages; the next one follows when it goes. */
  readonly singleActive?: boolean;
  readonly messageTtlMs?: number;
  /** Messages may have priorities from 0 to this. Default 0. */
  readonly priorityMax?: number;
  /** Who goes first where the broker has more to deliver than it can; for consumers from then on. Default "normal". */
  readonly deliveryPriority?: "high" | "normal" | "low";
  readonly lengthMax?: number;
  readonly bytesMax?: number;
  /** Default "drop-head". */
  readonly overflow?: Overflow;
  /** Deliveries after which a message is dead-lettered, or dropped. */
  readonly deliveryLimit?: number;
  /** How long a consumer may hold a message without renewing it. Default: as long as its connection lives. */
  readonly leaseMs?: number;
  /** How long before the end of a lease its consumer is warned. Default: a quarter of the lease; 0 is never. */
  readonly leaseWarningMs?: number;
  /** Messages with an x-message-id seen within this time are dropped. */
  readonly dedupWindowMs?: number;
  readonly dedupEntriesMax?: number;
  readonly retry?: RetryPolicy & { readonly classes?: Readonly<Record<string, RetryPolicy>> };
  /** Where messages go that are rejected, expire, overflow, or reach the delivery limit. */
  readonly deadLetter?: { readonly exchange: string; readonly routingKey?: string };
  readonly release?: {
    readonly ratePerSec?: number;
    readonly bytesPerSec?: number;
    readonly burst?: number;
    readonly window?: ReleaseWindow;
  };
  readonly inFlightMax?: number;
  readonly deferredMax?: number;
  readonly delayedMax?: number;
  readonly groupsMax?: number;
  /** Whether records name a schema of the queue's subjects (`id`) and decode with it (`full`). Default "none". */
  readonly schemaEnforce?: "none" | "id" | "full";
  /** Which subjects those are: of the queue's name, the record's, or both. Default "topic". */
  readonly schemaStrategy?: "topic" | "record" | "topic_record";
  /** How long a session of an ordered queue stays with the consumer that settled a message of it last. Default: not at all. */
  readonly sessionLockMs?: number;
  /** Sessions of an ordered queue that may have a state. Default 100,000. */
  readonly sessionStatesMax?: number;
  /** Of one state. Default 64 KiB. */
  readonly sessionStateBytesMax?: number;
}

/** A hundred years: far enough for "keep it", and still exact in every unit. */
const MS_MAX = 100 * 366 * 86_400_000;
const COUNT_MAX = 2 ** 48;
const U32_MAX = 0xffffffff;
const RATE_MAX = 2 ** 32;
const CLASSES_MAX = 64;
const WEIGHT_MAX = 1_000;
const WEIGHTS_MAX = 10_000;
const NAME_BYTES_MAX = 249;
const KEY_BYTES_MAX = 255;
const DAY_MINUTES = 24 * 60;

const RETRY: Readonly<Record<string, Rule>> = {
  kind: { kind: "choice", values: ["fixed", "linear", "exponential"] },
  delayMs: integer(0, MS_MAX),
  delayMaxMs: integer(0, MS_MAX),
  jitter: { kind: "number", min: 0, max: 1 },
  attemptsMax: integer(1, U32_MAX),
};

const DEAD_LETTER: Readonly<Record<string, Rule>> = {
  exchange: { kind: "text", bytesMax: NAME_BYTES_MAX },
  routingKey: { kind: "text", bytesMax: KEY_BYTES_MAX },
};

const WINDOW: Readonly<Record<string, Rule>> = {
  from: { kind: "text", bytesMax: 5 },
  to: { kind: "text", bytesMax: 5 },
  utcOffsetMinutes: integer(-DAY_MINUTES, DAY_MINUTES),
};

const RELEASE: Readonly<Record<string, Rule>> = {
  ratePerSec: integer(1, RATE_MAX),
  bytesPerSec: integer(1, 2 ** 40),
  burst: integer(1, U32_MAX),
  window: { kind: "map", read: readWindow },
};

const RULES: { readonly [K in keyof Required<QueueConfig>]: Rule } = {
  durable: boolean,
  exclusive: boolean,
  autoDelete: boolean,
  expiresMs: integer(100, MS_MAX),
  ordered: boolean,
  fairShare: boolean,
  weights: { kind: "map", read: readWeights },
  singleActive: boolean,
  messageTtlMs: integer(0, MS_MAX),
  priorityMax: integer(0, 31),
  deliveryPriority: { kind: "choice", values: ["high", "normal", "low"] },
  lengthMax: integer(1, COUNT_MAX),
  bytesMax: integer(1, COUNT_MAX),
  overflow: { kind: "choice", values: ["drop-head", "reject", "dead-letter"] },
  deliveryLimit: integer(1, U32_MAX),
  leaseMs: integer(10, MS_MAX),
  leaseWarningMs: integer(0, MS_MAX),
  dedupWindowMs: integer(1, MS_MAX),
  dedupEntriesMax: integer(1, 100_000_000),
  retry: { kind: "map", read: readRetry },
  deadLetter: { kind: "map", read: readDeadLetter },
  release: { kind: "map", read: (value, key) => readFields(value, RELEASE, `${key}.`) },
  inFlightMax: integer(1, U32_MAX),
  deferredMax: integer(1, U32_MAX),
  delayedMax: integer(1, U32_MAX),
  groupsMax: integer(1, U32_MAX),
  schemaEnforce: { kind: "choice", values: ["none", "id", "full"] },
  schemaStrategy: { kind: "choice", values: ["topic", "record", "topic_record"] },
  sessionLockMs: integer(10, MS_MAX),
  sessionStatesMax: integer(1, 10_000_000),
  sessionStateBytesMax: integer(1, 1 << 20),
};

/** What a key is when it is left out; such values are not stored, so that they cannot count as a difference. */
const DEFAULTS: Readonly<Record<string, unknown>> = {
  durable: true,
  exclusive: false,
  autoDelete: false,
  ordered: false,
  fairShare: false,
  singleActive: false,
  priorityMax: 0,
  deliveryPriority: "normal",
  overflow: "drop-head",
  schemaEnforce: "none",
  schemaStrategy: "topic",
};

/**
 * Checks the config map of a declaration.
 *
 * @throws invalid_config naming the key and its range; schedule_never for a window that never opens.
 */
export function parseQueueConfig(input: Fields): QueueConfig {
  const read = readFields(input, RULES, "");
  for (const [key, value] of Object.entries(DEFAULTS)) if (read[key] === value) delete read[key];
  const config = read as QueueConfig;
  if (config.overflow === "dead-letter" && config.deadLetter === undefined) {
    throw invalidConfig("overflow", "dead-letter needs a deadLetter exchange");
  }
  if (config.leaseWarningMs !== undefined && config.leaseWarningMs >= (config.leaseMs ?? Number.POSITIVE_INFINITY)) {
    throw invalidConfig("leaseWarningMs", "must be shorter than leaseMs");
  }
  if (config.leaseWarningMs !== undefined && config.leaseMs === undefined) {
    throw invalidConfig("leaseWarningMs", "needs a leaseMs");
  }
  if (config.sessionLockMs !== undefined && config.ordered !== true) {
    throw invalidConfig("sessionLockMs", "needs ordered");
  }
  if (config.dedupEntriesMax !== undefined && config.dedupWindowMs === undefined) {
    throw invalidConfig("dedupEntriesMax", "needs a dedupWindowMs");
  }
  checkShares(config);
  return config;
}

function checkShares({ fairShare, weights, ordered, priorityMax, overflow, lengthMax, bytesMax }: QueueConfig): void {
  if (weights !== undefined && fairShare !== true) throw invalidConfig("weights", "needs fairShare");
  if (fairShare !== true) return;
  if (ordered === true) throw invalidConfig("fairShare", "is not possible together with ordered");
  if (priorityMax !== undefined) throw invalidConfig("fairShare", "is not possible together with priorityMax");
  if ((lengthMax !== undefined || bytesMax !== undefined) && overflow !== "reject") {
    throw invalidConfig(
      "overflow",
      "must be reject where groups share: the oldest of all would be of whoever waits longest",
    );
  }
}

function readWeights(value: Fields, key: string): unknown {
  const names = Object.keys(value);
  if (names.length > WEIGHTS_MAX) throw invalidConfig(key, `must be of at most ${WEIGHTS_MAX} groups`);
  const weight = integer(1, WEIGHT_MAX);
  return readFields(value, Object.fromEntries(names.map((name) => [name, weight])), `${key}.`);
}

/** What cannot change, and why. */
const FIXED: { readonly [K in keyof QueueConfig]: string } = {
  durable: "it decides where the queue's messages are kept",
  exclusive: "it decides which connection the queue belongs to",
  ordered: "the messages that wait stand in their groups already",
  fairShare: "the messages that wait stand in their groups already",
  groupsMax: "the messages that wait stand in their groups already",
};

/**
 * The configuration that a change leads to. The change is a merge patch (RFC 7396): nil takes a key back to its default,
 * keys of a map change by themselves.
 *
 * @throws invalid_config naming the key, also for one that cannot change; schedule_never.
 */
export function alterQueueConfig(before: QueueConfig, change: Fields): QueueConfig {
  for (const key of Object.keys(change)) {
    if (!Object.hasOwn(RULES, key))
      throw invalidConfig(key, `is not known; there are ${Object.keys(RULES).join(", ")}`);
  }
  const after = parseQueueConfig(mergePatch(before as Fields, change));
  for (const [key, why] of Object.entries(FIXED)) {
    if (canonical((before as Fields)[key]) === canonical((after as Fields)[key])) continue;
    throw invalidConfig(key, `cannot be changed: ${why}; declare another queue and redrive into it`);
  }
  return after;
}

function mergePatch(before: Fields, change: Fields): Fields {
  const merged = new Map(Object.entries(before));
  for (const [key, value] of Object.entries(change)) {
    const old = merged.get(key);
    if (value === null || value === undefined) merged.delete(key);
    else merged.set(key, isFields(value) ? mergePatch(isFields(old) ? old : {}, value) : value);
  }
  return Object.fromEntries(merged);
}

function readRetry(value: Fields, key: string): unknown {
  const policies = { kind: "map", read: readClasses } as const;
  return checkDelays(readFields(value, { ...RETRY, classes: policies }, `${key}.`), key);
}

function readClasses(value: Fields, key: string): unknown {
  const names = Object.keys(value);
  if (names.length > CLASSES_MAX) throw invalidConfig(key, `must be at most ${CLASSES_MAX} error classes`);
  const policy: Rule = {
    kind: "map",
    read: (entry, path) => checkDelays(readFields(entry, RETRY, `${path}.`), path),
  };
  return readFields(value, Object.fromEntries(names.map((name) => [name, policy])), `${key}.`);
}

function checkDelays(policy: Record<string, unknown>, key: string): unknown {
  const { delayMs, delayMaxMs } = policy as RetryPolicy;
  if (delayMs !== undefined && delayMaxMs !== undefined && delayMaxMs < delayMs) {
    throw invalidConfig(`${key}.delayMaxMs`, `must not be less than ${key}.delayMs`);
  }
  return policy;
}

function readDeadLetter(value: Fields, key: string): unknown {
  const read = readFields(value, DEAD_LETTER, `${key}.`);
  if (read["exchange"] === undefined) throw invalidConfig(`${key}.exchange`, 'is needed; "" is the default exchange');
  return read;
}

function readWindow(value: Fields, key: string): unknown {
  const window = readFields(value, WINDOW, `${key}.`) as unknown as ReleaseWindow;
  if (minuteOf(window.from, `${key}.from`) === minuteOf(window.to, `${key}.to`)) {
    throw new MillraceError("schedule_never", `${key} begins and ends at ${window.from}: it never opens`);
  }
  return window;
}

/** Minutes since midnight. */
function minuteOf(text: unknown, key: string): number {
  const [, hours, minutes] = /^([01]\d|2[0-3]):([0-5]\d)$/.exec(String(text)) ?? [];
  if (hours === undefined) throw invalidConfig(key, 'must be a time of day such as "08:30"');
  return Number(hours) * 60 + Number(minutes);
}

export function isSameQueue(a: QueueConfig, b: QueueConfig): boolean {
  return differingKey(a as Fields, b as Fields) === undefined;
}

/** @throws argument_mismatch naming the first argument that differs. */
export function checkSameQueue(name: string, before: QueueConfig, now: QueueConfig): void {
  const key = differingKey(before as Fields, now as Fields) as keyof QueueConfig | undefined;
  if (key === undefined) return;
  const shown = (config: QueueConfig): unknown => config[key] ?? DEFAULTS[key];
  throw mismatch(`the queue "${name}"`, key, shown(before), shown(now));
}

/** The map that the core reads. @param deadLetterExchange id of the exchange that `deadLetter` names. */
export function coreQueueConfig(config: QueueConfig, deadLetterExchange: number | null): Record<string, unknown> {
  const { deadLetter, release, schemaEnforce: _, schemaStrategy: __, ...rest } = config;
  const core: Record<string, unknown> = { durable: true, ...rest };
  if (deadLetterExchange !== null) {
    core["hasDeadLetter"] = true;
    core["deadLetterExchange"] = deadLetterExchange;
    if (deadLetter?.routingKey !== undefined) core["deadLetterRoutingKey"] = deadLetter.routingKey;
  }
  if (release !== undefined) {
    const { window, ...rates } = release;
    const minutes = window === undefined ? {} : { window: windowMinutes(window) };
    core["release"] = { ...rates, ...minutes };
  }
  return core;
}

function windowMinutes({ from, to, utcOffsetMinutes = 0 }: ReleaseWindow): Record<string, number> {
  return { fromMinute: minuteOf(from, "from"), toMinute: minuteOf(to, "to"), utcOffsetMinutes };
}

/** Every key with the value in force, where one is. */
export function shownQueueConfig(config: QueueConfig): QueueConfig {
  return { ...DEFAULTS, ...config } as QueueConfig;
}
