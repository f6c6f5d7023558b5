/** Avro schemas and values drawn at random from a seed. */
import { type Type, types } from "avsc";

/** Numbers from 0 to below 1 that follow from a seed (mulberry32). */
export class Random {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0;
  }

  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), this.#state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  }

  below(count: number): number {
    return Math.floor(this.next() * count);
  }

  isLucky(chance: number): boolean {
    return this.next() < chance;
  }

  pick<T>(items: readonly [T, ...T[]] | readonly T[]): T {
    const item = items[this.below(items.length)];
    if (item === undefined) throw new Error("nothing to pick from");
    return item;
  }
}

export type SchemaJson = string | readonly SchemaJson[] | { readonly [key: string]: unknown };

export interface FieldJson {
  readonly name: string;
  readonly type: SchemaJson;
  readonly [key: string]: unknown;
}

const PRIMITIVES = ["null", "boolean", "int", "long", "float", "double", "bytes", "string"] as const;
const SYMBOLS = ["A", "B", "C", "D"];
const DEPTH_MAX = 4;

/** Draws schemas in which every name is of one type; records may hold themselves. */
export class SchemaDraw {
  readonly #random: Random;
  #names: number;
  /** Records around the type that is being drawn. */
  readonly #around: string[] = [];

  /** @param from where the numbers in names begin. */
  constructor(random: Random, from = 0) {
    this.#random = random;
    this.#names = from;
  }

  name(letter: string): string {
    this.#names += 1;
    return `${letter}${this.#names}`;
  }

  schema(depth = 0): SchemaJson {
    const random = this.#random;
    if (depth >= DEPTH_MAX || random.isLucky(0.3)) return random.pick(PRIMITIVES);
    switch (random.below(6)) {
      case 0:
        return { type: "array", items: this.schema(depth + 1) };
      case 1:
        return { type: "map", values: this.schema(depth + 1) };
      case 2:
        return this.union(depth);
      case 3:
        return { type: "enum", name: this.name("E"), symbols: SYMBOLS.slice(0, 1 + random.below(4)) };
      case 4:
        return { type: "fixed", name: this.name("F"), size: random.below(4) };
      default:
        return this.record(depth);
    }
  }

  record(depth = 0): SchemaJson {
    const name = this.name("R");
    this.#around.push(name);
    const fields = Array.from({ length: this.#random.below(5) }, (): FieldJson => this.field(depth));
    this.#around.pop();
    return { type: "record", name, fields };
  }

  field(depth: number): FieldJson {
    const isRecursive = this.#around.length > 0 && this.#random.isLucky(0.15);
    const type = isRecursive ? ["null", this.#random.pick(this.#around)] : this.schema(depth + 1);
    const name = this.name("f");
    return isRecursive ? { name, type, default: null } : { name, type };
  }

  union(depth: number): SchemaJson {
    const branches = new Map<string, SchemaJson>();
    for (let count = 1 + this.#random.below(3); count > 0; count -= 1) {
      const branch = this.schema(depth + 1);
      const kind = kindOf(branch);
      if (kind !== "union") branches.set(kind, branch);
    }
    return branches.size === 0 ? ["null"] : [...branches.values()];
  }
}

/** What must not stand twice in a union. */
function kindOf(schema: SchemaJson): string {
  if (typeof schema === "string") return schema;
  if (Array.isArray(schema)) return "union";
  const { name, type } = schema as { name?: string; type: string };
  return name ?? type;
}

const KINDS_MAX = 6;

/** A value of the type, made with `wrapUnions: true`; deeper than a few levels it takes the shortest way out. */
export function valueOf(type: Type, random: Random, depth = 0): unknown {
  const count = depth > KINDS_MAX ? 0 : random.below(4);
  const texts = Array.from({ length: count }, () => random.pick(["a", "zürich", "b c", ""]));
  if (type instanceof types.RecordType) {
    return Object.fromEntries(type.fields.map((field) => [field.name, valueOf(field.type, random, depth + 1)]));
  }
  if (type instanceof types.ArrayType) return texts.map(() => valueOf(type.itemsType, random, depth + 1));
  if (type instanceof types.MapType) {
    return Object.fromEntries(texts.map((key) => [key, valueOf(type.valuesType as Type, random, depth + 1)]));
  }
  if (type instanceof types.WrappedUnionType) {
    const flat = type.types.find((branch) => branch.typeName === "null");
    const branch = depth > KINDS_MAX && flat !== undefined ? flat : random.pick(type.types);
    return branch.typeName === "null" ? null : { [branch.branchName ?? ""]: valueOf(branch, random, depth + 1) };
  }
  if (type instanceof types.EnumType) return random.pick(type.symbols);
  if (type instanceof types.FixedType) return Buffer.alloc(type.size, random.below(256));
  return primitiveOf(type.typeName, texts.join("-"), random);
}

function primitiveOf(kind: string, text: string, random: Random): unknown {
  const sign = random.isLucky(0.5) ? 1 : -1;
  switch (kind) {
    case "null":
      return null;
    case "boolean":
      return random.isLucky(0.5);
    case "int":
      return sign * Math.floor(2 ** (31 * random.next()) - 1);
    case "long":
      return sign * Math.floor(2 ** (53 * random.next()) - 1);
    case "float":
      return Math.fround(sign * random.next() * 1e6);
    case "double":
      return sign * random.next() * 1e12;
    case "bytes":
      return Buffer.from(text);
    default:
      return text;
  }
}
