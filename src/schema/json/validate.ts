/** Whether a text is a JSON Schema: its draft's own schema says so, through ajv. */
import type Ajv from "ajv";
import { invalidSchema, shown, unsupported } from "../faults.ts";
import { isObject, type Json } from "../json-text.ts";

type Draft = "draft-07" | "2019-09" | "2020-12";

const DRAFTS: Readonly<Record<string, Draft>> = {
  "json-schema.org/draft-06/schema": "draft-07",
  "json-schema.org/draft-07/schema": "draft-07",
  "json-schema.org/draft/2019-09/schema": "2019-09",
  "json-schema.org/draft/2020-12/schema": "2020-12",
};
const STANDARD: Draft = "draft-07";
const ERRORS_SHOWN = 5;

/** Checks schemas; loads what it needs of ajv when it needs it first. */
export class JsonSchemaValidator {
  readonly #loaded = new Map<Draft, Ajv>();

  /** @throws schema_invalid naming the path, schema_unsupported for another draft. */
  check(root: Json): void {
    const draft = draftOf(root);
    const ajv = this.#loaded.get(draft) ?? load(draft);
    this.#loaded.set(draft, ajv);
    // Its own `$schema` could name a draft's schema in another spelling; which one it means is decided here.
    const plain = JSON.parse(JSON.stringify(root)) as boolean | Record<string, unknown>;
    if (typeof plain === "object") delete plain["$schema"];
    if (ajv.validateSchema(plain) === true) return;
    const errors = (ajv.errors ?? []).slice(0, ERRORS_SHOWN);
    const words = errors.map(({ instancePath, message }) => `${shown(instancePath)} ${message ?? "is wrong"}`.trim());
    throw invalidSchema(words.join("; "), errors[0]?.instancePath ?? "");
  }
}

function draftOf(root: Json): Draft {
  const given = isObject(root) ? root["$schema"] : undefined;
  if (typeof given !== "string") return STANDARD;
  const name = given.replace(/^https?:\/\//, "").replace(/#$/, "");
  const draft = DRAFTS[name];
  if (draft !== undefined) return draft;
  throw unsupported(`Invalid schema: the draft "${shown(given)}" is not one of ${Object.keys(DRAFTS).join(", ")}`);
}

/** Half a megabyte of code that most brokers never need, so it is not loaded at the start. */
function load(draft: Draft): Ajv {
  const options = { strict: false, validateFormats: false, logger: false } as const;
  switch (draft) {
    case "draft-07":
      return new (require("ajv") as typeof import("ajv")).Ajv(options);
    case "2019-09":
      return new (require("ajv/dist/2019") as typeof import("ajv/dist/2019")).Ajv2019(options);
    case "2020-12":
      return new (require("ajv/dist/2020") as typeof import("ajv/dist/2020")).Ajv2020(options);
  }
}
