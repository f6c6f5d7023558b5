import { join } from "node:path";
import type { Suite } from "../lib/suite.ts";
import { SUSTAINED, SYNCED } from "./disk.ts";
import { LATENCY } from "./latency.ts";
import { LATENCY_BUSY, LATENCY_CATCH_UP } from "./latency-loaded.ts";
import { BOTH_CLIENT, BOTH_RAW, CONSUME, FANOUT } from "./reading.ts";
import { runMeasures } from "./rounds.ts";
import { FULL, QUICK, type Sizes } from "./sizes.ts";
import type { House, Measure } from "./stage.ts";
import { STATE } from "./state.ts";
import { PARTITIONS, PRODUCE_BATCHED, PRODUCE_SINGLE } from "./throughput.ts";

/** The broker beside what the machine can do at all: each ratio measured in one go, taking turns with a bare program. */

const MEASURES: readonly Measure[] = [
  PRODUCE_BATCHED,
  SUSTAINED,
  PRODUCE_SINGLE,
  SYNCED,
  CONSUME,
  BOTH_RAW,
  BOTH_CLIENT,
  FANOUT,
  LATENCY,
  LATENCY_BUSY,
  LATENCY_CATCH_UP,
  STATE,
  PARTITIONS,
];

/** The names of all figures. */
export const FIGURE_NAMES: readonly string[] = MEASURES.flatMap(({ figures }) => figures.map(({ name }) => name));

const HOUSE: House<Sizes> = { name: "limits", programs: join(import.meta.dir, "programs"), full: FULL, quick: QUICK };

export const suite: Suite = {
  name: "limits",
  about: "the broker beside bare programs that do nothing but the kernel's part",
  run: (context) => runMeasures(context, HOUSE, MEASURES),
};
