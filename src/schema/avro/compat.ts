/**
 * Whether data that one Avro schema wrote can be read with another: Avro's rules of schema resolution.
 *
 * A schema that passes reads every value of the other; one that does not fails for some. Full names decide (or the
 * reader's aliases), as in Avro's libraries, where the specification compares the last word of a name only.
 */
import type { Incompatibility, Reader } from "../types.ts";
import { under } from "../json-text.ts";
import { PairMemo } from "../pair-memo.ts";
import {
  type AvroEnum,
  type AvroField,
  type AvroNamed,
  type AvroRecord,
  type AvroType,
  isNamed,
  nameOf,
} from "./ast.ts";

const COMPARISONS_MAX = 1_000_000;
const DEPTH_MAX = 500;
/** A list of repairs longer than this helps nobody. */
const FOUND_MAX = 100;

/** What a reader may take a written primitive for, besides itself. */
const PROMOTIONS: Readonly<Record<string, readonly string[]>> = {
  int: ["long", "float", "double"],
  long: ["float", "double"],
  float: ["double"],
  string: ["bytes"],
  bytes: ["string"],
};

const TOO_COMPLEX: Incompatibility = {
  kind: "TOO_COMPLEX",
  path: "",
  field: null,
  message: "the schemas are too large to be compared; divide them, or set the compatibility of the subject to NONE",
};

/** Empty when everything that `writer` writes can be read with `reader`. */
export function avroIncompatibilities(reader: AvroType, writer: AvroType, readerIs: Reader): Incompatibility[] {
  return new Check(readerIs).run(reader, writer);
}

class Check {
  readonly #isNewReader: boolean;
  readonly #pairs = new PairMemo<AvroNamed>();
  #isTooComplex = false;
  #comparisons = 0;
  #depth = 0;

  constructor(readerIs: Reader) {
    this.#isNewReader = readerIs === "new";
  }

  run(reader: AvroType, writer: AvroType): Incompatibility[] {
    const faults = this.#compare(reader, writer, "");
    return this.#isTooComplex ? [TOO_COMPLEX] : faults.slice(0, FOUND_MAX);
  }

  #compare(reader: AvroType, writer: AvroType, path: string): Incompatibility[] {
    this.#comparisons += 1;
    if (this.#comparisons > COMPARISONS_MAX || this.#depth > DEPTH_MAX) this.#isTooComplex = true;
    if (this.#isTooComplex) return [TOO_COMPLEX];
    this.#depth += 1;
    try {
      return this.#compareKinds(reader, writer, path);
    } finally {
      this.#depth -= 1;
    }
  }

  #compareKinds(reader: AvroType, writer: AvroType, path: string): Incompatibility[] {
    if (writer.kind === "union") return this.#writtenUnion(reader, writer.branches, path);
    if (reader.kind === "union") return this.#readUnion(reader.branches, writer, path);
    if (isNamed(reader) && isNamed(writer) && reader.kind === writer.kind) return this.#named(reader, writer, path);
    if (reader.kind === "array" && writer.kind === "array") {
      return this.#compare(reader.items, writer.items, under(path, "items"));
    }
    if (reader.kind === "map" && writer.kind === "map") {
      return this.#compare(reader.values, writer.values, under(path, "values"));
    }
    const isPromoted = PROMOTIONS[writer.kind]?.includes(reader.kind) ?? false;
    if (reader.kind === writer.kind || isPromoted) return [];
    return [this.#found("TYPE_MISMATCH", path, null, this.#mismatch(reader, writer))];
  }

  #mismatch(reader: AvroType, writer: AvroType): string {
    const [before, now] = this.#isNewReader ? [writer, reader] : [reader, writer];
    const repair =
      before.kind === "union"
        ? "keep the union"
        : `keep ${nameOf(before)}, or add a field of another name for ${nameOf(now)}`;
    return `what is written as ${nameOf(writer)} cannot be read as ${nameOf(reader)}; ${repair}`;
  }

  #writtenUnion(reader: AvroType, branches: readonly AvroType[], path: string): Incompatibility[] {
    return branches.flatMap((branch) => {
      const faults = this.#compare(reader, branch, path);
      if (faults.length === 0 || reader.kind === "union") return faults;
      const repair = this.#isNewReader
        ? "make the type a union that has this branch too"
        : `leave ${nameOf(branch)} away`;
      const message = `the written union has the branch ${nameOf(branch)}, which ${nameOf(reader)} cannot read; ${repair}`;
      return [this.#found("MISSING_UNION_BRANCH", path, null, message)];
    });
  }

  #readUnion(branches: readonly AvroType[], writer: AvroType, path: string): Incompatibility[] {
    const alike = branches.findIndex((branch) => isAlike(branch, writer));
    const faults = alike < 0 ? [] : this.#compare(branches[alike] as AvroType, writer, under(path, alike));
    if (alike >= 0 && faults.length === 0) return [];
    if (branches.some((branch, index) => index !== alike && this.#fits(branch, writer, path))) return [];
    // A branch of the same name is the one that is meant, so what does not fit there is what can be repaired.
    if (alike >= 0) return faults;
    const repair = this.#isNewReader ? "add this branch to the union" : "write none that the old union does not have";
    const message = `the union has no branch that reads ${nameOf(writer)}; ${repair}`;
    return [this.#found("MISSING_UNION_BRANCH", path, null, message)];
  }

  #fits(reader: AvroType, writer: AvroType, path: string): boolean {
    return this.#compare(reader, writer, path).length === 0;
  }

  #named(reader: AvroNamed, writer: AvroNamed, path: string): Incompatibility[] {
    if (reader.name !== writer.name && !reader.aliases.includes(writer.name)) {
      const repair = this.#isNewReader ? `add the alias "${writer.name}" or keep the name` : "keep the name";
      const message = `${nameOf(reader)} does not read ${nameOf(writer)}: their names differ; ${repair}`;
      return [this.#found("NAME_MISMATCH", under(path, "name"), null, message)];
    }
    return this.#pairs.faults(reader, writer, () => this.#namedContent(reader, writer, path));
  }

  #namedContent(reader: AvroNamed, writer: AvroNamed, path: string): Incompatibility[] {
    if (reader.kind === "record" && writer.kind === "record") return this.#records(reader, writer, path);
    if (reader.kind === "enum" && writer.kind === "enum") return this.#enums(reader, writer, path);
    if (reader.kind !== "fixed" || writer.kind !== "fixed" || reader.sizeBytes === writer.sizeBytes) return [];
    const before = this.#isNewReader ? writer : reader;
    const message = `fixed "${reader.name}" of ${reader.sizeBytes} bytes cannot read ${writer.sizeBytes} bytes; keep the size ${before.sizeBytes}, or give the type another name`;
    return [this.#found("FIXED_SIZE_MISMATCH", under(path, "size"), null, message)];
  }

  #enums(reader: AvroEnum, writer: AvroEnum, path: string): Incompatibility[] {
    const known = new Set(reader.symbols);
    const missing = writer.symbols.filter((symbol) => !known.has(symbol));
    if (missing.length === 0 || reader.default !== undefined) return [];
    const names = missing.slice(0, 10).join(", ");
    const repair = this.#isNewReader
      ? "keep them, or give the enum a default"
      : "leave them away: the old enum has no default";
    const message = `enum "${reader.name}" does not have the symbols ${names} that are written; ${repair}`;
    return [this.#found("MISSING_ENUM_SYMBOLS", under(path, "symbols"), null, message)];
  }

  #records(reader: AvroRecord, writer: AvroRecord, path: string): Incompatibility[] {
    const written = new Map(writer.fields.map((field) => [field.name, field]));
    const faults: Incompatibility[] = [];
    for (const [index, field] of reader.fields.entries()) {
      const at = under(under(path, "fields"), index);
      const [other, second] = [...new Set([field.name, ...field.aliases])].flatMap((name) => written.get(name) ?? []);
      if (other !== undefined && second !== undefined) {
        faults.push(this.#ambiguous(field, [other, second], reader, at));
      } else if (other !== undefined) {
        const inner = this.#compare(field.type, other.type, under(at, "type"));
        for (const fault of inner) faults.push(withField(fault, field.name));
      } else if (field.default === undefined) {
        faults.push(this.#missing(field, reader, at));
      }
      if (faults.length >= FOUND_MAX) break;
    }
    return faults;
  }

  #missing(field: AvroField, { name }: AvroRecord, path: string): Incompatibility {
    const repair = this.#isNewReader
      ? "give it a default"
      : "keep it: the old schema, which has no default for it, must read what the new one writes";
    const message = `the field "${field.name}" of record "${name}" has no default and is not in what is written; ${repair}`;
    return this.#found("READER_FIELD_MISSING_DEFAULT_VALUE", path, field.name, message);
  }

  #ambiguous(field: AvroField, found: readonly AvroField[], { name }: AvroRecord, path: string): Incompatibility {
    const both = found.map((other) => `"${other.name}"`).join(" and ");
    const repair = this.#isNewReader ? "keep the name or alias of one of them only" : "leave one of them away";
    const message = `the field "${field.name}" of record "${name}" could be read from ${both}, by its name and its aliases; ${repair}`;
    return this.#found("READER_FIELD_AMBIGUOUS", path, field.name, message);
  }

  #found(kind: string, path: string, field: string | null, what: string): Incompatibility {
    const schema = this.#isNewReader ? "the new schema" : "the old schema";
    return { kind, path, field, message: `at ${path === "" ? "the top" : path} of ${schema}: ${what}` };
  }
}

/** The innermost field names what is wrong; outer ones fill in where there is none. */
function withField(fault: Incompatibility, field: string): Incompatibility {
  if (fault.field !== null) return fault;
  return { ...fault, field, message: `field "${field}", ${fault.message}` };
}

function isAlike(branch: AvroType, writer: AvroType): boolean {
  if (!isNamed(branch) || !isNamed(writer)) return branch.kind === writer.kind;
  return branch.kind === writer.kind && (branch.name === writer.name || branch.aliases.includes(writer.name));
}
