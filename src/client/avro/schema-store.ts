import type { Type } from "avsc";
import { asMillraceError, clientError, isMillraceError, type MillraceError } from "../errors.ts";
import type { Schemas } from "../schemas.ts";
import { type BodyCheck, bodyCheck } from "./body-check.ts";
import { BoundedMap } from "./bounded-map.ts";
import { loadParser, type Parser } from "./parse.ts";

/** Schemas by their ids, as bodies of them are read: asked for once, and kept. */

/** What is needed of the registry. */
export type SchemaRegistry = Pick<Schemas, "get" | "version" | "register" | "lookup">;

/** Schemas that are kept; past it the one that was asked for first goes. */
const SCHEMAS_MAX = 1_000;
/** An id that is not there is asked for again after this: records with a made-up id must not become as many requests. */
const MISSING_MS = 1_000;

/** The schema that a body was written with. */
export interface WriterSchema {
  readonly id: number;
  /** With what it refers to. */
  readonly text: string;
  readonly type: Type;
  readonly check: BodyCheck;
}

interface Missing {
  readonly error: MillraceError;
  readonly untilMs: number;
}

export class SchemaStore {
  private readonly registry: SchemaRegistry;
  private readonly now: () => number;
  /** Never changes what it has: an id stands for the same schema for ever. */
  private readonly schemas = new BoundedMap<number, WriterSchema | Missing>(SCHEMAS_MAX);
  private readonly loading = new Map<number, Promise<WriterSchema>>();
  private parser: Promise<Parser> | null = null;

  constructor(registry: SchemaRegistry, now: () => number = Date.now) {
    this.registry = registry;
    this.now = now;
  }

  /** How many are kept, those included that are not there. */
  get size(): number {
    return this.schemas.size;
  }

  /** A schema that is here, null where it has to be loaded. Errors: as `load`. */
  known(id: number): WriterSchema | null {
    const found = this.schemas.get(id);
    if (!found) return null;
    if (!("error" in found)) return found;
    if (found.untilMs > this.now()) throw found.error;
    return null;
  }

  /**
   * A schema, from here or from the registry.
   *
   * Errors: schema_not_found; schema_unsupported where it is not Avro; schema_invalid; connection_lost, timeout, closed.
   */
  load(id: number): Promise<WriterSchema> {
    const under = this.loading.get(id);
    if (under) return under;
    const promise = this.fetch(id)
      .then((schema) => this.keep(id, schema))
      .catch((error: unknown) => {
        throw this.keepFailure(id, asMillraceError(error));
      })
      .finally(() => this.loading.delete(id));
    this.loading.set(id, promise);
    return promise;
  }

  private keep<Found extends WriterSchema | Missing>(id: number, found: Found): Found {
    this.schemas.set(id, found);
    return found;
  }

  private keepFailure(id: number, error: MillraceError): MillraceError {
    const isFinal = isMillraceError(error, "schema_not_found", "schema_unsupported", "schema_invalid");
    if (isFinal) this.keep(id, { error, untilMs: this.now() + MISSING_MS });
    return error;
  }

  private async fetch(id: number): Promise<WriterSchema> {
    const known = this.known(id);
    if (known) return known;
    const { schema: text, schemaType } = await this.registry.get(id, { resolved: true });
    if (schemaType !== "AVRO") {
      throw clientError("schema_unsupported", `schema ${id} is ${schemaType}, not Avro`, { schemaId: id, schemaType });
    }
    this.parser ??= loadParser("number");
    const type = (await this.parser).parsePlain(text);
    return { id, text, type, check: bodyCheck(type) };
  }
}
