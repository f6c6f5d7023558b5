/** An Avro schema as a graph: names resolved, so that a recursive schema is a circle. */
import type { Json, JsonObject } from "../json-text.ts";

export const PRIMITIVES = ["null", "boolean", "int", "long", "float", "double", "bytes", "string"] as const;
export type Primitive = (typeof PRIMITIVES)[number];

interface Common {
  /** Attributes that Avro gives no meaning here, logical types among them. */
  readonly props: JsonObject;
}

export interface AvroPrimitive extends Common {
  readonly kind: Primitive;
}

export interface AvroArray extends Common {
  readonly kind: "array";
  readonly items: AvroType;
}

export interface AvroMap extends Common {
  readonly kind: "map";
  readonly values: AvroType;
}

export interface AvroUnion {
  readonly kind: "union";
  readonly branches: readonly AvroType[];
}

interface Named extends Common {
  /** With its namespace. */
  readonly name: string;
  /** With their namespaces. */
  readonly aliases: readonly string[];
  readonly doc: string | undefined;
}

export interface AvroField {
  readonly name: string;
  readonly type: AvroType;
  /** undefined where there is none; a default of null is null. */
  readonly default: Json | undefined;
  readonly doc: string | undefined;
  readonly order: string | undefined;
  readonly aliases: readonly string[];
  readonly props: JsonObject;
}

export interface AvroRecord extends Named {
  readonly kind: "record";
  readonly isError: boolean;
  /** Filled while the record is being read, because its fields may name it. */
  readonly fields: readonly AvroField[];
}

export interface AvroEnum extends Named {
  readonly kind: "enum";
  readonly symbols: readonly string[];
  readonly default: string | undefined;
}

export interface AvroFixed extends Named {
  readonly kind: "fixed";
  readonly sizeBytes: number;
}

export type AvroNamed = AvroRecord | AvroEnum | AvroFixed;
export type AvroType = AvroPrimitive | AvroArray | AvroMap | AvroUnion | AvroNamed;

/** A schema, with the names that it got from its references. */
export interface AvroSchema {
  readonly type: AvroType;
  /** Full names of the types that references brought. */
  readonly foreign: ReadonlySet<string>;
}

export function isNamed(type: AvroType): type is AvroNamed {
  return type.kind === "record" || type.kind === "enum" || type.kind === "fixed";
}

export function isPrimitive(kind: string): kind is Primitive {
  return (PRIMITIVES as readonly string[]).includes(kind);
}

/** What a message calls a type. */
export function nameOf(type: AvroType): string {
  return isNamed(type) ? `${type.kind} "${type.name}"` : type.kind;
}
