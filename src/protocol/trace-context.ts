/**
 * Trace context of messages: the headers `traceparent` and `tracestate` of W3C Trace Context (Recommendation of 2021-11-23),
 * with the values that they have in HTTP. A broker hands them on as it hands on all headers.
 */
import { readUtf8 } from "./utf8.ts";

export const TRACEPARENT = "traceparent";
export const TRACESTATE = "tracestate";

/** What travels with a message. */
export interface TraceContext {
  /** `00-<trace id, 32 hex>-<span id, 16 hex>-<flags, 2 hex>` */
  readonly traceparent: string;
  readonly tracestate?: string;
}

/** The parts of a `traceparent`. */
export interface TraceParent {
  readonly traceId: string;
  /** Of the span that sent the message. */
  readonly spanId: string;
  /** The sender records this trace, and asks others to. */
  readonly isSampled: boolean;
}

/** Version 00 has nothing behind the flags; a later one may have, and is read as far as this one goes (section 3.2.2). */
const FORM = /^(?!ff)([0-9a-f]{2})-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(-.*)?$/;
const SAMPLED = 1;
const TRACESTATE_CHARS_MAX = 512;

/** Undefined where it is no `traceparent`. */
export function parseTraceParent(text: string): TraceParent | undefined {
  const [, version, traceId, spanId, flags, rest] = FORM.exec(text) ?? [];
  if (traceId === undefined || spanId === undefined || flags === undefined) return undefined;
  if (version === "00" && rest !== undefined) return undefined;
  return { traceId, spanId, isSampled: (Number.parseInt(flags, 16) & SAMPLED) !== 0 };
}

export function formatTraceParent({ traceId, spanId, isSampled }: TraceParent): string {
  return `00-${traceId}-${spanId}-${isSampled ? "01" : "00"}`;
}

/** The context of a message's headers, for what is done because of it; undefined without a valid one. */
export function traceContextOf(headers: Readonly<Record<string, unknown>>): (TraceContext & TraceParent) | undefined {
  const traceparent = textOf(headers[TRACEPARENT]);
  const parts = traceparent === undefined ? undefined : parseTraceParent(traceparent);
  if (traceparent === undefined || parts === undefined) return undefined;
  const tracestate = textOf(headers[TRACESTATE])?.slice(0, TRACESTATE_CHARS_MAX);
  return { traceparent, ...parts, ...(tracestate === undefined || tracestate === "" ? {} : { tracestate }) };
}

function textOf(value: unknown): string | undefined {
  if (typeof value === "string") return value;
  return value instanceof Uint8Array ? readUtf8(value, 0, value.length) : undefined;
}

/** A new span of the same trace, or the first of a new one. */
export function childTrace(parent?: TraceParent): TraceParent {
  return {
    traceId: parent?.traceId ?? randomId(16),
    spanId: randomId(8),
    isSampled: parent?.isSampled ?? true,
  };
}

/** Hex; never all zeros. */
function randomId(bytes: number): string {
  const random = crypto.getRandomValues(new Uint8Array(bytes));
  // Zero in all bytes is no id; that it comes up is not to be expected in the age of the universe.
  if (random.every((byte) => byte === 0)) random[0] = 1;
  return Array.from(random, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
