/**
 * Queues. Settlements and windows (SETTLE, PREFETCH) never come here: the core takes them in.
 *
 *     76 QUEUE_ALTER     [76, corr, {name, config: {}}] -> {name, config}: a merge patch; nil takes a key back to its default
 *     77 QUEUE_SESSION   [77, corr, {name, session: str, state?: bin|str, remove?: bool}] -> {state: bin|nil}: reads without the last two
 *     80 QUEUE_DECLARE   [80, corr, {name, config?: {}, ifNotExists?: true}] -> {created: bool, name, config}
 *     81 QUEUE_DELETE    [81, corr, {name, ifEmpty?, ifUnused?}] -> {}
 *     82 QUEUE_DESCRIBE  [82, corr, {name}] -> {name, config, createdMs, counts}
 *     83 QUEUE_LIST      [83, corr, {pattern?, limit?, after?}] -> {queues: [{name, counts}], next: str|nil}
 *     84 QUEUE_PURGE     [84, corr, {name}] -> {purged}
 *     85 QUEUE_PEEK      [85, corr, {name, from?, max?: 10}] -> {messages: [{number, state, deliveries, ...}]}
 *     86 QUEUE_GET       [86, corr, sub, {name, max?: 1, leaseMs?}] -> {}: a subscription with a window of `max`; OK comes behind what was there
 *     87 QUEUE_REDRIVE   [87, corr, {name, to?, key?, where?, max?, dryRun?, edit?: {key?, value?, headers?}}]
 *                        -> {matched, moved, more, messages?}: at most 100,000 at once, 4 MiB where they are edited
 *     88 QUEUE_SCHEDULED [88, corr, {name, max?: 100, after?: [dueMs, number]}] -> {messages: [as PEEK, with dueMs]};  {name, cancel: [int]} -> {cancelled}
 *     89 QUEUE_TAKE      [89, corr, {name, sub, numbers: [int]}] -> {taken}
 */
import { Op } from "../protocol/index.ts";
import { MillraceError } from "../errors/index.ts";
import { INBOX_PREFIX } from "../security/index.ts";
import {
  asBoolean,
  asHandle,
  asInteger,
  asList,
  asText,
  type Fields,
  fieldsAt,
  invalid,
  isMap,
  optional,
} from "./arguments.ts";
import { asSettings } from "./exchange-ops.ts";
import { type AnyOperation, define, defineConnected } from "./operation.ts";
import { subscribeToQueue } from "./queue-subscription.ts";
import { namespaceResource, queueResource } from "./resources.ts";
import { deadLetterTouches, publishTouches, unlessOwnInbox } from "./touches.ts";

const PEEK = 10;
const PEEK_MAX = 1_000;
const SCHEDULED = 100;
const NUMBERS_MAX = 10_000;
const LEASE_MS_MAX = 100 * 366 * 86_400_000;

function named(args: readonly unknown[]): { name: string } {
  return { name: asText(fieldsAt(args, 0)["name"], "name") };
}

function countFrom(fields: Fields, field: string, otherwise: number, max: number): number {
  return optional(fields[field], field, (value, name) => asInteger(value, name, 1, max)) ?? otherwise;
}

const declare = define({
  op: Op.QUEUE_DECLARE,
  parse(args) {
    const fields = fieldsAt(args, 0);
    return {
      name: asText(fields["name"], "name"),
      config: optional(fields["config"], "config", asSettings) ?? {},
      ifNotExists: optional(fields["ifNotExists"], "ifNotExists", asBoolean) ?? true,
    };
  },
  permission: ({ name, config }) =>
    name.startsWith(INBOX_PREFIX) && config["exclusive"] === true ? "inbox.use" : "queue.declare",
  resources: ({ name }, caller) => [queueResource(caller, name)],
  also: ({ name, config }, caller) => deadLetterTouches(caller, name, config),
  async run(caller, request) {
    const { queues, queueLife } = caller.services;
    const { namespace, owner, session } = caller;
    const createdBy = caller.principal.name;
    if (session === undefined && request.config["exclusive"] === true) {
      throw invalid("config.exclusive", "false without a connection, which the queue would belong to");
    }
    const created = await queues.declare(namespace, { ...request, owner, createdBy });
    const { queue } = queues.require(namespace, request.name, owner);
    if (queue.owner !== null) session?.ownQueues.add(queue.id);
    // The connection may have gone meanwhile, and then nobody removes its queue for it.
    if (queue.owner !== null && session?.isClosed === true) await queueLife.connectionClosed([queue.id]);
    const { config, revision } = queues.describe(namespace, request.name);
    return { created, name: request.name, config, revision };
  },
});

const alter = define({
  op: Op.QUEUE_ALTER,
  permission: "queue.alter",
  parse(args) {
    const fields = fieldsAt(args, 0);
    return {
      name: asText(fields["name"], "name"),
      config: asSettings(fields["config"], "config"),
      revision: optional(fields["revision"], "revision", asText),
    };
  },
  resources: ({ name }, caller) => [queueResource(caller, name)],
  also({ name, config }, caller) {
    const { deadLetter } = config;
    if (!isMap(deadLetter)) return [];
    // A part of it may be changed: what counts is what comes of it.
    const { config: before } = caller.services.queues.describe(caller.namespace, name);
    return deadLetterTouches(caller, name, { deadLetter: { ...before.deadLetter, ...deadLetter } });
  },
  async run(caller, { name, config: change, revision: wanted }) {
    const { namespace, owner, services } = caller;
    await services.queues.alter(namespace, name, change, { owner, revision: wanted });
    services.turnSoon();
    const { config, revision } = services.queues.describe(namespace, name);
    return { name, config, revision };
  },
});

const sessionState = define({
  op: Op.QUEUE_SESSION,
  permission: "queue.consume",
  parse(args) {
    const fields = fieldsAt(args, 0);
    const remove = optional(fields["remove"], "remove", asBoolean) === true;
    const state = optional(fields["state"], "state", asContent);
    return {
      name: asText(fields["name"], "name"),
      group: asText(fields["session"], "session"),
      state: state ?? (remove ? null : undefined),
    };
  },
  resources: ({ name }, caller) => [queueResource(caller, name)],
  run(caller, { name, group, state }) {
    const { namespace, owner, services } = caller;
    return { state: services.queues.session(namespace, name, group, state, owner) };
  },
});

const remove = define({
  op: Op.QUEUE_DELETE,
  parse(args) {
    const fields = fieldsAt(args, 0);
    return {
      name: asText(fields["name"], "name"),
      ifEmpty: optional(fields["ifEmpty"], "ifEmpty", asBoolean) ?? false,
      ifUnused: optional(fields["ifUnused"], "ifUnused", asBoolean) ?? false,
      revision: optional(fields["revision"], "revision", asText),
    };
  },
  permission: ({ name }, caller) => unlessOwnInbox(caller, name, "queue.delete"),
  resources: ({ name }, caller) => [queueResource(caller, name)],
  async run(caller, { name, ...options }) {
    await caller.services.queues.delete(caller.namespace, name, { ...options, owner: caller.owner });
    return {};
  },
});

const describe = define({
  op: Op.QUEUE_DESCRIBE,
  permission: "queue.describe",
  parse: named,
  resources: ({ name }, caller) => [queueResource(caller, name)],
  run: (caller, { name }) => caller.services.queues.describe(caller.namespace, name),
});

const list = define({
  op: Op.QUEUE_LIST,
  permission: "queue.list",
  parse(args) {
    const fields = fieldsAt(args, 0);
    return {
      pattern: optional(fields["pattern"], "pattern", asText),
      limit: optional(fields["limit"], "limit", (value, field) => asInteger(value, field, 1)),
      after: optional(fields["after"], "after", asText),
    };
  },
  resources: (_, caller) => [namespaceResource(caller)],
  run(caller, request) {
    const isShown = (name: string): boolean => caller.isAllowed("queue.describe", queueResource(caller, name));
    return caller.services.queues.list(caller.namespace, { ...request, isShown });
  },
});

const purge = define({
  op: Op.QUEUE_PURGE,
  permission: "queue.purge",
  parse: named,
  resources: ({ name }, caller) => [queueResource(caller, name)],
  run: (caller, { name }) => ({ purged: caller.services.queues.purge(caller.namespace, name, caller.owner) }),
});

const peek = define({
  op: Op.QUEUE_PEEK,
  permission: "queue.peek",
  parse(args) {
    const fields = fieldsAt(args, 0);
    return {
      name: asText(fields["name"], "name"),
      from: optional(fields["from"], "from", (value, field) => asInteger(value, field)),
      max: countFrom(fields, "max", PEEK, PEEK_MAX),
    };
  },
  resources: ({ name }, caller) => [queueResource(caller, name)],
  run: (caller, { name, from, max }) => ({
    messages: caller.services.queues.peek(caller.namespace, name, from, max),
  }),
});

const get = defineConnected({
  op: Op.QUEUE_GET,
  parse(args, session) {
    const fields = fieldsAt(args, 1);
    return {
      sub: asHandle(args[0], "sub"),
      name: asText(fields["name"], "name"),
      prefetch: countFrom(fields, "max", 1, session.services.limits.prefetchMax),
      leaseMs: optional(fields["leaseMs"], "leaseMs", (value, field) => asInteger(value, field, 1, LEASE_MS_MAX)) ?? 0,
    };
  },
  permission: ({ name }, caller) => unlessOwnInbox(caller, name, "queue.consume"),
  resources: ({ name }, session) => [queueResource(session, name)],
  async run(session, { sub, name, prefetch, leaseMs }) {
    subscribeToQueue(session, { sub, queue: name, prefetch, leaseMs, priority: 0, isExclusive: false });
    // The turn that delivers what is there runs before this, so OK says that there is no more now.
    await new Promise((resolve) => setImmediate(resolve));
    return {};
  },
});

const EDIT_HEADERS_MAX = 256;

/** What the core stores again. A header that is nil is removed. */
function asEdit(value: unknown, field: string): Fields {
  if (!isMap(value)) throw invalid(field, "a map of key, value, headers");
  const edit: Record<string, unknown> = {};
  for (const [name, part] of Object.entries(value)) {
    if (part === null || part === undefined) continue;
    if (name === "headers") edit[name] = asHeaders(part, `${field}.${name}`);
    else if (name === "key" || name === "value") edit[name] = asContent(part, `${field}.${name}`);
    else throw invalid(`${field}.${name}`, "one of key, value, headers");
  }
  return edit;
}

function asContent(value: unknown, field: string): string | Uint8Array {
  if (typeof value === "string" || value instanceof Uint8Array) return value;
  throw invalid(field, "text or bytes");
}

function asHeaders(value: unknown, field: string): Fields {
  if (!isMap(value)) throw invalid(field, "a map");
  const entries = Object.entries(value);
  if (entries.length > EDIT_HEADERS_MAX) throw invalid(field, `at most ${EDIT_HEADERS_MAX} headers`);
  for (const [name, header] of entries) {
    const isScalar = header === null || header instanceof Uint8Array || typeof header !== "object";
    if (!isScalar) throw invalid(`${field}.${name}`, "nil, true, false, a number, text or bytes");
  }
  return value;
}

type RedriveRequest = Fields & { readonly to?: string; readonly key?: string };

const redrive = define({
  op: Op.QUEUE_REDRIVE,
  permission: "queue.redrive",
  parse(args) {
    const fields = fieldsAt(args, 0);
    const options = {
      to: optional(fields["to"], "to", asText),
      key: optional(fields["key"], "key", asText),
      where: optional(fields["where"], "where", asText),
      max: optional(fields["max"], "max", (value, field) => asInteger(value, field, 1)),
      dryRun: optional(fields["dryRun"], "dryRun", asBoolean),
      edit: optional(fields["edit"], "edit", asEdit),
    };
    const given = Object.entries(options).filter(([, value]) => value !== undefined);
    return { name: asText(fields["name"], "name"), options: Object.fromEntries(given) as RedriveRequest };
  },
  resources: ({ name }, caller) => [queueResource(caller, name)],
  also: ({ options: { to = "", key } }, caller) => publishTouches(caller, to, key),
  run(caller, { name, options }) {
    const { namespace, principal, owner, services } = caller;
    // Without a key that is known now, each message goes to a queue of its own.
    const keys = (options.to ?? "") === "" ? services.authorizer.keysOf(principal, namespace) : undefined;
    const allowed = keys === undefined ? {} : { keys };
    return services.queues.redrive(namespace, name, { ...options, ...allowed, owner });
  },
});

function asNumbers(value: unknown, field: string): number[] {
  return asList(value, field, NUMBERS_MAX, (item, name) => asInteger(item, name));
}

/** The last message of the page before: its time and its number. */
function asPlace(value: unknown, field: string): [dueMs: number, number: number] {
  const [dueMs, number] = asNumbers(value, field);
  if (dueMs === undefined || number === undefined) throw invalid(field, "[dueMs, number]");
  return [dueMs, number];
}

const scheduled = define({
  op: Op.QUEUE_SCHEDULED,
  parse(args) {
    const fields = fieldsAt(args, 0);
    return {
      name: asText(fields["name"], "name"),
      max: countFrom(fields, "max", SCHEDULED, PEEK_MAX),
      after: optional(fields["after"], "after", asPlace),
      cancel: optional(fields["cancel"], "cancel", asNumbers),
    };
  },
  permission: ({ cancel }) => (cancel === undefined ? "queue.peek" : "queue.purge"),
  resources: ({ name }, caller) => [queueResource(caller, name)],
  run(caller, { name, max, after, cancel }) {
    const { namespace, owner, services } = caller;
    if (cancel === undefined) return { messages: services.queues.scheduled(namespace, name, after, max) };
    return { cancelled: services.queues.cancel(namespace, name, cancel, owner) };
  },
});

const take = defineConnected({
  op: Op.QUEUE_TAKE,
  permission: "queue.consume",
  parse(args) {
    const fields = fieldsAt(args, 0);
    return {
      name: asText(fields["name"], "name"),
      sub: asHandle(fields["sub"], "sub"),
      numbers: asNumbers(fields["numbers"], "numbers"),
    };
  },
  resources: ({ name }, session) => [queueResource(session, name)],
  run(session, { name, sub, numbers }) {
    if (!session.subscriptions.has(sub))
      throw new MillraceError("subscription_not_found", `there is no subscription ${sub}`);
    if (numbers.length === 0) throw invalid("numbers", "at least one");
    const { connectionId, namespace, owner, services } = session;
    const taken = services.queues.take(namespace, name, { connectionId, sub, numbers, owner });
    services.turnSoon();
    return { taken };
  },
});

export const queueOps: readonly AnyOperation[] = [
  declare,
  alter,
  sessionState,
  remove,
  describe,
  list,
  purge,
  peek,
  get,
  redrive,
  scheduled,
  take,
];
