/** Asks a broker over REST, and holds every answer against the broker's own OpenAPI document. */
import { Ajv2020 } from "ajv/dist/2020";
import type { ValidateFunction } from "ajv";
import { expect } from "bun:test";

export interface Answered {
  readonly status: number;
  readonly headers: Headers;
  readonly body: Record<string, unknown>;
}

interface Document {
  readonly paths: Record<string, Record<string, { readonly responses: Record<string, Described> } | undefined>>;
  readonly components: unknown;
}

interface Described {
  readonly content?: Record<string, { readonly schema: Record<string, unknown> } | undefined>;
}

export interface Shown {
  readonly items: Record<string, unknown>[];
  readonly next?: string;
}

export class Api {
  readonly base: string;
  /** Sent with every request. */
  readonly headers: Record<string, string>;
  readonly #ajv = new Ajv2020({ strict: false, validateFormats: false });
  readonly #checks = new Map<string, ValidateFunction>();
  readonly #document: Document;

  private constructor(base: string, headers: Record<string, string>, document: Document) {
    this.base = base;
    this.headers = headers;
    this.#document = document;
  }

  static async open(httpPort: number, headers: Record<string, string> = {}): Promise<Api> {
    const base = `http://127.0.0.1:${httpPort}/api/v1`;
    return new Api(base, headers, (await (await fetch(`${base}/openapi.json`, { headers })).json()) as Document);
  }

  /** @param body JSON, or the text that is sent as it is. */
  async ask(method: string, path: string, body?: unknown, headers: Record<string, string> = {}): Promise<Answered> {
    const response = await fetch(`${this.base}${path}`, {
      method,
      headers: { ...this.headers, ...(body !== undefined && { "content-type": "application/json" }), ...headers },
      ...(body !== undefined && { body: typeof body === "string" ? body : JSON.stringify(body) }),
    });
    const text = await response.text();
    const answered = {
      status: response.status,
      headers: response.headers,
      body: (text === "" ? {} : JSON.parse(text)) as Record<string, unknown>,
    };
    if (!path.startsWith("/schemas/")) this.#check(method, path, answered, text === "");
    return answered;
  }

  async shown(path: string): Promise<Shown> {
    const { status, body } = await this.ask("GET", path);
    expect([status, body]).toEqual([200, body]);
    return body as unknown as Shown;
  }

  #check(method: string, path: string, { status, body }: Answered, isEmpty: boolean): void {
    const [plain = ""] = path.split("?");
    const template = Object.keys(this.#document.paths).find((each) => {
      const pattern = each.replace(/\{\w+\}/g, "[^/]+").replace(".", "\\.");
      return new RegExp(`^${pattern}$`).test(plain) && this.#document.paths[each]?.[method.toLowerCase()] !== undefined;
    });
    if (status >= 400) {
      this.#hold("error", { $ref: "#/components/schemas/Error" }, body);
      return;
    }
    const responses = this.#document.paths[template ?? ""]?.[method.toLowerCase()]?.responses;
    const described = responses?.[status];
    expect(`${method} ${template ?? path} ${described === undefined ? "does not say " : ""}${status}`).toBe(
      `${method} ${template ?? path} ${status}`,
    );
    const schema = described?.content?.["application/json"]?.schema;
    expect(isEmpty).toBe(schema === undefined);
    if (schema !== undefined) this.#hold(`${method} ${template} ${status}`, schema, body);
  }

  #hold(name: string, schema: Record<string, unknown>, body: unknown): void {
    const check = this.#checks.get(name) ?? this.#ajv.compile({ ...schema, components: this.#document.components });
    this.#checks.set(name, check);
    const faults = check(body) ? [] : (check.errors ?? []).map((each) => `${each.instancePath} ${each.message}`);
    expect({ name, faults, body }).toEqual({ name, faults: [], body });
  }
}

/** Status and name of an error. */
export function errorOf({ status, body }: Answered): unknown {
  return [status, (body["error"] as Record<string, unknown> | undefined)?.["name"]];
}
