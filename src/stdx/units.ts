/** Sizes and spans as people write them: `16 MiB`, `7d`, `250ms`. Programs hold plain numbers of bytes and milliseconds. */

const BYTES: ReadonlyMap<string, number> = new Map([
  ["b", 1],
  ["kib", 2 ** 10],
  ["mib", 2 ** 20],
  ["gib", 2 ** 30],
  ["tib", 2 ** 40],
  ["kb", 1e3],
  ["mb", 1e6],
  ["gb", 1e9],
  ["tb", 1e12],
]);

const MILLISECONDS: ReadonlyMap<string, number> = new Map([
  ["ms", 1],
  ["s", 1000],
  ["m", 60_000],
  ["min", 60_000],
  ["h", 3_600_000],
  ["d", 86_400_000],
]);

function parseUnit(text: string, units: ReadonlyMap<string, number>): number | undefined {
  const [, digits, unit] = /^\s*(-?\d+(?:\.\d+)?)\s*([a-z]*)\s*$/i.exec(text) ?? [];
  if (digits === undefined || unit === undefined) return undefined;
  const factor = unit === "" ? 1 : units.get(unit.toLowerCase());
  if (factor === undefined) return undefined;
  const value = Number(digits) * factor;
  return Number.isSafeInteger(value) ? value : undefined;
}

/** Bytes of `1048576`, `1 MiB` or `1MB` (a million); undefined when it is none or not a whole number of bytes. */
export function parseBytes(text: string): number | undefined {
  return parseUnit(text, BYTES);
}

/** Milliseconds of `1500`, `1.5s`, `10m`, `2h` or `7d`; undefined when it is none or not a whole number. */
export function parseMilliseconds(text: string): number | undefined {
  return parseUnit(text, MILLISECONDS);
}

function formatUnit(value: number, units: readonly (readonly [string, number])[]): string {
  for (const [unit, factor] of units) {
    if (Math.abs(value) >= factor && value % factor === 0) return `${value / factor} ${unit}`;
  }
  return String(value);
}

/** The shortest exact form: `16 MiB`, `1000 B`. */
export function formatBytes(bytes: number): string {
  return formatUnit(bytes, [
    ["TiB", 2 ** 40],
    ["GiB", 2 ** 30],
    ["MiB", 2 ** 20],
    ["KiB", 2 ** 10],
    ["B", 1],
  ]);
}

/** The shortest exact form: `7 d`, `10 s`, `250 ms`. */
export function formatMilliseconds(ms: number): string {
  return formatUnit(ms, [
    ["d", 86_400_000],
    ["h", 3_600_000],
    ["min", 60_000],
    ["s", 1000],
    ["ms", 1],
  ]);
}
