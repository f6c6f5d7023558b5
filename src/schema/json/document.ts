/** A JSON Schema as a document: what its `$ref`s lead to, in itself and in the schemas that it refers to. */
import { invalidSchema, shown } from "../faults.ts";
import { isArray, isObject, type Json, type JsonObject, parseJson } from "../json-text.ts";
import { endlessSchema } from "./endless.ts";
import { innerSchemas, isSchema } from "./keywords.ts";

/** Schemas in one schema. */
export const JSON_SCHEMAS_MAX = 20_000;

/** The schemas of schemas, which nothing here looks into. */
const META = /^https?:\/\/json-schema\.org\//;

/** A part of a document with an `$id` of its own, or the document itself: what `#/…` is looked for in. */
interface Resource {
  readonly uri: string;
  readonly root: Json;
  readonly anchors: Map<string, JsonObject>;
}

/** A schema, and where its references are looked for. */
export interface Place {
  readonly schema: JsonObject | boolean;
  readonly document: JsonDocument;
}

export class JsonDocument {
  readonly root: JsonObject | boolean;
  readonly #resources = new Map<string, Resource>();
  /** The resource that an object belongs to. */
  readonly #resourceOf = new Map<JsonObject, Resource>();
  readonly #others: ReadonlyMap<string, JsonDocument>;
  #schemas = 0;

  /**
   * @param others the documents that references name, by that name.
   * @throws schema_invalid, also for a `$ref` that leads nowhere.
   */
  constructor(text: string, others: ReadonlyMap<string, JsonDocument>) {
    const root = parseJson(text);
    if (!isSchema(root)) throw invalidSchema("a JSON schema is an object, true or false");
    this.root = root;
    this.#others = others;
    const top: Resource = { uri: "", root, anchors: new Map() };
    this.#resources.set("", top);
    const references = this.#scan(top);
    for (const { schema, path } of references) {
      const ref = refOf(schema) ?? "";
      if (this.resolve(schema) !== undefined || META.test(ref)) continue;
      throw invalidSchema(`"$ref": "${shown(ref)}" leads nowhere; define it, or add a reference of that name`, path);
    }
    this.#checkFinite();
  }

  /** The document as a schema. */
  get whole(): Place {
    return { schema: this.root, document: this };
  }

  /** Where a schema's `$ref` leads; undefined where it has none, or for a schema of schemas. */
  resolve(schema: JsonObject): Place | undefined {
    const ref = refOf(schema);
    const from = this.#resourceOf.get(schema);
    if (ref === undefined || from === undefined) return undefined;
    const [uri = "", fragment = ""] = splitRef(ref);
    const own = uri === "" ? from : (this.#resources.get(uri) ?? this.#resources.get(absolute(uri, from.uri)));
    if (own !== undefined) return this.#at(own, fragment);
    const other = this.#others.get(uri) ?? this.#others.get(absolute(uri, from.uri));
    return other?.place(fragment);
  }

  /** What a fragment of the whole document names; all of it where the fragment is empty. */
  place(fragment: string): Place | undefined {
    const top = this.#resources.get("");
    return top === undefined ? undefined : this.#at(top, fragment);
  }

  #checkFinite(): void {
    const own = (schema: JsonObject): Json | undefined => {
      const place = this.resolve(schema);
      return place?.document === this ? place.schema : undefined;
    };
    const endless = endlessSchema(this.#resourceOf.keys(), own);
    if (endless === undefined) return;
    const where = shown(JSON.stringify(endless));
    throw invalidSchema(`it names itself without end: ${where}; let the $ref stand in a property or an item`);
  }

  #at(resource: Resource, fragment: string): Place | undefined {
    const found =
      fragment === "" || fragment.startsWith("/") ? pointed(resource.root, fragment) : resource.anchors.get(fragment);
    if (!isSchema(found)) return undefined;
    // What only a pointer leads to was not met on the way through the keywords.
    if (isObject(found) && !this.#resourceOf.has(found)) this.#scan(resource, found);
    return { schema: found, document: this };
  }

  /** Learns the resource of each schema. @returns those that have a `$ref`. */
  #scan(top: Resource, start: Json = top.root): { schema: JsonObject; path: string }[] {
    const references: { schema: JsonObject; path: string }[] = [];
    const waiting: { schema: Json; path: string; resource: Resource }[] = [{ schema: start, path: "", resource: top }];
    for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
      const { schema, path } = next;
      this.#schemas += 1;
      if (this.#schemas > JSON_SCHEMAS_MAX) throw invalidSchema(`it has more than ${JSON_SCHEMAS_MAX} schemas`, path);
      if (!isObject(schema) || this.#resourceOf.has(schema)) continue;
      const resource = this.#resourceAt(schema, next.resource);
      this.#resourceOf.set(schema, resource);
      const anchor = schema["$anchor"];
      if (typeof anchor === "string") resource.anchors.set(anchor, schema);
      if (refOf(schema) !== undefined) references.push({ schema, path });
      for (const inner of innerSchemas(schema, path)) waiting.push({ ...inner, resource });
    }
    return references;
  }

  /** A schema with an `$id` begins a resource; one with a bare fragment as `$id` has a name in the one it is in. */
  #resourceAt(schema: JsonObject, around: Resource): Resource {
    const id = schema["$id"];
    if (typeof id !== "string" || id === "" || id === "#") return around;
    if (id.startsWith("#")) {
      around.anchors.set(id.slice(1), schema);
      return around;
    }
    const uri = absolute(splitRef(id)[0] ?? id, around.uri);
    const isTop = schema === this.root;
    const resource: Resource = { uri, root: schema, anchors: new Map() };
    if (isTop) this.#resources.set("", resource);
    this.#resources.set(uri, resource);
    return resource;
  }
}

function refOf(schema: JsonObject): string | undefined {
  const ref = schema["$ref"];
  return typeof ref === "string" ? ref : undefined;
}

function splitRef(ref: string): [string, string] {
  const at = ref.indexOf("#");
  return at < 0 ? [ref, ""] : [ref.slice(0, at), decoded(ref.slice(at + 1))];
}

function decoded(fragment: string): string {
  try {
    return decodeURIComponent(fragment);
  } catch {
    return fragment;
  }
}

/** A URI as it stands in a document of that base; as it is where the base is none. */
function absolute(uri: string, base: string): string {
  return URL.parse(uri, base === "" ? undefined : base)?.href ?? uri;
}

function pointed(root: Json, pointer: string): Json | undefined {
  let at: Json | undefined = root;
  for (const word of pointer.split("/").slice(1)) {
    const key = word.replaceAll("~1", "/").replaceAll("~0", "~");
    if (isArray(at)) at = at[Number(key)];
    else at = isObject(at) && Object.hasOwn(at, key) ? at[key] : undefined;
  }
  return at;
}
