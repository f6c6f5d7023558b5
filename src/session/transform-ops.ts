/**
 * Transforms. A definition is a map; src/schema/transform/README.md says what is in it.
 *
 *     110 TRANSFORM_PUT    [110, corr, {name, definition: {}, replace?: false}] -> {created: bool, changed: bool}
 *     111 TRANSFORM_DELETE [111, corr, {name}] -> {}
 *     112 TRANSFORM_LIST   [112, corr, {}] -> {transforms: [{name, definition, createdMs, changedMs, state, reason, counters, lastError, workers}]}
 *     113 TRANSFORM_TRY    [113, corr, {name? | definition?: {}, messages: [{value: bin|str|nil, key?: bin|str|nil, headers?: {}}]}] -> {messages: [{from, value, key, headers, to}], errors: [{from, reason}]}
 */
import { namedBy, parseDefinition, type Place } from "../broker/index.ts";
import { Op } from "../protocol/index.ts";
import { asBoolean, asList, asText, type Fields, fieldsAt, invalid, isMap, optional } from "./arguments.ts";
import { type AnyOperation, define } from "./operation.ts";
import { namespaceResource, transformResource } from "./resources.ts";
import { readTouches, sourceTouches, targetTouches } from "./touches.ts";

const TRIAL_MESSAGES_MAX = 1_000;
const encoder = new TextEncoder();

const put = define({
  op: Op.TRANSFORM_PUT,
  permission: "transform.put",
  parse(args) {
    const fields = fieldsAt(args, 0);
    return {
      name: asText(fields["name"], "name"),
      definition: fields["definition"],
      replace: optional(fields["replace"], "replace", asBoolean) ?? false,
    };
  },
  resources: ({ name }, caller) => [transformResource(caller, name)],
  also({ definition: value }, caller) {
    const definition = parseDefinition(value);
    const { targets, subjects } = namedBy(definition);
    return [
      ...sourceTouches(caller, definition.from as Place),
      ...targets.flatMap((target) => targetTouches(caller, target)),
      ...readTouches(caller, subjects),
    ];
  },
  run: (caller, request) => caller.services.transforms.put(caller.namespace, request),
});

const remove = define({
  op: Op.TRANSFORM_DELETE,
  permission: "transform.delete",
  parse: (args) => ({ name: asText(fieldsAt(args, 0)["name"], "name") }),
  resources: ({ name }, caller) => [transformResource(caller, name)],
  async run(caller, { name }) {
    await caller.services.transforms.delete(caller.namespace, name);
    return {};
  },
});

const list = define({
  op: Op.TRANSFORM_LIST,
  permission: "transform.list",
  parse: () => null,
  resources: (_, caller) => [namespaceResource(caller)],
  async run(caller) {
    const found = await caller.services.transforms.list(caller.namespace);
    const isShown = (name: string): boolean => caller.isAllowed("transform.describe", transformResource(caller, name));
    return { transforms: found.filter(({ name }) => isShown(name)) };
  },
});

/** A value or a key: text becomes bytes, as a publish has it. */
function asContent(value: unknown, field: string): Uint8Array | null {
  if (value === undefined || value === null) return null;
  if (typeof value === "string") return encoder.encode(value);
  // The frame's bytes are used again.
  if (value instanceof Uint8Array) return value.slice();
  throw invalid(field, "text, bytes or nil");
}

function asMessage(value: unknown, field: string): { value: Uint8Array | null; key: unknown; headers: Fields } {
  if (!isMap(value)) throw invalid(field, "a map");
  const { key } = value as { key?: unknown };
  const headers = value["headers"] ?? {};
  if (!isMap(headers)) throw invalid(`${field}.headers`, "a map");
  return {
    value: asContent(value["value"], `${field}.value`),
    key: typeof key === "string" ? key : asContent(key, `${field}.key`),
    headers,
  };
}

const attempt = define({
  op: Op.TRANSFORM_TRY,
  permission: "transform.try",
  parse(args) {
    const fields = fieldsAt(args, 0);
    return {
      name: optional(fields["name"], "name", asText),
      definition: fields["definition"] ?? undefined,
      messages: asList(fields["messages"], "messages", TRIAL_MESSAGES_MAX, asMessage),
    };
  },
  resources: ({ name }, caller) => [transformResource(caller, name ?? "")],
  run: (caller, request) => caller.services.transforms.try(caller.namespace, request),
});

export const transformOps: readonly AnyOperation[] = [put, remove, list, attempt];
