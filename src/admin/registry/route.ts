/** What the routes of the registry are made of. */
import type { Schemas } from "../../broker/index.ts";
import type { Operation } from "../../security/index.ts";
import type { RegistryRequest } from "./request.ts";

export type Method = "GET" | "POST" | "PUT" | "DELETE";

/** A text that goes out as it is; everything else goes out as JSON. */
export class Plain {
  readonly text: string;

  constructor(text: string) {
    this.text = text;
  }
}

export interface Route {
  readonly method: Method;
  /** Words of the path; `*` is a variable one. */
  readonly path: string;
  readonly permission: Operation;
  /**
   * What the first variable word is: a subject, or a scope of settings; the permission is asked for it then, and else for
   * the namespace.
   */
  readonly touches?: "subject" | "scope";
  run(schemas: Schemas, request: RegistryRequest): unknown;
}
