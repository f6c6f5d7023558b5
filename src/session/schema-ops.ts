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
  compilePattern,
  type Mode,
  MODES,
  namespaceScope,
  patternFault,
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
import { asBoolean, asInteger, asList, asText, type Fields, fieldsAt, invalid, isMap, optional } from "./arguments.ts";
import { type AnyOperation, define } from "./operation.ts";
import { namespaceResource, subjectResource } from "./resources.ts";
import type { Session } from "./session.ts";

const REFERENCES_MAX = 1000;
const PAGE_DEFAULT = 1000;
const PAGE_MAX = 10_000;

/** The global name of a subject of the session's namespace. */
function subjectAt(fields: Fields, session: Session): string {
  return globalName(asText(fields["subject"], "subject"), session);
}

function globalName(name: string, { namespace }: Session): string {
  // In the default namespace such a name would be one of another namespace.
  if (name.startsWith(":.")) throw invalid("subject", 'a name that does not start with ":."');
  return qualify(namespace, name);
}

/** A subject as the session's namespace calls it. */
function localName(subject: string, { namespace }: Session): string {
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

function requestOf(fields: Fields, session: Session): SchemaRequest {
  return {
    subject: subjectAt(fields, session),
    schema: asText(fields["schema"], "schema"),
    schemaType: schemaTypeOf(optional(fields["schemaType"], "schemaType", asText)),
    references:
      optional(fields["references"], "references", (value, field) =>
        asList(value, field, REFERENCES_MAX, asReference),
      ) ?? [],
    normalize: optional(fields["normalize"], "normalize", asBoolean),
  };
}

function schemaFields({ id, guid, schemaType, schema, references }: Schema, session: Session): Fields {
  const named = references.map((reference) => ({ ...reference, subject: localName(reference.subject, session) }));
  return { id, guid, schemaType, schema, references: named };
}

const register = define({
  op: Op.SCHEMA_REGISTER,
  permission: "schema.register",
  parse: (args, session) => requestOf(fieldsAt(args, 0), session),
  resources: ({ subject }, session) => [subjectResource(session, subject)],
  run: (session, request) => session.services.schemas.register(request),
});

const get = define({
  op: Op.SCHEMA_GET,
  permission: "schema.read",
  parse(args) {
    const fields = fieldsAt(args, 0);
    return {
      id: asInteger(fields["id"], "id", 0, 0xffffffff),
      resolved: optional(fields["resolved"], "resolved", asBoolean) ?? false,
    };
  },
  resources: (_, session) => [namespaceResource(session)],
  run(session, { id, resolved }) {
    const { schemas } = session.services;
    const schema = schemas.schema(id);
    const own = schemas.state.versionsOf(id).filter(({ subject }) => isOwn(subject, session));
    // Ids count for all namespaces, and each sees its own.
    if (own.length === 0) throw schemaNotFound(id);
    const subjects = own
      .filter(({ deleted }) => !deleted)
      .map(({ subject, version }) => [localName(subject, session), version]);
    return {
      ...schemaFields(schema, session),
      ...(resolved ? { schema: schemas.resolved(schema), references: [] } : {}),
      subjects,
    };
  },
});

function isOwn(subject: string, { namespace }: Session): boolean {
  return splitSubject(subject).namespace === namespace;
}

const version = define({
  op: Op.SCHEMA_VERSION,
  permission: "schema.read",
  parse(args, session) {
    const fields = fieldsAt(args, 0);
    return {
      subject: subjectAt(fields, session),
      version: asVersion(fields["version"], "version"),
      deleted: optional(fields["deleted"], "deleted", asBoolean) ?? false,
    };
  },
  resources: ({ subject }, session) => [subjectResource(session, subject)],
  run(session, { subject, version: wanted, deleted }) {
    const { version: found, schema } = session.services.schemas.version(subject, wanted, deleted);
    return { subject: localName(subject, session), version: found.version, ...schemaFields(schema, session) };
  },
});

const lookup = define({
  op: Op.SCHEMA_LOOKUP,
  permission: "schema.read",
  parse(args, session) {
    const fields = fieldsAt(args, 0);
    return {
      request: requestOf(fields, session),
      deleted: optional(fields["deleted"], "deleted", asBoolean) ?? false,
    };
  },
  resources: ({ request }, session) => [subjectResource(session, request.subject)],
  run(session, { request, deleted }) {
    const { version: found } = session.services.schemas.lookup(request, deleted);
    return { subject: localName(found.subject, session), version: found.version, id: found.id };
  },
});

const check = define({
  op: Op.SCHEMA_CHECK,
  permission: "schema.read",
  parse(args, session) {
    const fields = fieldsAt(args, 0);
    return { request: requestOf(fields, session), version: optional(fields["version"], "version", asVersion) };
  },
  resources: ({ request }, session) => [subjectResource(session, request.subject)],
  run(session, { request, version: against }) {
    const messages = session.services.schemas.check(request, against);
    return { compatible: messages.length === 0, messages };
  },
});

const subjects = define({
  op: Op.SCHEMA_SUBJECTS,
  permission: "schema.read",
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
  resources: (_, session) => [namespaceResource(session)],
  run(session, { matches, deleted, limit, after }) {
    const { state } = session.services.schemas;
    const found = [...state.subjects()]
      .filter((subject) => isOwn(subject, session))
      .map((subject) => ({ subject, name: localName(subject, session) }))
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
  parse(args, session) {
    const fields = fieldsAt(args, 0);
    return {
      subject: subjectAt(fields, session),
      version: optional(fields["version"], "version", asVersion),
      permanent: optional(fields["permanent"], "permanent", asBoolean) ?? false,
    };
  },
  resources: ({ subject }, session) => [subjectResource(session, subject)],
  async run(session, { subject, version: wanted, permanent }) {
    const { schemas } = session.services;
    if (wanted === undefined) return { versions: await schemas.deleteSubject(subject, permanent) };
    return { versions: [await schemas.deleteVersion(subject, wanted, permanent)] };
  },
});

/** A subject's scope, or that of the whole namespace. */
function scopeAt(fields: Fields, session: Session): string {
  const subject = optional(fields["subject"], "subject", asText);
  return subject === undefined ? namespaceScope(session.namespace) : globalName(subject, session);
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
): (args: readonly unknown[], session: Session) => Setting<T> {
  return (args, session) => {
    const fields = fieldsAt(args, 0);
    return {
      scope: scopeAt(fields, session),
      value: optional(fields[field], field, oneOf(values)),
      unset: optional(fields["unset"], "unset", asBoolean) ?? false,
      force: optional(fields["force"], "force", asBoolean) ?? false,
    };
  };
}

function settingPermission({ value, unset }: Setting<string>): "schema.read" | "schema.configure" {
  return value === undefined && !unset ? "schema.read" : "schema.configure";
}

const config = define({
  op: Op.SCHEMA_CONFIG,
  permission: settingPermission,
  parse: settingOf<Compatibility>("compatibility", COMPATIBILITIES),
  resources: ({ scope }, session) => [subjectResource(session, scope)],
  async run(session, { scope, value: compatibility, unset }) {
    const { schemas } = session.services;
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
  resources: ({ scope }, session) => [subjectResource(session, scope)],
  async run(session, { scope, value: wanted, unset, force }) {
    const { schemas } = session.services;
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
