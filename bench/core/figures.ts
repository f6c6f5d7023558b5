import { type Figure, figureOf } from "../lib/figure.ts";
import type { Table } from "../lib/suite.ts";
import type { Work } from "./works.ts";

/** From what the runners measured to figures: ns per item, and GB/s where bytes go through. */

export interface Measured extends Work {
  /** Nanoseconds of one run, the median of the round. */
  readonly runNs: number;
}

/** `core_crc_64k`, `codec_batch_encode`. */
export function figureName(side: string, name: string): string {
  return `${side}_${name.replaceAll("-", "_")}`;
}

/** The figures of one side (core, codec) out of its rounds; every round measured the same works. */
export function figuresOf(side: string, rounds: readonly (readonly Measured[])[]): Figure[] {
  const [first = []] = rounds;
  return first.flatMap(({ name, item, items, bytes }) => {
    const runsNs = rounds.map((round) => round.find((one) => one.name === name)?.runNs ?? Number.NaN);
    const id = figureName(side, name);
    const time = figureOf(
      id,
      `ns/${item}`,
      runsNs.map((ns) => ns / items),
    );
    if (bytes === 0) return [time];
    return [
      time,
      figureOf(
        `${id}_rate`,
        "GB/s",
        runsNs.map((ns) => bytes / ns),
      ),
    ];
  });
}

/** One line a work: time per item and rate side by side. */
export function tableOf(title: string, figures: readonly Figure[]): Table {
  const rates = new Map(figures.map((figure) => [figure.name, figure]));
  const number = (value: number): string => (value >= 100 ? value.toFixed(0) : value.toPrecision(3));
  const rows = figures
    .filter(({ name }) => !name.endsWith("_rate"))
    .map(({ name, value, unit, spread: [least, most] }) => {
      const rate = rates.get(`${name}_rate`);
      return [
        name,
        `${number(value)} ${unit}`,
        `${number(least)}–${number(most)}`,
        rate ? `${number(rate.value)} GB/s` : "",
      ];
    });
  return { title, columns: ["what", "time", "spread", "rate"], rows };
}
