import type { Type, types } from "avsc";
import { clientError } from "../errors.ts";
import type { SchemaReference } from "../schemas.ts";
import { formKind, type LongForm } from "./forms.ts";
import { loadParser } from "./parse.ts";

/** TypeScript of schemas: the types that values have which a codec reads and writes. */

/** A schema to write types of. */
export interface Declared {
  /** Where it is from, for the comment above it: `ticks-value, version 3`. */
  readonly from: string;
  /** Its text. */
  readonly schema: string;
  /** The text with what it refers to written into it, where it refers to others. */
  readonly resolved?: string;
  readonly references?: readonly SchemaReference[];
}

export interface DeclarationOptions {
  /** As the codec's option. Default "number". */
  longs?: LongForm;
  /** False leaves away the constants that `avroTopic` takes. Default true. */
  constants?: boolean;
}

const WORD = /^[A-Za-z_$][A-Za-z0-9_$]*$/;
/** TypeScript's own types, which a declaration of the same name would hide. */
const TAKEN = ["Array", "Date", "Record", "String", "Number", "Boolean", "Object", "Uint8Array", "AvroSchema"];
/** A union or enum goes on one line up to this. */
const LINE_CHARACTERS_MAX = 120;

type Named = types.RecordType | types.EnumType | types.FixedType;

/** Gives each full name a name that no other has. */
class Names {
  private readonly byFullName = new Map<string, string>();

  constructor(fullNames: Iterable<string>) {
    const all = [...fullNames];
    const counts = new Map<string, number>();
    for (const name of all) counts.set(shortName(name), (counts.get(shortName(name)) ?? 0) + 1);
    const used = new Set<string>(TAKEN);
    for (const name of all) {
      const isAlone = counts.get(shortName(name)) === 1 && !used.has(shortName(name));
      let chosen = isAlone ? shortName(name) : longName(name);
      for (let number = 2; used.has(chosen); number++) chosen = `${longName(name)}${number}`;
      used.add(chosen);
      this.byFullName.set(name, chosen);
    }
  }

  of(fullName: string): string {
    return this.byFullName.get(fullName) ?? longName(fullName);
  }
}

/** `Order` of shop.Order, and of shop.order too: types begin with a capital. */
function shortName(fullName: string): string {
  return capitalized(fullName.slice(fullName.lastIndexOf(".") + 1));
}

/** `ShopOrder` of shop.Order. */
function longName(fullName: string): string {
  return fullName.split(".").map(capitalized).join("");
}

function capitalized(word: string): string {
  return word.charAt(0).toUpperCase() + word.slice(1);
}

/** The named types that a type is made of, each before those that it names itself. */
function namedOf(type: Type, found: Map<string, Named>): void {
  switch (type.typeName) {
    case "record":
    case "error": {
      const record = type as types.RecordType;
      if (found.has(record.name as string)) return;
      found.set(record.name as string, record);
      for (const field of record.fields) namedOf(field.type, found);
      return;
    }
    case "enum":
      found.set(type.name as string, type as types.EnumType);
      return;
    case "array":
      namedOf((type as types.ArrayType).itemsType, found);
      return;
    case "map":
      namedOf((type as types.MapType).valuesType as Type, found);
      return;
    case "union:wrapped":
    case "union:unwrapped":
      for (const branch of (type as types.UnwrappedUnionType).types) namedOf(branch, found);
  }
}

/** The same of another schema, which must not mean something else by a name. Errors: invalid_argument. */
function addNamed(type: Type, found: Map<string, Named>): void {
  const own = new Map<string, Named>();
  namedOf(type, own);
  for (const [name, named] of own) {
    const other = found.get(name);
    if (!other) found.set(name, named);
    else if (JSON.stringify(other) !== JSON.stringify(named)) {
      throw clientError("invalid_argument", `the schemas differ in what ${name} is: write them into separate files`);
    }
  }
}

class Writer {
  private readonly names: Names;

  constructor(names: Names) {
    this.names = names;
  }

  /** A type as it stands in a field. */
  expression(type: Type): string {
    switch (formKind(type)) {
      case "bytes":
        return "Uint8Array";
      case "timestamp-millis":
        return "Date";
      case "decimal":
      case "date":
      case "uuid":
        return "string";
      case null:
    }
    switch (type.typeName) {
      case "null":
      case "boolean":
      case "string":
        return type.typeName;
      case "int":
      case "long":
      case "float":
      case "double":
        return "number";
      case "abstract:long":
        return "bigint";
      case "array":
        return arrayOf(this.expression((type as types.ArrayType).itemsType));
      case "map":
        return `{ [key: string]: ${this.expression((type as types.MapType).valuesType as Type)} }`;
      case "union:unwrapped":
        return this.union((type as types.UnwrappedUnionType).types, (branch) => this.expression(branch));
      case "union:wrapped":
        return this.union((type as types.WrappedUnionType).types, (branch) => this.wrapped(branch));
      default:
        return this.names.of(type.name as string);
    }
  }

  private union(branches: readonly Type[], expression: (branch: Type) => string): string {
    return [...new Set(branches.map(expression))].join(" | ");
  }

  /** A branch that its name goes with, because another one looks the same without. */
  private wrapped(branch: Type): string {
    if (branch.typeName === "null") return "null";
    return `{ ${JSON.stringify(branch.branchName)}: ${this.expression(branch)} }`;
  }

  declaration(type: Named): string {
    const { name = "", doc } = type;
    const head = comment([doc], "");
    const own = this.names.of(name);
    if (type.typeName === "enum") return `${head}export type ${own} = ${symbols((type as types.EnumType).symbols)};\n`;
    const fields = (type as types.RecordType).fields.map((field) => this.field(field));
    return fields.length === 0
      ? `${head}export type ${own} = { [field: string]: never };\n`
      : `${head}export interface ${own} {\n${fields.join("")}}\n`;
  }

  private field(field: types.Field): string {
    const { name, type } = field;
    const { doc } = field as types.Field & { doc?: string };
    return `${comment([doc, remark(type)], "  ")}  ${name}: ${this.expression(type)};\n`;
  }
}

/** What the TypeScript type does not say of a logical type. */
function remark(type: Type): string | undefined {
  const branches = type.typeName.startsWith("union") ? (type as types.UnwrappedUnionType).types : [type];
  const remarks: Readonly<Record<string, string>> = {
    decimal: 'A decimal, such as "12.50".',
    date: 'A day, such as "2026-11-21".',
    uuid: "A UUID.",
  };
  for (const branch of branches) {
    const kind = formKind(branch);
    if (kind !== null && kind in remarks) return remarks[kind];
  }
  return undefined;
}

function arrayOf(items: string): string {
  return items.includes(" | ") ? `(${items})[]` : `${items}[]`;
}

function symbols(names: readonly string[]): string {
  const quoted = names.map((name) => JSON.stringify(name));
  const line = quoted.join(" | ");
  return line.length <= LINE_CHARACTERS_MAX ? line : `\n  | ${quoted.join("\n  | ")}`;
}

/** A comment of what there is to say, which no text can end early. */
function comment(texts: readonly (string | undefined)[], indent: string): string {
  const lines = texts
    .filter((text) => text !== undefined && text.trim() !== "")
    .flatMap((text) => (text as string).split(/\r?\n/))
    .map((line) => line.trim().replaceAll("*/", "*\\/"));
  if (lines.length === 0) return "";
  if (lines.length === 1) return `${indent}/** ${lines[0]} */\n`;
  return `${indent}/**\n${lines.map((line) => `${indent} * ${line}`.trimEnd()).join("\n")}\n${indent} */\n`;
}

/** The constant's name: `tickSchema` of Tick. */
function constantName(type: string): string {
  const word = WORD.test(type) ? type : "value";
  return `${word.charAt(0).toLowerCase()}${word.slice(1)}Schema`;
}

/** A schema as a constant that `avroTopic` takes. */
function constant(name: string, valueType: string, { from, schema: text, references = [] }: Declared): string {
  const schema = JSON.stringify(JSON.parse(text), null, 2).replaceAll("\n", "\n  ");
  const referring = references.length === 0 ? "" : `\n  references: ${JSON.stringify(references)},`;
  const head = comment([`Of ${from.replaceAll(/\s+/g, " ")}.`], "");
  return `${head}export const ${name}: AvroSchema<${valueType}> = {\n  schema: ${schema},${referring}\n};\n`;
}

/**
 * A TypeScript module of types, and with each schema a constant for
 * `avroTopic`, `avroQueue` and `avroExchange`.
 *
 * Errors: schema_invalid.
 */
export async function declarationsOf(schemas: readonly Declared[], options: DeclarationOptions = {}): Promise<string> {
  const { longs = "number", constants = true } = options;
  const parser = await loadParser(longs);
  const roots = schemas.map((schema) => ({ schema, type: parser.parse(schema.resolved ?? schema.schema) }));
  const found = new Map<string, Named>();
  for (const { type } of roots) addNamed(type, found);
  const writer = new Writer(new Names(found.keys()));
  const parts = [...found.values()].map((type) => writer.declaration(type));
  const used = new Set<string>();
  for (const { schema, type } of roots) {
    const expression = writer.expression(type);
    const base = constantName(expression);
    let name = base;
    for (let number = 2; used.has(name); number++) name = `${base}${number}`;
    used.add(name);
    if (constants) parts.push(constant(name, expression, schema));
  }
  // A subject's name may hold anything, and must not end the comment.
  const source = schemas.map(({ from }) => from.replaceAll(/\s+/g, " ")).join("; ");
  const head = `// Written by \`millrace schema types\` from ${source}. Change the schema, not this.\n`;
  const imports = constants ? 'import type { AvroSchema } from "millrace/client/avro";\n' : "";
  return [`${head}${imports}`, ...parts].join("\n");
}
