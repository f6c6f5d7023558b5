import { jsonOf } from "./json.ts";

/** A message on its way through the steps: bytes, text or JSON, whichever the last step made; the others are made when asked for. */

export type HeaderValue = string | number | boolean | null | Uint8Array;
export type Headers = Readonly<Record<string, HeaderValue>>;

/** Where a message goes; one of the three names. */
export interface Target {
  readonly topic?: string;
  readonly queue?: string;
  readonly exchange?: string;
  /** Of an exchange: the routing key. Default: the message's own key. */
  readonly key?: string;
  /** Of an exchange: a message that nobody gets is a failure. Default true. */
  readonly mandatory?: boolean;
}

export interface MessageParts {
  value?: Uint8Array | string | null;
  /** Instead of `value`: published as JSON. */
  json?: unknown;
  key?: string | Uint8Array | null;
  headers?: Headers;
  to?: Target;
}

const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
const strictDecoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
const encoder = new TextEncoder();
const NO_HEADERS: Headers = Object.freeze({});
const NO_JSON: unique symbol = Symbol("no JSON");

/**
 * One message. It does not change: `with` makes another one.
 *
 * `value` are the bytes (null: a tombstone), `text()` and `json()` read them; `json()` gives a fresh object each time.
 */
export class TransformMessage {
  readonly key: string | Uint8Array | null;
  readonly headers: Headers;
  /** Where it goes instead of where the transform's `to` says. */
  readonly to: Target | undefined;
  #body: Uint8Array | string | null | undefined;
  #json: unknown = NO_JSON;

  /** @param body undefined where `json` is the body. */
  constructor(
    body: Uint8Array | string | null | undefined,
    key: string | Uint8Array | null = null,
    headers: Headers = NO_HEADERS,
    to?: Target,
    json: unknown = NO_JSON,
  ) {
    this.#body = body;
    this.key = key;
    this.headers = headers;
    this.to = to;
    this.#json = json;
  }

  /** The value's bytes; null is a tombstone. */
  get value(): Uint8Array | null {
    const { content } = this;
    return typeof content === "string" ? encoder.encode(content) : content;
  }

  /** The value as it is sent: text needs no bytes of its own before the batch has it. */
  get content(): Uint8Array | string | null {
    this.#body ??= this.#json === NO_JSON ? null : (JSON.stringify(this.#json) ?? null);
    return this.#body;
  }

  /** The value as text; null is a tombstone. Bytes that are no UTF-8 become U+FFFD. */
  text(): string | null {
    const { content } = this;
    return content instanceof Uint8Array ? decoder.decode(content) : content;
  }

  /** The value as JSON, a fresh object each time; null also for a tombstone. @throws transform_failed where it is none. */
  json<T = unknown>(): T {
    const text = this.text();
    return (text === null ? null : jsonOf(text)) as T;
  }

  /** The same with other parts. */
  with(parts: MessageParts): TransformMessage {
    const { key = this.key, headers = this.headers, to = this.to } = parts;
    if ("json" in parts) return new TransformMessage(undefined, key, headers, to, parts.json ?? null);
    const { value = this.#body } = parts;
    return new TransformMessage(value, key, headers, to, parts.value === undefined ? this.#json : NO_JSON);
  }

  /** The JSON body without a copy, for steps that change nothing of it in place. @throws transform_failed. */
  shared(): unknown {
    if (this.#json === NO_JSON) this.#json = this.json();
    return this.#json;
  }

  /** The same message with JSON as its body. */
  withJson(json: unknown): TransformMessage {
    return new TransformMessage(undefined, this.key, this.headers, this.to, json);
  }

  /** The key as text; null where there is none. */
  keyText(): string | null {
    return this.key instanceof Uint8Array ? decoder.decode(this.key) : this.key;
  }
}

/** Text where the bytes are UTF-8, else null. */
export function utf8Of(bytes: Uint8Array): string | null {
  try {
    return strictDecoder.decode(bytes);
  } catch {
    return null;
  }
}
