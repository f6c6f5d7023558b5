/** Another version of a schema: some changes that keep data readable, and some that do not. */
import type { FieldJson, Random, SchemaJson } from "./random.ts";
import { SchemaDraw } from "./random.ts";

const PROMOTIONS: Readonly<Record<string, readonly string[]>> = {
  int: ["long", "float", "double"],
  long: ["float", "double"],
  float: ["double"],
  string: ["bytes"],
  bytes: ["string"],
};

interface RecordJson {
  readonly type: "record";
  readonly name: string;
  readonly fields: readonly FieldJson[];
}

interface EnumJson {
  readonly type: "enum";
  readonly symbols: readonly string[];
}

/** @param chance that a type or field changes. */
export function evolve(schema: SchemaJson, random: Random, chance: number): SchemaJson {
  const draw = new SchemaDraw(random, 1_000);
  const change = (schema: SchemaJson): SchemaJson => {
    if (random.isLucky(chance / 4)) return draw.schema(3);
    if (typeof schema === "string") return primitive(schema);
    if (Array.isArray(schema)) return union(schema.map(change));
    const { type } = schema as { type: string };
    if (type === "array") return { type, items: change((schema as { items: SchemaJson }).items) };
    if (type === "map") return { type, values: change((schema as { values: SchemaJson }).values) };
    if (type === "enum") return named(symbols(schema as unknown as EnumJson));
    if (type === "fixed") return named(schema);
    if (type === "record") return record(schema as unknown as RecordJson);
    return schema;
  };
  const primitive = (name: string): SchemaJson => {
    const wider = PROMOTIONS[name];
    if (wider !== undefined && random.isLucky(chance)) return random.pick(wider);
    return random.isLucky(chance / 4) ? union(["null", name]) : name;
  };
  const union = (branches: readonly SchemaJson[]): SchemaJson => {
    const kept = branches.filter(() => !random.isLucky(chance / 4));
    if (random.isLucky(chance)) kept.reverse();
    return unlike(kept.length === 0 ? ["null"] : kept);
  };
  /** Sometimes under another name, which reads the old one where that is an alias. */
  const named = (schema: SchemaJson): SchemaJson => {
    const { name } = schema as { name: string };
    if (!random.isLucky(chance / 2)) return schema;
    return { ...(schema as object), name: draw.name("N"), ...(random.isLucky(0.7) ? { aliases: [name] } : {}) };
  };
  const symbols = (schema: EnumJson): SchemaJson => {
    const [first = "A", ...others] = schema.symbols.filter(() => !random.isLucky(chance / 2));
    const kept = random.isLucky(chance) ? [...others, first] : [first, ...others];
    return { ...schema, symbols: kept, ...(random.isLucky(0.5) ? { default: first } : {}) };
  };
  const record = (schema: RecordJson): SchemaJson => {
    const fields = schema.fields.filter(() => !random.isLucky(chance / 2)).map((field) => changed(field));
    if (random.isLucky(chance)) fields.reverse();
    if (random.isLucky(chance)) fields.splice(random.below(fields.length + 1), 0, added());
    return { ...schema, fields };
  };
  const changed = (field: FieldJson): FieldJson => {
    const type = change(field.type);
    const renamed = random.isLucky(chance / 2) ? { name: draw.name("g"), aliases: [field.name] } : { name: field.name };
    return Array.isArray(type) && type[0] === "null" ? { ...renamed, type, default: null } : { ...renamed, type };
  };
  const added = (): FieldJson => {
    const type = random.pick(["int", "string", "double"]);
    const name = draw.name("h");
    if (random.isLucky(0.2)) return { name, type };
    return { name, type, default: type === "string" ? "new" : 7 };
  };
  return change(schema);
}

/** Without a branch that stands there already. */
function unlike(branches: readonly SchemaJson[]): SchemaJson {
  const seen = new Set<string>();
  const first = branches.filter((branch) => {
    const { name, type } = typeof branch === "string" ? { name: undefined, type: branch } : (branch as FieldJson);
    const kind = Array.isArray(branch) ? "union" : String(name ?? type);
    if (kind === "union" || seen.has(kind)) return false;
    seen.add(kind);
    return true;
  });
  return first.length === 0 ? ["null"] : first;
}
