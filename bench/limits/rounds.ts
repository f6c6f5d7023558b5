import { isWanted, type SuiteContext, type SuiteResult } from "../lib/suite.ts";
import { type House, inTime, type Measure, Stage } from "./stage.ts";

/** A suite of measurements on a stage: each prepared, run so many times, and put away. */

/** A round takes minutes at most; what does not end is told from what takes long. */
const ROUND_MS_MAX = 900_000;
const QUICK_ROUND_MS_MAX = 60_000;

const number = (value: number): string => (Math.abs(value) >= 100 ? value.toFixed(0) : value.toFixed(3));

async function measure<S>(stage: Stage<S>, suite: string, measure: Measure<S>): Promise<void> {
  const { rounds, quick, progress, signal } = stage.context;
  const count = quick ? 1 : rounds;
  progress(`${suite}: ${measure.title}`);
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

/** Runs the measurements of which a figure is wanted. */
export async function runMeasures<S>(
  context: SuiteContext,
  house: House<S>,
  measures: readonly Measure<S>[],
): Promise<SuiteResult> {
  await using stage = new Stage(context, house);
  const wanted = measures.filter(({ figures }) => figures.some(({ name }) => isWanted(context, name)));
  for (const one of wanted) await measure(stage, house.name, one);
  const figures = stage.figures(wanted.flatMap((one) => one.figures));
  return { figures, tables: [stage.costTable()] };
}
