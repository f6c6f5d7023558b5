import { type Suite, type SuiteResult, isWanted } from "../lib/suite.ts";
import { SUSTAINED, SYNCED } from "./disk.ts";
import { LATENCY } from "./latency.ts";
import { LATENCY_BUSY, LATENCY_CATCH_UP } from "./latency-loaded.ts";
import { BOTH_CLIENT, BOTH_RAW, CONSUME, FANOUT } from "./reading.ts";
import { inTime, type Measure, Stage } from "./stage.ts";
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

/** A round takes minutes at most; what does not end is told from what takes long. */
const ROUND_MS_MAX = 900_000;
const QUICK_ROUND_MS_MAX = 60_000;

const number = (value: number): string => (Math.abs(value) >= 100 ? value.toFixed(0) : value.toFixed(3));

async function measure(stage: Stage, measure: Measure): Promise<void> {
  const { rounds, quick, progress, signal } = stage.context;
  const count = quick ? 1 : rounds;
  progress(`limits: ${measure.title}`);
  try {
    const run = await measure.prepare(stage);
    for (let round = 0; round < count; round += 1) {
      signal.throwIfAborted();
      await inTime(measure.title, quick ? QUICK_ROUND_MS_MAX : ROUND_MS_MAX, run(round));
      const values = measure.figures.map(({ name }) => `${name} ${number(stage.runsOf(name).at(-1) ?? Number.NaN)}`);
      progress(`  round ${round + 1} of ${count}: ${values.join(", ")}`);
    }
  } finally {
    await stage.clear();
  }
}

export const suite: Suite = {
  name: "limits",
  about: "the broker beside bare programs that do nothing but the kernel's part",
  async run(context): Promise<SuiteResult> {
    await using stage = new Stage(context);
    const wanted = MEASURES.filter(({ figures }) => figures.some(({ name }) => isWanted(context, name)));
    for (const one of wanted) await measure(stage, one);
    const figures = stage.figures(wanted.flatMap((one) => one.figures));
    return { figures, tables: [stage.costTable()] };
  },
};
