/**
 * Changes of the registry, decided against a state: each function returns the records that make the change, none where
 * nothing is to be done. Pure, so that a change can be decided again when another one was faster.
 */
import { incompatibilities, versionsToCheck } from "./compatibility.ts";
import { CODE, fault, shown, subjectNotFound, versionNotFound } from "./faults.ts";
import type { Parsed, SchemaReader } from "./parsed.ts";
import { configRecord, gone, KEY, modeRecord, schemaCounterRecord, schemaRecord, versionRecord } from "./records.ts";
import { COMPATIBILITY_DEFAULT, type SchemaState } from "./state.ts";
import { scopesOf } from "./subjects.ts";
import type { Compatibility, Mode, Schema, SchemaRecord, SubjectConfig, Version } from "./types.ts";

export interface SchemaLimits {
  readonly schemasMax: number;
  /** Of the texts of all schemas together. */
  readonly schemasBytesMax: number;
  readonly schemaVersionsMax: number;
}

export interface Registered {
  readonly id: number;
  readonly version: number;
}

export interface RegisterRequest {
  readonly subject: string;
  readonly parsed: Parsed;
  /** Only in the mode IMPORT. */
  readonly id?: number | undefined;
  readonly version?: number | undefined;
}

/**
 * Registers a schema.
 *
 * @throws schema_mode, schema_incompatible, limit_exceeded.
 */
export function register(
  state: SchemaState,
  reader: SchemaReader,
  request: RegisterRequest,
  limits: SchemaLimits,
): { records: SchemaRecord[]; registered: Registered } {
  const { subject, parsed } = request;
  const mode = checkWritable(state, subject);
  if (mode === "IMPORT") return importSchema(state, request, limits);
  if (request.id !== undefined) throw notPermitted(`Subject ${shown(subject)} is not in import mode`);
  const known = state.schemaByGuid(parsed.guid);
  const there = known && state.liveVersions(subject).find(({ id }) => id === known.id);
  if (there !== undefined) return { records: [], registered: { id: there.id, version: there.version } };
  checkCompatible(state, reader, subject, parsed);
  const version = nextVersion(state, subject);
  if (request.version !== undefined && request.version !== version && request.version !== -1) {
    throw fault("invalid_argument", CODE.invalidVersion, `The next version is ${version}, not ${request.version}`);
  }
  return put(state, { subject, parsed, id: known?.id ?? state.nextId, version }, limits);
}

/** In the mode IMPORT ids and versions come with the schema, and nothing is compared. */
function importSchema(
  state: SchemaState,
  { subject, parsed, id: given, version: wanted }: RegisterRequest,
  limits: SchemaLimits,
): { records: SchemaRecord[]; registered: Registered } {
  const known = state.schemaByGuid(parsed.guid);
  const id = given ?? known?.id ?? state.nextId;
  const holder = state.schema(id);
  if (holder !== undefined && holder.guid !== parsed.guid) {
    throw notPermitted(`Overwrite new schema with id ${id} is not permitted.`);
  }
  if (known !== undefined && known.id !== id) {
    throw fault("schema_mode", CODE.idMismatch, `The schema has the id ${known.id} already, not ${id}.`, {
      id: known.id,
    });
  }
  const version = wanted ?? nextVersion(state, subject);
  const there = state.versions(subject).find((entry) => entry.version === version);
  if (there !== undefined && !there.deleted && there.id !== id) {
    throw notPermitted(`Version ${version} of subject ${shown(subject)} has the schema ${there.id} already.`);
  }
  if (there !== undefined && !there.deleted) return { records: [], registered: { id, version } };
  return put(state, { subject, parsed, id, version }, limits);
}

function put(
  state: SchemaState,
  { subject, parsed, id, version }: { subject: string; parsed: Parsed; id: number; version: number },
  limits: SchemaLimits,
): { records: SchemaRecord[]; registered: Registered } {
  const isNew = state.schema(id) === undefined;
  if (isNew) {
    checkRoom(state.schemaCount, limits.schemasMax, "schemas", "schemasMax");
    checkRoom(
      state.textLength + parsed.schema.length - 1,
      limits.schemasBytesMax,
      "bytes of schemas",
      "schemasBytesMax",
    );
  }
  checkRoom(state.versions(subject).length, limits.schemaVersionsMax, "versions of this subject", "schemaVersionsMax");
  const { guid, schemaType, schema, references, fullName } = parsed;
  const entry: Schema = { id, guid, schemaType, schema, references, fullName };
  const records = [
    ...(isNew ? [schemaRecord(entry), schemaCounterRecord(Math.max(id, state.lastId))] : []),
    versionRecord({ subject, version, id, deleted: false }),
  ];
  return { records, registered: { id, version } };
}

function checkRoom(count: number, max: number, what: string, limit: string): void {
  if (count < max) return;
  throw fault("limit_exceeded", CODE.notPermitted, `the registry has its ${max} ${what} (${limit})`, { limit });
}

function nextVersion(state: SchemaState, subject: string): number {
  return (state.versions(subject).at(-1)?.version ?? 0) + 1;
}

function notPermitted(message: string): Error {
  return fault("schema_mode", CODE.notPermitted, message);
}

function checkWritable(state: SchemaState, subject: string): Mode {
  const mode = state.modeOf(subject);
  if (mode === "READONLY") throw notPermitted(`Subject ${shown(subject)} is in read-only mode`);
  return mode;
}

/** What keeps a schema from becoming the subject's next version. */
export function conflictsOf(
  state: SchemaState,
  reader: SchemaReader,
  request: { subject: string; parsed: Parsed; versions: readonly Version[]; level: Compatibility },
): string[] {
  const { versions, parsed, level } = request;
  const found: string[] = [];
  for (const { id, version } of versionsToCheck(level, versions)) {
    const schema = state.schema(id);
    if (schema === undefined) continue;
    const here = incompatibilities(parsed, reader.registered(schema), level);
    // The newest version is the one that an author knows best.
    found.unshift(...here.map(({ kind, message }) => `${kind}: ${message} (compared with version ${version})`));
  }
  return found;
}

function checkCompatible(state: SchemaState, reader: SchemaReader, subject: string, parsed: Parsed): void {
  const level = state.compatibilityOf(subject);
  const messages = conflictsOf(state, reader, { subject, parsed, versions: state.liveVersions(subject), level });
  if (messages.length === 0) return;
  throw fault(
    "schema_incompatible",
    CODE.incompatible,
    `Schema being registered is incompatible with an earlier schema for subject "${shown(subject)}", details: ` +
      `${messages.slice(0, 20).join("; ")}; compatibility: ${level}`,
    { subject, compatibility: level, messages: messages.slice(0, 20) },
  );
}

/** The version that a request names. @throws subject_not_found, version_not_found. */
export function requireVersion(
  state: SchemaState,
  subject: string,
  wanted: number | "latest",
  withDeleted = false,
): Version {
  const versions = withDeleted ? state.versions(subject) : state.liveVersions(subject);
  if (versions.length === 0) throw subjectNotFound(subject);
  const found = wanted === "latest" ? versions.at(-1) : versions.find(({ version }) => version === wanted);
  if (found === undefined) throw versionNotFound(wanted);
  return found;
}

/** Deletes a subject: softly, or what was softly deleted for good. */
export function deleteSubject(
  state: SchemaState,
  subject: string,
  permanent: boolean,
): { records: SchemaRecord[]; versions: number[] } {
  checkWritable(state, subject);
  const all = state.versions(subject);
  const live = state.liveVersions(subject);
  if (all.length === 0) throw subjectNotFound(subject);
  if (permanent && live.length > 0) {
    throw fault(
      "subject_not_found",
      CODE.subjectNotSoftDeleted,
      `Subject '${shown(subject)}' was not deleted first before being permanently deleted`,
    );
  }
  if (!permanent && live.length === 0) {
    throw fault(
      "subject_not_found",
      CODE.subjectSoftDeleted,
      `Subject '${shown(subject)}' was soft deleted. Set permanent=true to delete permanently`,
    );
  }
  const going = permanent ? all : live;
  for (const version of going) checkUnreferenced(state, version);
  const settings = [
    ...(state.configAt(subject) === undefined ? [] : [gone(KEY.config(subject))]),
    ...(state.modeAt(subject) === undefined ? [] : [gone(KEY.mode(subject))]),
  ];
  const records = permanent
    ? removal(state, going)
    : going.map((version) => versionRecord({ ...version, deleted: true }));
  return { records: [...records, ...settings], versions: going.map(({ version }) => version) };
}

/** Deletes one version: softly, or what was softly deleted for good. */
export function deleteVersion(
  state: SchemaState,
  subject: string,
  wanted: number | "latest",
  permanent: boolean,
): { records: SchemaRecord[]; version: number } {
  checkWritable(state, subject);
  if (!permanent && wanted !== "latest" && state.versions(subject).some((v) => v.version === wanted && v.deleted)) {
    throw fault(
      "version_not_found",
      CODE.versionSoftDeleted,
      `Subject '${shown(subject)}' Version ${wanted} was soft deleted. Set permanent=true to delete permanently`,
    );
  }
  const found = requireVersion(state, subject, wanted, permanent);
  if (permanent && !found.deleted) {
    throw fault(
      "version_not_found",
      CODE.versionNotSoftDeleted,
      `Subject '${shown(subject)}' Version ${found.version} was not deleted first before being permanently deleted`,
    );
  }
  checkUnreferenced(state, found);
  const records = permanent ? removal(state, [found]) : [versionRecord({ ...found, deleted: true })];
  return { records, version: found.version };
}

function checkUnreferenced(state: SchemaState, { subject, version }: Version): void {
  const [id] = state.referrersOf(subject, version);
  if (id === undefined) return;
  throw fault(
    "schema_in_use",
    CODE.referenceExists,
    `One or more references exist to the schema {subject=${shown(subject)},version=${version}}. ` +
      `The schema with the id ${id} is one that refers to it.`,
    { id },
  );
}

/** Takes versions away for good, and the schemas that no other version has. */
function removal(state: SchemaState, going: readonly Version[]): SchemaRecord[] {
  const records = going.map(({ subject, version }) => gone(KEY.version(subject, version)));
  const leaving = new Set(going);
  for (const id of new Set(going.map(({ id }) => id))) {
    if (state.versionsOf(id).every((version) => leaving.has(version))) records.push(gone(KEY.schema(id)));
  }
  return records;
}

/** Sets the settings of a subject, a namespace's scope or all; what is left out stays as it is. */
export function setConfig(state: SchemaState, scope: string, config: SubjectConfig): SchemaRecord[] {
  if (state.modeOf(scope) === "READONLY") throw notPermitted(`Subject ${shown(scope)} is in read-only mode`);
  return [configRecord(scope, { ...state.configAt(scope), ...config })];
}

/** Takes the settings of a scope away. @returns what was in force by them. @throws when there were none. */
export function unsetConfig(state: SchemaState, scope: string): { records: SchemaRecord[]; was: Compatibility } {
  if (state.modeOf(scope) === "READONLY") throw notPermitted(`Subject ${shown(scope)} is in read-only mode`);
  const config = state.configAt(scope);
  if (config === undefined && scope !== "") throw subjectNotFound(scope);
  return {
    records: config === undefined ? [] : [gone(KEY.config(scope))],
    was: config?.compatibility ?? COMPATIBILITY_DEFAULT,
  };
}

/**
 * Sets a mode.
 *
 * @param force allows IMPORT where there are schemas already.
 */
export function setMode(state: SchemaState, scope: string, mode: Mode, force: boolean): SchemaRecord[] {
  if (mode === "IMPORT" && !force && state.modeOf(scope) !== "IMPORT" && hasSchemas(state, scope)) {
    throw notPermitted("Cannot import since found existing subjects");
  }
  return [modeRecord(scope, mode)];
}

/** @throws subject_not_found when the scope has no mode of its own. */
export function unsetMode(state: SchemaState, scope: string): { records: SchemaRecord[]; was: Mode } {
  const was = state.modeAt(scope);
  if (was === undefined) throw subjectNotFound(scope);
  return { records: [gone(KEY.mode(scope))], was };
}

/** Whether the scope covers a subject that has a live version. */
function hasSchemas(state: SchemaState, scope: string): boolean {
  for (const subject of state.subjects()) {
    if (scopesOf(subject).includes(scope) && state.liveVersions(subject).length > 0) return true;
  }
  return false;
}
