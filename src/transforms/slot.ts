import type { Definition } from "../schema/transform/definition.ts";
import type { Condemned, Counters, FromWorker, Place } from "./messages.ts";
import { type ProcessEnd, WorkerProcess } from "./process.ts";

/** One worker of a transform over its life: started again when it ends, exchanged when its code or definition changes. */

export interface SlotHost {
  readonly definition: Definition;
  /** Messages that ended a worker of this transform. */
  condemned(): readonly Condemned[];
  condemn(message: Condemned): void;
  /** What a worker had committed when it ended. */
  count(counters: Counters): void;
  /** A message failed; the newest is shown. */
  failed(reason: string): void;
  /** Something about the worker, for the log. */
  note(text: string): void;
  spawn(onMessage: (message: FromWorker) => void): WorkerProcess;
}

export type SlotState = "starting" | "running" | "held" | "waiting" | "stopped";

const BACKOFF_MS_MIN = 100;
const BACKOFF_MS_MAX = 30_000;

export class Slot {
  state: SlotState = "starting";
  /** Why it is held or waits. */
  reason: string | null = null;
  restarts: number = 0;
  readonly #host: SlotHost;
  #change = Promise.withResolvers<void>();
  #isClosing = false;
  #current: WorkerProcess | null = null;
  /** Its processes are one member of the group, so that partitions wait for none that was killed. */
  readonly #member = crypto.randomUUID();
  /** Was under way when the last process ended. */
  #suspect: Place | null = null;
  #isCareful = false;
  #backoffMs = BACKOFF_MS_MIN;
  /** The next process begins without a wait. */
  #isAtOnce = false;
  readonly #done: Promise<void>;

  constructor(host: SlotHost) {
    this.#host = host;
    this.#done = this.#keep();
  }

  /** What the process that runs has committed. */
  get counters(): Counters | null {
    return this.#current?.counters ?? null;
  }

  get pid(): number | null {
    return this.#current?.pid ?? null;
  }

  /** Has a new process take over once it has loaded; when it does not load, the old one goes on. */
  renew(): void {
    this.#change.resolve();
  }

  tell(condemned: Condemned): void {
    this.#current?.tell({ type: "condemn", condemned });
  }

  /** Resolves when its process has committed what it had, and is gone. */
  async close(): Promise<void> {
    this.#isClosing = true;
    this.#change.resolve();
    await this.#done;
  }

  async #keep(): Promise<void> {
    while (!this.#isClosing) {
      const worker = await this.#load();
      if (worker !== null) await this.#serve(worker);
      if (!this.#isClosing && !this.#isAtOnce) await this.#backOff();
      this.#isAtOnce = false;
    }
    this.state = "stopped";
  }

  /** A process with its steps loaded; null where they do not load. */
  async #load(): Promise<WorkerProcess | null> {
    const worker: WorkerProcess = this.#host.spawn((message) => this.#receive(worker, message));
    const fault = await worker.loaded;
    if (fault === null) return worker;
    await worker.ended;
    this.reason = fault;
    this.#host.note(`a worker did not start: ${fault}`);
    return null;
  }

  #run(worker: WorkerProcess): void {
    this.#current = worker;
    this.state = "running";
    this.reason = null;
    worker.run({
      member: this.#member,
      suspect: this.#suspect,
      isCareful: this.#isCareful,
      condemned: this.#host.condemned(),
    });
  }

  /** Until the process ends by itself, or is told to. */
  async #serve(first: WorkerProcess): Promise<void> {
    let worker = first;
    this.#run(worker);
    while (true) {
      const end = await Promise.race([worker.ended, this.#change.promise]);
      if (end !== undefined) return this.#ended(end);
      this.#change = Promise.withResolvers();
      if (this.#isClosing) return this.#ended(await worker.stop());
      const next = await this.#load();
      if (next === null) continue;
      this.#ended(await worker.stop());
      worker = next;
      if (this.#isClosing) return this.#ended(await worker.stop());
      this.#run(worker);
    }
  }

  #receive(worker: WorkerProcess, message: FromWorker): void {
    switch (message.type) {
      case "failure":
        this.#host.failed(message.reason);
        break;
      case "held":
        if (worker !== this.#current) break;
        this.state = message.reason === null ? "running" : "held";
        this.reason = message.reason;
        break;
    }
  }

  /**
   * A message that took too long is known. One that was under way when the process ended otherwise may be innocent: it
   * is tried as the first of a process, and when that ends too it was the one.
   */
  #ended({ cause, reason, at, isFirst, counters }: ProcessEnd): void {
    this.#current = null;
    this.#host.count(counters);
    if (counters.batches > 0) this.#backoffMs = BACKOFF_MS_MIN;
    if (cause === "stopped") return;
    this.#isAtOnce = cause === "alone";
    if (this.#isAtOnce) return;
    this.restarts += 1;
    this.#isCareful = true;
    this.reason = reason;
    this.#host.note(`a worker ended: ${reason}`);
    const isKnown = cause === "time" || isFirst;
    if (isKnown && at !== null) this.#host.condemn({ ...at, reason });
    this.#suspect = isKnown ? null : at;
  }

  async #backOff(): Promise<void> {
    this.state = "waiting";
    const waited = Promise.withResolvers<void>();
    const timer = setTimeout(waited.resolve, this.#backoffMs);
    this.#backoffMs = Math.min(BACKOFF_MS_MAX, this.#backoffMs * 2);
    await Promise.race([waited.promise, this.#change.promise]);
    clearTimeout(timer);
    if (!this.#isClosing) this.#change = Promise.withResolvers();
    this.state = "starting";
  }
}
