/**
 * The registry.
 *
 *     100 SCHEMA_REGISTER [100, corr, {subject, schema, schemaType?, references?: [{name, subject, version}], normalize?}] -> {id, version}
 *     101 SCHEMA_GET      [101, corr, {id, resolved?}] -> {id, guid, schemaType, schema, references, subjects: [[subject, version]]}
 *     102 SCHEMA_VERSION  [102, corr, {subject, version, deleted?}] -> {subject, version, id, guid, schemaType, schema, references}
 *     103 SCHEMA_LOOKUP   [103, corr, as REGISTER, deleted?] -> {subject, version, id}
 *     104 SCHEMA_CHECK    [104, corr, as REGISTER, version?] -> {compatible: bool, messages: [str]}
 *     105 SCHEMA_SUBJECTS [105, corr, {pattern?, deleted?, limit?, after?}] -> {subjects: [...], next: str|nil}
 *     106 SCHEMA_DELETE   [106, corr, {subject, version?, permanent?}] -> {versions: [int]}
 *     107 SCHEMA_CONFIG   [107, corr, {subject?, compatibility?, unset?}] -> {compatibility, own: str|nil}
 *     108 SCHEMA_MODE     [108, corr, {subject?, mode?, unset?, force?}] -> {mode, own: str|nil}
 *
 * Subjects are those of the session's namespace.
 */
import {
  COMPATIBILITIES,
  type Compatibility,
  type Mode,
  MODES,
  namespaceScope,
  qualify,
  type Reference,
  type Schema,
  schemaNotFound,
  schemaTypeOf,
  type SchemaRequest,
  type SchemaState,
  splitSubject,
} from "../broker/index.ts";
import { Op } from "../protocol/index.ts";
import type { Operation as Permission, Resource } from "../security/index.ts";
import { compilePattern, patternFault } from "../stdx/index.ts";
import { asBoolean, asInteger, asList, asText, type Fields, fieldsAt, invalid, isMap, optional } from "./arguments.ts";
import type { Caller } from "./caller.ts";
import { type AnyOperation, define } from "./operation.ts";
import { namespaceResource, subjectResource } from "./resources.ts";
import { mayRead, readTouches, type Touch } from "./touches.ts";

const REFERENCES_MAX = 1000;
const PAGE_DEFAULT = 1000;
const PAGE_MAX = 10_000;

/** The global name of a subject of the session's namespace. */
function subjectAt(fields: Fields, caller: Caller): string {
  return globalName(asText(fields["subject"], "subject"), caller);
}

function globalName(name: string, { namespace }: Caller): string {
  // In the default namespace such a name would be one of another namespace.
  if (name.startsWith(":.")) throw invalid("subject", 'a name that does not start with ":."');
  return qualify(namespace, name);
}

/** A subject as the session's namespace calls it. */
function localName(subject: string, { namespace }: Caller): string {
  const { namespace: own, name } = splitSubject(subject);
  return own === namespace ? name : subject;
}

function oneOf<const T extends string>(values: readonly T[]): (value: unknown, field: string) => T {
  return (value, field) => {
    const found = values.find((candidate) => candidate === value);
    if (found === undefined) throw invalid(field, `one of ${values.join(", ")}`);
    return found;
  };
}

function asVersion(value: unknown, field: string): number | "latest" {
  return value === "latest" ? value : asInteger(value, field, 1);
}

function asReference(value: unknown, field: string): Reference {
  if (!isMap(value)) throw invalid(field, "a map of name, subject and version");
  const version = value["version"] === -1 ? -1 : asInteger(value["version"], `${field}.version`, 1);
  return {
    name: asText(value["name"], `${field}.name`),
    subject: asText(value["subject"], `${field}.subject`),
    version,
  };
}

function requestOf(fields: Fields, caller: Caller): SchemaRequest {
  return {
    subject: subjectAt(fields, caller),
    schema: asText(fields["schema"], "schema"),
    schemaType: schemaTypeOf(optional(fields["schemaType"], "schemaType", asText)),
    references:
      optional(fields["references"], "references", (value, field) =>
        asList(value, field, REFERENCES_MAX, asReference),
      ) ?? [],
    normalize: optional(fields["normalize"], "normalize", asBoolean),
  };
}

function schemaFields({ id, guid, schemaType, schema, references }: Schema, caller: Caller): Fields {
  const named = references.map((reference) => ({ ...reference, subject: localName(reference.subject, caller) }));
  return { id, guid, schemaType, schema, references: named };
}

/** What a schema refers to becomes part of it. */
function referenceTouches({ references }: SchemaRequest, caller: Caller): Touch[] {
  return readTouches(
    caller,
    references.map(({ subject }) => subject),
  );
}

const register = define({
  op: Op.SCHEMA_REGISTER,
  permission: "schema.register",
  parse: (args, caller) => requestOf(fieldsAt(args, 0), caller),
  resources: ({ subject }) => [subjectResource(subject)],
  also: referenceTouches,
  run: (caller, request) => caller.services.schemas.register(request),
});

const get = define({
  op: Op.SCHEMA_GET,
  permission: "schema.list",
  parse(args) {
    const fields = fieldsAt(args, 0);
    return {
      id: asInteger(fields["id"], "id", 0, 0xffffffff),
      resolved: optional(fields["resolved"], "resolved", asBoolean) ?? false,
    };
  },
  resources: (_, caller) => [namespaceResource(caller)],
  run(caller, { id, resolved }) {
    const { schemas } = caller.services;
    const schema = schemas.schema(id);
    const own = schemas.state
      .versionsOf(id)
      .filter(({ subject }) => isOwn(subject, caller) && mayRead(caller, subject));
    // Ids count for all namespaces, and each sees its own.
    if (own.length === 0) throw schemaNotFound(id);
    const subjects = own
      .filter(({ deleted }) => !deleted)
      .map(({ subject, version }) => [localName(subject, caller), version]);
    return {
      ...schemaFields(schema, caller),
      ...(resolved ? { schema: schemas.resolved(schema), references: [] } : {}),
      subjects,
    };
  },
});

function isOwn(subject: string, { namespace }: Caller): boolean {
  return splitSubject(subject).namespace === namespace;
}

const version = define({
  op: Op.SCHEMA_VERSION,
  permission: "schema.read",
  parse(args, caller) {
    const fields = fieldsAt(args, 0);
    return {
      subject: subjectAt(fields, caller),
      version: asVersion(fields["version"], "version"),
      deleted: optional(fields["deleted"], "deleted", asBoolean) ?? false,
    };
  },
  resources: ({ subject }) => [subjectResource(subject)],
  run(caller, { subject, version: wanted, deleted }) {
    const { version: found, schema } = caller.services.schemas.version(subject, wanted, deleted);
    return { subject: localName(subject, caller), version: found.version, ...schemaFields(schema, caller) };
  },
});

const lookup = define({
  op: Op.SCHEMA_LOOKUP,
  permission: "schema.read",
  parse(args, caller) {
    const fields = fieldsAt(args, 0);
    return {
      request: requestOf(fields, caller),
      deleted: optional(fields["deleted"], "deleted", asBoolean) ?? false,
    };
  },
  resources: ({ request }) => [subjectResource(request.subject)],
  also: ({ request }, caller) => referenceTouches(request, caller),
  run(caller, { request, deleted }) {
    const { version: found } = caller.services.schemas.lookup(request, deleted);
    return { subject: localName(found.subject, caller), version: found.version, id: found.id };
  },
});

const check = define({
  op: Op.SCHEMA_CHECK,
  permission: "schema.read",
  parse(args, caller) {
    const fields = fieldsAt(args, 0);
    return { request: requestOf(fields, caller), version: optional(fields["version"], "version", asVersion) };
  },
  resources: ({ request }) => [subjectResource(request.subject)],
  also: ({ request }, caller) => referenceTouches(request, caller),
  run(caller, { request, version: against }) {
    const messages = caller.services.schemas.check(request, against);
    return { compatible: messages.length === 0, messages };
  },
});

const subjects = define({
  op: Op.SCHEMA_SUBJECTS,
  permission: "schema.list",
  parse(args) {
    const fields = fieldsAt(args, 0);
    const pattern = optional(fields["pattern"], "pattern", asText);
    const why = pattern === undefined ? undefined : patternFault(pattern);
    if (why !== undefined) throw invalid("pattern", `a pattern: ${why}`);
    return {
      matches: pattern === undefined ? () => true : compilePattern(pattern),
      deleted: optional(fields["deleted"], "deleted", asBoolean) ?? false,
      limit: optional(fields["limit"], "limit", (value, field) => asInteger(value, field, 1, PAGE_MAX)) ?? PAGE_DEFAULT,
      after: optional(fields["after"], "after", asText),
    };
  },
  resources: (_, caller) => [namespaceResource(caller)],
  run(caller, { matches, deleted, limit, after }) {
    const { state } = caller.services.schemas;
    const found = [...state.subjects()]
      .filter((subject) => isOwn(subject, caller) && mayRead(caller, subject))
      .map((subject) => ({ subject, name: localName(subject, caller) }))
      .filter(({ name }) => (after === undefined || name > after) && matches(name))
      .map(({ subject, name }) => subjectRow(state, { subject, name }, deleted))
      .filter(({ versions }) => versions.length > 0)
      .sort((a, b) => (a.subject < b.subject ? -1 : 1));
    const page = found.slice(0, limit);
    return { subjects: page, next: found.length > limit ? (page.at(-1)?.subject ?? null) : null };
  },
});

interface SubjectRow {
  readonly subject: string;
  readonly versions: number[];
  readonly latestId: number | null;
  readonly compatibility: string;
}

function subjectRow(
  state: SchemaState,
  { subject, name }: { subject: string; name: string },
  withDeleted: boolean,
): SubjectRow {
  const live = state.liveVersions(subject);
  const shown = withDeleted ? state.versions(subject) : live;
  return {
    subject: name,
    versions: shown.map(({ version }) => version),
    latestId: live.at(-1)?.id ?? null,
    compatibility: state.compatibilityOf(subject),
  };
}

const remove = define({
  op: Op.SCHEMA_DELETE,
  permission: "schema.delete",
  parse(args, caller) {
    const fields = fieldsAt(args, 0);
    return {
      subject: subjectAt(fields, caller),
      version: optional(fields["version"], "version", asVersion),
      permanent: optional(fields["permanent"], "permanent", asBoolean) ?? false,
    };
  },
  resources: ({ subject }) => [subjectResource(subject)],
  async run(caller, { subject, version: wanted, permanent }) {
    const { schemas } = caller.services;
    if (wanted === undefined) return { versions: await schemas.deleteSubject(subject, permanent) };
    return { versions: [await schemas.deleteVersion(subject, wanted, permanent)] };
  },
});

/** A subject's scope, or that of the whole namespace. */
function scopeAt(fields: Fields, caller: Caller): string {
  const subject = optional(fields["subject"], "subject", asText);
  return subject === undefined ? namespaceScope(caller.namespace) : globalName(subject, caller);
}

/** A request that sets, takes away, or where it does neither, reads. */
interface Setting<T> {
  readonly scope: string;
  readonly value: T | undefined;
  readonly unset: boolean;
  readonly force: boolean;
}

function settingOf<const T extends string>(
  field: string,
  values: readonly T[],
): (args: readonly unknown[], caller: Caller) => Setting<T> {
  return (args, caller) => {
    const fields = fieldsAt(args, 0);
    return {
      scope: scopeAt(fields, caller),
      value: optional(fields[field], field, oneOf(values)),
      unset: optional(fields["unset"], "unset", asBoolean) ?? false,
      force: optional(fields["force"], "force", asBoolean) ?? false,
    };
  };
}

function settingPermission({ scope, value, unset }: Setting<string>): Permission {
  if (value !== undefined || unset) return "schema.configure";
  // What holds for a whole namespace is no secret in it.
  return scope === namespaceScope(splitSubject(scope).namespace) ? "schema.list" : "schema.read";
}

function settingResources({ scope, value, unset }: Setting<string>, caller: Caller): Resource[] {
  const isRead = value === undefined && !unset;
  return [isRead && scope === namespaceScope(caller.namespace) ? namespaceResource(caller) : subjectResource(scope)];
}

const config = define({
  op: Op.SCHEMA_CONFIG,
  permission: settingPermission,
  parse: settingOf<Compatibility>("compatibility", COMPATIBILITIES),
  resources: (setting, caller) => settingResources(setting, caller),
  async run(caller, { scope, value: compatibility, unset }) {
    const { schemas } = caller.services;
    if (unset) await schemas.unsetConfig(scope);
    else if (compatibility !== undefined) await schemas.setConfig(scope, { compatibility });
    const { state } = schemas;
    return { compatibility: state.compatibilityOf(scope), own: state.configAt(scope)?.compatibility ?? null };
  },
});

const mode = define({
  op: Op.SCHEMA_MODE,
  permission: settingPermission,
  parse: settingOf<Mode>("mode", MODES),
  resources: (setting, caller) => settingResources(setting, caller),
  async run(caller, { scope, value: wanted, unset, force }) {
    const { schemas } = caller.services;
    if (unset) await schemas.unsetMode(scope);
    else if (wanted !== undefined) await schemas.setMode(scope, wanted, force);
    const { state } = schemas;
    return { mode: state.modeOf(scope), own: state.modeAt(scope) ?? null };
  },
});

export const schemaOps: readonly AnyOperation[] = [
  register,
  get,
  version,
  lookup,
  check,
  subjects,
  remove,
  config,
  mode,
];
