import type { Suite } from "../lib/suite.ts";
import { runMeasures } from "../limits/rounds.ts";
import { HOUSE, type QueueMeasure } from "./house.ts";
import { FANOUT } from "./fanout.ts";
import { LATENCY } from "./latency.ts";
import { ROUTE } from "./route.ts";
import { BACKLOG, DELAYED } from "./waiting.ts";
import { WORK, WORK_RAW } from "./work.ts";

/** Queues and routing: how fast, how much memory, how late. */

const MEASURES: readonly QueueMeasure[] = [WORK, WORK_RAW, ROUTE, FANOUT, BACKLOG, DELAYED, LATENCY];

/** The names of all figures. */
export const FIGURE_NAMES: readonly string[] = MEASURES.flatMap(({ figures }) => figures.map(({ name }) => name));

export const suite: Suite = {
  name: "queues",
  about: "queues and exchanges: how fast, how much memory, how late",
  run: (context) => runMeasures(context, HOUSE, MEASURES),
};
