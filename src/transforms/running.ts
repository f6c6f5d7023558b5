import type { Logger } from "../stdx/index.ts";
import { type Definition, nameOf, usesFunctions } from "../schema/transform/definition.ts";
import type { Condemned, Counters, FromWorker } from "./messages.ts";
import type { WorkerProcess } from "./process.ts";
import { Slot, type SlotHost, type SlotState } from "./slot.ts";

/** One transform that runs: its workers, and what is known of them together. */

/** A transform as it is stored. */
export interface Stored {
  readonly namespace: string;
  readonly name: string;
  readonly definition: Definition;
}

export interface Status {
  readonly name: string;
  readonly state: SlotState;
  /** Why it is held or waits. */
  readonly reason: string | null;
  readonly counters: Counters & { readonly restarts: number };
  /** The newest failure of a message. */
  readonly lastError: string | null;
  readonly workers: readonly {
    readonly state: SlotState;
    readonly pid: number | null;
    readonly reason: string | null;
  }[];
}

export type Spawn = (stored: Stored, onMessage: (message: FromWorker) => void) => WorkerProcess;

/** Messages that ended workers; the oldest are forgotten, and would have to end one again. */
const CONDEMNED_MAX = 1_000;
/** The worst comes first. */
const STATES: readonly SlotState[] = ["waiting", "held", "starting", "stopped", "running"];

export class Running implements SlotHost {
  #stored: Stored;
  readonly #spawn: Spawn;
  readonly #logger: Logger;
  readonly #slots: Slot[] = [];
  readonly #condemned: Condemned[] = [];
  readonly #counters = { messagesIn: 0, messagesOut: 0, failed: 0, batches: 0 };
  #lastError: string | null = null;

  constructor(stored: Stored, spawn: Spawn, logger: Logger) {
    this.#stored = stored;
    this.#spawn = spawn;
    this.#logger = logger.with({ transform: stored.name, namespace: stored.namespace });
    this.#fill();
  }

  get definition(): Definition {
    return this.#stored.definition;
  }

  get usesFunctions(): boolean {
    return usesFunctions(this.definition.steps);
  }

  /** Goes on with another definition. */
  change(stored: Stored): void {
    this.#stored = stored;
    const gone = this.#slots.splice(stored.definition.workers ?? 1);
    for (const slot of gone) void slot.close();
    this.renew();
    this.#fill();
  }

  /** Exchanges the workers: the code has changed, and what it could not do before it may do now. */
  renew(): void {
    this.#condemned.length = 0;
    for (const slot of this.#slots) slot.renew();
  }

  #fill(): void {
    const { workers = 1 } = this.definition;
    while (this.#slots.length < workers) this.#slots.push(new Slot(this));
  }

  /** Resolves when all workers have committed what they had, and are gone. */
  async close(): Promise<void> {
    await Promise.all(this.#slots.map((slot) => slot.close()));
  }

  status(): Status {
    const worst = [...this.#slots].sort((a, b) => STATES.indexOf(a.state) - STATES.indexOf(b.state))[0];
    return {
      name: this.#stored.name,
      state: worst?.state ?? "starting",
      reason: worst?.reason ?? null,
      counters: { ...this.#total(), restarts: this.#slots.reduce((sum, { restarts }) => sum + restarts, 0) },
      lastError: this.#lastError,
      workers: this.#slots.map(({ state, pid, reason }) => ({ state, pid, reason })),
    };
  }

  #total(): Counters {
    const total = { ...this.#counters };
    for (const { counters } of this.#slots) if (counters !== null) addTo(total, counters);
    return total;
  }

  // -- The workers' side --------------------------------------------------------------

  condemned(): readonly Condemned[] {
    return this.#condemned;
  }

  condemn(message: Condemned): void {
    this.#condemned.push(message);
    if (this.#condemned.length > CONDEMNED_MAX) this.#condemned.shift();
    for (const slot of this.#slots) slot.tell(message);
  }

  count(counters: Counters): void {
    addTo(this.#counters, counters);
  }

  failed(reason: string): void {
    this.#lastError = reason;
  }

  note(text: string): void {
    this.#logger.warn(text, { from: nameOf(this.definition.from) });
  }

  spawn(onMessage: (message: FromWorker) => void): WorkerProcess {
    return this.#spawn(this.#stored, onMessage);
  }
}

function addTo(total: { -readonly [K in keyof Counters]: Counters[K] }, counters: Counters): void {
  total.messagesIn += counters.messagesIn;
  total.messagesOut += counters.messagesOut;
  total.failed += counters.failed;
  total.batches += counters.batches;
}
