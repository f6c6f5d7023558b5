/** All definitions of a broker as one JSON value. */
import type { Exchanges, MetadataLog } from "../../broker/index.ts";
import type { Access } from "../../security/index.ts";
import { VERSION } from "../version.ts";
import { contentOf, type Fields, FORMAT } from "./shape.ts";

export interface Exported {
  readonly metadata: MetadataLog;
  readonly exchanges: Exchanges;
  readonly access: Access;
}

/** In the order of names, so that two exports of the same definitions are the same text. */
export function exportDefinitions({ metadata, exchanges, access }: Exported): Fields {
  metadata.catchUp();
  const { state } = metadata;
  const { routing } = state;
  const namespaces = [...state.namespaces.names()].sort();
  return {
    format: FORMAT,
    millrace: VERSION,
    exportedAt: new Date().toISOString(),
    namespaces: namespaces.map((name) => ({ name, description: state.namespaces.find(name)?.description ?? null })),
    roles: byName([...access.state.roles.values()].map(({ name, description }) => ({ name, description }))),
    users: byName(
      [...access.state.users.values()].map(({ name, roles, isEnabled, credentials }) => {
        return { name, roles, isEnabled, credentials };
      }),
    ),
    permissions: [...access.rules()],
    schemaSettings: schemaSettings(metadata),
    schemas: schemas(metadata),
    topics: byName(
      [...state.topics()].map(({ namespace, name, partitions, config }) => ({ namespace, name, partitions, config })),
    ),
    exchanges: byName(
      [...routing.exchanges()].map(({ namespace, name, kind: type, config }) => ({ namespace, name, type, config })),
    ),
    queues: byName(
      [...routing.queues()]
        .filter(({ owner, config }) => owner === null && config.durable !== false)
        .map(({ namespace, name, config }) => ({ namespace, name, config })),
    ),
    bindings: bindings(metadata, exchanges),
    schedules: schedules(metadata),
    transforms: byName(
      [...state.transforms.all()].map(({ namespace, name, definition }) => ({ namespace, name, definition })),
    ),
    quotas: state.quotas.all(),
  };
}

function byName<T extends { readonly name: string; readonly namespace?: string }>(rows: T[]): T[] {
  const key = ({ namespace, name }: T): string => `${namespace ?? ""} ${name}`;
  return rows.sort((a, b) => (key(a) < key(b) ? -1 : 1));
}

/** Those between things that are exported; what is gone with a restart has none. */
function bindings({ state }: MetadataLog, exchanges: Exchanges): Fields[] {
  const spaces = [...state.routing.spaces()].map(({ namespace }) => namespace).sort();
  const isKept = (namespace: string, queue: unknown): boolean => {
    const found = typeof queue === "string" ? state.routing.queue(namespace, queue) : undefined;
    return typeof queue !== "string" || (found !== undefined && found.owner === null && found.config.durable !== false);
  };
  return spaces.flatMap((namespace) => {
    const rows: Fields[] = [];
    const all = { exchange: undefined, queue: undefined };
    for (let after: number | null = 0; after !== null;) {
      const page = exchanges.bindings(namespace, { ...all, after });
      rows.push(...page.bindings.filter(({ queue }) => isKept(namespace, queue)).map((row) => ({ namespace, ...row })));
      after = page.next;
    }
    return rows;
  });
}

function schedules({ state }: MetadataLog): Fields[] {
  const rows = state.schedules.keys().flatMap((key) => state.schedules.find(key)?.schedule ?? []);
  return byName(
    rows.map(({ namespace, name, cron, timezone, exchange, key, value, headers, missed }) => {
      const content = contentOf(value);
      return { namespace, name, cron, timezone, exchange, key, value: content, headers, missed };
    }),
  );
}

function schemaSettings({ state: { schemas: state } }: MetadataLog): Fields[] {
  const scopes = new Set(state.scopes());
  return [...scopes].sort().map((scope) => ({
    scope,
    ...state.configAt(scope),
    ...(state.modeAt(scope) === undefined ? {} : { mode: state.modeAt(scope) }),
  }));
}

/** In the order of their ids, so that what a schema refers to stands before it. */
function schemas({ state: { schemas: state } }: MetadataLog): Fields[] {
  const versions = [...state.subjects()].flatMap((subject) => state.liveVersions(subject));
  versions.sort((a, b) => a.id - b.id || (a.subject < b.subject ? -1 : 1) || a.version - b.version);
  return versions.flatMap(({ subject, version, id }) => {
    const found = state.schema(id);
    if (found === undefined) return [];
    const { schemaType, schema, references } = found;
    return [{ subject, version, id, schemaType, schema, ...(references.length > 0 && { references }) }];
  });
}
