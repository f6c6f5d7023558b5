/** Keywords of JSON Schema about the items of arrays. */
import { isArray, type JsonObject, under } from "../json-text.ts";
import { type Comparison, type KeywordCheck, listOf } from "./compat.ts";
import type { JsonDocument, Place } from "./document.ts";
import { isSchema } from "./keywords.ts";

/** The items that have a place of their own, and all behind them. */
interface Items {
  readonly first: readonly Place[];
  readonly rest: Place;
}

export function arrayChecks(
  comparison: Comparison,
  schema: JsonObject,
  document: JsonDocument,
  path: string,
): KeywordCheck[] {
  const items = itemsOf(schema, document);
  if (items.first.length === 0 && items.rest.schema === true) return [];
  return [
    {
      types: ["array"],
      check(view) {
        const written = itemsOf(view.schema, view.document);
        const count = Math.max(items.first.length, written.first.length);
        const faults = Array.from({ length: count }, (_, index) =>
          comparison.compare(at(items, index), at(written, index), under(under(path, "items"), index)),
        ).flat();
        return [...faults, ...comparison.compare(items.rest, written.rest, under(path, "items"))];
      },
    },
  ];
}

/** `prefixItems` and `items`, or in older drafts `items` as a list and `additionalItems`. */
function itemsOf(schema: JsonObject, document: JsonDocument): Items {
  const { prefixItems, items, additionalItems } = schema;
  const isOld = isArray(items);
  const first = listOf(isOld ? items : prefixItems).map((entry) => ({ schema: entry, document }));
  const rest = isOld ? additionalItems : items;
  return { first, rest: { schema: isSchema(rest) ? rest : true, document } };
}

function at({ first, rest }: Items, index: number): Place {
  return first[index] ?? rest;
}
