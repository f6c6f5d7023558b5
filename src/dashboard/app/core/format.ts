/** Figures and times as people read them. */

const WHOLE = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
export const NONE = "–";

type Maybe = number | null | undefined;

function isMissing(value: Maybe): value is null | undefined {
  return value === null || value === undefined || Number.isNaN(value);
}

/** `12,345` */
export function whole(value: Maybe): string {
  return isMissing(value) ? NONE : WHOLE.format(value);
}

/** `12.3 k`: three digits at most, for figures that move. */
export function short(value: Maybe): string {
  if (isMissing(value)) return NONE;
  return scaled(value, 1000, ["", " k", " M", " G", " T"]);
}

/** `12.3 MiB` */
export function bytes(value: Maybe): string {
  if (isMissing(value)) return NONE;
  return scaled(value, 1024, [" B", " KiB", " MiB", " GiB", " TiB"]);
}

/** `12 %` */
export function percent(share: Maybe): string {
  return isMissing(share) ? NONE : `${Math.round(share * 100)} %`;
}

export function perSecond(value: Maybe): string {
  return isMissing(value) ? NONE : `${short(value)}/s`;
}

export function bytesPerSecond(value: Maybe): string {
  return isMissing(value) ? NONE : `${bytes(value)}/s`;
}

function scaled(value: number, step: number, units: readonly string[]): string {
  let rest = value;
  let unit = 0;
  // Four digits before the unit changes would be hard to compare: 0.98 MiB, not 1003 KiB.
  while (Math.abs(rest) >= 1000 && unit < units.length - 1) {
    rest /= step;
    unit += 1;
  }
  const isWhole = unit === 0 && Number.isInteger(value);
  const digits = isWhole || Math.abs(rest) >= 100 ? 0 : Math.abs(rest) >= 10 ? 1 : 2;
  // 12.0 k says no more than 12 k.
  return rest.toFixed(digits).replace(/\.0+$/, "") + units[unit];
}

/** `420 µs`, `1.3 ms`, `12 s`, `3 min`, `5 h`, `2 d` */
export function duration(ms: Maybe): string {
  if (isMissing(ms)) return NONE;
  if (ms === 0) return "0 ms";
  if (ms < 1) return `${Math.round(ms * 1000)} µs`;
  if (ms < 1000) return `${ms < 10 ? ms.toFixed(1).replace(/\.0$/, "") : Math.round(ms)} ms`;
  const seconds = ms / 1000;
  if (seconds < 120) return `${seconds < 10 ? seconds.toFixed(1).replace(/\.0$/, "") : Math.round(seconds)} s`;
  if (seconds < 7200) return `${Math.round(seconds / 60)} min`;
  if (seconds < 172_800) return `${Math.round(seconds / 3600)} h`;
  return `${Math.round(seconds / 86_400)} d`;
}

/** Day and time of day in the reader's zone. @param atMs -1 and null are no time. */
export function time(atMs: Maybe): string {
  if (isMissing(atMs) || atMs < 0) return NONE;
  const at = new Date(atMs - new Date(atMs).getTimezoneOffset() * 60_000);
  return at.toISOString().slice(0, 19).replace("T", " ");
}

/** The same with milliseconds, where things follow each other closely. */
export function exactTime(atMs: Maybe): string {
  if (isMissing(atMs) || atMs < 0) return NONE;
  return `${time(atMs)}.${String(Math.floor(atMs) % 1000).padStart(3, "0")}`;
}

/** `3 min ago` */
export function ago(atMs: Maybe): string {
  if (isMissing(atMs) || atMs < 0) return NONE;
  return `${duration(Math.max(0, Date.now() - atMs))} ago`;
}

export function plural(count: number, one: string, many = `${one}s`): string {
  return `${whole(count)} ${count === 1 ? one : many}`;
}
