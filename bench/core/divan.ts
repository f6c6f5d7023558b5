/** Reads the table that divan prints: of each bench the times of one run, and what is counted a second. */

export interface DivanRow {
  /** `crc-64k/batch`: what was measured and what an item is. */
  readonly name: string;
  /** Nanoseconds of one run. */
  readonly fastestNs: number;
  readonly slowestNs: number;
  readonly medianNs: number;
}

const NS: Readonly<Record<string, number>> = { ps: 1e-3, ns: 1, µs: 1e3, ms: 1e6, s: 1e9 };

/** Nanoseconds of a text such as `4.566 µs`; NaN of anything else. */
function nanoseconds(text: string): number {
  const [, number, unit = ""] = /^([\d.]+) (\S+)$/.exec(text.trim()) ?? [];
  return Number(number) * (NS[unit] ?? Number.NaN);
}

/**
 * The rows of the tree that hold times. Rows below them (GB/s and items/s of the same bench) have no name and are left
 * out, and so are heads and groups.
 */
export function parseDivan(text: string): DivanRow[] {
  const rows: DivanRow[] = [];
  for (const line of text.split("\n")) {
    const [, name, fastest = "", rest = ""] = /^[│ ]*[├╰]─ (\S+)\s+([\d.]+ \S+)\s+│(.*)$/.exec(line) ?? [];
    if (name === undefined) continue;
    const [slowest = "", median = ""] = rest.split("│");
    const [fastestNs, slowestNs, medianNs] = [nanoseconds(fastest), nanoseconds(slowest), nanoseconds(median)];
    if (Number.isNaN(fastestNs + slowestNs + medianNs)) throw new Error(`not a line of divan's: ${line}`);
    rows.push({ name, fastestNs, slowestNs, medianNs });
  }
  return rows;
}
