import { join } from "node:path";
import { buildBench } from "./cargo.ts";
import { plainEnvironment, runCommand } from "./command.ts";
import { parseWorks, type Work } from "./works.ts";

/**
 * Instructions that the core's hot functions take per item, counted by valgrind's callgrind: a figure that a busy machine
 * does not change, where times differ by a third from run to run. What the kernel does is not counted.
 *
 * valgrind shows programs a processor with AVX2 and PCLMULQDQ and without AVX-512, so code that looks for instructions
 * when it runs (crc32fast, the C library's memmove) takes its paths for that one: the CRC counts are those of 128-bit
 * carry-less multiplication, about twice what runs here without valgrind.
 */

export interface Counts {
  /** `crc-64k/batch` to instructions per item. */
  readonly [name: string]: number;
}

/** The counts of one processor architecture, and what they were counted with. */
export interface Recorded {
  readonly rustc: string;
  readonly valgrind: string;
  readonly counts: Counts;
}

export type RecordFile = Readonly<Record<string, Recorded>>;

export const RECORD_COMMAND = "npm run bench -- core --record";
export const recordPath: string = join(import.meta.dir, "instructions.json");
/** How far above its record a count may be. */
export const GROWTH_MAX = 1.1;
/**
 * zstd's code is not ours, and its counts are its version's. `deliver-head` is so small that it grew by a fifth when
 * unrelated code changed and the compiler made other choices of what to inline; `catch-up` has it as a part.
 */
const NOT_COUNTED = /^(zstd-|deliver-head$)/;
/** Runs are repeated until they have handled so many items: appends roll segments now and then. */
const ITEMS_MIN = 2_000;
const RUNS_MIN = 8;
const RUNS_MAX = 2_048;

/** The instructions that callgrind says were executed. */
export function parseCallgrind(text: string): number {
  const [, count] = /^==\d+== Collected : (\d+)/m.exec(text) ?? [];
  if (count === undefined) throw new Error(`callgrind printed no count: ${text.slice(-300)}`);
  return Number(count);
}

async function instructionsOf(binary: string, name: string, runs: number, signal?: AbortSignal): Promise<number> {
  const command = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", binary, name, String(runs)];
  const { errors } = await runCommand(command, signal === undefined ? {} : { signal });
  return parseCallgrind(errors);
}

/** How often a work is run; twice as often for the second count. */
export function runsOf({ items }: Pick<Work, "items">): number {
  return Math.min(RUNS_MAX, Math.max(RUNS_MIN, Math.ceil(ITEMS_MIN / items)));
}

/** Instructions per item: what the second N of 2N runs add, so that start and set-up cancel. */
export async function countOf(binary: string, work: Work, signal?: AbortSignal): Promise<number> {
  const runs = runsOf(work);
  const once = await instructionsOf(binary, work.name, runs, signal);
  const twice = await instructionsOf(binary, work.name, 2 * runs, signal);
  return Math.round(((twice - once) / runs / work.items) * 10) / 10;
}

/** Builds the bench binary and lists its works. */
export async function worksToCount(signal?: AbortSignal): Promise<{ binary: string; works: Work[] }> {
  const binary = await buildBench("instructions", signal);
  const works = parseWorks((await runCommand([binary, "--works"])).out);
  return { binary, works: works.filter(({ name }) => !NOT_COUNTED.test(name)) };
}

/** Counts all works; each is told as it is done. */
export async function countInstructions(
  told: (name: string, count: number) => void,
  signal?: AbortSignal,
): Promise<Counts> {
  const { binary, works } = await worksToCount(signal);
  const counts: Record<string, number> = {};
  for (const work of works) {
    const name = `${work.name}/${work.item}`;
    counts[name] = await countOf(binary, work, signal);
    told(name, counts[name]);
  }
  return counts;
}

/** Versions of what the counts depend on besides our code. */
export async function toolVersions(): Promise<Omit<Recorded, "counts">> {
  const version = async (command: string, env = plainEnvironment()): Promise<string> =>
    /\d+(\.\d+)+/.exec((await runCommand([command, "--version"], { env })).out)?.[0] ?? "unknown";
  return { rustc: await version("rustc"), valgrind: await version("valgrind") };
}

/** Reads what was recorded, by architecture (`process.arch`). */
export async function readRecord(path: string = recordPath): Promise<RecordFile> {
  const file = Bun.file(path);
  return (await file.exists()) ? ((await file.json()) as RecordFile) : {};
}

/** Writes the counts of this architecture and leaves the others. */
export async function writeRecord(recorded: Recorded, path: string = recordPath): Promise<void> {
  const all = { ...(await readRecord(path)), [process.arch]: recorded };
  await Bun.write(path, `${JSON.stringify(all, null, 2)}\n`);
}

/** What is wrong with a count, in a sentence with what can be done; undefined when it is within the limit. */
export function faultOf(
  name: string,
  counted: number,
  recorded: Recorded,
  now: Omit<Recorded, "counts">,
): string | undefined {
  const record = recorded.counts[name];
  if (record === undefined) return `${name} has no record; record it: ${RECORD_COMMAND}`;
  if (counted <= record * GROWTH_MAX) return undefined;
  const growth = ((counted / record - 1) * 100).toFixed(1);
  const tools = (["rustc", "valgrind"] as const)
    .filter((tool) => recorded[tool] !== now[tool])
    .map((tool) => `${tool} ${recorded[tool]} then, ${now[tool]} now`);
  const differ = tools.length > 0 ? ` (${tools.join("; ")})` : "";
  return `${name} takes ${counted} instructions an item, ${growth} % over the record of ${record}${differ}. Make it as fast as it was, or record the new count where it is worth it: ${RECORD_COMMAND}`;
}
