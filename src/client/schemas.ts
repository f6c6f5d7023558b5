import { Op } from "../protocol/index.ts";
import type { Client } from "./client.ts";

/** The schema registry: subjects, their versions, and the schemas that values are written with. */

export type SchemaType = "AVRO" | "JSON";

/** What a new version must be able to do, with the version before it or with all of them. */
export type Compatibility =
  "NONE" | "BACKWARD" | "BACKWARD_TRANSITIVE" | "FORWARD" | "FORWARD_TRANSITIVE" | "FULL" | "FULL_TRANSITIVE";

/** Whether schemas may be registered. */
export type SchemaMode = "READWRITE" | "READONLY" | "READONLY_OVERRIDE" | "IMPORT";

/** Another schema that a schema names. */
export interface SchemaReference {
  /** The name that stands for it: of Avro the full name of a type in it. */
  name: string;
  subject: string;
  version: number;
}

export interface NewSchema {
  /** Its text. */
  schema: string;
  /** Default "AVRO". */
  schemaType?: SchemaType;
  references?: readonly SchemaReference[];
}

export interface RegisteredSchema {
  id: number;
  guid: string;
  schemaType: SchemaType;
  schema: string;
  references: SchemaReference[];
  /** Where it is registered. */
  subjects: [subject: string, version: number][];
}

export interface SchemaVersion {
  subject: string;
  version: number;
  id: number;
  schemaType: SchemaType;
  schema: string;
  references: SchemaReference[];
}

export interface SubjectSummary {
  subject: string;
  versions: number[];
  /** Null where all versions are deleted. */
  latestId: number | null;
  compatibility: Compatibility;
}

export interface CheckResult {
  compatible: boolean;
  /** What stands in the way, where, and how it can be repaired. */
  messages: string[];
}

export class Schemas {
  private readonly client: Client;

  constructor(client: Client) {
    this.client = client;
  }

  private async ask<T>(op: number, args: { [name: string]: unknown }, signal: AbortSignal | undefined): Promise<T> {
    return (await this.client.ask(op, [args], signal)) as T;
  }

  /**
   * Registers a schema under a subject. One that is there already, alike, keeps its id and version.
   *
   * Errors: schema_invalid, schema_unsupported, schema_incompatible, schema_mode, version_not_found (of a reference).
   */
  register(
    subject: string,
    schema: NewSchema,
    options: { normalize?: boolean; signal?: AbortSignal } = {},
  ): Promise<{ id: number; version: number }> {
    const { normalize, signal } = options;
    return this.ask(Op.SCHEMA_REGISTER, { subject, ...schema, normalize }, signal);
  }

  /** A schema by its id. `resolved` has what it refers to written into its text. Errors: schema_not_found. */
  get(id: number, options: { resolved?: boolean; signal?: AbortSignal } = {}): Promise<RegisteredSchema> {
    const { resolved, signal } = options;
    return this.ask(Op.SCHEMA_GET, { id, resolved }, signal);
  }

  /** A subject's schema, by version. Errors: subject_not_found, version_not_found. */
  version(
    subject: string,
    version: number | "latest" = "latest",
    options: { deleted?: boolean; signal?: AbortSignal } = {},
  ): Promise<SchemaVersion> {
    const { deleted, signal } = options;
    return this.ask(Op.SCHEMA_VERSION, { subject, version, deleted }, signal);
  }

  /** Finds a schema that is registered under a subject. Errors: subject_not_found, schema_not_found. */
  lookup(
    subject: string,
    schema: NewSchema,
    options: { normalize?: boolean; signal?: AbortSignal } = {},
  ): Promise<{ subject: string; version: number; id: number }> {
    const { normalize, signal } = options;
    return this.ask(Op.SCHEMA_LOOKUP, { subject, ...schema, normalize }, signal);
  }

  /** Whether a schema could be registered: against one version, or against all that the subject's compatibility asks for. */
  check(
    subject: string,
    schema: NewSchema,
    options: { version?: number | "latest"; signal?: AbortSignal } = {},
  ): Promise<CheckResult> {
    const { version, signal } = options;
    return this.ask(Op.SCHEMA_CHECK, { subject, version, ...schema }, signal);
  }

  /** The subjects of the namespace, by name. `deleted` has those too that were deleted and not forgotten. */
  async subjects(
    options: { pattern?: string; deleted?: boolean; signal?: AbortSignal } = {},
  ): Promise<SubjectSummary[]> {
    const { signal, ...args } = options;
    const all: SubjectSummary[] = [];
    for (let after: string | null = null; ;) {
      const page: { subjects: SubjectSummary[]; next: string | null } = await this.ask(
        Op.SCHEMA_SUBJECTS,
        { ...args, after: after ?? undefined },
        signal,
      );
      all.push(...page.subjects);
      if (page.next === null) return all;
      after = page.next;
    }
  }

  /**
   * Deletes a version of a subject, or all of them. What is deleted can still be read by its id; `permanent` has the
   * broker forget what was deleted before. Returns the versions.
   *
   * Errors: subject_not_found, version_not_found, schema_in_use.
   */
  async delete(
    subject: string,
    options: { version?: number | "latest"; permanent?: boolean; signal?: AbortSignal } = {},
  ): Promise<number[]> {
    const { signal, ...rest } = options;
    const { versions } = await this.ask<{ versions: number[] }>(Op.SCHEMA_DELETE, { subject, ...rest }, signal);
    return versions;
  }

  /** Reads what new versions have to be compatible with, of a subject or for all (null); sets it, or with null has what holds for all hold again. */
  async compatibility(
    subject: string | null,
    value?: Compatibility | null,
    signal?: AbortSignal,
  ): Promise<Compatibility> {
    const args = { subject: subject ?? undefined, compatibility: value ?? undefined, unset: value === null };
    return (await this.ask<{ compatibility: Compatibility }>(Op.SCHEMA_CONFIG, args, signal)).compatibility;
  }

  /** Reads whether schemas may be registered, of a subject or for all (null); sets it, or with null has what holds for all hold again. */
  async mode(subject: string | null, value?: SchemaMode | null, signal?: AbortSignal): Promise<SchemaMode> {
    const args = { subject: subject ?? undefined, mode: value ?? undefined, unset: value === null };
    return (await this.ask<{ mode: SchemaMode }>(Op.SCHEMA_MODE, args, signal)).mode;
  }
}
