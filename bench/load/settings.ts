import type { AckLevel } from "../../src/client/index.ts";
import { usageError } from "../../src/cli/exit.ts";
import { countOf, durationOf, sizeOf } from "../../src/cli/units.ts";
import { STAMP_BYTES } from "./payload.ts";

/** What the flags of the load say, checked. */

/** How large values are, in bytes: evenly between two sizes, or exponential with a mean. */
export interface SizeRange {
  readonly kind: "even" | "exponential";
  readonly from: number;
  /** The mean of an exponential distribution is `from`; `to` is where it is cut. */
  readonly to: number;
}

export interface LoadSettings {
  readonly topic: string;
  readonly namespace: string | undefined;
  readonly sizes: SizeRange;
  /** 0 publishes record by record. */
  readonly batchBytes: number;
  readonly lingerMs: number;
  readonly producers: number;
  readonly consumers: number;
  /** Undefined: those that the topic has, or one. */
  readonly partitions: number | undefined;
  /** 0: no keys. */
  readonly keys: number;
  readonly acks: AckLevel;
  readonly durationMs: number;
  readonly warmUpMs: number;
  /** Messages per second of all producers together; 0 saturates. */
  readonly rate: number;
  /** The rate at the end of the run. */
  readonly rateEnd: number;
  readonly payload: "pre-encoded" | "client";
  /** Consumers share the partitions, instead of reading all of them each. */
  readonly isShared: boolean;
  /** Undefined: one of producers, one of consumers. */
  readonly processes: number | undefined;
  readonly rounds: number;
}

export interface LoadFlags {
  topic?: string;
  size: string;
  batchBytes: string;
  lingerMs: string;
  producers: string;
  consumers: string;
  partitions?: string;
  keys: string;
  acks: string;
  duration: string;
  warmup: string;
  rate: string;
  ramp?: string;
  payload: string;
  share?: boolean;
  processes?: string;
  rounds: string;
  out?: string;
  json?: boolean | string;
}

const SIZE_MAX = 1024 * 1024;
/** An exponential distribution is cut at this multiple of its mean. */
const TAIL = 10;
const WORKERS_MAX = 1_000;
const LEVELS: readonly AckLevel[] = ["none", "memory", "written", "synced"];

function valueBytes(text: string): number {
  const bytes = sizeOf("--size", text);
  if (bytes >= STAMP_BYTES && bytes <= SIZE_MAX) return bytes;
  const why = `each value holds its due time, its run and its number, which take ${STAMP_BYTES} bytes`;
  throw usageError(`--size: ${text} is not between ${STAMP_BYTES} and ${SIZE_MAX} bytes`, why);
}

function sizesOf(text: string): SizeRange {
  const exponential = /^exp:(.+)$/.exec(text);
  if (exponential) {
    const mean = valueBytes(exponential[1] ?? "");
    return { kind: "exponential", from: mean, to: Math.min(SIZE_MAX, mean * TAIL) };
  }
  const [low = "", high = low, ...more] = text.split("-");
  if (more.length > 0) throw usageError(`--size: "${text}" is no range`, "write it as 100, 100-1000 or exp:300");
  const [from, to] = [valueBytes(low), valueBytes(high)];
  if (from > to) throw usageError(`--size: "${text}" ends before it begins`, "write it as 100-1000");
  return { kind: "even", from, to };
}

function oneOf<T extends string>(flag: string, text: string, choices: readonly T[]): T {
  const found = choices.find((choice) => choice === text);
  if (found === undefined) throw usageError(`${flag}: "${text}" is not known`, `use ${choices.join(", ")}`);
  return found;
}

function rateOf(flag: string, text: string): number {
  const rate = Number(text);
  if (Number.isFinite(rate) && rate >= 0 && text.trim() !== "") return rate;
  throw usageError(`${flag}: "${text}" is no rate`, "give messages per second, such as 10000");
}

function rates(flags: LoadFlags): readonly [number, number] {
  const rate = rateOf("--rate", flags.rate);
  if (flags.ramp === undefined) return [rate, rate];
  if (rate > 0) throw usageError("--rate and --ramp exclude each other", "give one of them");
  const [from = "", to = "", ...more] = flags.ramp.split(":");
  const [first, last] = [rateOf("--ramp", from), rateOf("--ramp", to)];
  if (more.length === 0 && first > 0 && last > 0) return [first, last];
  throw usageError(`--ramp: "${flags.ramp}" is no FROM:TO`, "write it as 1000:50000");
}

/** A length of time that has an end: `-1` and nothing are none. */
function spanOf(flag: string, text: string, leastMs: number): number {
  const ms = durationOf(flag, text);
  if (ms >= leastMs) return ms;
  throw usageError(`${flag}: ${text} is too short`, `give at least ${leastMs}ms`);
}

/** Errors: usage, with what is wrong and what would be right. */
export function settingsOf(flags: LoadFlags, namespace: string | undefined): LoadSettings {
  const producers = countOf("--producers", flags.producers);
  const consumers = countOf("--consumers", flags.consumers);
  if (producers + consumers === 0) throw usageError("neither producers nor consumers", "give --producers 1");
  if (Math.max(producers, consumers) > WORKERS_MAX) {
    throw usageError(`more than ${WORKERS_MAX} producers or consumers`, "spread them over several runs");
  }
  if (producers === 0 && flags.topic === undefined) {
    throw usageError("consumers alone need a topic to read", "give --topic");
  }
  const [rate, rateEnd] = rates(flags);
  const settings: LoadSettings = {
    topic: flags.topic ?? `bench-${crypto.randomUUID().slice(0, 8)}`,
    namespace,
    sizes: sizesOf(flags.size),
    batchBytes: sizeOf("--batch-bytes", flags.batchBytes),
    lingerMs: spanOf("--linger-ms", flags.lingerMs, 0),
    producers,
    consumers,
    partitions: flags.partitions === undefined ? undefined : countOf("--partitions", flags.partitions, 1),
    keys: countOf("--keys", flags.keys),
    acks: oneOf("--acks", flags.acks, LEVELS),
    durationMs: spanOf("--duration", flags.duration, 100),
    warmUpMs: spanOf("--warmup", flags.warmup, 0),
    rate,
    rateEnd,
    payload: oneOf("--payload", flags.payload, ["pre-encoded", "client"]),
    isShared: flags.share === true,
    processes: flags.processes === undefined ? undefined : countOf("--processes", flags.processes, 1),
    rounds: countOf("--rounds", flags.rounds, 1),
  };
  if (settings.batchBytes < 0) throw usageError("--batch-bytes: -1 is no size", "0 publishes record by record");
  return settings;
}
