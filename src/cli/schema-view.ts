import {
  type AvroCarrier,
  type AvroCodec,
  bodyOf,
  jsonText,
  openCodec,
  schemaIdOf,
  type SchemaRegistry,
  SchemaStore,
} from "../client/avro/index.ts";
import { isMillraceError } from "../client/index.ts";
import { embeddedJson } from "./record-line.ts";

/** Values that were written with a schema, as JSON for people. */

export interface SchemaValue {
  /** On one line. */
  readonly json: string;
  readonly schemaId: number;
}

export class SchemaView {
  private readonly schemas: SchemaRegistry;
  /** Made when the first value asks for it: only then is Avro loaded. */
  private codec: AvroCodec<unknown> | Promise<AvroCodec<unknown>> | null = null;

  constructor(schemas: SchemaRegistry) {
    this.schemas = schemas;
  }

  /** The value as JSON; null where it names no schema that the broker has, or is not what that schema says. */
  of(message: AvroCarrier): SchemaValue | null | Promise<SchemaValue | null> {
    const schemaId = schemaIdOf(message);
    if (schemaId === null) return null;
    this.codec ??= this.open();
    if (!(this.codec instanceof Promise)) return shown(this.codec, message, schemaId);
    return this.codec.then((codec) => shown(codec, message, schemaId));
  }

  private async open(): Promise<AvroCodec<unknown>> {
    const { schemas } = this;
    this.codec = await openCodec<unknown>(schemas, new SchemaStore(schemas), "", { longs: "bigint" });
    return this.codec;
  }
}

function shown(
  codec: AvroCodec<unknown>,
  message: AvroCarrier,
  schemaId: number,
): SchemaValue | null | Promise<SchemaValue | null> {
  const rendered = (value: unknown): SchemaValue => ({ json: jsonText(value), schemaId });
  try {
    const value = codec.decode(message);
    if (!(value instanceof Promise)) return rendered(value);
    return value.then(rendered, (error: unknown) => otherwise(error, message, schemaId));
  } catch (error) {
    return otherwise(error, message, schemaId);
  }
}

/** A value of JSON Schema is JSON as it is; what else there is is shown as bytes. */
function otherwise(error: unknown, message: AvroCarrier, schemaId: number): SchemaValue | null {
  if (!isMillraceError(error, "schema_unsupported")) return null;
  const json = embeddedJson(Buffer.from(bodyOf(message) ?? []).toString());
  return json === null ? null : { json, schemaId };
}
