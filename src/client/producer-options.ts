import { type Condition, type Content, type Headers, type TraceContext, TRACEPARENT } from "../protocol/index.ts";
import type { AckLevel } from "./delivery.ts";
import { clientError, type MillraceError } from "./errors.ts";
import type { LargePayloads } from "./payloads/payloads.ts";

/** What a producer can be told, and what a record is made of. */

export interface ProducerOptions {
  /** What an acknowledgement must mean. Default "written". */
  acks?: AckLevel;
  /** No duplicate and no gap across retries and reconnects. Default true, except with acks "none". */
  idempotent?: boolean;
  /** "batch" forms batches here; "single" sends record by record and leaves that to the broker. Default "batch". */
  mode?: "batch" | "single";
  /** How long a record may wait for others. Default 0: to the end of the loop's turn. */
  lingerMs?: number;
  /** A batch is sent when it reaches this. Default 64 KiB. */
  batchBytes?: number;
  /** Batches of a partition that may be without an answer. Default 5, with which the offset of every result is known after a lost connection too; 64 for batches of records without results (`append`, `sendNoWait`), and 64 in mode "single". */
  inFlightMax?: number;
  /** Records taken and not yet answered; past it, `send` waits and `ready` is pending. Default 32 MiB. */
  bufferBytesMax?: number;
  /** Sends that may wait for room before they are refused with limit_exceeded. Default 1,000,000. */
  waitingRecordsMax?: number;
  /** Default "none". */
  compression?: "none" | "zstd";
  /** A record without an answer for this long fails with `timeout`. Default 120,000 ms. */
  deliveryTimeoutMs?: number;
  /** Takes up the identity of an earlier producer, which is fenced. */
  producerId?: number;
  producerEpoch?: number;
  /** Has large bodies go to a store. Default: for exchanges and queues the client's; null is none. */
  payloads?: LargePayloads | null;
  /** Asked for each record that has no `traceparent` yet: the trace that it belongs to. Default: the client's. */
  traceContext?: () => Partial<TraceContext> | undefined;
  /** Hears failures of records that nobody awaits. */
  onError?: (error: MillraceError) => void;
}

/** Where a producer publishes to, as PUBLISHER_OPEN says it. */
export type ProducerTarget =
  | { readonly topic: string }
  | { readonly exchange: string; readonly mandatory: boolean; readonly requireConsumer: boolean };

export interface ProducerRecord {
  key?: Content;
  /** null or undefined is a tombstone. */
  value?: Content;
  headers?: Headers | null;
  /** Milliseconds since 1970. Default: now. */
  timestamp?: number;
  /** Default: by the key's hash; without a key, one partition per batch. */
  partition?: number;
}

export interface SendOptions {
  /** The partition's next offset must be this; otherwise ConflictError. Needs `partition` or a key. */
  expectNextOffset?: number;
  /** The record's key must have its last record at this offset (null: none at all); otherwise ConflictError. */
  expectKeyOffset?: number | null;
}

export type ProducerSettings = Required<
  Omit<ProducerOptions, "producerId" | "producerEpoch" | "payloads" | "onError" | "traceContext">
>;

export function producerSettings(options: ProducerOptions): ProducerSettings {
  const acks = options.acks ?? "written";
  return {
    acks,
    idempotent: options.idempotent ?? acks !== "none",
    mode: options.mode ?? "batch",
    lingerMs: options.lingerMs ?? 0,
    batchBytes: options.batchBytes ?? 64 * 1024,
    inFlightMax: options.inFlightMax ?? (options.mode === "single" ? 64 : 5),
    bufferBytesMax: options.bufferBytesMax ?? 32 * 1024 * 1024,
    waitingRecordsMax: options.waitingRecordsMax ?? 1_000_000,
    compression: options.compression ?? "none",
    deliveryTimeoutMs: options.deliveryTimeoutMs ?? 120_000,
  };
}

/** The condition that the options put on a record. Errors: invalid_argument. */
export function conditionOf(record: ProducerRecord, options: SendOptions): Condition {
  const { expectNextOffset, expectKeyOffset } = options;
  if (expectNextOffset !== undefined) return expectNextOffset;
  if (expectKeyOffset === undefined) return null;
  if (record.key === null || record.key === undefined) {
    throw clientError("invalid_argument", "expectKeyOffset needs a record with a key");
  }
  return { key: record.key, lastOffset: expectKeyOffset };
}

/** The record with the trace that it belongs to among its headers; one that has a trace keeps it. */
export function traced(record: ProducerRecord, traceContext: ProducerOptions["traceContext"]): ProducerRecord {
  if (traceContext === undefined || record.headers?.[TRACEPARENT] !== undefined) return record;
  const context = traceContext();
  return context === undefined ? record : { ...record, headers: { ...record.headers, ...context } };
}

/** Bytes of a record that has to wait are the caller's no longer. */
export function copyOf(content: Content): Content {
  return content instanceof Uint8Array ? new Uint8Array(content) : content;
}
