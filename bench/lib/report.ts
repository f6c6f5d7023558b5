import { readFileSync, statfsSync } from "node:fs";
import { cpus, release, tmpdir, totalmem } from "node:os";
import { type Figure, meetsGoal } from "./figure.ts";
import { type Histogram, PERCENTILES } from "./histogram.ts";
import type { SuiteResult, Table } from "./suite.ts";

/** Results as a JSON file and as tables. */

export interface Machine {
  readonly cpu: string;
  readonly cores: number;
  readonly memoryMb: number;
  readonly kernel: string;
  /** Of the folder for data. */
  readonly filesystem: string;
}

export interface Result {
  readonly name: string;
  readonly suite: string;
  /** ISO, UTC. */
  readonly date: string;
  /** Empty where there is no repository; with a `+` when files differ from it. */
  readonly commit: string;
  readonly machine: Machine;
  readonly command: string;
  readonly figures: readonly Figure[];
  readonly tables: readonly Table[];
}

/** Names of the file systems that data is likely to lie on, by their magic number. */
const FILESYSTEMS: ReadonlyMap<number, string> = new Map([
  [0xef53, "ext4"],
  [0x58465342, "xfs"],
  [0x9123683e, "btrfs"],
  [0x01021994, "tmpfs"],
  [0x794c7630, "overlayfs"],
  [0x2fc12fc1, "zfs"],
]);

export function machine(folder: string = tmpdir()): Machine {
  const { type } = statfsSync(folder);
  return {
    cpu: cpus()[0]?.model.trim() ?? "unknown",
    cores: cpus().length,
    memoryMb: Math.round(totalmem() / 1e6),
    kernel: release(),
    filesystem: FILESYSTEMS.get(type) ?? `0x${type.toString(16)}`,
  };
}

function git(args: readonly string[]): string {
  try {
    const child = Bun.spawnSync(["git", "-C", import.meta.dir, ...args], { stderr: "ignore" });
    return child.exitCode === 0 ? child.stdout.toString().trim() : "";
  } catch {
    return "";
  }
}

function commit(): string {
  const hash = git(["rev-parse", "--short", "HEAD"]);
  const isDirty = hash !== "" && git(["status", "--porcelain", "--untracked-files=no"]) !== "";
  return isDirty ? `${hash}+` : hash;
}

/** What a run found, as it is kept. */
export function resultOf(suite: string, command: string, { figures, tables }: SuiteResult, folder?: string): Result {
  const date = new Date().toISOString();
  return {
    name: `${suite} ${date}`,
    suite,
    date,
    commit: commit(),
    machine: machine(folder),
    command,
    figures,
    tables: tables ?? [],
  };
}

export async function writeResult(path: string, result: Result): Promise<void> {
  await Bun.write(path, `${JSON.stringify(result, null, 2)}\n`);
}

/** Reads a result file. Errors: the system's; no result in it. */
export function readResult(path: string): Result {
  const text = readFileSync(path, "utf8");
  let value: Partial<Result> | null;
  try {
    value = JSON.parse(text) as Partial<Result> | null;
  } catch {
    throw new Error(`${path} is no JSON`);
  }
  if (!Array.isArray(value?.figures)) throw new Error(`${path} holds no result: "figures" is missing`);
  return value as Result;
}

/** A number with the digits that matter: three of them, or all before the point. */
export function formatNumber(value: number): string {
  if (!Number.isFinite(value)) return "-";
  const size = Math.abs(value);
  if (size >= 1000) return Math.round(value).toLocaleString("en-US");
  if (size >= 100) return value.toFixed(0);
  if (size >= 10) return value.toFixed(1);
  return size >= 1 || size === 0 ? value.toFixed(2) : String(Number(value.toPrecision(3)));
}

function goalText({ goal }: Figure): string {
  const least = goal?.atLeast === undefined ? [] : [`≥ ${formatNumber(goal.atLeast)}`];
  const most = goal?.atMost === undefined ? [] : [`≤ ${formatNumber(goal.atMost)}`];
  return [...least, ...most].join(", ");
}

function spreadText({ spread: [low, high], runs }: Figure): string {
  return runs.length < 2 ? "" : `${formatNumber(low)}–${formatNumber(high)}`;
}

/** Figures with what they should be; the columns of goals only where one has a goal. */
export function figuresTable(figures: readonly Figure[], title: string = "figures"): Table {
  const hasGoals = figures.some(({ goal }) => goal !== undefined);
  const hasNotes = figures.some(({ note }) => note !== undefined);
  const columns = ["figure", "median", "unit", "spread"];
  const rows = figures.map((figure) => {
    const isMet = meetsGoal(figure);
    const goal = hasGoals ? [goalText(figure), isMet === undefined ? "" : isMet ? "yes" : "no"] : [];
    const note = hasNotes ? [figure.note ?? ""] : [];
    return [figure.name, formatNumber(figure.value), figure.unit, spreadText(figure), ...goal, ...note];
  });
  return {
    title,
    columns: [...columns, ...(hasGoals ? ["goal", "met"] : []), ...(hasNotes ? ["note"] : [])],
    rows,
  };
}

/** One line for each histogram, in ms. */
export function percentileTable(title: string, histograms: readonly (readonly [string, Histogram])[]): Table {
  return {
    title,
    columns: ["ms", ...PERCENTILES.map((percent) => `p${percent}`), "max", "count"],
    rows: histograms.map(([name, histogram]) => [
      name,
      ...PERCENTILES.map((percent) => formatMs(histogram.percentile(percent))),
      formatMs(histogram.max),
      histogram.count.toLocaleString("en-US"),
    ]),
  };
}

function formatMs(us: number): string {
  return Number.isFinite(us) ? formatNumber(us / 1e3) : "-";
}

const isNumberLike = (text: string): boolean => text === "" || text === "-" || /^[−+-]?[\d.,]+( ?%)?$/.test(text);

/** The table as markdown, padded so that it reads in a terminal as well. */
export function markdown({ title, columns, rows }: Table): string {
  const isRight = columns.map((_, at) => at > 0 && rows.length > 0 && rows.every((row) => isNumberLike(row[at] ?? "")));
  const width = columns.map((column, at) =>
    rows.reduce((most, row) => Math.max(most, Bun.stringWidth(row[at] ?? "")), Math.max(3, Bun.stringWidth(column))),
  );
  const line = (cells: readonly string[]): string =>
    `| ${columns.map((_, at) => pad(cells[at] ?? "", width[at] ?? 0, isRight[at] === true)).join(" | ")} |`;
  const rule = columns.map((_, at) => {
    const dashes = "-".repeat((width[at] ?? 3) - 1);
    return isRight[at] === true ? `${dashes}:` : `${dashes}-`;
  });
  const head = title === "" ? "" : `${title}\n\n`;
  return `${head}${[line(columns), `| ${rule.join(" | ")} |`, ...rows.map(line)].join("\n")}\n`;
}

function pad(text: string, width: number, isRight: boolean): string {
  const fill = " ".repeat(Math.max(0, width - Bun.stringWidth(text)));
  return isRight ? fill + text : text + fill;
}

/** Everything of a result for people. */
export function reportText(result: Pick<Result, "figures" | "tables">): string {
  return [figuresTable(result.figures), ...result.tables].map(markdown).join("\n");
}
