import type { Suite } from "../lib/suite.ts";
import { runMeasures } from "../limits/rounds.ts";
import { ENFORCE } from "./enforce.ts";
import { HOUSE, type SchemaMeasure } from "./house.ts";
import { LOOKUP } from "./lookup.ts";
import { TRANSFORM } from "./transform.ts";

/** Schemas and transformation: how fast they are found, what enforcing them costs. */

const MEASURES: readonly SchemaMeasure[] = [LOOKUP, ENFORCE, TRANSFORM];

/** The names of all figures. */
export const FIGURE_NAMES: readonly string[] = MEASURES.flatMap(({ figures }) => figures.map(({ name }) => name));

export const suite: Suite = {
  name: "schemas",
  about: "schemas and transformation: how fast they are found, what they cost",
  run: (context) => runMeasures(context, HOUSE, MEASURES),
};
