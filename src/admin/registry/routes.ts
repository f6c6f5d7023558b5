/** The routes of the registry's HTTP interface. */
import type { Schema, Schemas, SchemaState, Version } from "../../broker/index.ts";
import {
  DEFAULT_NAMESPACE,
  qualify,
  SCHEMA_TYPES,
  schemaNotFound,
  splitSubject,
  subjectNotFound,
} from "../../schema/index.ts";
import { schemaBody, versionBody } from "./bodies.ts";
import {
  flag,
  idNamed,
  numberOf,
  page,
  type RegistryRequest,
  schemaOf,
  subjectNamed,
  versionNamed,
} from "./request.ts";
import { Plain, type Route } from "./route.ts";
import { settingRoutes } from "./setting-routes.ts";

type Run = Route["run"];
const ALL_NAMESPACES = ":*:";

/** Something about one subject. */
function read(path: string, run: Run): Route {
  return { method: "GET", path, permission: "schema.read", touches: "subject", run };
}

/** Something that shows of all subjects those that the sender may read. */
function list(path: string, run: Run): Route {
  return { method: "GET", path, permission: "schema.list", run };
}

/** A variable word of the path. */
function word(request: RegistryRequest, index: number): string {
  return request.words[index] ?? "";
}

function subjectAt(request: RegistryRequest): string {
  return subjectNamed(word(request, 0), request.namespace);
}

/** Where names of subjects have to begin; every namespace's where nothing is said. */
function prefixOf({ query, namespace }: RegistryRequest): (subject: string) => boolean {
  const given = query.get("subjectPrefix") ?? (namespace === DEFAULT_NAMESPACE ? ALL_NAMESPACES : "");
  if (given.startsWith(ALL_NAMESPACES)) {
    const rest = given.slice(ALL_NAMESPACES.length);
    return (subject) => splitSubject(subject).name.startsWith(rest);
  }
  const { namespace: own, name } = splitSubject(given.startsWith(":.") ? given : qualify(namespace, given));
  return (subject) => {
    const found = splitSubject(subject);
    return found.namespace === own && found.name.startsWith(name);
  };
}

/** The versions of a subject that `deleted` and `deletedOnly` ask for. */
function versionsShown(state: SchemaState, subject: string, query: URLSearchParams): readonly Version[] {
  if (flag(query, "deletedOnly")) return state.versions(subject).filter(({ deleted }) => deleted);
  return flag(query, "deleted") ? state.versions(subject) : state.liveVersions(subject);
}

function sortedSubjects(state: SchemaState, request: RegistryRequest): string[] {
  const isWanted = prefixOf(request);
  return [...state.subjects()].filter((subject) => isWanted(subject) && request.mayRead(subject)).sort();
}

const subjectRoutes: readonly Route[] = [
  list("/subjects", (schemas, request) => {
    const { state } = schemas;
    const shown = sortedSubjects(state, request).filter((subject) => isShown(state, subject, request.query));
    return page(shown, request.query);
  }),
  {
    method: "POST",
    path: "/subjects/*",
    permission: "schema.read",
    touches: "subject",
    run(schemas, request) {
      const found = schemas.lookup(schemaOf(request, subjectAt(request)), flag(request.query, "deleted"));
      return versionBody(found, textOf(schemas, found.schema, request));
    },
  },
  {
    method: "DELETE",
    path: "/subjects/*",
    permission: "schema.delete",
    touches: "subject",
    run: (schemas, request) => schemas.deleteSubject(subjectAt(request), flag(request.query, "permanent")),
  },
  read("/subjects/*/versions", (schemas, request) => {
    const shown = versionsShown(schemas.state, subjectAt(request), request.query);
    if (shown.length === 0) throw subjectNotFound(subjectAt(request));
    return page(
      shown.map(({ version }) => version),
      request.query,
    );
  }),
  {
    method: "POST",
    path: "/subjects/*/versions",
    permission: "schema.register",
    touches: "subject",
    async run(schemas, request) {
      const { body } = request;
      const wanted = { id: numberOf(body, "id"), version: numberOf(body, "version") };
      const { id, version } = await schemas.register(schemaOf(request, subjectAt(request)), wanted);
      const schema = schemas.schema(id);
      return { id, version, ...schemaBody(schema, schema.schema) };
    },
  },
  read("/subjects/*/versions/*", (schemas, request) => {
    const found = versionAt(schemas, request);
    return versionBody(found, textOf(schemas, found.schema, request));
  }),
  {
    method: "DELETE",
    path: "/subjects/*/versions/*",
    permission: "schema.delete",
    touches: "subject",
    run(schemas, request) {
      const wanted = versionNamed(word(request, 1));
      return schemas.deleteVersion(subjectAt(request), wanted, flag(request.query, "permanent"));
    },
  },
  read("/subjects/*/versions/*/schema", (schemas, request) => {
    const { schema } = versionAt(schemas, request);
    return new Plain(textOf(schemas, schema, request));
  }),
  read("/subjects/*/versions/*/referencedby", (schemas, request) => {
    const wanted = versionNamed(word(request, 1));
    const { version } = schemas.version(subjectAt(request), wanted, true).version;
    return page(schemas.state.referrersOf(subjectAt(request), version), request.query);
  }),
];

function isShown(state: SchemaState, subject: string, query: URLSearchParams): boolean {
  const hasLive = state.liveVersions(subject).length > 0;
  return flag(query, "deletedOnly") ? !hasLive : hasLive || flag(query, "deleted");
}

function versionAt(schemas: Schemas, request: RegistryRequest): ReturnType<Schemas["version"]> {
  const wanted = versionNamed(word(request, 1));
  return schemas.version(subjectAt(request), wanted, flag(request.query, "deleted"));
}

/** The text of a schema in the format that is asked for. */
function textOf(schemas: Schemas, schema: Parameters<Schemas["resolved"]>[0], { query }: RegistryRequest): string {
  return query.get("format") === "resolved" ? schemas.resolved(schema) : schema.schema;
}

/** The schema, where it belongs to a subject that the sender may read. @throws schema_not_found. */
function readable(schemas: Schemas, request: RegistryRequest, schema: Schema): Schema {
  const isKnown = schemas.state.versionsOf(schema.id).some(({ subject }) => request.mayRead(subject));
  if (!isKnown) throw schemaNotFound(schema.id);
  return schema;
}

function schemaAt(schemas: Schemas, request: RegistryRequest): Schema {
  return readable(schemas, request, schemas.schema(idNamed(word(request, 0))));
}

/** Versions of the schema that an id names. @throws schema_not_found. */
function versionsAt(schemas: Schemas, request: RegistryRequest): readonly Version[] {
  const { id } = readable(schemas, request, schemas.schema(idNamed(word(request, 0))));
  const all = schemas.state.versionsOf(id).filter(({ subject }) => request.mayRead(subject));
  return flag(request.query, "deleted") ? all : all.filter(({ deleted }) => !deleted);
}

const schemaRoutes: readonly Route[] = [
  list("/schemas", (schemas, request) => {
    const { state } = schemas;
    const rows = sortedSubjects(state, request).flatMap((subject) => {
      const shown = versionsShown(state, subject, request.query);
      return flag(request.query, "latestOnly") ? shown.slice(-1) : shown;
    });
    return page(rows, request.query).map((version) => {
      const schema = schemas.schema(version.id);
      return versionBody({ version, schema }, schema.schema);
    });
  }),
  list("/schemas/types", () => SCHEMA_TYPES.toReversed()),
  list("/schemas/ids/*", (schemas, request) => {
    const schema = schemaAt(schemas, request);
    const maxId = flag(request.query, "fetchMaxId") ? { maxId: schemas.state.lastId } : {};
    return { ...schemaBody(schema, textOf(schemas, schema, request)), ...maxId };
  }),
  list("/schemas/ids/*/schema", (schemas, request) => {
    return new Plain(textOf(schemas, schemaAt(schemas, request), request));
  }),
  list("/schemas/ids/*/subjects", (schemas, request) => {
    const subjects = versionsAt(schemas, request).map(({ subject }) => subject);
    return page([...new Set(subjects)].sort(), request.query);
  }),
  list("/schemas/ids/*/versions", (schemas, request) => {
    const rows = versionsAt(schemas, request).map(({ subject, version }) => ({ subject, version }));
    return page(rows, request.query);
  }),
  list("/schemas/guids/*", (schemas, request) => {
    const schema = byGuid(schemas, request);
    return schemaBody(schema, textOf(schemas, schema, request));
  }),
  list("/schemas/guids/*/ids", (schemas, request) => {
    const { id } = byGuid(schemas, request);
    const versions = schemas.state.versionsOf(id).filter(({ subject }) => request.mayRead(subject));
    const namespaces = versions.map(({ subject }) => splitSubject(subject).namespace);
    return [...new Set(namespaces)].map((namespace) => ({ context: contextName(namespace), id }));
  }),
  list("/contexts", (schemas, { mayRead }) => {
    const found = new Set([DEFAULT_NAMESPACE]);
    for (const subject of schemas.state.subjects()) if (mayRead(subject)) found.add(splitSubject(subject).namespace);
    return [...found].map(contextName).sort();
  }),
];

function byGuid(schemas: Schemas, request: RegistryRequest): ReturnType<Schemas["schema"]> {
  const schema = schemas.state.schemaByGuid(word(request, 0).toLowerCase());
  if (schema === undefined) throw schemaNotFound();
  return readable(schemas, request, schema);
}

function contextName(namespace: string): string {
  return namespace === DEFAULT_NAMESPACE ? "." : `.${namespace}`;
}

/** Whether a schema could follow, against one version or against those that the compatibility asks for. */
function check(schemas: Schemas, request: RegistryRequest, against: number | "latest" | undefined): unknown {
  const schema = schemaOf(request, subjectAt(request));
  const isFirst = schemas.state.liveVersions(schema.subject).length === 0;
  const messages = schemas.check(schema, isFirst && against === "latest" ? undefined : against);
  const verbose = flag(request.query, "verbose") ? { messages } : {};
  return { is_compatible: messages.length === 0, ...verbose };
}

const checkRoutes: readonly Route[] = [
  {
    method: "POST",
    path: "/compatibility/subjects/*/versions",
    permission: "schema.read",
    touches: "subject",
    run: (schemas, request) => check(schemas, request, undefined),
  },
  {
    method: "POST",
    path: "/compatibility/subjects/*/versions/*",
    permission: "schema.read",
    touches: "subject",
    run: (schemas, request) => check(schemas, request, versionNamed(word(request, 1))),
  },
];

export const ROUTES: readonly Route[] = [
  list("/", () => ({})),
  ...subjectRoutes,
  ...schemaRoutes,
  ...checkRoutes,
  ...settingRoutes,
];
