import { clientError, type MillraceError } from "./errors.ts";

/** What became of published records, shared by all records of one parcel so that a record costs no promise until somebody awaits it. */

export type AckLevel = "none" | "memory" | "written" | "synced";

export const LEVELS: readonly AckLevel[] = ["none", "memory", "written", "synced"];

export interface PublishResult {
  partition: number;
  /** null with acks "none", and for a duplicate whose offset the broker no longer knows. */
  offset: number | null;
  /** The level reached when the broker answered. */
  level: AckLevel;
}

interface Run {
  first: number;
  count: number;
  partition: number;
  baseOffset: number | null;
  level: number;
  error: MillraceError | null;
}

/** The outcome of `count` records that travel together. It settles when each of them has been answered. */
export class Outcome {
  /** Records in all; may grow until the parcel is sent. */
  count = 0;
  private answered = 0;
  private readonly runs: Run[] = [];
  /** Failures of single records, among others that were stored. */
  private exceptions: Map<number, MillraceError> | null = null;
  private promise: Promise<void> | null = null;
  private resolve: (() => void) | null = null;

  get isSettled(): boolean {
    return this.answered >= this.count;
  }

  /** True when somebody awaits, so that a failure is seen. */
  get isObserved(): boolean {
    return this.promise !== null;
  }

  /** The first failure among the answers. */
  get failure(): MillraceError | null {
    const [exception = null] = this.exceptions?.values() ?? [];
    return exception ?? this.runs.find(({ error }) => error !== null)?.error ?? null;
  }

  acked(first: number, count: number, partition: number, baseOffset: number | null, level: number): void {
    this.answer({ first, count, partition, baseOffset, level, error: null });
  }

  failed(first: number, count: number, error: MillraceError): void {
    this.answer({ first, count, partition: 0, baseOffset: null, level: 0, error });
  }

  /** One record went nowhere, whatever comes of the others; its answer comes with theirs. */
  except(index: number, error: MillraceError): void {
    this.exceptions ??= new Map();
    this.exceptions.set(index, error);
  }

  private answer(run: Run): void {
    this.runs.push(run);
    this.answered += run.count;
    if (this.isSettled) this.resolve?.();
  }

  settled(): Promise<void> {
    this.promise ??= this.isSettled
      ? Promise.resolve()
      : new Promise((resolve) => {
          this.resolve = resolve;
        });
    return this.promise;
  }

  /** The result of one record of a settled outcome. Errors: what the broker refused it with. */
  resultOf(index: number): PublishResult {
    const exception = this.exceptions?.get(index);
    if (exception) throw exception;
    const run = this.runs.find(({ first, count }) => index >= first && index < first + count);
    if (!run) throw clientError("internal", "a record was never answered");
    if (run.error) throw run.error;
    const offset = run.baseOffset === null ? null : run.baseOffset + index - run.first;
    return { partition: run.partition, offset, level: LEVELS[run.level] ?? "none" };
  }
}

/**
 * The promise of one record's result. It allocates a real promise only when it
 * is awaited; a failure that nobody awaits is thrown by the producer's `flush`.
 */
export class Delivery implements Promise<PublishResult> {
  readonly [Symbol.toStringTag] = "Delivery";
  private outcome: Outcome | null;
  private index: number;
  private assigned: { promise: Promise<void>; resolve: () => void } | null = null;
  private failure: MillraceError | null = null;

  constructor(outcome: Outcome | null, index: number) {
    this.outcome = outcome;
    this.index = index;
  }

  /** Gives a record that had to wait its place. */
  assign(outcome: Outcome, index: number): void {
    this.outcome = outcome;
    this.index = index;
    if (this.assigned) {
      void outcome.settled();
      this.assigned.resolve();
    }
  }

  /** Fails a record that never got a place. Returns whether somebody awaits it. */
  reject(error: MillraceError): boolean {
    this.failure = error;
    this.assigned?.resolve();
    return this.assigned !== null;
  }

  private async result(): Promise<PublishResult> {
    if (!this.outcome && !this.failure) {
      if (!this.assigned) {
        let resolve: () => void = () => undefined;
        const promise = new Promise<void>((done) => {
          resolve = done;
        });
        this.assigned = { promise, resolve };
      }
      await this.assigned.promise;
    }
    if (this.failure) throw this.failure;
    const outcome = this.outcome as Outcome;
    await outcome.settled();
    return outcome.resultOf(this.index);
  }

  then<A = PublishResult, B = never>(
    onFulfilled?: ((value: PublishResult) => A | PromiseLike<A>) | null,
    onRejected?: ((reason: unknown) => B | PromiseLike<B>) | null,
  ): Promise<A | B> {
    return this.result().then(onFulfilled, onRejected);
  }

  catch<B = never>(onRejected?: ((reason: unknown) => B | PromiseLike<B>) | null): Promise<PublishResult | B> {
    return this.result().catch(onRejected);
  }

  finally(onFinally?: (() => void) | null): Promise<PublishResult> {
    return this.result().finally(onFinally);
  }
}
