/** Avro values with schemas of the registry; `millrace/client/avro`. README.md shows how. */

export { AvroCodec } from "./codec.ts";
export { type DeclarationOptions, type Declared, declarationsOf } from "./declarations.ts";
export type { LongForm } from "./forms.ts";
export { type AvroCarrier, bodyOf, type Framing, SCHEMA_HEADER, schemaIdOf } from "./framing.ts";
export { jsonText } from "./json.ts";
export { openCodec } from "./open.ts";
export type { AvroOptions, AvroSchema, SchemaStrategy } from "./options.ts";
export { AvroExchange, avroExchange, type AvroHandler, AvroQueue, avroQueue } from "./queue.ts";
export { type AvroMessage, AvroReader } from "./reader.ts";
export { type SchemaRegistry, SchemaStore } from "./schema-store.ts";
export { type AvroRecordOptions, AvroTopic, avroTopic, type AvroTopicOptions } from "./topic.ts";
