import { clientError, type MillraceError } from "./errors.ts";

/**
 * The next time that a cron schedule names: five fields, minute hour day month
 * weekday, each `*`, numbers, ranges, lists and steps; months and weekdays by
 * name too. Where day and weekday are both restricted, either is enough, as
 * cron has it. Times are UTC, moved by an offset.
 */

interface Field {
  readonly name: string;
  readonly min: number;
  readonly max: number;
  readonly names?: readonly string[];
}

const MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const WEEKDAYS = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];
const FIELDS: readonly Field[] = [
  { name: "minute", min: 0, max: 59 },
  { name: "hour", min: 0, max: 23 },
  { name: "day", min: 1, max: 31 },
  { name: "month", min: 1, max: 12, names: MONTHS },
  { name: "weekday", min: 0, max: 7, names: WEEKDAYS },
];

const MINUTE_MS = 60_000;
const DAY_MS = 24 * 60 * MINUTE_MS;
/** The calendar repeats after 400 years, but what does not come within 28 (a 29th of February on any weekday) plus a skipped leap year does never. */
const DAYS_MAX = 366 * 40;

/**
 * The first time after `afterMs`, in ms since 1970.
 *
 * @param utcOffsetMinutes of the place whose clock is meant
 * @throws invalid_argument for what is no schedule; schedule_never where no day matches
 *
 * @example
 * nextCronTime("30 9 * * mon-fri", Date.now(), 60); // half past nine on weekdays, an hour ahead of UTC
 */
export function nextCronTime(schedule: string, afterMs: number, utcOffsetMinutes: number = 0): number {
  const words = schedule.trim().toLowerCase().split(/\s+/);
  if (words.length !== FIELDS.length) throw invalid(schedule, "has five fields: minute hour day month weekday");
  const [minutes, hours, days, months, weekdays] = FIELDS.map((field, index) =>
    readField(schedule, field, words[index] as string),
  ) as [Set<number>, Set<number>, Set<number>, Set<number>, Set<number>];
  if (weekdays.has(7)) weekdays.add(0);
  const isEither = !words[2]?.startsWith("*") && !words[4]?.startsWith("*");
  const offsetMs = utcOffsetMinutes * MINUTE_MS;
  const first = (Math.floor((afterMs + offsetMs) / MINUTE_MS) + 1) * MINUTE_MS;
  const firstDay = Math.floor(first / DAY_MS);
  for (let day = firstDay; day < firstDay + DAYS_MAX; day++) {
    const date = new Date(day * DAY_MS);
    if (!months.has(date.getUTCMonth() + 1)) continue;
    const isDay = days.has(date.getUTCDate());
    const isWeekday = weekdays.has(date.getUTCDay());
    if (isEither ? !isDay && !isWeekday : !isDay || !isWeekday) continue;
    const time = timeOfDay(minutes, hours, day === firstDay ? first - day * DAY_MS : 0);
    if (time !== undefined) return day * DAY_MS + time - offsetMs;
  }
  throw clientError("schedule_never", `the schedule "${schedule}" never fires: no day of the calendar matches it`, {
    schedule,
  });
}

/** The first time of day from `fromMs` on. */
function timeOfDay(minutes: ReadonlySet<number>, hours: ReadonlySet<number>, fromMs: number): number | undefined {
  for (let at = fromMs / MINUTE_MS; at < 24 * 60; at++) {
    if (hours.has(Math.floor(at / 60)) && minutes.has(at % 60)) return at * MINUTE_MS;
  }
  return undefined;
}

function readField(schedule: string, field: Field, text: string): Set<number> {
  const values = new Set<number>();
  for (const part of text.split(",")) {
    const [, range = "", from = "", to, step] = /^((\*|\w+)(?:-(\w+))?)(?:\/(\d+))?$/.exec(part) ?? [];
    if (range === "") throw invalid(schedule, `has no ${field.name} "${part}"`);
    const isAll = from === "*";
    const first = isAll ? field.min : valueOf(schedule, field, from);
    const isOpen = isAll || (to === undefined && step !== undefined);
    const last = isOpen ? field.max : valueOf(schedule, field, to ?? from);
    const every = Number(step ?? "1");
    if (every < 1 || last < first) throw invalid(schedule, `has no ${field.name} "${part}"`);
    for (let value = first; value <= last; value += every) values.add(value);
  }
  return values;
}

function valueOf(schedule: string, { name, min, max, names }: Field, word: string): number {
  const named = names?.indexOf(word) ?? -1;
  const value = named >= 0 ? named + (min === 1 ? 1 : 0) : /^\d+$/.test(word) ? Number(word) : Number.NaN;
  if (value >= min && value <= max) return value;
  throw invalid(schedule, `has no ${name} "${word}"`);
}

function invalid(schedule: string, why: string): MillraceError {
  return clientError("invalid_argument", `the schedule "${schedule.slice(0, 100)}" ${why}`, { field: "cron" });
}
