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
import type { BindingRequest } from "../broker/index.ts";
import { Op } from "../protocol/index.ts";
import type { Resource } from "../security/index.ts";
import { asBoolean, asInteger, asText, type Fields, fieldsAt, invalid, isMap, optional } from "./arguments.ts";
import type { Caller } from "./caller.ts";
import { type AnyOperation, define } from "./operation.ts";
import { exchangeResource, namespaceResource, queueResource, topicResource } from "./resources.ts";

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
  run: (caller) => ({ exchanges: caller.services.exchanges.list(caller.namespace) }),
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

function bindingResources({ exchange, target }: BindingRequest, caller: Caller): Resource[] {
  const at = { queue: queueResource, topic: topicResource, exchange: exchangeResource }[target.kind];
  return [exchangeResource(caller, exchange), at(caller, target.name)];
}

const bind = define({
  op: Op.BIND,
  permission: "exchange.bind",
  parse: parseBinding,
  resources: bindingResources,
  async run(caller, request) {
    return { created: await caller.services.exchanges.bind(caller.namespace, request) };
  },
});

const unbind = define({
  op: Op.UNBIND,
  permission: "exchange.bind",
  parse: parseBinding,
  resources: bindingResources,
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
  run: (caller, request) => caller.services.exchanges.bindings(caller.namespace, request),
});

export const exchangeOps: readonly AnyOperation[] = [declare, remove, list, bind, unbind, bindings];
