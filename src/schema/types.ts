/** The words of the registry. */

/** What schemas can be written in. */
export const SCHEMA_TYPES = ["AVRO", "JSON"] as const;
export type SchemaType = (typeof SCHEMA_TYPES)[number];

/** A schema that another one builds on: `name` is what the other calls it (in Avro the full name of a type). */
export interface Reference {
  readonly name: string;
  readonly subject: string;
  readonly version: number;
}

/** A schema as its author writes it. */
export interface SchemaSource {
  readonly schemaType: SchemaType;
  readonly schema: string;
  readonly references: readonly Reference[];
}

/** A registered schema. `schema` is the canonical text. */
export interface Schema extends SchemaSource {
  /** One number for the whole broker, from 1. */
  readonly id: number;
  /** UUID that follows from type, text and references. */
  readonly guid: string;
  /** Full name of the record, enum or fixed that the schema is; null for any other. */
  readonly fullName: string | null;
}

/** That a subject has a schema. Numbers count from 1 and are not given twice while the subject has a trace. */
export interface Version {
  readonly subject: string;
  readonly version: number;
  readonly id: number;
  /** Softly: it is not offered any more, and can still be read by its id. */
  readonly deleted: boolean;
}

/** `BACKWARD`: a new schema reads what was written with the old one; `FORWARD`: the old one reads what the new one writes. */
export const COMPATIBILITIES = [
  "NONE",
  "BACKWARD",
  "BACKWARD_TRANSITIVE",
  "FORWARD",
  "FORWARD_TRANSITIVE",
  "FULL",
  "FULL_TRANSITIVE",
] as const;
export type Compatibility = (typeof COMPATIBILITIES)[number];

export const MODES = ["READWRITE", "READONLY", "READONLY_OVERRIDE", "IMPORT"] as const;
export type Mode = (typeof MODES)[number];

/** Settings of a subject, of a namespace, or of all. */
export interface SubjectConfig {
  readonly compatibility?: Compatibility;
  /** Whether schemas are normalised where the request does not say. */
  readonly normalize?: boolean;
}

/** From which name in a schema, and from which topic or queue, the subject follows that a value belongs to. */
export const STRATEGIES = ["topic", "record", "topic_record"] as const;
export type SubjectStrategy = (typeof STRATEGIES)[number];

/** A record of the metadata log as it is written; null as value takes the key away. */
export interface SchemaRecord {
  readonly key: string;
  readonly value: unknown;
}

/** Why data of one schema cannot be read with another. */
export interface Incompatibility {
  /** Such as READER_FIELD_MISSING_DEFAULT_VALUE. */
  readonly kind: string;
  /** Where in the reader's schema, as a JSON pointer. */
  readonly path: string;
  readonly field: string | null;
  /** What is wrong, and how to repair it. */
  readonly message: string;
}

/** Which of two schemas is the reader: the repair is always one of the new schema. */
export type Reader = "new" | "old";
