/** Keywords of JSON Schema about objects: properties, required ones, and what else an object may have. */
import { isArray, isObject, type Json, type JsonObject, under } from "../json-text.ts";
import type { Incompatibility } from "../types.ts";
import type { Check, Comparison, KeywordCheck, View } from "./compat.ts";
import type { JsonDocument, Place } from "./document.ts";
import { isSchema } from "./keywords.ts";

/** What a schema says about the properties of an object. */
interface Content {
  readonly named: ReadonlyMap<string, Place>;
  readonly patterns: ReadonlyMap<string, Place>;
  /** Of all other properties. */
  readonly others: Place;
}

export function objectChecks(
  comparison: Comparison,
  schema: JsonObject,
  document: JsonDocument,
  path: string,
): KeywordCheck[] {
  const content = contentOf(schema, document);
  const checks: Check[] = [];
  for (const [name, place] of content.named) {
    checks.push((view) => namedFaults(comparison, view, { name, place, path: under(under(path, "properties"), name) }));
  }
  for (const [pattern, place] of content.patterns) {
    const at = under(under(path, "patternProperties"), pattern);
    checks.push((view) => {
      const written = contentOf(view.schema, view.document);
      const same = written.patterns.get(pattern);
      const all =
        same === undefined ? [...written.named.values(), ...written.patterns.values(), written.others] : [same];
      return all.flatMap((other) => comparison.compare(place, other, at));
    });
  }
  if (content.others.schema !== true) checks.push((view) => otherFaults(comparison, view, content, path));
  for (const name of namesIn(schema["required"])) {
    checks.push((view) => requiredFaults(comparison, view, { name, schema, path }));
  }
  return checks.map((check) => ({ types: ["object"], check }));
}

function contentOf(schema: JsonObject, document: JsonDocument): Content {
  const others = schema["additionalProperties"];
  return {
    named: placesIn(schema["properties"], document),
    patterns: placesIn(schema["patternProperties"], document),
    others: { schema: isSchema(others) ? others : true, document },
  };
}

function placesIn(map: Json | undefined, document: JsonDocument): ReadonlyMap<string, Place> {
  const found = new Map<string, Place>();
  if (!isObject(map)) return found;
  for (const [name, schema] of Object.entries(map)) if (isSchema(schema)) found.set(name, { schema, document });
  return found;
}

function namesIn(list: Json | undefined): string[] {
  return isArray(list) ? list.filter((name): name is string => typeof name === "string") : [];
}

function namedFaults(
  comparison: Comparison,
  view: View,
  { name, place, path }: { name: string; place: Place; path: string },
): Incompatibility[] {
  const written = contentOf(view.schema, view.document);
  const same = written.named.get(name);
  if (same !== undefined) return comparison.compare(place, same, path);
  // Where the writer does not name it, it is what patterns and the rest allow.
  const candidates = [written.others, ...written.patterns.values()];
  const faults = candidates.flatMap((other) => comparison.compare(place, other, path));
  if (faults.length === 0) return [];
  const isOpen = written.others.schema === true && written.patterns.size === 0;
  const kind = isOpen
    ? "PROPERTY_ADDED_TO_OPEN_CONTENT_MODEL"
    : "PROPERTY_ADDED_NOT_COVERED_BY_PARTIALLY_OPEN_CONTENT_MODEL";
  const what = `the property "${name}" is restricted here, and what is written may have anything under this name`;
  const repair = {
    newReader: "accept anything for it, or close the schema first (additionalProperties: false)",
    newWriter: "keep the property, or close the schema (additionalProperties: false)",
  };
  return [comparison.found(kind, path, what, repair)];
}

function otherFaults(comparison: Comparison, view: View, content: Content, path: string): Incompatibility[] {
  const { others } = content;
  const written = contentOf(view.schema, view.document);
  const at = under(path, "additionalProperties");
  const faults: Incompatibility[] = [];
  for (const [name, place] of written.named) {
    if (content.named.has(name) || comparison.compare(others, place, at).length === 0) continue;
    const kind =
      others.schema === false ? "PROPERTY_REMOVED_FROM_CLOSED_CONTENT_MODEL" : "PROPERTY_REMOVED_NOT_COVERED";
    const what = `the property "${name}" is written, and what has no name here is ${others.schema === false ? "refused" : "restricted"}`;
    const repair = { newReader: "keep the property", newWriter: "do not add the property" };
    faults.push(comparison.found(kind, under(under(path, "properties"), name), what, repair));
  }
  for (const [pattern, place] of written.patterns) {
    if (!content.patterns.has(pattern)) faults.push(...comparison.compare(others, place, at));
  }
  if (comparison.compare(others, written.others, at).length > 0) {
    const kind = others.schema === false ? "ADDITIONAL_PROPERTIES_REMOVED" : "ADDITIONAL_PROPERTIES_NARROWED";
    const what = "what is written may have other properties";
    const repair = { newReader: "allow additionalProperties still", newWriter: "keep additionalProperties as it was" };
    faults.push(comparison.found(kind, at, what, repair));
  }
  return faults;
}

function requiredFaults(
  comparison: Comparison,
  view: View,
  { name, schema, path }: { name: string; schema: JsonObject; path: string },
): Incompatibility[] {
  if (namesIn(view.schema["required"]).includes(name)) return [];
  // A reader fills in what it has a default for.
  const properties = schema["properties"];
  const property = isObject(properties) ? properties[name] : undefined;
  if (isObject(property) && property["default"] !== undefined) return [];
  const what = `"${name}" is required, and what is written may be without it`;
  const repair = { newReader: "do not require it, or give it a default", newWriter: "keep requiring it" };
  return [comparison.found("REQUIRED_ATTRIBUTE_ADDED", under(path, "required"), what, repair)];
}
