/**
 * A schema as the core takes it: a table of its types, in which a type is a number. Its layout is in
 * core/schema/README.md; the core checks all of it again.
 */
import { Packr } from "msgpackr";
import { type AvroType, PRIMITIVES } from "./avro/ast.ts";
import { DefaultEncoder } from "./avro/encode.ts";

const VERSION = 1;
const FIXED = 8;
const ENUM = 9;
const ARRAY = 10;
const MAP = 11;
const UNION = 12;
const RECORD = 13;

/** The number of a table's first type; the primitives have those before. */
const FIRST = PRIMITIVES.length;

type Row = readonly unknown[];

/**
 * The type table of a schema.
 *
 * @throws schema_invalid where its defaults are too many or too large.
 */
export function compileAvro(type: AvroType): Uint8Array {
  const table = new Table();
  const root = table.numberOf(type);
  return new Packr({ useRecords: false }).pack([VERSION, root, table.rows()]);
}

class Table {
  readonly #defaults = new DefaultEncoder();
  /** By number, less `FIRST`. */
  readonly #types: AvroType[] = [];
  readonly #numbers = new Map<AvroType, number>();

  /** A type's number. Its row is written later, so that a type can hold itself and depth costs no stack. */
  numberOf(type: AvroType): number {
    const primitive = (PRIMITIVES as readonly string[]).indexOf(type.kind);
    if (primitive >= 0) return primitive;
    const known = this.#numbers.get(type);
    if (known !== undefined) return known;
    const number = FIRST + this.#types.length;
    this.#numbers.set(type, number);
    this.#types.push(type);
    return number;
  }

  /** The rows of all types that were given numbers, and of those that these name. */
  rows(): Row[] {
    const rows: Row[] = [];
    for (let type = this.#types[0]; type !== undefined; type = this.#types[rows.length]) rows.push(this.#row(type));
    return rows;
  }

  #row(type: AvroType): Row {
    switch (type.kind) {
      case "fixed":
        return [FIXED, type.name, type.aliases, type.sizeBytes];
      case "enum": {
        const standard = type.default === undefined ? null : type.symbols.indexOf(type.default);
        return [ENUM, type.name, type.aliases, type.symbols, standard];
      }
      case "array":
        return [ARRAY, this.numberOf(type.items)];
      case "map":
        return [MAP, this.numberOf(type.values)];
      case "union":
        return [UNION, type.branches.map((branch) => this.numberOf(branch))];
      case "record": {
        const fields = type.fields.map(({ name, aliases, type, default: standard }) => {
          const body = standard === undefined ? null : this.#defaults.encode(standard, type);
          return [name, aliases, this.numberOf(type), body];
        });
        return [RECORD, type.name, type.aliases, fields];
      }
      default:
        throw new Error(`a primitive has no row: ${type.kind}`);
    }
  }
}
