import { Cron } from "croner";

/** Where the clock hangs that a schedule goes by: a time zone with its summer time, or an offset. UTC without either. */
export interface CronPlace {
  /** Name of the IANA database, such as `Europe/Berlin`. */
  readonly timezone?: string | undefined;
  readonly utcOffsetMinutes?: number | undefined;
}

/**
 * The first time after `afterMs`, in ms since 1970, that a cron schedule of five fields names: minute, hour, day, month,
 * weekday. Where day and weekday are both restricted, either is enough, as cron has it.
 *
 * @returns null where no day of the calendar matches.
 * @throws Error for what is no schedule or no time zone.
 *
 * @example
 * cronTimeAfter("30 9 * * mon-fri", Date.now(), { timezone: "Europe/Berlin" });
 */
export function cronTimeAfter(schedule: string, afterMs: number, place: CronPlace = {}): number | null {
  const { timezone, utcOffsetMinutes = 0 } = place;
  const where = timezone === undefined ? { utcOffset: utcOffsetMinutes } : { timezone };
  return new Cron(schedule, { ...where, mode: "5-part", paused: true }).nextRun(new Date(afterMs))?.getTime() ?? null;
}
