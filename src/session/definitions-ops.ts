/**
 * All definitions of the broker as one file.
 *
 *     152 DEFINITIONS_EXPORT [152, corr, {}] -> {definitions: map}
 *     153 DEFINITIONS_IMPORT [153, corr, {text: str | definitions: map, dryRun?: bool}]
 *                            -> {dryRun, format: "millrace"|"rabbitmq", counts: {list: {created, unchanged}}, notes: [{line, path, text}]}
 *
 * `text` is JSON, whose lines a refusal names; a map is taken as if it were written with two spaces a level.
 */
import { Op } from "../protocol/index.ts";
import { asBoolean, asText, fieldsAt, invalid, isMap, optional } from "./arguments.ts";
import { type AnyOperation, define } from "./operation.ts";
import { brokerResource } from "./resources.ts";

function parseImport(args: readonly unknown[]): { text: string; dryRun: boolean } {
  const fields = fieldsAt(args, 0);
  const { definitions } = fields;
  const dryRun = optional(fields["dryRun"], "dryRun", asBoolean) ?? false;
  if (definitions === undefined) return { text: asText(fields["text"], "text"), dryRun };
  if (!isMap(definitions)) throw invalid("definitions", "a map");
  return { text: JSON.stringify(definitions, null, 2), dryRun };
}

export const definitionsOps: readonly AnyOperation[] = [
  define({
    op: Op.DEFINITIONS_EXPORT,
    permission: "definitions.export",
    parse: (args) => fieldsAt(args, 0),
    resources: () => [brokerResource],
    run: ({ services }) => ({ definitions: services.definitionsFile.export() }),
  }),
  define({
    op: Op.DEFINITIONS_IMPORT,
    permission: "definitions.import",
    parse: parseImport,
    resources: () => [brokerResource],
    run: ({ services }, { text, dryRun }) => services.definitionsFile.import(text, dryRun),
  }),
];
