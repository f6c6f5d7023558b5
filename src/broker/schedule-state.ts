/** The schedules that the metadata log describes: what is published when, and for which time it was last. */
import { cronTimeAfter } from "../stdx/index.ts";
import { entityKey } from "./names.ts";
import type { StoredRecord } from "./record-batch.ts";
import type { MetadataChange } from "./routing-state.ts";
import type { Identity } from "./transactions/messages.ts";

export interface Schedule {
  readonly namespace: string;
  readonly name: string;
  /** Five fields: minute, hour, day, month, weekday. */
  readonly cron: string;
  /** IANA name; null is UTC. */
  readonly timezone: string | null;
  /** Empty for the default exchange. */
  readonly exchange: string;
  readonly key: string;
  readonly value: Uint8Array | string | null;
  readonly headers: Readonly<Record<string, unknown>> | null;
  /** What becomes of times at which the broker was not there: one message for all of them, or none. */
  readonly missed: "once" | "skip";
  /** When it was put; it fires for times after this. */
  readonly changedMs: number;
}

/** How far a schedule has come. */
export interface Progress {
  /** All times up to this are done. */
  readonly doneMs: number;
  /** The time that it was last published for. */
  readonly lastMs: number | null;
  /** Why the last time came to nothing. */
  readonly error: string | null;
  /** Of the next message: known before it is published, so a second one for the same time is known too. */
  readonly next: Identity;
}

export interface ScheduleRow {
  readonly schedule: Schedule;
  readonly progress: Progress;
}

export interface ScheduleEvent {
  readonly type: "schedule_changed";
  readonly key: string;
}

const PROGRESS = "schedule_progress ";

export class ScheduleState {
  readonly #schedules = new Map<string, Schedule>();
  readonly #progress = new Map<string, Progress>();

  get size(): number {
    return this.#schedules.size;
  }

  find(key: string): ScheduleRow | undefined {
    const schedule = this.#schedules.get(key);
    const progress = this.#progress.get(key);
    return schedule === undefined || progress === undefined ? undefined : { schedule, progress };
  }

  keys(): string[] {
    return [...this.#schedules.keys()];
  }

  /** @returns undefined for a record that is no schedule's. */
  apply({ key, value }: StoredRecord): ScheduleEvent[] | undefined {
    if (key.startsWith("schedule ")) {
      if (value === null) this.#schedules.delete(key);
      else this.#schedules.set(key, value as Schedule);
      return [{ type: "schedule_changed", key }];
    }
    if (!key.startsWith(PROGRESS)) return undefined;
    const owner = `schedule ${key.slice(PROGRESS.length)}`;
    if (value === null) this.#progress.delete(owner);
    else this.#progress.set(owner, value as Progress);
    return [{ type: "schedule_changed", key: owner }];
  }
}

export function scheduleKey(namespace: string, name: string): string {
  return entityKey("schedule", namespace, name);
}

export function scheduleRecord(schedule: Schedule): MetadataChange {
  return { key: scheduleKey(schedule.namespace, schedule.name), value: { type: "schedule", v: 1, ...schedule } };
}

/** @param key of the schedule. */
export function progressRecord(key: string, progress: Progress): MetadataChange {
  return { key: progressKey(key), value: { type: "schedule_progress", v: 1, ...progress } };
}

/** @param key of the schedule. */
export function progressKey(key: string): string {
  return PROGRESS + key.slice("schedule ".length);
}

/** When it fires next; null where never again. */
export function nextTimeMs({ schedule, progress }: ScheduleRow): number | null {
  const { cron, timezone, changedMs } = schedule;
  return cronTimeAfter(cron, Math.max(changedMs, progress.doneMs), { timezone: timezone ?? undefined });
}
