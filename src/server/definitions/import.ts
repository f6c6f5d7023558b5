/** Imports a plan: each thing by the manager that requests go to, over a draft of the metadata. */
import {
  BURST_MS_DEFAULT,
  COMPATIBILITIES,
  Definitions,
  type Draft,
  Exchanges,
  internalLogConfig,
  type Mailroom,
  MetadataLog,
  MODES,
  Namespaces,
  type Quota,
  QUOTA_KINDS,
  QUOTA_LIMITS,
  Quotas,
  Queues,
  type Reference,
  scheduleKey,
  Schedules,
  Schemas,
  schemaTypeOf,
  spaceLogConfig,
  Spaces,
  Topics,
  Transforms,
} from "../../broker/index.ts";
import type { Config } from "../../config/index.ts";
import { isMillraceError, MillraceError } from "../../errors/index.ts";
import { Access, AccessState, type Credential, parseRule } from "../../security/index.ts";
import { type Logger, SCRAM_ITERATIONS_MAX, SCRAM_ITERATIONS_MIN, SCRAM_MECHANISMS } from "../../stdx/index.ts";
import {
  bytesOf,
  checkKnown,
  contentOf,
  type Fields,
  fieldsOf,
  isFields,
  type Item,
  ItemFault,
  listOf,
  type Plan,
  SECTIONS,
  type Section,
  textOf,
} from "./shape.ts";

export interface ImportParts {
  readonly config: Config;
  readonly logger: Logger;
  /** For transforms, whose steps are tried out before they are taken. */
  readonly mailroom: Mailroom;
}

/** How many of each kind are new, and how many were there alike. */
export type Counts = Partial<Record<Section, { created: number; unchanged: number }>>;

const NAMESPACE_DEFAULT = "default";
const NO_OWNER = "";
const TARGETS = ["queue", "topic", "to"] as const;
const GLOBAL = "";
const KEY_BYTES = { "SCRAM-SHA-256": 32, "SCRAM-SHA-512": 64 } as const;

export class Importer {
  readonly #metadata: MetadataLog;
  readonly #access: Access;
  readonly #namespaces: Namespaces;
  readonly #topics: Topics;
  readonly #exchanges: Exchanges;
  readonly #queues: Queues;
  readonly #schemas: Schemas;
  readonly #schedules: Schedules;
  readonly #transforms: Transforms;
  readonly #quotas: Quotas;
  readonly counts: Counts = {};

  constructor({ config, logger, mailroom }: ImportParts, { engine }: Draft) {
    const accessState = new AccessState();
    const silent = { onEvent: () => undefined, announce: () => undefined, others: [accessState] };
    const metadata = new MetadataLog(engine, internalLogConfig(config), silent);
    const spaces = new Spaces(engine, metadata, spaceLogConfig(config));
    const definitions = new Definitions(engine, metadata, { spaces, limits: config });
    this.#metadata = metadata;
    this.#access = new Access(accessState, { log: metadata, limits: config, now: () => engine.now() });
    this.#namespaces = new Namespaces(definitions, config);
    this.#topics = new Topics(engine, metadata, config);
    this.#exchanges = new Exchanges(definitions);
    this.#queues = new Queues(definitions);
    this.#schemas = new Schemas(metadata, config);
    this.#schedules = new Schedules({ engine, metadata, spaces, limits: config, logger });
    const [exchanges, queues] = [this.#exchanges, this.#queues];
    this.#transforms = new Transforms({ definitions, exchanges, queues, mailroom, limits: config });
    this.#quotas = new Quotas(engine, metadata, config);
    metadata.catchUp();
  }

  /** @throws ItemFault for the first thing that cannot be had. */
  async run(plan: Plan): Promise<void> {
    for (const section of SECTIONS) {
      const items = plan[section];
      if (items.length === 0) continue;
      const counts = { created: 0, unchanged: 0 };
      this.counts[section] = counts;
      const note = (isNew: boolean): number => (isNew ? (counts.created += 1) : (counts.unchanged += 1));
      if (section === "exchanges") await this.#allExchanges(items, note);
      else if (section === "schemas") await this.#allSchemas(items, note);
      else for (const item of items) note(await this.#one(item, () => this.#import(section, item.fields)));
    }
  }

  async #one<T>({ path }: Item, run: () => Promise<T>): Promise<T> {
    try {
      return await run();
    } catch (error) {
      if (isMillraceError(error) && error.codeName !== "internal") throw new ItemFault(path, error.message);
      throw error;
    }
  }

  /** @returns whether it is new. */
  #import(section: Section, fields: Fields): Promise<boolean> {
    switch (section) {
      case "namespaces":
        return this.#namespace(fields);
      case "roles":
        return this.#role(fields);
      case "users":
        return this.#user(fields);
      case "permissions":
        return this.#permission(fields);
      case "schemaSettings":
        return this.#schemaSetting(fields);
      case "topics":
        return this.#topic(fields);
      case "queues":
        return this.#queue(fields);
      case "bindings":
        return this.#binding(fields);
      case "schedules":
        return this.#schedule(fields);
      case "transforms":
        return this.#transform(fields);
      case "quotas":
        return this.#quota(fields);
      default:
        throw new MillraceError("internal", `${section} is imported as a whole`);
    }
  }

  async #namespace(fields: Fields): Promise<boolean> {
    checkKnown(fields, ["name", "description"]);
    const name = textOf(fields, "name");
    const description = fields["description"] === null ? null : textOf(fields, "description", "") || null;
    const before = this.#metadata.state.namespaces.find(name);
    if (before === undefined) return await this.#namespaces.put(name, description);
    return same(`the namespace "${name}"`, before.description, description);
  }

  async #role(fields: Fields): Promise<boolean> {
    checkKnown(fields, ["name", "description"]);
    const [name, description] = [textOf(fields, "name"), textOf(fields, "description", "")];
    const before = this.#access.state.roles.get(name);
    if (before === undefined) return await this.#access.putRole(name, description);
    return same(`the role "${name}"`, before.description, description);
  }

  async #user(fields: Fields): Promise<boolean> {
    checkKnown(fields, ["name", "roles", "isEnabled", "credentials"]);
    const name = textOf(fields, "name");
    const user = {
      name,
      roles: textsOf(fields["roles"], "roles"),
      isEnabled: flagOf(fields, "isEnabled") ?? true,
      credentials: listOf(fields["credentials"], ["credentials"]).map(credentialOf),
    };
    const before = this.#access.state.users.get(name);
    if (before === undefined) return await this.#access.putUser(user);
    const { createdMs: _, ...known } = before;
    return same(`the user "${name}"`, known, user);
  }

  async #permission(fields: Fields): Promise<boolean> {
    const rule = parseRule(fields, textOf(fields, "id"));
    const before = this.#access.state.rules.get(rule.id);
    if (before === undefined) return await this.#access.putRule(rule);
    return same(`the permission "${rule.id}"`, before, rule);
  }

  async #schemaSetting(fields: Fields): Promise<boolean> {
    checkKnown(fields, ["scope", "compatibility", "normalize", "mode"]);
    const [scope, mode] = [textOf(fields, "scope"), oneOf(fields, "mode", MODES)];
    const compatibility = oneOf(fields, "compatibility", COMPATIBILITIES);
    const normalize = flagOf(fields, "normalize");
    const config = { ...(compatibility && { compatibility }), ...(normalize !== undefined && { normalize }) };
    const state = this.#metadata.state.schemas;
    const [configBefore, modeBefore] = [state.configAt(scope), state.modeAt(scope)];
    const what = `the settings of "${scope}"`;
    if (configBefore !== undefined) same(what, configBefore, config);
    else if (Object.keys(config).length > 0) await this.#schemas.setConfig(scope, config);
    if (modeBefore !== undefined) same(what, modeBefore, mode ?? modeBefore);
    else if (mode !== undefined) await this.#schemas.setMode(scope, mode, true);
    return configBefore === undefined && modeBefore === undefined;
  }

  async #topic(fields: Fields): Promise<boolean> {
    checkKnown(fields, ["namespace", "name", "partitions", "config"]);
    const { namespace, name } = namesOf(fields);
    const [partitions, config] = [Number(fields["partitions"] ?? 1), fieldsOf(fields, "config")];
    const before = this.#metadata.state.topic(namespace, name);
    if (before !== undefined) {
      return same(
        `the topic "${name}"`,
        { partitions: before.partitions, config: before.config },
        { partitions, config },
      );
    }
    return await this.#topics.create(namespace, { name, partitions, config: { ...config }, ifNotExists: false });
  }

  async #queue(fields: Fields): Promise<boolean> {
    checkKnown(fields, ["namespace", "name", "config"]);
    const { namespace, name } = namesOf(fields);
    const config = fieldsOf(fields, "config");
    if (config["exclusive"] === true)
      throw new MillraceError("invalid_config", "an exclusive queue belongs to a connection");
    return await this.#queues.declare(namespace, { name, config, ifNotExists: true, owner: NO_OWNER });
  }

  async #binding(fields: Fields): Promise<boolean> {
    checkKnown(fields, ["namespace", "exchange", ...TARGETS, "key", "match", "headers", "where"]);
    const namespace = textOf(fields, "namespace", NAMESPACE_DEFAULT);
    const [kind, ...more] = TARGETS.filter((target) => fields[target] !== undefined);
    if (kind === undefined || more.length > 0) {
      throw new MillraceError("invalid_argument", "a binding leads to one of queue, topic and to (an exchange)");
    }
    const target = { kind: kind === "to" ? ("exchange" as const) : kind, name: textOf(fields, kind) };
    return await this.#exchanges.bind(namespace, { exchange: textOf(fields, "exchange"), target, fields });
  }

  async #schedule(fields: Fields): Promise<boolean> {
    checkKnown(fields, ["namespace", "name", "cron", "timezone", "exchange", "key", "value", "headers", "missed"]);
    const { namespace, name } = namesOf(fields);
    const schedule = {
      name,
      cron: textOf(fields, "cron"),
      timezone: fields["timezone"] === null ? null : textOf(fields, "timezone", "") || null,
      exchange: textOf(fields, "exchange", ""),
      key: textOf(fields, "key", ""),
      value: bytesOf(fields["value"], "value"),
      headers: fields["headers"] === undefined || fields["headers"] === null ? null : fieldsOf(fields, "headers"),
      missed: oneOf(fields, "missed", ["once", "skip"]) ?? "once",
    };
    const before = this.#metadata.state.schedules.find(scheduleKey(namespace, name))?.schedule;
    if (before !== undefined) {
      // Of the value counts what a file says of it: a text and its bytes are alike.
      const known = Object.entries(schedule).map(([key]) => [key, before[key as keyof typeof before] ?? null]);
      const value = contentOf(before.value);
      const wanted = { ...schedule, value: contentOf(schedule.value) };
      return same(`the schedule "${name}"`, { ...Object.fromEntries(known), value }, wanted);
    }
    await this.#schedules.put(namespace, schedule);
    return true;
  }

  async #transform(fields: Fields): Promise<boolean> {
    checkKnown(fields, ["namespace", "name", "definition"]);
    const { namespace, name } = namesOf(fields);
    const { definition } = fields;
    return (await this.#transforms.put(namespace, { name, definition, replace: false })).created;
  }

  async #quota(fields: Fields): Promise<boolean> {
    checkKnown(fields, ["kind", "name", "burstMs", ...QUOTA_LIMITS]);
    const kind = QUOTA_KINDS.find((each) => each === fields["kind"]);
    if (kind === undefined)
      throw new MillraceError("invalid_argument", `kind must be one of ${QUOTA_KINDS.join(", ")}`);
    const limits = Object.fromEntries(QUOTA_LIMITS.map((limit) => [limit, countOf(fields, limit)]));
    const burstMs = countOf(fields, "burstMs") ?? BURST_MS_DEFAULT;
    const quota = { kind, name: textOf(fields, "name"), ...limits, burstMs } as Quota;
    const before = this.#metadata.state.quotas.find(quota);
    if (before !== undefined) return same(`the quota of the ${kind} "${quota.name}"`, before, quota);
    await this.#quotas.put(quota);
    return true;
  }

  /** An alternate has to be there first, so they are made in rounds. */
  async #allExchanges(items: readonly Item[], note: (isNew: boolean) => void): Promise<void> {
    let waiting = [...items];
    while (waiting.length > 0) {
      const names = new Set(waiting.map(({ fields }) => keyOf(fields)));
      const ready = waiting.filter(({ fields }) => !names.has(keyOf({ ...fields, name: alternateOf(fields) })));
      const [first] = waiting;
      if (ready.length === 0 && first !== undefined) throw new ItemFault(first.path, "alternates that form a cycle");
      for (const item of ready) note(await this.#one(item, () => this.#exchange(item.fields)));
      const done = new Set(ready);
      waiting = waiting.filter((item) => !done.has(item));
    }
  }

  async #exchange(fields: Fields): Promise<boolean> {
    checkKnown(fields, ["namespace", "name", "type", "config"]);
    const { namespace, name } = namesOf(fields);
    const [type, config] = [textOf(fields, "type"), fieldsOf(fields, "config")];
    return await this.#exchanges.declare(namespace, { name, type, config, ifNotExists: true });
  }

  /** With their ids, which stand in stored records: for that the registry is in the mode IMPORT meanwhile. */
  async #allSchemas(items: readonly Item[], note: (isNew: boolean) => void): Promise<void> {
    const before = this.#metadata.state.schemas.modeAt(GLOBAL);
    await this.#schemas.setMode(GLOBAL, "IMPORT", true);
    for (const item of items) note(await this.#one(item, () => this.#schema(item.fields)));
    if (before === undefined) await this.#schemas.unsetMode(GLOBAL);
    else await this.#schemas.setMode(GLOBAL, before, true);
  }

  async #schema(fields: Fields): Promise<boolean> {
    checkKnown(fields, ["subject", "version", "id", "schemaType", "schema", "references"]);
    const subject = textOf(fields, "subject");
    const [id, version] = [countOf(fields, "id") ?? undefined, countOf(fields, "version") ?? undefined];
    const isThere = this.#metadata.state.schemas.liveVersions(subject).some((each) => each.version === version);
    const schemaType = schemaTypeOf(textOf(fields, "schemaType", "AVRO"));
    const references = listOf(fields["references"], ["references"]).map(referenceOf);
    await this.#schemas.register(
      { subject, schemaType, schema: textOf(fields, "schema"), references },
      { id, version },
    );
    return !isThere;
  }
}

function namesOf(fields: Fields): { namespace: string; name: string } {
  return { namespace: textOf(fields, "namespace", NAMESPACE_DEFAULT), name: textOf(fields, "name") };
}

function keyOf({ namespace, name }: Fields): string {
  return `${String(namespace ?? NAMESPACE_DEFAULT)} ${String(name)}`;
}

function alternateOf(fields: Fields): unknown {
  return fieldsOf(fields, "config")["alternate"];
}

/** What is there and alike is fine; what is there and is another is not touched. */
function same(what: string, before: unknown, wanted: unknown): false {
  if (Bun.deepEquals(before, wanted)) return false;
  throw new MillraceError("argument_mismatch", `${what} is there, and is another`);
}

function countOf(fields: Fields, name: string): number | null {
  const value = fields[name] ?? null;
  if (value === null || (Number.isSafeInteger(value) && Number(value) >= 0)) return value as number | null;
  throw new MillraceError("invalid_argument", `${name} must be a whole number`);
}

/** What a user's password is known by: checked as a log-in would find it. */
function credentialOf(value: unknown): Credential {
  const fields = isFields(value) ? value : {};
  checkKnown(fields, ["mechanism", "salt", "iterations", "storedKey", "serverKey"]);
  const mechanism = SCRAM_MECHANISMS.find((each) => each === fields["mechanism"]);
  if (mechanism === undefined) {
    throw new MillraceError("invalid_argument", `a credential's mechanism is one of ${SCRAM_MECHANISMS.join(", ")}`);
  }
  const iterations = countOf(fields, "iterations") ?? 0;
  if (iterations < SCRAM_ITERATIONS_MIN || iterations > SCRAM_ITERATIONS_MAX) {
    const range = `from ${SCRAM_ITERATIONS_MIN} to ${SCRAM_ITERATIONS_MAX}`;
    throw new MillraceError("invalid_argument", `a credential's iterations are a whole number ${range}`);
  }
  const bytes = KEY_BYTES[mechanism];
  const [storedKey, serverKey] = [keyText(fields, "storedKey", bytes), keyText(fields, "serverKey", bytes)];
  return { mechanism, salt: textOf(fields, "salt"), iterations, storedKey, serverKey };
}

function keyText(fields: Fields, name: string, bytes: number): string {
  const text = textOf(fields, name);
  if (Buffer.from(text, "base64").length === bytes) return text;
  throw new MillraceError("invalid_argument", `a credential's ${name} is base64 of ${bytes} bytes`);
}

/** @returns undefined where the field is not there. */
function flagOf(fields: Fields, name: string): boolean | undefined {
  const value = fields[name] ?? undefined;
  if (value === undefined || typeof value === "boolean") return value;
  throw new MillraceError("invalid_argument", `${name} must be true or false`);
}

/** @returns undefined where the field is not there. */
function oneOf<const T extends string>(fields: Fields, name: string, choices: readonly T[]): T | undefined {
  const value = fields[name] ?? undefined;
  const found = choices.find((choice) => choice === value);
  if (value === undefined || found !== undefined) return found;
  throw new MillraceError("invalid_argument", `${name} must be one of ${choices.join(", ")}`);
}

function referenceOf(value: unknown): Reference {
  const fields = isFields(value) ? value : {};
  checkKnown(fields, ["name", "subject", "version"]);
  return { name: textOf(fields, "name"), subject: textOf(fields, "subject"), version: countOf(fields, "version") ?? 0 };
}

function textsOf(value: unknown, name: string): string[] {
  const list = listOf(value, [name]);
  if (list.every((each) => typeof each === "string")) return [...list] as string[];
  throw new MillraceError("invalid_argument", `${name} must be an array of strings`);
}
