import { cronTimeAfter } from "../stdx/cron.ts";
import { clientError } from "./errors.ts";

/**
 * The next time that a cron schedule names, in ms since 1970.
 *
 * @param utcOffsetMinutes of the place whose clock is meant
 * @throws invalid_argument for what is no schedule; schedule_never where no day matches
 */
export function nextCronTime(schedule: string, afterMs: number, utcOffsetMinutes: number = 0): number {
  let timeMs: number | null;
  try {
    timeMs = cronTimeAfter(schedule, afterMs, { utcOffsetMinutes });
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw clientError("invalid_argument", `"${schedule.slice(0, 100)}" is no cron schedule: ${why}`, { field: "cron" });
  }
  if (timeMs !== null) return timeMs;
  throw clientError("schedule_never", `the schedule "${schedule}" never fires: no day of the calendar matches it`, {
    schedule,
  });
}
