/**
 * Namespaces.
 *
 *     140 NAMESPACE_PUT    [140, corr, {name, description?}] -> {created: bool}
 *     141 NAMESPACE_DELETE [141, corr, {name, force?: bool}] -> {}
 *     142 NAMESPACE_LIST   [142, corr, {after?, limit?}] -> {namespaces: [{name, description: str|nil, createdMs: int|nil,
 *                          topics, exchanges, queues, schedules, transforms, subjects, storageBytes}], next: str|nil}
 */
import { DESCRIPTION_LENGTH_MAX } from "../broker/index.ts";
import { Op } from "../protocol/index.ts";
import { asBoolean, asInteger, asText, fieldsAt, invalid, optional } from "./arguments.ts";
import { type AnyOperation, define } from "./operation.ts";
import { brokerResource, namespaceResource } from "./resources.ts";

const LIST_LIMIT = 1_000;

function asDescription(value: unknown, field: string): string {
  const text = asText(value, field);
  if (text.length > DESCRIPTION_LENGTH_MAX) throw invalid(field, `at most ${DESCRIPTION_LENGTH_MAX} characters`);
  return text;
}

export const namespaceOps: readonly AnyOperation[] = [
  define({
    op: Op.NAMESPACE_PUT,
    permission: "namespace.change",
    parse(args) {
      const fields = fieldsAt(args, 0);
      return {
        name: asText(fields["name"], "name"),
        description: optional(fields["description"], "description", asDescription) ?? null,
      };
    },
    resources: () => [brokerResource],
    about: ({ name }) => `namespace ${name}`,
    async run({ services }, { name, description }) {
      return { created: await services.namespaces.put(name, description) };
    },
  }),
  define({
    op: Op.NAMESPACE_DELETE,
    permission: "namespace.change",
    parse(args) {
      const fields = fieldsAt(args, 0);
      return {
        name: asText(fields["name"], "name"),
        force: optional(fields["force"], "force", asBoolean) ?? false,
      };
    },
    resources: () => [brokerResource],
    about: ({ name }) => `namespace ${name}`,
    async run({ services }, { name, force }) {
      await services.namespaces.delete(name, force);
      return {};
    },
  }),
  define({
    op: Op.NAMESPACE_LIST,
    permission: "namespace.list",
    parse(args) {
      const fields = fieldsAt(args, 0);
      return {
        after: optional(fields["after"], "after", asText) ?? "",
        limit: optional(fields["limit"], "limit", (value, field) => asInteger(value, field, 1)) ?? LIST_LIMIT,
      };
    },
    resources: (_, caller) => [namespaceResource(caller)],
    run(caller, { after, limit }) {
      const isShown = ({ name }: { readonly name: string }): boolean =>
        name > after && caller.isAllowed("connect", { kind: "namespace", namespace: name, name: "" });
      const found = caller.services.namespaces.list().filter(isShown);
      const namespaces = found.slice(0, Math.min(limit, LIST_LIMIT));
      return { namespaces, next: found.length > namespaces.length ? (namespaces.at(-1)?.name ?? null) : null };
    },
  }),
];
