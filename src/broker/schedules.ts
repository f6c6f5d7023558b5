/** Messages that are published again and again, by cron schedules: once for each time, also over kills of the process. */
import { isMillraceError, MillraceError } from "../errors/index.ts";
import type { Engine } from "../log/engine.ts";
import { DEFAULT_EXCHANGE_ID, DEFAULT_EXCHANGE_NAME } from "../routing/index.ts";
import { cronTimeAfter, type Logger } from "../stdx/index.ts";
import { requireExchange } from "./definitions.ts";
import type { MetadataLog } from "./metadata-log.ts";
import type { MetadataState } from "./metadata-state.ts";
import { nameFault } from "./names.ts";
import { keyOf } from "./quotas.ts";
import { RecordBatchCodec } from "./record-batch.ts";
import {
  nextTimeMs,
  progressKey,
  progressRecord,
  type Schedule,
  type ScheduleEvent,
  scheduleKey,
  scheduleRecord,
  type ScheduleRow,
} from "./schedule-state.ts";
import { spaceRecords, type Spaces } from "./spaces.ts";
import type { Identity } from "./transactions/messages.ts";
import { Sealer } from "./transactions/seal.ts";

/** What a client says of a schedule. */
export type ScheduleRequest = Omit<Schedule, "namespace" | "changedMs">;

/** A schedule as it is listed. */
export interface ScheduleSummary extends ScheduleRequest {
  readonly nextMs: number | null;
  /** The time it was last published for. */
  readonly lastMs: number | null;
  /** Why the last time came to nothing. */
  readonly error: string | null;
}

export interface SchedulesOptions {
  readonly engine: Engine;
  readonly metadata: MetadataLog;
  readonly spaces: Spaces;
  readonly limits: { readonly schedulesMax: number; readonly messageBytesMax: number };
  readonly logger: Logger;
}

/** With `missed: "skip"`, what is later than this is left out. */
const LATE_MS_MAX = 60_000;
/** After a failure of the disk. */
const RETRY_MS = 1_000;
const EPOCH_MAX = 0xffff;

export class Schedules {
  readonly #options: SchedulesOptions;
  readonly #codec = new RecordBatchCodec();
  /** When each fires next, by key; of the worker that publishes. */
  readonly #due = new Map<string, number>();
  readonly #changed = new Set<string>();
  #soonestMs = Infinity;
  readonly #firing = new Set<string>();

  constructor(options: SchedulesOptions) {
    this.#options = options;
  }

  get #state(): MetadataState {
    return this.#options.metadata.state;
  }

  /** The schedules of a namespace, by name. */
  list(namespace: string): ScheduleSummary[] {
    this.#options.metadata.catchUp();
    const { schedules } = this.#state;
    const prefix = scheduleKey(namespace, "");
    const summaries: ScheduleSummary[] = [];
    for (const key of schedules.keys().toSorted()) {
      const row = key.startsWith(prefix) ? schedules.find(key) : undefined;
      if (row === undefined) continue;
      const { name, cron, timezone, exchange, key: routingKey, value, headers, missed } = row.schedule;
      const { lastMs, error } = row.progress;
      const request = { name, cron, timezone, exchange, key: routingKey, value, headers, missed };
      summaries.push({ ...request, nextMs: nextTimeMs(row), lastMs, error });
    }
    return summaries;
  }

  find(namespace: string, name: string): Schedule | undefined {
    this.#options.metadata.catchUp();
    return this.#state.schedules.find(scheduleKey(namespace, name))?.schedule;
  }

  /**
   * Sets a schedule, instead of one of that name.
   *
   * @throws invalid_argument, schedule_never, exchange_not_found, message_too_large, limit_exceeded.
   */
  async put(namespace: string, request: ScheduleRequest): Promise<void> {
    const { engine, limits } = this.#options;
    const schedule: Schedule = { ...request, namespace, changedMs: engine.now() };
    checkSchedule(schedule, limits.messageBytesMax);
    const identity = this.#newIdentity();
    await this.#options.metadata.change((state) => {
      if (schedule.exchange !== DEFAULT_EXCHANGE_NAME) requireExchange(state, namespace, schedule.exchange);
      const key = scheduleKey(namespace, schedule.name);
      if (state.schedules.find(key) !== undefined) return [scheduleRecord(schedule)];
      if (state.schedules.size >= limits.schedulesMax) {
        throw new MillraceError(
          "limit_exceeded",
          `the broker has its ${limits.schedulesMax} schedules (schedulesMax)`,
          { details: { limit: "schedulesMax" } },
        );
      }
      const progress = progressRecord(key, { doneMs: 0, lastMs: null, error: null, next: identity });
      return [...spaceRecords(state, namespace).records, progress, scheduleRecord(schedule)];
    });
  }

  /** Takes a schedule away. @returns whether there was one. */
  async delete(namespace: string, name: string): Promise<boolean> {
    const key = scheduleKey(namespace, name);
    let existed = false;
    await this.#options.metadata.change(({ schedules }) => {
      existed = schedules.find(key) !== undefined;
      return existed ? [key, progressKey(key)].map((each) => ({ key: each, value: null })) : [];
    });
    return existed;
  }

  /** A schedule has changed, or come further. */
  onChanged({ key }: ScheduleEvent): void {
    this.#changed.add(key);
  }

  /** Publishes what is due. One worker calls it, several times a second. */
  tick(nowMs: number): void {
    if (this.#changed.size > 0) this.#look();
    if (nowMs < this.#soonestMs) return;
    for (const [key, dueMs] of this.#due) {
      const row = dueMs > nowMs || this.#firing.has(key) ? undefined : this.#state.schedules.find(key);
      if (row === undefined) continue;
      this.#firing.add(key);
      void this.#fire(key, row, dueMs, nowMs).finally(() => this.#firing.delete(key));
    }
  }

  #look(): void {
    for (const key of this.#changed) {
      const row = this.#state.schedules.find(key);
      const nextMs = row === undefined ? null : nextTimeMs(row);
      if (nextMs === null) this.#due.delete(key);
      else this.#due.set(key, nextMs);
    }
    this.#changed.clear();
    this.#soonestMs = Infinity;
    for (const dueMs of this.#due.values()) this.#soonestMs = Math.min(this.#soonestMs, dueMs);
  }

  async #fire(key: string, { schedule, progress }: ScheduleRow, dueMs: number, nowMs: number): Promise<void> {
    const isLeftOut = schedule.missed === "skip" && nowMs - dueMs > LATE_MS_MAX;
    let fault: string | null = null;
    try {
      if (!isLeftOut) this.#publish(schedule, progress.next, dueMs, nowMs);
    } catch (error) {
      fault = this.#failed(schedule, error);
      // What there is no room for now is tried again; anything else would fail again.
      if (isMillraceError(error, "disk_full", "storage_failed", "low_resources", "quota_exceeded"))
        return this.#later(key, nowMs);
    }
    // All times up to now are done: what was missed while the broker was down is published once.
    const done = isLeftOut
      ? { ...progress, doneMs: nowMs }
      : { doneMs: nowMs, lastMs: dueMs, error: fault, next: this.#identityAfter(progress.next) };
    try {
      await this.#options.metadata.change(({ schedules }) =>
        schedules.find(key) === undefined ? [] : [progressRecord(key, done)],
      );
    } catch (error) {
      // The next try publishes under the same identity, which the journal knows.
      this.#failed(schedule, error);
      this.#later(key, nowMs);
    }
  }

  #publish(schedule: Schedule, identity: Identity, dueMs: number, nowMs: number): void {
    const { namespace, name, exchange, key, value } = schedule;
    const isDefault = exchange === DEFAULT_EXCHANGE_NAME;
    const id = isDefault ? DEFAULT_EXCHANGE_ID : requireExchange(this.#state, namespace, exchange).id;
    const headers = { ...schedule.headers, "x-schedule": name, "x-scheduled-ms": dueMs };
    const batch = new Sealer(identity).seal("journal", this.#codec.encodeMessage({ key, value, headers }, nowMs));
    this.#options.engine.publishCharge([keyOf({ kind: "namespace", name: namespace })], 1, batch.length);
    this.#options.spaces.transact(namespace, ["publish", identity.copiesId, identity.epoch, [[id, batch]]]);
  }

  #later(key: string, nowMs: number): void {
    this.#due.set(key, nowMs + RETRY_MS);
    this.#soonestMs = Math.min(this.#soonestMs, nowMs + RETRY_MS);
  }

  #failed({ namespace, name }: Schedule, error: unknown): string {
    this.#options.logger.warn("a scheduled message could not be published", { namespace, schedule: name, error });
    return error instanceof Error ? error.message : String(error);
  }

  #identityAfter({ epoch, ...ids }: Identity): Identity {
    return epoch === EPOCH_MAX ? this.#newIdentity() : { ...ids, epoch: epoch + 1 };
  }

  #newIdentity(): Identity {
    const { engine } = this.#options;
    return { producerId: engine.newProducerId(), copiesId: engine.newProducerId(), epoch: 0 };
  }
}

function checkSchedule(schedule: Schedule, messageBytesMax: number): void {
  const { name, cron, timezone, value, changedMs } = schedule;
  const fault = nameFault(name);
  if (fault !== undefined) throw new MillraceError("invalid_argument", `name: ${fault}`);
  const bytes = Buffer.byteLength(value ?? "");
  if (bytes > messageBytesMax) {
    throw new MillraceError("message_too_large", `the value has ${bytes} bytes, messageBytesMax is ${messageBytesMax}`);
  }
  let nextMs: number | null;
  try {
    nextMs = cronTimeAfter(cron, changedMs, { timezone: timezone ?? undefined });
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new MillraceError("invalid_argument", `"${cron}" is no cron schedule: ${why}`, {
      details: { field: "cron" },
    });
  }
  if (nextMs !== null) return;
  const message = `the schedule "${cron}" never fires: no day of the calendar matches it`;
  throw new MillraceError("schedule_never", message, { details: { cron } });
}
