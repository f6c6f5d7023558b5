import type { Suite } from "../lib/suite.ts";
import { runMeasures } from "../limits/rounds.ts";
import { ABUSE } from "./abuse.ts";
import { DASHBOARD } from "./dashboard.ts";
import { HOUSE, type OperateMeasure } from "./house.ts";
import { PERMISSIONS } from "./permissions.ts";
import { THREADS } from "./threads.ts";
import { TLS } from "./tls.ts";

/** What it costs to operate the broker safely, and how calm it stays: one file for each line. */

const MEASURES: readonly OperateMeasure[] = [ABUSE, THREADS, PERMISSIONS, TLS, DASHBOARD];

/** The names of all figures. */
export const FIGURE_NAMES: readonly string[] = MEASURES.flatMap(({ figures }) => figures.map(({ name }) => name));

export const suite: Suite = {
  name: "operate",
  about: "what security costs, how calm the broker stays under abuse, and its dashboard",
  run: (context) => runMeasures(context, HOUSE, MEASURES),
};
