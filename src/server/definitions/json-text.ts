/** JSON that knows where it stands: what is wrong with a file is to be told by its line. */

export type Path = readonly (string | number)[];

export class JsonFault extends Error {
  readonly line: number;

  constructor(what: string, line: number) {
    super(what);
    this.line = line;
  }
}

const DEPTH_MAX = 64;
const SPACE = /[ \t\n\r]*/y;
// oxlint-disable-next-line no-control-regex
const STRING = /"(?:[^"\\\u0000-\u001f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*"/y;
const WORD = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null/y;

export class JsonText {
  readonly value: unknown;
  readonly #text: string;
  /** Where the items of arrays and the fields of objects begin, by their paths. */
  readonly #places = new Map<string, number>();
  #at = 0;

  /** @throws JsonFault for what is no JSON (RFC 8259), or nests deeper than 64. */
  constructor(text: string) {
    this.#text = text;
    this.value = this.#read([]);
    this.#skip();
    if (this.#at < text.length) throw this.#fault("something follows the end");
  }

  /** The line of what stands at a path, or of the nearest thing around it; the first is 1. */
  lineOf(path: Path): number {
    for (let length = path.length; length > 0; length -= 1) {
      const at = this.#places.get(keyOf(path.slice(0, length)));
      if (at !== undefined) return this.#lineAt(at);
    }
    return 1;
  }

  #lineAt(at: number): number {
    let line = 1;
    for (let next = this.#text.indexOf("\n"); next >= 0 && next < at; next = this.#text.indexOf("\n", next + 1)) {
      line += 1;
    }
    return line;
  }

  #fault(what: string): JsonFault {
    return new JsonFault(what, this.#lineAt(this.#at));
  }

  #skip(): void {
    SPACE.lastIndex = this.#at;
    SPACE.exec(this.#text);
    this.#at = SPACE.lastIndex;
  }

  #read(path: Path): unknown {
    if (path.length > DEPTH_MAX) throw this.#fault(`values nest deeper than ${DEPTH_MAX}`);
    this.#skip();
    this.#places.set(keyOf(path), this.#at);
    const first = this.#text[this.#at];
    if (first === "{") return this.#object(path);
    if (first === "[") return this.#array(path);
    if (first === '"') return this.#string();
    const word = this.#take(WORD);
    if (word === undefined) throw this.#fault("no JSON value stands there");
    return JSON.parse(word);
  }

  #array(path: Path): unknown[] {
    const items: unknown[] = [];
    this.#at += 1;
    if (this.#ends("]")) return items;
    do items.push(this.#read([...path, items.length]));
    while (this.#goesOn("]"));
    return items;
  }

  #object(path: Path): Record<string, unknown> {
    const fields: Record<string, unknown> = {};
    this.#at += 1;
    if (this.#ends("}")) return fields;
    do {
      this.#skip();
      const name = this.#string();
      if (Object.hasOwn(fields, name)) throw this.#fault(`${JSON.stringify(name)} stands there twice`);
      this.#skip();
      if (this.#text[this.#at] !== ":") throw this.#fault("a colon is missing");
      this.#at += 1;
      const value = this.#read([...path, name]);
      // `__proto__` is a field like any other.
      Object.defineProperty(fields, name, { value, enumerable: true, configurable: true, writable: true });
    } while (this.#goesOn("}"));
    return fields;
  }

  /** Whether an array or object ends at once. */
  #ends(close: string): boolean {
    this.#skip();
    if (this.#text[this.#at] !== close) return false;
    this.#at += 1;
    return true;
  }

  #goesOn(close: string): boolean {
    this.#skip();
    const next = this.#text[this.#at];
    if (next !== "," && next !== close) throw this.#fault(`a comma or ${close} is missing`);
    this.#at += 1;
    return next === ",";
  }

  #string(): string {
    const text = this.#take(STRING);
    if (text === undefined) throw this.#fault("a string is missing, or is not closed");
    return JSON.parse(text) as string;
  }

  #take(pattern: RegExp): string | undefined {
    pattern.lastIndex = this.#at;
    const [found] = pattern.exec(this.#text) ?? [];
    if (found !== undefined) this.#at += found.length;
    return found;
  }
}

function keyOf(path: Path): string {
  return JSON.stringify(path);
}
