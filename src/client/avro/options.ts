import type { Message } from "../subscription.ts";
import type { MillraceError } from "../errors.ts";
import type { QueueMessage } from "../queue-message.ts";
import type { SchemaReference } from "../schemas.ts";
import type { LongForm } from "./forms.ts";
import type { Framing } from "./framing.ts";

/** What topics, queues and exchanges of Avro values can be told. */

/** A schema with the TypeScript type of its values: what `millrace schema types` writes. */
export interface AvroSchema<T> {
  /** As JSON or as its text. */
  readonly schema?: string | object;
  /** Schemas of the registry that it names types of. */
  readonly references?: readonly SchemaReference[];
  /** Never there: it carries the type. */
  readonly valueType?: T;
}

/** From what the subject of a value follows: the place it goes to, its record's full name, or both. */
export type SchemaStrategy = "topic" | "record" | "topic_record";

export interface AvroOptions<T> extends AvroSchema<T> {
  /** The file that the schema is in, instead of `schema`. */
  file?: string;
  /** The subject's own schema, instead of `schema`. */
  version?: number | "latest";
  /** Default "topic": `ticks-value` for the topic ticks. */
  strategy?: SchemaStrategy;
  /** The subject, whatever the strategy says. */
  subject?: string;
  /** Where the schema's id goes. Default "prefix"; both are read. */
  framing?: Framing;
  /** Registers the schema where it is new; false has `schema_not_found` thrown then. Default true. */
  autoRegister?: boolean;
  /** True for a program that only reads: nothing is registered, and nothing can be encoded. A schema with references has to be registered then. */
  readOnly?: boolean;
  /** How longs stand in values. Default "number", which refuses those past 2^53. */
  longs?: LongForm;
  /** Hears of values that cannot be read, which are left out then. Without it they end the iteration. */
  onInvalid?: (error: MillraceError, message: Message | QueueMessage) => void;
}
