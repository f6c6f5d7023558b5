/**
 * Whether what one JSON Schema accepts, another accepts too.
 *
 * The answer is careful: a schema passes only if each of the reader's keywords follows from keywords of the writer, so
 * that a pass holds for every value, and some pairs that would be fine are refused. README.md lists what is compared and
 * what has to stay as it is.
 */
import { isArray, isObject, type Json, type JsonObject, sortedJson, under } from "../json-text.ts";
import { PairMemo } from "../pair-memo.ts";
import type { Incompatibility, Reader } from "../types.ts";
import { arrayChecks } from "./array-checks.ts";
import { BOUNDS } from "./bounds.ts";
import type { JsonDocument, Place } from "./document.ts";
import { equalSchemas } from "./equal.ts";
import { objectChecks } from "./object-checks.ts";
import { ALL_TYPES, hasAny, intersection, type JsonType, typeNames, typesOf, type TypeSet, valuesOf } from "./types.ts";

const COMPARISONS_MAX = 200_000;
const DEPTH_MAX = 200;
const FOUND_MAX = 100;

/** A part of what the writer accepts: one schema's own keywords, and the types that all of its parts leave. */
export interface View {
  readonly schema: JsonObject;
  readonly document: JsonDocument;
  readonly types: TypeSet;
}

/** What a keyword of the reader asks of a part of the writer; no faults where it follows from that part. */
export type Check = (view: View) => Incompatibility[];

/** What checks of keywords use. */
export interface Comparison {
  /** Faults where the reader's schema does not accept all that the writer's does. */
  compare(reader: Place, writer: Place, path: string): Incompatibility[];
  found(kind: string, path: string, what: string, repair: Repair): Incompatibility;
}

/** What to do about it, by which of the schemas is the new one. */
export interface Repair {
  readonly newReader: string;
  readonly newWriter: string;
}

export interface KeywordCheck {
  /** Types of values that the keyword says something about. */
  readonly types: readonly JsonType[];
  readonly check: Check;
}

/** Keywords whose content has to stay as it is. */
const OPAQUE = [
  "not",
  "if",
  "then",
  "else",
  "contains",
  "minContains",
  "maxContains",
  "dependencies",
  "dependentRequired",
  "dependentSchemas",
  "propertyNames",
  "$dynamicRef",
  "$recursiveRef",
];
/** Keywords that depend on all others beside them. */
const WHOLE = ["unevaluatedItems", "unevaluatedProperties"];
const SUMS = ["anyOf", "oneOf"] as const;

/** Empty when everything that `writer` accepts, `reader` accepts. */
export function jsonIncompatibilities(reader: JsonDocument, writer: JsonDocument, readerIs: Reader): Incompatibility[] {
  return new JsonCheck(readerIs).run(reader, writer);
}

class JsonCheck implements Comparison {
  readonly #isNewReader: boolean;
  readonly #pairs = new PairMemo<JsonObject>();
  #isTooComplex = false;
  #comparisons = 0;
  #depth = 0;

  constructor(readerIs: Reader) {
    this.#isNewReader = readerIs === "new";
  }

  run(reader: JsonDocument, writer: JsonDocument): Incompatibility[] {
    const faults = this.compare(reader.whole, writer.whole, "");
    if (!this.#isTooComplex) return unique(faults).slice(0, FOUND_MAX);
    const repair = {
      newReader: "divide them, or set the compatibility of the subject to NONE",
      newWriter: "divide them",
    };
    return [this.found("TOO_COMPLEX", "", "the schemas are too large to be compared", repair)];
  }

  found(kind: string, path: string, what: string, { newReader, newWriter }: Repair): Incompatibility {
    const [schema, repair] = this.#isNewReader ? ["the new schema", newReader] : ["the old schema", newWriter];
    const field = /\/properties\/([^/]+)(?!.*\/properties\/)/.exec(path)?.[1] ?? null;
    return { kind, path, field, message: `at ${path === "" ? "the top" : path} of ${schema}: ${what}; ${repair}` };
  }

  compare(reader: Place, writer: Place, path: string): Incompatibility[] {
    if (reader.schema === true || writer.schema === false) return [];
    this.#comparisons += 1;
    if (this.#comparisons > COMPARISONS_MAX || this.#depth > DEPTH_MAX) this.#isTooComplex = true;
    if (this.#isTooComplex) return [TOO_COMPLEX];
    if (reader.schema === false) {
      const repair = { newReader: "accept it still", newWriter: "leave it away" };
      return [this.found("NOT_ALLOWED", path, "nothing is accepted here any more", repair)];
    }
    const schema = reader.schema;
    const written = writer.schema === true ? EMPTY : writer.schema;
    const compare = (): Incompatibility[] =>
      this.#conjuncts({ schema, document: reader.document }, { schema: written, document: writer.document }, path);
    this.#depth += 1;
    try {
      return this.#pairs.faults(schema, written, compare);
    } finally {
      this.#depth -= 1;
    }
  }

  /** Each part of the reader has to accept what the writer does. */
  #conjuncts(reader: { schema: JsonObject; document: JsonDocument }, writer: Place, path: string): Incompatibility[] {
    const { schema, document } = reader;
    if (WHOLE.some((word) => schema[word] !== undefined) && !equalSchemas(reader, writer)) {
      return [this.#changed(path, WHOLE.filter((word) => schema[word] !== undefined).join(", "))];
    }
    const faults: Incompatibility[] = [];
    const target = document.resolve(schema);
    if (target !== undefined) faults.push(...this.compare(target, writer, under(path, "$ref")));
    for (const [index, member] of listOf(schema["allOf"]).entries()) {
      faults.push(...this.compare({ schema: member, document }, writer, under(under(path, "allOf"), index)));
    }
    for (const word of SUMS) {
      const branches = listOf(schema[word]).map((branch) => ({ schema: branch, document }));
      if (branches.length > 0) faults.push(...this.#sum(branches, writer, under(path, word)));
    }
    for (const { types, check } of this.#checks(schema, document, path)) {
      const relevant: Check = (view) => (hasAny(view.types, types) ? check(view) : []);
      faults.push(...this.#prove(relevant, writer, ALL_TYPES));
    }
    return faults;
  }

  /** Some branch accepts all of the writer, or each of the writer's branches has one that accepts it. */
  #sum(branches: readonly Place[], writer: Place, path: string): Incompatibility[] {
    const attempts = branches.map((branch, index) => this.compare(branch, writer, under(path, index)));
    if (attempts.some((faults) => faults.length === 0)) return [];
    for (const view of viewsOf(writer)) {
      for (const word of SUMS) {
        const written = listOf(view.schema[word]);
        const isCovered = (branch: JsonObject | boolean): boolean =>
          this.#sum(branches, { schema: branch, document: view.document }, path).length === 0;
        if (written.length > 0 && written.every(isCovered)) return [];
      }
    }
    const [only] = attempts;
    if (attempts.length === 1 && only !== undefined) return only;
    const repair = { newReader: "keep a branch for it", newWriter: "write only what a branch accepts" };
    return [this.found("SUM_TYPE_NARROWED", path, "no branch accepts all that is written", repair)];
  }

  /** Whether a check holds for some part of the writer, or for each branch of one of its sums. */
  #prove(check: Check, writer: Place, around: TypeSet): Incompatibility[] {
    if (writer.schema === false) return [];
    const parts = viewsOf(writer);
    const types = parts.reduce((left, { schema }) => intersection(left, typesOf(schema)), around);
    let least: Incompatibility[] | undefined;
    const consider = (faults: Incompatibility[]): boolean => {
      if (least === undefined || faults.length < least.length) least = faults;
      return faults.length === 0;
    };
    for (const part of parts) if (consider(check({ ...part, types }))) return [];
    for (const { schema, document } of parts) {
      for (const word of SUMS) {
        const branches = listOf(schema[word]);
        if (branches.length === 0) continue;
        const faults = branches.flatMap((branch) => this.#prove(check, { schema: branch, document }, types));
        if (consider(faults)) return [];
      }
    }
    return least ?? [];
  }

  #checks(schema: JsonObject, document: JsonDocument, path: string): KeywordCheck[] {
    const bounds = BOUNDS.filter(({ keyword }) => schema[keyword] !== undefined).map(({ keyword, types, implied }) => ({
      types,
      check: ((view) =>
        implied(schema[keyword] ?? null, view.schema, view.types)
          ? []
          : [this.#narrowed(path, keyword)]) satisfies Check,
    }));
    const opaque = OPAQUE.filter((word) => schema[word] !== undefined).map((word) => ({
      types: [...ALL_TYPES],
      check: ((view) =>
        equalSchemas(partOf(schema, word, document), partOf(view.schema, word, view.document))
          ? []
          : [this.#changed(under(path, word), word)]) satisfies Check,
    }));
    return [
      ...this.#valueChecks(schema, path),
      ...bounds,
      ...objectChecks(this, schema, document, path),
      ...arrayChecks(this, schema, document, path),
      ...opaque,
    ];
  }

  #valueChecks(schema: JsonObject, path: string): KeywordCheck[] {
    const checks: KeywordCheck[] = [];
    const types = typesOf({ ...schema, enum: undefined, const: undefined });
    if (schema["type"] !== undefined) {
      const check: Check = (view) => {
        const lost = new Set([...view.types].filter((type) => !types.has(type)));
        if (lost.size === 0) return [];
        const what = `${typeNames(view.types)} is written, and only ${typeNames(types)} is accepted`;
        const repair = { newReader: "accept these types still", newWriter: "keep the type" };
        return [this.found("TYPE_NARROWED", under(path, "type"), what, repair)];
      };
      checks.push({ types: [...ALL_TYPES], check });
    }
    const values = valuesOf(schema)?.map(sortedJson);
    if (values !== undefined) {
      const known = new Set(values);
      const check: Check = (view) => {
        const written = valuesOf(view.schema)?.map(sortedJson);
        const lost = written?.filter((value) => !known.has(value));
        if (lost?.length === 0) return [];
        const what = lost === undefined ? "any value may be written" : `${lost.slice(0, 10).join(", ")} may be written`;
        const repair = { newReader: "keep these values", newWriter: "write the known values only" };
        return [this.found("ENUM_ARRAY_NARROWED", under(path, "enum"), what, repair)];
      };
      checks.push({ types: [...ALL_TYPES], check });
    }
    return checks;
  }

  #narrowed(path: string, keyword: string): Incompatibility {
    const repair = { newReader: "loosen it or take it away", newWriter: "keep it as narrow as it was" };
    const kind = `${keyword.replace(/[A-Z]/g, "_$&").toUpperCase()}_NARROWED`;
    return this.found(kind, under(path, keyword), `"${keyword}" does not hold for all that is written`, repair);
  }

  #changed(path: string, keyword: string): Incompatibility {
    const repair = { newReader: `keep "${keyword}" as it is`, newWriter: `keep "${keyword}" as it is` };
    return this.found("KEYWORD_CHANGED", path, `"${keyword}" was added or changed, and cannot be compared`, repair);
  }
}

const EMPTY: JsonObject = {};
const TOO_COMPLEX: Incompatibility = { kind: "TOO_COMPLEX", path: "", field: null, message: "" };

/** The keyword alone, as a schema. */
function partOf(schema: JsonObject, word: string, document: JsonDocument): Place {
  return { schema: { [word]: schema[word] ?? null }, document };
}

export function listOf(value: Json | undefined): readonly (JsonObject | boolean)[] {
  return isArray(value) ? value.filter((entry) => isObject(entry) || typeof entry === "boolean") : [];
}

/** The schema itself (one that accepts all where it says no more) and what all of its values have to accept too: members of allOf and what `$ref`s lead to. */
function viewsOf(place: Place): { schema: JsonObject; document: JsonDocument }[] {
  const seen = new Set<JsonObject>();
  const views: { schema: JsonObject; document: JsonDocument }[] = [];
  const waiting: Place[] = [place];
  for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
    const { schema, document } = next;
    const own = typeof schema === "boolean" ? EMPTY : schema;
    if (seen.has(own)) continue;
    seen.add(own);
    views.push({ schema: own, document });
    for (const member of listOf(own["allOf"])) waiting.push({ schema: member, document });
    const target = document.resolve(own);
    if (target !== undefined) waiting.push(target);
  }
  return views;
}

/** One fault of each kind and place. */
function unique(faults: readonly Incompatibility[]): Incompatibility[] {
  return [...new Map(faults.map((fault) => [`${fault.kind} ${fault.path}`, fault])).values()];
}
