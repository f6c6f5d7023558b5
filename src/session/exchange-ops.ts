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
import { type AnyOperation, define } from "./operation.ts";
import { exchangeResource, namespaceResource, queueResource, topicResource } from "./resources.ts";
import type { Session } from "./session.ts";

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
  resources: ({ name }, session) => [exchangeResource(session, name)],
  async run(session, request) {
    const created = await session.services.exchanges.declare(session.namespace, request);
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
  resources: ({ name }, session) => [exchangeResource(session, name)],
  async run(session, { name, ifUnused }) {
    await session.services.exchanges.delete(session.namespace, name, ifUnused);
    return {};
  },
});

const list = define({
  op: Op.EXCHANGE_LIST,
  permission: "exchange.list",
  parse: () => null,
  resources: (_, session) => [namespaceResource(session)],
  run: (session) => ({ exchanges: session.services.exchanges.list(session.namespace) }),
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

function bindingResources({ exchange, target }: BindingRequest, session: Session): Resource[] {
  const at = { queue: queueResource, topic: topicResource, exchange: exchangeResource }[target.kind];
  return [exchangeResource(session, exchange), at(session, target.name)];
}

const bind = define({
  op: Op.BIND,
  permission: "exchange.bind",
  parse: parseBinding,
  resources: bindingResources,
  async run(session, request) {
    return { created: await session.services.exchanges.bind(session.namespace, request) };
  },
});

const unbind = define({
  op: Op.UNBIND,
  permission: "exchange.bind",
  parse: parseBinding,
  resources: bindingResources,
  async run(session, request) {
    await session.services.exchanges.unbind(session.namespace, request);
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
  resources: (_, session) => [namespaceResource(session)],
  run: (session, request) => session.services.exchanges.bindings(session.namespace, request),
});

export const exchangeOps: readonly AnyOperation[] = [declare, remove, list, bind, unbind, bindings];
