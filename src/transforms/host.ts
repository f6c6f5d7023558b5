import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { MillraceError } from "../errors/index.ts";
import type { Logger } from "../stdx/index.ts";
import { FolderWatch } from "./folder.ts";
import type { FromWorker, TrialMessage, TrialResult } from "./messages.ts";
import { type ProcessEnd, WorkerProcess } from "./process.ts";
import { Running, type Status, type Stored } from "./running.ts";

/** Runs the transforms of a broker. The first worker thread has one of these; the work itself is in processes of their own. */

export interface HostOptions {
  /** Of the broker, as its own workers reach it. */
  readonly url: string;
  /** What its processes log in with; null where nobody has to. */
  readonly secret: string | null;
  /** Absolute path of `transformsDir`. */
  readonly folder: string;
  /** Program and arguments that run worker.ts. */
  readonly command: readonly string[];
  readonly logger: Logger;
  /** How long a worker that is told to stop has for what is under way. */
  readonly stopMs: number;
  /** Forgets where a transform stood that was deleted. */
  forget(stored: Stored): Promise<void>;
}

/** Trials and probes at a time. */
const TRIALS_MAX = 4;
/** A trial has so long altogether: who asked waits no longer. */
const TRIAL_MS = 8_000;

export class TransformHost {
  readonly #options: HostOptions;
  readonly #running = new Map<string, Running>();
  /** Ends of transforms that were deleted: one of the same name begins behind them. */
  readonly #endings = new Map<string, Promise<void>>();
  readonly #trials = new Set<WorkerProcess>();
  #watch: FolderWatch | null = null;
  #scratch: string | null = null;
  #isClosing = false;

  constructor(options: HostOptions) {
    this.#options = options;
  }

  /** A transform is there, or has another definition. */
  put(stored: Stored): void {
    const key = keyOf(stored);
    const ending = this.#endings.get(key);
    if (ending !== undefined) {
      void ending.then(() => this.put(stored));
      return;
    }
    if (this.#isClosing) return;
    const running = this.#running.get(key);
    if (running !== undefined) running.change(stored);
    else
      this.#running.set(
        key,
        new Running(stored, (each, onMessage) => this.#spawn(each, onMessage), this.#options.logger),
      );
    if (this.#running.get(key)?.usesFunctions === true) this.#watch ??= this.#newWatch();
  }

  delete(stored: Stored): void {
    const key = keyOf(stored);
    const running = this.#running.get(key);
    this.#running.delete(key);
    if (running === undefined) return;
    const ending = running
      .close()
      .then(() => this.#options.forget(stored))
      .catch((error: unknown) =>
        this.#options.logger.warn("a deleted transform left something behind", { error, transform: stored.name }),
      )
      .finally(() => this.#endings.delete(key));
    this.#endings.set(key, ending);
  }

  states(namespace: string): Status[] {
    const states: Status[] = [];
    for (const [key, running] of this.#running) {
      if (key.startsWith(`${namespace} `)) states.push(running.status());
    }
    return states;
  }

  /** Whether the steps load. @throws transform_failed: why they do not. */
  async probe(stored: Stored): Promise<void> {
    await this.#withTrial(
      stored,
      () => undefined,
      async (worker) => void (await worker.stop()),
    );
  }

  /** What the steps make of messages. @throws transform_failed: they do not load, or a message went over a limit. */
  async try(stored: Stored, messages: readonly TrialMessage[]): Promise<TrialResult> {
    let result: TrialResult | undefined;
    const take = (message: FromWorker): void => {
      if (message.type === "tried") result = message.result;
    };
    return await this.#withTrial(stored, take, async (worker) => {
      worker.tell({ type: "try", messages });
      const end = await worker.ended;
      if (result !== undefined) return result;
      throw unfit(stored, trialReason(end));
    });
  }

  async #withTrial<T>(
    stored: Stored,
    onMessage: (message: FromWorker) => void,
    run: (worker: WorkerProcess) => Promise<T>,
  ): Promise<T> {
    if (this.#trials.size >= TRIALS_MAX || this.#isClosing) {
      throw new MillraceError("limit_exceeded", `${TRIALS_MAX} transforms are tried already`);
    }
    const worker = this.#spawn(stored, onMessage);
    this.#trials.add(worker);
    const timer = setTimeout(() => worker.kill("time", `the trial took longer than ${TRIAL_MS} ms`), TRIAL_MS);
    try {
      const fault = await worker.loaded;
      if (fault !== null) throw unfit(stored, fault);
      return await run(worker);
    } finally {
      clearTimeout(timer);
      this.#trials.delete(worker);
    }
  }

  #spawn({ namespace, name, definition }: Stored, onMessage: (message: FromWorker) => void): WorkerProcess {
    const { url, secret, folder, command, logger, stopMs } = this.#options;
    this.#scratch ??= mkdtempSync(join(tmpdir(), "millrace-transforms-"));
    return new WorkerProcess({
      command,
      scratch: this.#scratch,
      assignment: { namespace, name, definition, url, secret, folder },
      stopMs,
      onMessage,
      onLine: (line) => logger.info(line, { transform: name, namespace }),
    });
  }

  #newWatch(): FolderWatch {
    return new FolderWatch(this.#options.folder, () => {
      this.#options.logger.info("the transforms' functions have changed", { folder: this.#options.folder });
      for (const running of this.#running.values()) if (running.usesFunctions) running.renew();
    });
  }

  /** Resolves when all workers have committed what they had, and are gone. */
  async close(): Promise<void> {
    this.#isClosing = true;
    this.#watch?.close();
    for (const trial of this.#trials) trial.kill("stopped", "the broker is shutting down");
    await Promise.all([...this.#running.values()].map((running) => running.close()));
    await Promise.all([...this.#trials].map((trial) => trial.ended));
    if (this.#scratch !== null) rmSync(this.#scratch, { recursive: true, force: true });
  }
}

function keyOf({ namespace, name }: Stored): string {
  return `${namespace} ${name}`;
}

function unfit({ name }: Stored, reason: string): MillraceError {
  return new MillraceError("transform_failed", `the transform "${name}" cannot run: ${reason}`, {
    details: { name, reason },
  });
}

function trialReason({ reason, at }: ProcessEnd): string {
  return at === null ? reason : `message ${at.number}: ${reason}`;
}
