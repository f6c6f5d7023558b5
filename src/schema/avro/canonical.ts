/**
 * The text of an Avro schema.
 *
 * `canonical` is the form in which Avro's Java library, and so Confluent's registry, writes a schema: attributes in one
 * order, each type in full where it comes first and by its name behind that. `normalized` also writes names in full and
 * sorts what has no order, so that schemas which mean the same are the same.
 */
import { sortedJson } from "../json-text.ts";
import { type AvroField, type AvroNamed, type AvroSchema, type AvroType, isNamed } from "./ast.ts";
import { namespaceOf, qualifiedIn, simpleNameOf } from "./names.ts";

export type Form = "canonical" | "normalized";

/** @param resolved also writes the types of references in full. */
export function avroText({ type, foreign }: AvroSchema, form: Form, resolved = false): string {
  return new Writer(form, resolved ? [] : foreign).type(type, "");
}

type Attributes = readonly (readonly [name: string, text: string | undefined])[];

class Writer {
  readonly #form: Form;
  /** Full names that can be written as names. */
  readonly #known: Set<string>;

  constructor(form: Form, known: Iterable<string>) {
    this.#form = form;
    this.#known = new Set(known);
  }

  type(type: AvroType, namespace: string): string {
    if (type.kind === "union") return `[${type.branches.map((branch) => this.type(branch, namespace)).join(",")}]`;
    if (isNamed(type)) return this.#named(type, namespace);
    const props = this.#props(type.props);
    const kind: Attributes = [["type", JSON.stringify(type.kind)]];
    if (type.kind === "array") return object([...kind, ["items", this.type(type.items, namespace)], ...props]);
    if (type.kind === "map") return object([...kind, ["values", this.type(type.values, namespace)], ...props]);
    return props.length === 0 ? JSON.stringify(type.kind) : object([...kind, ...props]);
  }

  #named(type: AvroNamed, around: string): string {
    const isFull = this.#form === "normalized";
    if (this.#known.has(type.name)) return JSON.stringify(isFull ? type.name : qualifiedIn(type.name, around));
    this.#known.add(type.name);
    const namespace = namespaceOf(type.name);
    const kind = type.kind === "record" && type.isError ? "error" : type.kind;
    const isMoved = !isFull && namespace !== around;
    return object([
      ["type", JSON.stringify(kind)],
      ["name", JSON.stringify(isFull ? type.name : simpleNameOf(type.name))],
      ["namespace", isMoved ? JSON.stringify(namespace) : undefined],
      ["doc", textOrNone(type.doc)],
      ...this.#content(type, namespace),
      ...this.#props(type.props),
      ["aliases", this.#aliases(type.aliases, namespace)],
    ]);
  }

  #content(type: AvroNamed, namespace: string): Attributes {
    switch (type.kind) {
      case "record":
        return [["fields", `[${type.fields.map((field) => this.#field(field, namespace)).join(",")}]`]];
      case "enum":
        return [
          ["symbols", JSON.stringify(type.symbols)],
          ["default", textOrNone(type.default)],
        ];
      case "fixed":
        return [["size", String(type.sizeBytes)]];
    }
  }

  #field(field: AvroField, namespace: string): string {
    const order = field.order?.toLowerCase();
    return object([
      ["name", JSON.stringify(field.name)],
      ["type", this.type(field.type, namespace)],
      ["doc", textOrNone(field.doc)],
      ["default", field.default === undefined ? undefined : JSON.stringify(field.default)],
      ["order", order === "ascending" ? undefined : textOrNone(order)],
      ["aliases", field.aliases.length === 0 ? undefined : JSON.stringify(this.#sorted(field.aliases))],
      ...this.#props(field.props),
    ]);
  }

  #aliases(aliases: readonly string[], namespace: string): string | undefined {
    if (aliases.length === 0) return undefined;
    if (this.#form === "normalized") return JSON.stringify(this.#sorted(aliases));
    return JSON.stringify(aliases.map((alias) => qualifiedIn(alias, namespace)));
  }

  #sorted(names: readonly string[]): readonly string[] {
    return this.#form === "normalized" ? [...names].sort() : names;
  }

  #props(props: AvroField["props"]): Attributes {
    const entries = Object.entries(props);
    if (this.#form === "canonical") return entries.map(([key, value]) => [key, JSON.stringify(value)]);
    return entries.sort(([a], [b]) => (a < b ? -1 : 1)).map(([key, value]) => [key, sortedJson(value ?? null)]);
  }
}

function object(attributes: Attributes): string {
  const given = attributes.filter(([, text]) => text !== undefined);
  return `{${given.map(([name, text]) => `${JSON.stringify(name)}:${text}`).join(",")}}`;
}

function textOrNone(text: string | undefined): string | undefined {
  return text === undefined ? undefined : JSON.stringify(text);
}
