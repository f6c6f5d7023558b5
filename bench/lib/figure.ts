/** A measured figure: the runs, and what stands for them. */

export interface Goal {
  readonly atLeast?: number;
  readonly atMost?: number;
}

export interface Figure {
  readonly name: string;
  /** The median of the runs. */
  readonly value: number;
  readonly unit: string;
  /** The lowest and the highest run. */
  readonly spread: readonly [number, number];
  readonly runs: readonly number[];
  readonly goal?: Goal;
  readonly note?: string;
}

/** The middle value; of an even count the mean of the two in the middle. NaN of nothing. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  const upper = sorted[middle] ?? Number.NaN;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? Number.NaN) + upper) / 2;
}

/** The figure of some runs; its value is their median. */
export function figureOf(name: string, unit: string, runs: readonly number[], goal?: Goal, note?: string): Figure {
  const spread: [number, number] = [Math.min(...runs), Math.max(...runs)];
  return {
    name,
    value: median(runs),
    unit,
    spread,
    runs,
    ...(goal === undefined ? {} : { goal }),
    ...(note === undefined ? {} : { note }),
  };
}

/** Whether the figure meets its goal; undefined where it has none. */
export function meetsGoal({ value, goal }: Figure): boolean | undefined {
  if (goal === undefined) return undefined;
  return value >= (goal.atLeast ?? Number.NEGATIVE_INFINITY) && value <= (goal.atMost ?? Number.POSITIVE_INFINITY);
}
