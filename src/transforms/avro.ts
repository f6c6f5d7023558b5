import { type AvroCodec, jsonText, openCodec, SCHEMA_HEADER, SchemaStore } from "../client/avro/index.ts";
import type { Client } from "../client/index.ts";
import type { AvroDefinition, AvroReader, Headers, Step, TransformMessage } from "../schema/transform/index.ts";

/** The steps between JSON and Avro, with schemas of the broker's registry. */

/** How long the newest version of a subject is believed. */
const LATEST_MS = 10_000;

/** Loads a codec again when it may be out of date; a registry that cannot be asked then leaves the old one. */
class CurrentCodec {
  private readonly open: () => Promise<AvroCodec<unknown>>;
  private readonly isLatest: boolean;
  private codec: AvroCodec<unknown> | null = null;
  private untilMs = 0;

  constructor(open: () => Promise<AvroCodec<unknown>>, isLatest: boolean) {
    this.open = open;
    this.isLatest = isLatest;
  }

  /** Errors: subject_not_found, version_not_found. */
  async load(): Promise<AvroCodec<unknown>> {
    this.untilMs = this.isLatest ? performance.now() + LATEST_MS : Number.POSITIVE_INFINITY;
    this.codec = await this.open();
    return this.codec;
  }

  now(): AvroCodec<unknown> | Promise<AvroCodec<unknown>> {
    const { codec } = this;
    if (codec === null) return this.load();
    return performance.now() < this.untilMs ? codec : this.load().catch(() => codec);
  }
}

/** Errors: subject_not_found, version_not_found. */
export async function jsonToAvro(client: Client, store: SchemaStore, definition: AvroDefinition): Promise<Step> {
  const { subject, version = "latest", framing = "prefix" } = definition;
  const options = { subject, version, framing, longs: "bigint" } as const;
  const current = new CurrentCodec(() => openCodec<unknown>(client.schemas, store, "", options), version === "latest");
  await current.load();
  const encode = (codec: AvroCodec<unknown>, message: TransformMessage, text: string): TransformMessage => {
    const { value = null, headers } = codec.framed(codec.valueOfJson(text), message.headers);
    return message.with({ value, headers: headers ?? message.headers });
  };
  return (message) => {
    const text = message.text();
    if (text === null) return message;
    const codec = current.now();
    return codec instanceof Promise
      ? codec.then((loaded) => encode(loaded, message, text))
      : encode(codec, message, text);
  };
}

/** Errors: subject_not_found, version_not_found. */
export async function avroToJson(client: Client, store: SchemaStore, definition: AvroReader): Promise<Step> {
  const { subject, version = "latest" } = definition;
  const reader = subject === undefined ? {} : { subject, version, readOnly: true };
  const isLatest = subject !== undefined && version === "latest";
  const open = (): Promise<AvroCodec<unknown>> =>
    openCodec<unknown>(client.schemas, store, "", { ...reader, longs: "bigint" });
  const current = new CurrentCodec(open, isLatest);
  await current.load();
  const decode = (
    codec: AvroCodec<unknown>,
    message: TransformMessage,
  ): TransformMessage | Promise<TransformMessage> => {
    const value = codec.decode({ value: message.value, headers: message.headers });
    const shown = (read: unknown): TransformMessage =>
      message.with({ value: jsonText(read), headers: withoutSchema(message.headers) });
    return value instanceof Promise ? value.then(shown) : shown(value);
  };
  return (message) => {
    if (message.content === null) return message;
    const codec = current.now();
    return codec instanceof Promise ? codec.then((loaded) => decode(loaded, message)) : decode(codec, message);
  };
}

function withoutSchema(headers: Headers): Headers {
  if (!(SCHEMA_HEADER in headers)) return headers;
  return Object.fromEntries(Object.entries(headers).filter(([name]) => name !== SCHEMA_HEADER));
}
