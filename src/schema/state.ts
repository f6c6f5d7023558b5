/** Schemas, subjects, settings and modes as the metadata log describes them: a pure machine that applies records in order. */
import { GLOBAL, scopesOf, splitSubject, subjectFor } from "./subjects.ts";
import { COUNTER_KEY, KEY, kindOf } from "./records.ts";
import type { Compatibility, Mode, Reference, Schema, SubjectConfig, SubjectStrategy, Version } from "./types.ts";

export type SchemaEvent =
  | { readonly type: "schema_put" | "schema_removed"; readonly schema: Schema }
  | { readonly type: "schema_version_put" | "schema_version_removed"; readonly version: Version };

/** A record as the log holds it. */
export interface AppliedRecord {
  readonly key: string;
  readonly value: unknown;
}

export const COMPATIBILITY_DEFAULT: Compatibility = "BACKWARD";
export const MODE_DEFAULT: Mode = "READWRITE";
const NO_VERSIONS: readonly Version[] = [];

export class SchemaState {
  #lastId = 0;
  #textLength = 0;
  readonly #schemas = new Map<number, Schema>();
  readonly #idByGuid = new Map<string, number>();
  /** Versions of a subject in their order, deleted ones included. */
  readonly #subjects = new Map<string, readonly Version[]>();
  readonly #versionsOfId = new Map<number, readonly Version[]>();
  /** Ids of the schemas that refer to a version, by the record key of the version. */
  readonly #referrers = new Map<string, ReadonlySet<number>>();
  readonly #configs = new Map<string, SubjectConfig>();
  readonly #modes = new Map<string, Mode>();

  get nextId(): number {
    return this.#lastId + 1;
  }

  /** The highest id ever given. */
  get lastId(): number {
    return this.#lastId;
  }

  get schemaCount(): number {
    return this.#schemas.size;
  }

  /** Length of all texts together, in bytes where they are ASCII, as nearly all are. */
  get textLength(): number {
    return this.#textLength;
  }

  get subjectCount(): number {
    return this.#subjects.size;
  }

  schema(id: number): Schema | undefined {
    return this.#schemas.get(id);
  }

  schemaByGuid(guid: string): Schema | undefined {
    const id = this.#idByGuid.get(guid);
    return id === undefined ? undefined : this.#schemas.get(id);
  }

  schemas(): IterableIterator<Schema> {
    return this.#schemas.values();
  }

  /** Global names of all subjects, also of those that are softly deleted, in no order. */
  subjects(): IterableIterator<string> {
    return this.#subjects.keys();
  }

  /** In their order, softly deleted ones included; empty for a subject that is not there. */
  versions(subject: string): readonly Version[] {
    return this.#subjects.get(subject) ?? NO_VERSIONS;
  }

  liveVersions(subject: string): readonly Version[] {
    const versions = this.versions(subject);
    return versions.some(({ deleted }) => deleted) ? versions.filter(({ deleted }) => !deleted) : versions;
  }

  /** Where a schema is registered, softly deleted versions included. */
  versionsOf(id: number): readonly Version[] {
    return this.#versionsOfId.get(id) ?? NO_VERSIONS;
  }

  /** Ids of the schemas that refer to a version. */
  referrersOf(subject: string, version: number): number[] {
    return [...(this.#referrers.get(KEY.version(subject, version)) ?? [])];
  }

  /** The settings of this very scope (a subject, a namespace's scope, or GLOBAL). */
  configAt(scope: string): SubjectConfig | undefined {
    return this.#configs.get(scope);
  }

  /** Scopes that have settings or a mode of their own, in no order. */
  scopes(): string[] {
    return [...new Set([...this.#configs.keys(), ...this.#modes.keys()])];
  }

  modeAt(scope: string): Mode | undefined {
    return this.#modes.get(scope);
  }

  /** What is in force for a subject. */
  compatibilityOf(subject: string): Compatibility {
    return this.#inForce(subject, (scope) => this.#configs.get(scope)?.compatibility) ?? COMPATIBILITY_DEFAULT;
  }

  normalizesOf(subject: string): boolean {
    return this.#inForce(subject, (scope) => this.#configs.get(scope)?.normalize) ?? false;
  }

  modeOf(subject: string): Mode {
    // A registry that is read-only but for exceptions may let single subjects be written.
    if (this.#modes.get(GLOBAL) === "READONLY_OVERRIDE") return "READONLY";
    return this.#inForce(subject, (scope) => this.#modes.get(scope)) ?? MODE_DEFAULT;
  }

  /** Ids that a value in a topic or queue of this name may carry, in rising order. */
  allowedIds(namespace: string, name: string, strategy: SubjectStrategy): number[] {
    if (strategy === "topic") {
      const subject = subjectFor(strategy, { namespace, name, fullName: null }) ?? "";
      return sortedIds(this.liveVersions(subject));
    }
    const allowed: Version[] = [];
    for (const [subject, versions] of this.#subjects) {
      if (splitSubject(subject).namespace !== namespace) continue;
      for (const version of versions) {
        const fullName = this.#schemas.get(version.id)?.fullName ?? null;
        if (!version.deleted && subjectFor(strategy, { namespace, name, fullName }) === subject) allowed.push(version);
      }
    }
    return sortedIds(allowed);
  }

  #inForce<T>(subject: string, at: (scope: string) => T | undefined): T | undefined {
    for (const scope of scopesOf(subject)) {
      const value = at(scope);
      if (value !== undefined) return value;
    }
    return undefined;
  }

  /** Applies a record; undefined for one that is none of the registry's. */
  apply({ key, value }: AppliedRecord): SchemaEvent[] | undefined {
    if (key === COUNTER_KEY) {
      this.#raise((value as { value?: number } | null)?.value ?? 0);
      return [];
    }
    switch (kindOf(key)) {
      case "schema":
        return this.#applySchema(key, value as Schema | null);
      case "schemaVersion":
        return this.#applyVersion(key, value as Version | null);
      case "schemaConfig":
        this.#applySetting(this.#configs, key, value as { subject: string } & SubjectConfig, configOf);
        return [];
      case "schemaMode":
        this.#applySetting(this.#modes, key, value as { subject: string; mode: Mode }, ({ mode }) => mode);
        return [];
      default:
        return undefined;
    }
  }

  #raise(id: number): void {
    this.#lastId = Math.max(this.#lastId, id);
  }

  #applySchema(key: string, value: Schema | null): SchemaEvent[] {
    if (value === null) {
      const schema = this.#schemas.get(Number(key.slice(key.indexOf(" ") + 1)));
      if (schema === undefined) return [];
      this.#schemas.delete(schema.id);
      this.#textLength -= schema.schema.length;
      this.#idByGuid.delete(schema.guid);
      for (const reference of schema.references) this.#refer(reference, schema.id, false);
      return [{ type: "schema_removed", schema }];
    }
    const { id, guid, schemaType, schema, references, fullName } = value;
    const entry: Schema = { id, guid, schemaType, schema, references, fullName };
    this.#textLength += schema.length - (this.#schemas.get(id)?.schema.length ?? 0);
    this.#schemas.set(id, entry);
    this.#idByGuid.set(guid, id);
    for (const reference of references) this.#refer(reference, id, true);
    this.#raise(id);
    return [{ type: "schema_put", schema: entry }];
  }

  #refer({ subject, version }: Reference, id: number, refers: boolean): void {
    const key = KEY.version(subject, version);
    const ids = new Set(this.#referrers.get(key));
    if (refers) ids.add(id);
    else ids.delete(id);
    if (ids.size === 0) this.#referrers.delete(key);
    else this.#referrers.set(key, ids);
  }

  #applyVersion(key: string, value: Version | null): SchemaEvent[] {
    if (value === null) {
      const { subject, number } = KEY.parseVersion(key);
      const version = this.versions(subject).find((entry) => entry.version === number);
      if (version === undefined) return [];
      this.#setVersions(version, undefined);
      return [{ type: "schema_version_removed", version }];
    }
    const { subject, version: number, id, deleted } = value;
    const version: Version = { subject, version: number, id, deleted };
    const previous = this.versions(subject).find((entry) => entry.version === number);
    this.#setVersions(previous, version);
    return [{ type: "schema_version_put", version }];
  }

  /** Puts `next` where `previous` was, by subject and by id. */
  #setVersions(previous: Version | undefined, next: Version | undefined): void {
    if (previous !== undefined) {
      replace(this.#subjects, previous.subject, without(this.versions(previous.subject), previous));
      replace(this.#versionsOfId, previous.id, without(this.versionsOf(previous.id), previous));
    }
    if (next === undefined) return;
    const ordered = [...this.versions(next.subject), next].sort((a, b) => a.version - b.version);
    this.#subjects.set(next.subject, ordered);
    this.#versionsOfId.set(next.id, [...this.versionsOf(next.id), next]);
  }

  #applySetting<V extends { readonly subject: string }, T>(
    into: Map<string, T>,
    key: string,
    value: V | null,
    read: (value: V) => T,
  ): void {
    if (value === null) into.delete(KEY.parseSubject(key));
    else into.set(value.subject, read(value));
  }
}

function configOf({ compatibility, normalize }: SubjectConfig): SubjectConfig {
  return {
    ...(compatibility === undefined ? {} : { compatibility }),
    ...(normalize === undefined ? {} : { normalize }),
  };
}

function sortedIds(versions: readonly Version[]): number[] {
  return [...new Set(versions.map(({ id }) => id))].sort((a, b) => a - b);
}

function without(versions: readonly Version[], gone: Version): readonly Version[] {
  return versions.filter((version) => version !== gone);
}

function replace<K>(into: Map<K, readonly Version[]>, key: K, versions: readonly Version[]): void {
  if (versions.length === 0) into.delete(key);
  else into.set(key, versions);
}
