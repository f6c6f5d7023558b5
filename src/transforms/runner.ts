import type { Client } from "../client/index.ts";
import { type ErrorName, type MillraceError, toMillraceError } from "../errors/index.ts";
import {
  DEFAULT_TIMEOUT_MS,
  type Definition,
  failed,
  messagesOf,
  type Outcome,
  reasonOf,
  type Target,
  type Transform,
  TransformMessage,
} from "../schema/transform/index.ts";
import type { Intake, Work } from "./intake.ts";
import { BATCH_MESSAGES_MAX } from "./limits.ts";
import type { Condemned, Place } from "./messages.ts";
import { EncoderPool, Outlet, TopicSizes } from "./outlet.ts";
import type { ProgressWriter } from "./progress.ts";

/**
 * The work of a worker's process: takes a batch, has every message go through the steps, and commits what came out
 * together with the batch's acks or offsets. What fails in a way that its message is to blame for goes to the dead
 * letters in the same transaction; what fails for other reasons is tried again, and nothing is lost or done twice.
 */

export interface RunnerOptions {
  readonly name: string;
  readonly definition: Definition;
  readonly client: Client;
  readonly transform: Transform;
  readonly progress: ProgressWriter;
  /** A message that has to be the first of its process. */
  readonly suspect: Place | null;
  /** A message went to the dead letters. */
  onFailure(reason: string): void;
  /** What keeps it from going on; null when it goes on. */
  onHeld(reason: string | null): void;
}

/** A transaction is committed when it has so much to publish; brokers take 8 MiB by default. */
const TRANSACTION_BYTES = 2 * 1024 * 1024;
/** Slow steps commit what they have after this, so that results do not wait for a whole batch. */
const STRETCH_MS = 250;
const HOLD_MS_MIN = 100;
const HOLD_MS_MAX = 10_000;

/** What became of a message that the steps, or the broker, refused. */
class Failure {
  readonly reason: string;

  constructor(reason: string) {
    this.reason = reason;
  }
}

type Result = Outcome | Failure;

/** "alone": the suspect is next, and another process has to begin with it. */
export type RunEnd = "stopped" | "alone";

export class Runner {
  private readonly options: RunnerOptions;
  private readonly sizes: TopicSizes;
  private readonly pool = new EncoderPool();
  private readonly condemned = new Map<string, string>();
  private readonly stopping = Promise.withResolvers<void>();
  private isStopping = false;
  private isTaking = false;
  private intake: Intake | null = null;
  /** Messages begun. */
  private begun = 0;
  private holdMs = HOLD_MS_MIN;
  private newestFailure: string | null = null;

  constructor(options: RunnerOptions) {
    this.options = options;
    this.sizes = new TopicSizes(options.client);
  }

  /** A message that ended a worker fails without being tried. */
  condemn({ reason, ...place }: Condemned): void {
    this.condemned.set(placeName(place), reason);
  }

  /** Finishes the batch under way, which makes `run` resolve. */
  stop(): void {
    this.isStopping = true;
    this.stopping.resolve();
    if (this.isTaking) void this.intake?.stop();
  }

  /** Works until it is told to stop, or stands before the suspect. Errors: what makes the worker's place in the source uncertain; begin anew then. */
  async run(intake: Intake): Promise<RunEnd> {
    this.intake = intake;
    let end: RunEnd = "stopped";
    while (!this.isStopping && end !== "alone") {
      this.isTaking = true;
      const work = await intake.take(BATCH_MESSAGES_MAX);
      this.isTaking = false;
      if (work === null) break;
      end = await this.work(work);
    }
    await (end === "alone" ? intake.handOver() : intake.stop());
    return end;
  }

  private async work(work: Work): Promise<RunEnd> {
    let start = 0;
    while (start < work.length && !this.isStopping) {
      const results = await this.transformFrom(work, start);
      if (results.length === 0) {
        work.giveBack(start);
        return "alone";
      }
      start = await this.commit(work, results, start, start + results.length);
    }
    if (start < work.length) work.giveBack(start);
    return "stopped";
  }

  // -- Through the steps ----------------------------------------------------------

  /** Results of the messages from `start` on: of all, or of as many as there was time for. None where the suspect is next and not the first. */
  private async transformFrom(work: Work, start: number): Promise<Result[]> {
    const { progress } = this.options;
    const deadlineMs = performance.now() + STRETCH_MS;
    const results: Result[] = [];
    for (let index = start; index < work.length; index += 1) {
      if (this.begun > 0 && this.isSuspect(work, index)) break;
      const result = this.transformOne(work, index);
      results.push(result instanceof Promise ? await result : result);
      if (performance.now() > deadlineMs) break;
    }
    progress.end();
    return results;
  }

  private isSuspect(work: Work, index: number): boolean {
    const { suspect } = this.options;
    if (suspect === null) return false;
    const { partition, number } = work.place(index);
    return partition === suspect.partition && number === suspect.number;
  }

  private transformOne(work: Work, index: number): Result | Promise<Result> {
    const place = work.place(index);
    if (this.condemned.size > 0) {
      const reason = this.condemned.get(placeName(place));
      if (reason !== undefined) return new Failure(reason);
    }
    this.begun += 1;
    this.options.progress.begin(place.partition, place.number);
    try {
      const outcome = this.options.transform(work.message(index));
      return outcome instanceof Promise ? this.inTime(outcome) : outcome;
    } catch (error) {
      return new Failure(reasonOf(error));
    }
  }

  /** A step that waits for something has its time here; one that never yields is ended from outside. */
  private async inTime(outcome: Promise<Outcome>): Promise<Result> {
    const { timeoutMs = DEFAULT_TIMEOUT_MS } = this.options.definition;
    const late = Promise.withResolvers<never>();
    const timer = setTimeout(() => late.reject(failed(`it took longer than ${timeoutMs} ms`)), timeoutMs);
    try {
      return await Promise.race([outcome, late.promise]);
    } catch (error) {
      return new Failure(reasonOf(error));
    } finally {
      clearTimeout(timer);
    }
  }

  // -- Into one transaction ---------------------------------------------------------

  /** Commits the results, which begin with message `base`, for messages `from` to `until`. Returns how far it came before it was stopped. */
  private async commit(
    work: Work,
    results: Result[],
    from: number,
    until: number,
    base: number = from,
  ): Promise<number> {
    let start = from;
    while (start < until && !this.isStopping) {
      const batch = await this.gather(work, results, start, until, base);
      if (batch === null) {
        // It failed and there is nowhere to put it: it is tried again, by other code perhaps.
        const again = await this.hold(`${work.origin(start)}: ${(results[start - base] as Failure).reason}`);
        if (again) {
          results[start - base] = await this.transformOne(work, start);
          this.options.progress.end();
        }
        continue;
      }
      const error = await this.send(work, batch, start);
      start =
        error === null
          ? batch.until
          : await this.refused(work, results, { error, from: start, until: batch.until, base });
    }
    return start;
  }

  private async send(work: Work, batch: Gathered, from: number): Promise<MillraceError | null> {
    try {
      await this.options.client.transaction((transaction) => {
        batch.outlet.drain(transaction);
        work.settle(transaction, from, batch.until);
      });
    } catch (error) {
      return toMillraceError(error);
    } finally {
      batch.outlet.close();
    }
    this.options.progress.committed(batch.until - from, batch.messagesOut, batch.failed);
    this.goOn();
    return null;
  }

  /** What the broker refused: halves where a message is to blame, until it is alone and fails by itself. Returns where to go on. */
  private async refused(work: Work, results: Result[], { error, from, until, base }: Refusal): Promise<number> {
    const isChosen = results.slice(from - base, until - base).some(choosesTarget);
    const blame = blameOf(error, isChosen);
    if (blame === "place") throw error;
    if (blame === "broker") {
      await this.hold(reasonOf(error));
      return from;
    }
    if (until - from > 1) {
      const middle = from + Math.floor((until - from) / 2);
      const reached = await this.commit(work, results, from, middle, base);
      return reached < middle ? reached : this.commit(work, results, middle, until, base);
    }
    if (results[from - base] instanceof Failure) {
      await this.hold(`the dead letters of ${work.origin(from)}: ${reasonOf(error)}`);
    } else {
      results[from - base] = new Failure(`${error.codeName}: ${reasonOf(error)}`);
    }
    return from;
  }

  /** Encodes the results from `start` on, until they are all there or enough; null where the first one cannot go anywhere. */
  private async gather(
    work: Work,
    results: Result[],
    start: number,
    until: number,
    base: number,
  ): Promise<Gathered | null> {
    const { to, deadLetter } = this.options.definition;
    await this.learnTopics(results.slice(start - base, until - base));
    const gathered = { outlet: new Outlet(this.sizes, this.pool), until: start, messagesOut: 0, failed: 0 };
    for (; gathered.until < until && gathered.outlet.bytes < TRANSACTION_BYTES; gathered.until += 1) {
      const index = gathered.until;
      const result = results[index - base] as Result;
      if (result instanceof Failure) {
        if (deadLetter === undefined) break;
        this.addDeadLetter(gathered.outlet, deadLetter, work, index, result);
        gathered.failed += 1;
        continue;
      }
      try {
        for (const message of messagesOf(result)) {
          gathered.outlet.add(message.to ?? to, message, work.timestamp(index));
          gathered.messagesOut += 1;
        }
      } catch (error) {
        // Part of it may be encoded already, so the whole is done again without it.
        results[index - base] = new Failure(reasonOf(error));
        return this.gather(work, results, start, until, base);
      }
    }
    return gathered.until === start ? null : gathered;
  }

  private addDeadLetter(outlet: Outlet, deadLetter: Target, work: Work, index: number, { reason }: Failure): void {
    const message = work.message(index);
    this.newestFailure = `${work.origin(index)}: ${reason}`;
    const headers = {
      ...message.headers,
      "x-transform": this.options.name,
      "x-transform-error": reason,
      "x-transform-source": work.origin(index),
    };
    outlet.add(deadLetter, message.with({ headers }), work.timestamp(index));
  }

  /** The numbers of partitions of the topics that the results go to. A topic that is not there is found by the commit. */
  private async learnTopics(results: readonly Result[]): Promise<void> {
    const topics = new Set<string>();
    const { to, deadLetter } = this.options.definition;
    for (const { topic } of [to, deadLetter ?? {}]) if (topic !== undefined) topics.add(topic);
    for (const result of results) {
      if (result instanceof Failure || result === null) continue;
      for (const message of messagesOf(result)) if (message.to?.topic !== undefined) topics.add(message.to.topic);
    }
    for (const topic of topics) await this.sizes.learn(topic).catch(() => undefined);
  }

  // -- Waiting ------------------------------------------------------------------------

  /** Waits, longer each time. False where it was told to stop meanwhile. */
  private async hold(reason: string): Promise<boolean> {
    this.options.onHeld(reason);
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, this.holdMs);
    this.holdMs = Math.min(HOLD_MS_MAX, this.holdMs * 2);
    await Promise.race([promise, this.stopping.promise]);
    clearTimeout(timer);
    return !this.isStopping;
  }

  private goOn(): void {
    if (this.holdMs > HOLD_MS_MIN) this.options.onHeld(null);
    this.holdMs = HOLD_MS_MIN;
    if (this.newestFailure !== null) this.options.onFailure(this.newestFailure);
    this.newestFailure = null;
  }
}

interface Gathered {
  readonly outlet: Outlet;
  /** Behind the last message that is in it. */
  readonly until: number;
  readonly messagesOut: number;
  readonly failed: number;
}

interface Refusal {
  readonly error: MillraceError;
  readonly from: number;
  readonly until: number;
  readonly base: number;
}

function placeName({ partition, number }: Place): string {
  return `${partition} ${number}`;
}

function choosesTarget(result: Result): boolean {
  if (result instanceof Failure || result === null) return false;
  return result instanceof TransformMessage ? result.to !== undefined : result.some(({ to }) => to !== undefined);
}

/** Refusals that a message has brought about by what it is. */
const OF_MESSAGES: ReadonlySet<ErrorName> = new Set([
  "unroutable",
  "no_responder",
  "schema_violation",
  "message_too_large",
  "batch_too_large",
  "bad_record",
  "frame_too_large",
]);
/** The same where messages name where they go. */
const OF_TARGETS: ReadonlySet<ErrorName> = new Set([
  "topic_not_found",
  "exchange_not_found",
  "queue_not_found",
  "partition_not_found",
  "unauthorized",
  "invalid_topic_name",
]);
/** Where the worker stands in its source is not known any more: beginning anew from what is committed makes it known. */
const OF_PLACE: ReadonlySet<ErrorName> = new Set([
  "generation_stale",
  "member_unknown",
  "fenced_instance",
  "unknown_delivery",
  "connection_lost",
  "closed",
  "subscription_not_found",
  "heartbeat_missed",
]);

/** Who is to blame for a refused transaction: one of its messages, this worker's place in the source, or the broker for now. */
function blameOf(error: MillraceError, isChosen: boolean): "message" | "place" | "broker" {
  const { codeName, details } = error;
  if (OF_PLACE.has(codeName)) return "place";
  if (OF_MESSAGES.has(codeName)) return "message";
  if (codeName === "limit_exceeded" && details?.["limit"] === "transactionBytesMax") return "message";
  return isChosen && OF_TARGETS.has(codeName) ? "message" : "broker";
}
