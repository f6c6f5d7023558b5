import { Op } from "../protocol/index.ts";
import type { Client } from "./client.ts";

/** Schedules: messages that the broker publishes again and again, by a cron schedule, each once. */

export interface ScheduleRequest {
  name: string;
  /** Five fields: minute, hour, day, month, weekday. */
  cron: string;
  /** IANA name, such as `Europe/Berlin`; default UTC. */
  timezone?: string;
  /** Default: the default exchange, which goes by the name of a queue as key. */
  exchange?: string;
  key?: string;
  value: string | Uint8Array | null;
  headers?: Record<string, string | number | boolean>;
  /** Times at which the broker was not there: one message for all of them (default), or none. */
  missed?: "once" | "skip";
}

export interface Schedule extends Required<Omit<ScheduleRequest, "timezone" | "headers">> {
  timezone: string | null;
  headers: Record<string, string | number | boolean> | null;
  /** ms since 1970; null: never again. */
  nextMs: number | null;
  /** The time that it was last published for. */
  lastMs: number | null;
  /** Why the last time came to nothing. */
  error: string | null;
}

export class Schedules {
  private readonly client: Client;

  constructor(client: Client) {
    this.client = client;
  }

  /**
   * Sets a schedule, instead of one of that name. Its messages have the headers `x-schedule` and `x-scheduled-ms`.
   * Errors: invalid_argument, schedule_never, exchange_not_found, message_too_large, limit_exceeded.
   */
  async put(schedule: ScheduleRequest, signal?: AbortSignal): Promise<void> {
    await this.client.ask(Op.SCHEDULE_PUT, [schedule], signal);
  }

  /** Takes a schedule away. Returns whether there was one. */
  async delete(name: string, signal?: AbortSignal): Promise<boolean> {
    const answer = await this.client.ask(Op.SCHEDULE_DELETE, [{ name }], signal);
    return (answer as { deleted: boolean }).deleted;
  }

  /** The schedules of the namespace, by name. */
  async list(signal?: AbortSignal): Promise<Schedule[]> {
    const answer = await this.client.ask(Op.SCHEDULE_LIST, [{}], signal);
    return (answer as { schedules: Schedule[] }).schedules;
  }
}
