import { failed } from "./fault.ts";
import { isObject } from "./json.ts";
import { type Headers, type MessageParts, type Target, TransformMessage } from "./message.ts";
import type { Outcome, Step } from "./step.ts";

/** A user's function as a step. */

export interface TransformContext {
  /** Name of the transform. */
  readonly transform: string;
  /** What the step's definition says. */
  readonly config: Readonly<Record<string, unknown>>;
  /** Writes a line to the broker's log. */
  log(text: string): void;
}

/** What a function may return for one message: the message it got, one made by `message.with`, or its parts. */
export interface TransformResult {
  /** Bytes and text go as they are, null is a tombstone, anything else is sent as JSON. Left away: the value that came. */
  readonly value?: unknown;
  /** Left away, as the headers: those of the message that came. */
  readonly key?: string | Uint8Array | null;
  readonly headers?: Headers;
  /** Another place than the transform's `to`. */
  readonly to?: Target;
}

type Returned =
  TransformMessage | TransformResult | readonly (TransformMessage | TransformResult)[] | null | undefined | void;

export type TransformFunction = (message: TransformMessage, context: TransformContext) => Returned | Promise<Returned>;

const PARTS = new Set(["value", "key", "headers", "to"]);
const TARGETS = ["topic", "queue", "exchange"] as const;

/** The function with what it returns checked: what cannot be sent is a failure of the message. */
export function functionStep(run: TransformFunction, context: TransformContext): Step {
  return (message) => {
    const returned = run(message, context);
    if (returned === message) return message;
    return returned instanceof Promise
      ? returned.then((value) => outcomeOf(value, message))
      : outcomeOf(returned, message);
  };
}

function outcomeOf(returned: Returned, message: TransformMessage): Outcome {
  if (returned === null || returned === undefined) return null;
  if (Array.isArray(returned)) return returned.map((item) => messageOf(item, message));
  return messageOf(returned, message);
}

function messageOf(returned: unknown, message: TransformMessage): TransformMessage {
  if (returned instanceof TransformMessage) return returned;
  if (!isObject(returned)) {
    throw failed(`the function returned ${describe(returned)} instead of a message, a list of messages or null`);
  }
  const unknown = Object.keys(returned).find((name) => !PARTS.has(name));
  if (unknown !== undefined) {
    throw failed(`the function returned an object with "${unknown}": a message has value, key, headers and to`);
  }
  return message.with(partsOf(returned));
}

function partsOf({ value, key, headers, to }: Record<string, unknown>): MessageParts {
  return {
    ...(value === undefined ? {} : valueOf(value)),
    ...(key === undefined ? {} : { key: keyOf(key) }),
    ...(headers === undefined ? {} : { headers: headersOf(headers) }),
    ...(to === undefined ? {} : { to: targetOf(to) }),
  };
}

function valueOf(value: unknown): MessageParts {
  if (value === null || typeof value === "string" || value instanceof Uint8Array) return { value };
  const text = JSON.stringify(value);
  if (text === undefined) throw failed(`the function returned the value ${describe(value)}, which is no JSON`);
  return { value: text };
}

function keyOf(key: unknown): string | Uint8Array | null {
  if (key === null || typeof key === "string" || key instanceof Uint8Array) return key;
  throw failed(`the function returned the key ${describe(key)}: a key is text, bytes or null`);
}

function headersOf(headers: unknown): Headers {
  if (!isObject(headers)) throw failed(`the function returned the headers ${describe(headers)} instead of an object`);
  for (const [name, value] of Object.entries(headers)) {
    const isFine =
      value === null || value instanceof Uint8Array || ["string", "number", "boolean"].includes(typeof value);
    if (!isFine) throw failed(`the function returned the header ${name}, which is ${describe(value)}`);
  }
  return headers as Headers;
}

function targetOf(to: unknown): Target {
  const names = isObject(to) ? TARGETS.filter((name) => typeof to[name] === "string") : [];
  if (names.length !== 1)
    throw failed("the function returned a `to` that names no topic, queue or exchange, or several");
  return to as Target;
}

function describe(value: unknown): string {
  if (typeof value === "object" && value !== null) return value.constructor?.name ?? "an object";
  return typeof value === "function" ? "a function" : String(value).slice(0, 100);
}
