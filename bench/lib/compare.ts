import type { Figure } from "./figure.ts";
import { formatNumber, markdown, readResult } from "./report.ts";
import type { Table } from "./suite.ts";

/** Two results side by side: what changed, and whether the change is more than the runs differ among themselves. */

export interface Change {
  readonly name: string;
  readonly unit: string;
  readonly before: number;
  readonly after: number;
  /** (after − before) / before, in %. */
  readonly percent: number;
  /** The two spreads have values in common: the change may be chance. */
  readonly overlap: boolean;
}

/** The change of every figure that both have. Figures of the same name but another unit are none. */
export function changes(before: readonly Figure[], after: readonly Figure[]): Change[] {
  return before.flatMap((old) => {
    const now = after.find(({ name, unit }) => name === old.name && unit === old.unit);
    if (now === undefined) return [];
    const percent = ((now.value - old.value) / Math.abs(old.value)) * 100;
    const overlap = old.spread[0] <= now.spread[1] && now.spread[0] <= old.spread[1];
    return [{ name: old.name, unit: old.unit, before: old.value, after: now.value, percent, overlap }];
  });
}

function percentText(percent: number): string {
  if (!Number.isFinite(percent)) return "-";
  return `${percent > 0 ? "+" : ""}${percent.toFixed(1)} %`;
}

function verdict({ before, after, overlap }: Change, runs: number): string {
  if (before === after) return "the same";
  if (runs < 2) return "one run: unknown";
  return overlap ? "within the spread" : "outside the spread";
}

export function changesTable(before: readonly Figure[], after: readonly Figure[]): Table {
  const runsOf = (figures: readonly Figure[], name: string): number =>
    figures.find((figure) => figure.name === name)?.runs.length ?? 0;
  return {
    title: "",
    columns: ["figure", "unit", "before", "after", "change", "verdict"],
    rows: changes(before, after).map((change) => [
      change.name,
      change.unit,
      formatNumber(change.before),
      formatNumber(change.after),
      percentText(change.percent),
      verdict(change, Math.min(runsOf(before, change.name), runsOf(after, change.name))),
    ]),
  };
}

/** The text of `compare A B`. Errors: a file that is not there or holds no result; nothing in common. */
export function compareFiles(pathBefore: string, pathAfter: string): string {
  const [before, after] = [readResult(pathBefore), readResult(pathAfter)];
  const table = changesTable(before.figures, after.figures);
  if (table.rows.length === 0) throw new Error(`${pathBefore} and ${pathAfter} have no figure in common`);
  const only = (figures: readonly Figure[], others: readonly Figure[]): string =>
    figures
      .filter(({ name, unit }) => !others.some((other) => other.name === name && other.unit === unit))
      .map(({ name }) => name)
      .join(", ");
  const gone = only(before.figures, after.figures);
  const added = only(after.figures, before.figures);
  const notes = [
    `before: ${before.name}, ${before.commit || "no commit"}, ${before.command}`,
    `after:  ${after.name}, ${after.commit || "no commit"}, ${after.command}`,
    ...(JSON.stringify(before.machine) === JSON.stringify(after.machine) ? [] : ["the machines differ"]),
    ...(gone === "" ? [] : [`only before: ${gone}`]),
    ...(added === "" ? [] : [`only after: ${added}`]),
  ];
  return `${markdown(table)}\n${notes.join("\n")}\n`;
}
