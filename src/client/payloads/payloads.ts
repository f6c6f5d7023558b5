import type { Content, HeaderValue, Headers } from "../../protocol/index.ts";
import { asMillraceError, clientError, isMillraceError, type MillraceError } from "../errors.ts";
import type { ProducerRecord } from "../producer-options.ts";

/**
 * Large payloads by reference: a body over a limit goes to a store, and a small
 * reference with its length and checksum goes through the broker.
 */

/** Where payloads are kept. It may throw anything; that becomes payload_store_failed. */
export interface PayloadStore {
  /** Keeps the bytes and names them. They must be there for good when it resolves. */
  put(bytes: Uint8Array): Promise<string>;
  /** The bytes; null or undefined where there are none of that name. The name comes out of a message: check it. */
  get(id: string): Promise<Uint8Array | null | undefined>;
  /** Forgets them; no error where they are gone. */
  delete(id: string): Promise<unknown>;
}

export interface LargePayloadOptions {
  store: PayloadStore;
  /** Bodies of more bytes go to the store. Default 256 KiB. */
  aboveBytes?: number;
  /** The largest body, published or fetched. Default 1 GiB. */
  bodyBytesMax?: number;
  /** True where one consumer alone gets each message: its payload goes when its ack is in the broker's log. Default false: the store lets go of it by age. */
  deleteAfterAck?: boolean;
  /** Hears why a payload could not be deleted after its ack. */
  onError?: (error: MillraceError) => void;
}

/** What a body can be read from: a message of a queue, or of a topic. */
export interface PayloadCarrier {
  readonly value: Uint8Array | null;
  readonly headers: { readonly [name: string]: HeaderValue };
}

/** The value of a message whose body is in a store. */
interface Reference {
  readonly id: string;
  readonly bytes: number;
  readonly sha256: string;
}

/** The header that marks a reference; its value is the payload's id. */
export const PAYLOAD_HEADER = "x-payload-ref";

const ABOVE_BYTES = 256 * 1024;
const BODY_BYTES_MAX = 1024 * 1024 * 1024;
const ID_LENGTH_MAX = 1_000;
const UTF8_BYTES_MAX = 3;
const SHA256 = /^[0-9a-f]{64}$/;

const encoder = new TextEncoder();
const decoder = new TextDecoder();

export class LargePayloads {
  private readonly store: PayloadStore;
  private readonly aboveBytes: number;
  private readonly bodyBytesMax: number;
  private readonly deleteAfterAck: boolean;
  private readonly onError: (error: MillraceError) => void;
  private readonly deleting = new Set<Promise<void>>();

  constructor(options: LargePayloadOptions) {
    this.store = options.store;
    this.aboveBytes = options.aboveBytes ?? ABOVE_BYTES;
    this.bodyBytesMax = options.bodyBytesMax ?? BODY_BYTES_MAX;
    this.deleteAfterAck = options.deleteAfterAck ?? false;
    this.onError = options.onError ?? (() => undefined);
    for (const [field, value] of Object.entries({ aboveBytes: this.aboveBytes, bodyBytesMax: this.bodyBytesMax })) {
      if (Number.isSafeInteger(value) && value >= 0) continue;
      throw clientError("invalid_argument", `${field} must be a whole number from 0`, { field });
    }
  }

  // -- Publishing ---------------------------------------------------------------

  /** Whether a value goes to the store. */
  isLarge(value: Content): boolean {
    const { aboveBytes } = this;
    if (typeof value !== "string") return value != null && value.length > aboveBytes;
    if (value.length * UTF8_BYTES_MAX <= aboveBytes) return false;
    return value.length > aboveBytes || encoder.encode(value).length > aboveBytes;
  }

  /** Stores a record's value. Returns the record that goes out in its place. Errors: message_too_large, payload_store_failed. */
  async pack(record: ProducerRecord): Promise<ProducerRecord> {
    const { value } = record;
    const bytes = typeof value === "string" ? encoder.encode(value) : (value ?? new Uint8Array());
    this.checkSize(bytes.length);
    const stored = this.call(() => this.store.put(bytes));
    // Hashed meanwhile. Failures of both reach the caller through the first of them.
    const [id, sha256] = await Promise.all([stored, sha256Of(bytes)]);
    if (typeof id !== "string" || id === "" || id.length > ID_LENGTH_MAX) {
      throw clientError("payload_store_failed", `a payload's id must be text of 1 to ${ID_LENGTH_MAX} characters`);
    }
    const reference: Reference = { id, bytes: bytes.length, sha256 };
    const headers: Headers = { ...record.headers, [PAYLOAD_HEADER]: id };
    return { ...record, value: JSON.stringify(reference), headers };
  }

  private checkSize(bytes: number): void {
    if (bytes <= this.bodyBytesMax) return;
    throw clientError("message_too_large", `a body of ${bytes} bytes is over bodyBytesMax, ${this.bodyBytesMax}`);
  }

  // -- Consuming ----------------------------------------------------------------

  /**
   * The body of a message: its value, at once, where that is not a reference.
   *
   * Errors, of the promise: payload_missing, payload_corrupt, payload_store_failed, message_too_large.
   */
  body(message: PayloadCarrier): Uint8Array | null | Promise<Uint8Array> {
    const { value, headers } = message;
    const id = headers[PAYLOAD_HEADER];
    return id === undefined ? value : this.fetch(id, value);
  }

  private async fetch(id: HeaderValue, value: Uint8Array | null): Promise<Uint8Array> {
    const reference = referenceOf(id, value);
    this.checkSize(reference.bytes);
    const bytes = await this.call(() => this.store.get(reference.id));
    if (!bytes) {
      throw clientError("payload_missing", `the payload ${reference.id} is not in the store`, { id: reference.id });
    }
    if (bytes.length !== reference.bytes) {
      throw corrupt(reference.id, `it has ${bytes.length} bytes, the reference says ${reference.bytes}`);
    }
    if ((await sha256Of(bytes)) !== reference.sha256) throw corrupt(reference.id, "its checksum differs");
    return bytes;
  }

  private async call<T>(use: () => Promise<T>): Promise<T> {
    try {
      return await use();
    } catch (error) {
      if (isMillraceError(error)) throw error;
      throw clientError("payload_store_failed", error instanceof Error ? error.message : String(error));
    }
  }

  // -- Letting go ---------------------------------------------------------------

  /** Deletes a message's payload, if it has one: for those who know that nobody needs it any more. Errors: payload_store_failed. */
  async discard(message: PayloadCarrier): Promise<void> {
    const id = message.headers[PAYLOAD_HEADER];
    if (typeof id === "string" && id.length <= ID_LENGTH_MAX) await this.call(() => this.store.delete(id));
  }

  /**
   * A message was acked by its only consumer. A payload that went before its
   * ack is in the log would be missing when the message comes again.
   */
  acked(message: PayloadCarrier, confirm: () => Promise<void>): void {
    if (!this.deleteAfterAck || message.headers[PAYLOAD_HEADER] === undefined) return;
    const deleted = confirm()
      .then(() => this.discard(message))
      .catch((error: unknown) => this.onError(asMillraceError(error)))
      .finally(() => this.deleting.delete(deleted));
    this.deleting.add(deleted);
  }

  /** Resolves when payloads of acked messages are deleted, as far as they can be. */
  async flush(): Promise<void> {
    await Promise.all(this.deleting);
  }
}

/** A fetched body as text. */
export function textOf(bytes: Uint8Array): string {
  return decoder.decode(bytes);
}

/** A fetched body as JSON. Errors: bad_record. */
export function jsonOf<T>(bytes: Uint8Array): T {
  try {
    return JSON.parse(decoder.decode(bytes)) as T;
  } catch {
    throw clientError("bad_record", "the body is no JSON");
  }
}

/** The reference that a message holds. Errors: payload_corrupt. */
function referenceOf(id: HeaderValue, value: Uint8Array | null): Reference {
  let found: Partial<Reference> | null = null;
  try {
    found = JSON.parse(decoder.decode(value ?? new Uint8Array())) as Partial<Reference> | null;
  } catch {
    // Said below.
  }
  const { bytes = -1, sha256 = "" } = found ?? {};
  const isWhole = Number.isSafeInteger(bytes) && bytes >= 0 && SHA256.test(sha256);
  if (typeof id !== "string" || id.length > ID_LENGTH_MAX || found?.id !== id || !isWhole) {
    throw corrupt(String(id).slice(0, ID_LENGTH_MAX), "the message holds no whole reference");
  }
  return { id, bytes, sha256 };
}

function corrupt(id: string, why: string): MillraceError {
  return clientError("payload_corrupt", `the payload ${id} is not what was published: ${why}`, { id });
}

async function sha256Of(bytes: Uint8Array): Promise<string> {
  const digest = await crypto.subtle.digest("SHA-256", bytes as Uint8Array<ArrayBuffer>);
  return Array.from(new Uint8Array(digest), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** A message's body for a client that was given no store. Errors: payload_missing. */
export function bodyWithoutStore(message: PayloadCarrier): Uint8Array | null | Promise<Uint8Array> {
  const id = message.headers[PAYLOAD_HEADER];
  if (id === undefined) return message.value;
  const why = `the body is in a store as ${String(id).slice(0, ID_LENGTH_MAX)}, and this client was given no \`payloads\``;
  return Promise.reject(clientError("payload_missing", why, { id }));
}

/**
 * Sends bodies over a limit through a store: give the result to `connect`, or
 * to an exchange, a producer or a consumer, as `payloads`.
 *
 * Errors: invalid_argument.
 *
 * @example
 * const payloads = largePayloads({ store: folderStore("/srv/payloads", { keepMs: 7 * 86_400_000 }) });
 * const client = await connect(url, { payloads });
 * await client.queue("videos").publish(await Bun.file("film.mp4").bytes());
 * client.queue("videos").consume(async (message) => encode(await message.body()));
 */
export function largePayloads(options: LargePayloadOptions): LargePayloads {
  return new LargePayloads(options);
}
