/**
 * Exchanges and bindings.
 *
 *     70 EXCHANGE_DECLARE [70, corr, {name, type, config?: {alternate?, hashHeader?, internal?}, ifNotExists?: true}] -> {created: bool, name}
 *     71 EXCHANGE_DELETE  [71, corr, {name, ifUnused?: false}] -> {}
 *     72 EXCHANGE_LIST    [72, corr, {}] -> {exchanges: [{name, type, config, bindings, createdMs}]}
 *     73 BIND             [73, corr, {exchange, queue | topic | to, key?, match?, headers?, where?}] -> {created: bool}
 *     74 UNBIND           [74, corr, as BIND] -> {}
 *     75 BINDING_LIST     [75, corr, {exchange?, queue?, after?: int}] -> {bindings: [as BIND], next: int|nil}
 */
import type { BindingRequest, BindingRow } from "../broker/index.ts";
import { Op } from "../protocol/index.ts";
import type { Resource } from "../security/index.ts";
import { asBoolean, asInteger, asText, type Fields, fieldsAt, invalid, isMap, optional } from "./arguments.ts";
import type { Caller } from "./caller.ts";
import { type AnyOperation, define } from "./operation.ts";
import { exchangeResource, namespaceResource, queueResource, topicResource } from "./resources.ts";
import { alternateTouches, publishTouches, type Touch } from "./touches.ts";

export function asSettings(value: unknown, field: string): Fields {
  if (isMap(value)) return value;
  throw invalid(field, "a map of settings");
}

const declare = define({
  op: Op.EXCHANGE_DECLARE,
  permission: "exchange.declare",
  parse(args) {
    const fields = fieldsAt(args, 0);
    return {
      name: asText(fields["name"], "name"),
      type: asText(fields["type"], "type"),
      config: optional(fields["config"], "config", asSettings) ?? {},
      ifNotExists: optional(fields["ifNotExists"], "ifNotExists", asBoolean) ?? true,
    };
  },
  resources: ({ name }, caller) => [exchangeResource(caller, name)],
  also: ({ name, config }, caller) => alternateTouches(caller, name, config),
  async run(caller, request) {
    const created = await caller.services.exchanges.declare(caller.namespace, request);
    return { created, name: request.name };
  },
});

const remove = define({
  op: Op.EXCHANGE_DELETE,
  permission: "exchange.delete",
  parse(args) {
    const fields = fieldsAt(args, 0);
    return {
      name: asText(fields["name"], "name"),
      ifUnused: optional(fields["ifUnused"], "ifUnused", asBoolean) ?? false,
    };
  },
  resources: ({ name }, caller) => [exchangeResource(caller, name)],
  async run(caller, { name, ifUnused }) {
    await caller.services.exchanges.delete(caller.namespace, name, ifUnused);
    return {};
  },
});

const list = define({
  op: Op.EXCHANGE_LIST,
  permission: "exchange.list",
  parse: () => null,
  resources: (_, caller) => [namespaceResource(caller)],
  run: (caller) => ({
    exchanges: caller.services.exchanges
      .list(caller.namespace)
      .filter(({ name }) => caller.isAllowed("exchange.describe", exchangeResource(caller, name))),
  }),
});

function parseBinding(args: readonly unknown[]): BindingRequest {
  const fields = fieldsAt(args, 0);
  const given = (["queue", "topic", "to"] as const).filter(
    (field) => fields[field] !== undefined && fields[field] !== null,
  );
  const [field] = given;
  if (field === undefined || given.length !== 1) throw invalid("binding", 'to one of "queue", "topic" and "to"');
  return {
    exchange: asText(fields["exchange"], "exchange"),
    target: { kind: field === "to" ? "exchange" : field, name: asText(fields[field], field) },
    fields,
  };
}

function bindingResources({ exchange }: BindingRequest, caller: Caller): Resource[] {
  return [exchangeResource(caller, exchange)];
}

function bindingTouches({ target }: BindingRequest, caller: Caller): Touch[] {
  // What comes to the default exchange goes on to whatever queue its key names.
  if (target.kind === "exchange" && target.name === "") return publishTouches(caller, "", "");
  const at = { queue: queueResource, topic: topicResource, exchange: exchangeResource }[target.kind];
  return [{ permission: "exchange.bindTo", resource: at(caller, target.name) }];
}

/** Whether the caller may know of both ends of a binding. */
function isShown(caller: Caller, { exchange, queue, topic, to }: BindingRow): boolean {
  if (!caller.isAllowed("exchange.describe", exchangeResource(caller, exchange))) return false;
  if (typeof queue === "string") return caller.isAllowed("queue.describe", queueResource(caller, queue));
  if (typeof topic === "string") return caller.isAllowed("topic.describe", topicResource(caller, topic));
  return caller.isAllowed("exchange.describe", exchangeResource(caller, String(to)));
}

const bind = define({
  op: Op.BIND,
  permission: "exchange.bind",
  parse: parseBinding,
  resources: bindingResources,
  also: bindingTouches,
  async run(caller, request) {
    return { created: await caller.services.exchanges.bind(caller.namespace, request) };
  },
});

const unbind = define({
  op: Op.UNBIND,
  permission: "exchange.bind",
  parse: parseBinding,
  resources: bindingResources,
  also: bindingTouches,
  async run(caller, request) {
    await caller.services.exchanges.unbind(caller.namespace, request);
    return {};
  },
});

const bindings = define({
  op: Op.BINDING_LIST,
  permission: "exchange.list",
  parse(args) {
    const fields = fieldsAt(args, 0);
    return {
      exchange: optional(fields["exchange"], "exchange", asText),
      queue: optional(fields["queue"], "queue", asText),
      after: optional(fields["after"], "after", (value, field) => asInteger(value, field)) ?? 0,
    };
  },
  resources: (_, caller) => [namespaceResource(caller)],
  run(caller, request) {
    const { bindings, next } = caller.services.exchanges.bindings(caller.namespace, request);
    return { bindings: bindings.filter((binding) => isShown(caller, binding)), next };
  },
});

export const exchangeOps: readonly AnyOperation[] = [declare, remove, list, bind, unbind, bindings];
