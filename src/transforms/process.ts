import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { Subprocess } from "bun";
import { DEFAULT_MEMORY_BYTES, DEFAULT_TIMEOUT_MS } from "../schema/transform/definition.ts";
import { EXIT_ALONE } from "./limits.ts";
import type { Assignment, Counters, FromWorker, Place, ToWorker } from "./messages.ts";
import { type Progress, ProgressReader } from "./progress.ts";

/**
 * A worker's process, watched: ended when a message takes longer than its time or when the process takes more than its
 * memory. A process and not a thread, because a thread's memory cannot be told from the broker's, and because what
 * ends a process (a crash in native code, the kernel's out-of-memory killer) has to leave the broker alone.
 */

/** How often it is looked at. */
const WATCH_MS = 50;
/** A worker ends its own waits in time; what it does not end by this much later is ended from here. */
const GRACE_MS = 200;
/** For connecting and loading modules. */
const LOAD_MS = 30_000;
const PAGE_BYTES = 4096;
const LINE_LENGTH_MAX = 2_000;
/** Lines that a worker may write in a second; the others are counted. */
const LINES_MAX = 100;
const SECOND_MS = 1_000;

/** "alone": it stands before a message that is to be the first of its process. */
export type EndCause = "stopped" | "alone" | "time" | "memory" | "ended";

export interface ProcessEnd {
  readonly cause: EndCause;
  readonly reason: string;
  /** The message that was under way, where one was. */
  readonly at: Place | null;
  /** That message was the first since the process began. */
  readonly isFirst: boolean;
  readonly counters: Counters;
}

export interface ProcessOptions {
  /** Program and arguments that run worker.ts. */
  readonly command: readonly string[];
  /** Folder for the file that the process keeps its place in. */
  readonly scratch: string;
  readonly assignment: Omit<Assignment, "progressFile">;
  /** For committing what is under way when it is told to stop. */
  readonly stopMs: number;
  onMessage(message: FromWorker): void;
  /** What it writes, and what is remarkable about it. */
  onLine(line: string): void;
}

export class WorkerProcess {
  /** Resolves when the steps are loaded; null, or why they are not. */
  readonly loaded: Promise<string | null>;
  /** Resolves when the process is gone. */
  readonly ended: Promise<ProcessEnd>;
  readonly #options: ProcessOptions;
  readonly #child: Subprocess<"ignore", "pipe", "pipe">;
  readonly #progress: ProgressReader;
  readonly #watcher: Timer;
  readonly #loaded = Promise.withResolvers<string | null>();
  readonly #ended = Promise.withResolvers<ProcessEnd>();
  #cause: EndCause = "ended";
  /** Where it was when it ended. */
  #last: Progress | undefined;
  #reason = "";
  #deadlineMs = performance.now() + LOAD_MS;
  #step = 0;
  #stepSinceMs = 0;
  #isRunning = false;

  constructor(options: ProcessOptions) {
    this.#options = options;
    this.loaded = this.#loaded.promise;
    this.ended = this.#ended.promise;
    const { memoryBytesMax = DEFAULT_MEMORY_BYTES } = options.assignment.definition;
    this.#progress = new ProgressReader(join(options.scratch, crypto.randomUUID()));
    this.#child = Bun.spawn([...options.command], {
      stdio: ["ignore", "pipe", "pipe"],
      // The collector works towards the limit instead of the machine's memory. The process ends with the broker, also in a
      // loop, and nothing that a function has started outlives it.
      env: { ...process.env, BUN_JSC_forceRAMSize: String(memoryBytesMax), BUN_FEATURE_FLAG_NO_ORPHANS: "1" },
      serialization: "advanced",
      ipc: (message: FromWorker) => this.#receive(message),
      onExit: (_child, code, signal) => this.#exited(code, signal),
    });
    for (const stream of [this.#child.stdout, this.#child.stderr]) void this.#pass(stream);
    this.#watcher = setInterval(() => this.#watch(), WATCH_MS);
    this.#tell({ type: "load", ...options.assignment, progressFile: this.#progress.file });
  }

  get pid(): number {
    return this.#child.pid;
  }

  /** What it has committed. */
  get counters(): Counters {
    return (this.#last ?? this.#progress.read()).counters;
  }

  run(start: Omit<Extract<ToWorker, { type: "run" }>, "type">): void {
    this.#isRunning = true;
    this.#tell({ type: "run", ...start });
  }

  tell(message: Extract<ToWorker, { type: "condemn" | "try" }>): void {
    this.#tell(message);
  }

  /** Lets it commit what it has; ends it when that takes too long. */
  stop(): Promise<ProcessEnd> {
    if (this.#cause === "ended") this.#cause = "stopped";
    this.#deadlineMs = performance.now() + this.#options.stopMs;
    this.#tell({ type: "stop" });
    return this.ended;
  }

  /** Ends it at once. */
  kill(cause: EndCause, reason: string): void {
    if (this.#reason !== "") return;
    this.#cause = cause;
    this.#reason = reason;
    this.#child.kill("SIGKILL");
  }

  #tell(message: ToWorker): void {
    try {
      this.#child.send(message);
    } catch {
      // It is gone, which `ended` tells.
    }
  }

  #receive(message: FromWorker): void {
    if (message.type === "ready") {
      this.#progress.unlink();
      this.#deadlineMs = Number.POSITIVE_INFINITY;
      this.#loaded.resolve(null);
    } else if (message.type === "unfit") {
      this.#reason = message.reason;
      this.#loaded.resolve(message.reason);
    }
    this.#options.onMessage(message);
  }

  #watch(): void {
    const { timeoutMs = DEFAULT_TIMEOUT_MS, memoryBytesMax = DEFAULT_MEMORY_BYTES } =
      this.#options.assignment.definition;
    const nowMs = performance.now();
    if (nowMs > this.#deadlineMs) {
      const what = this.#isRunning ? `end within ${this.#options.stopMs} ms` : `load within ${LOAD_MS} ms`;
      return this.kill(this.#cause === "stopped" ? "stopped" : "time", `it did not ${what}`);
    }
    if (residentBytes(this.pid) > memoryBytesMax) {
      return this.kill("memory", `it took more than ${memoryBytesMax} bytes of memory (memoryBytesMax)`);
    }
    const { step, isBusy } = this.#progress.read();
    if (!isBusy || step !== this.#step) {
      this.#step = step;
      this.#stepSinceMs = nowMs;
    } else if (nowMs - this.#stepSinceMs > timeoutMs + GRACE_MS) {
      this.kill("time", `it took longer than ${timeoutMs} ms (timeoutMs)`);
    }
  }

  #exited(code: number | null, signal: string | number | null): void {
    clearInterval(this.#watcher);
    const progress = this.#progress.read();
    this.#last = progress;
    this.#progress.close();
    if (code === EXIT_ALONE && this.#reason === "") this.#cause = "alone";
    if (this.#reason === "")
      this.#reason = signal === null ? `its process ended with code ${code}` : `its process ended by ${signal}`;
    this.#loaded.resolve(this.#reason);
    this.#ended.resolve({ cause: this.#cause, reason: this.#reason, ...endOf(progress) });
  }

  /** Lines of the process, not more than `LINES_MAX` a second. */
  async #pass(stream: ReadableStream<Uint8Array>): Promise<void> {
    const decoder = new TextDecoder();
    let rest = "";
    let secondMs = performance.now();
    let lines = 0;
    for await (const chunk of stream) {
      const parts = (rest + decoder.decode(chunk, { stream: true })).split("\n");
      rest = (parts.pop() ?? "").slice(0, LINE_LENGTH_MAX);
      for (const line of parts) {
        if (performance.now() - secondMs > SECOND_MS) {
          if (lines > LINES_MAX) this.#options.onLine(`${lines - LINES_MAX} more lines`);
          secondMs = performance.now();
          lines = 0;
        }
        lines += 1;
        if (lines <= LINES_MAX) this.#options.onLine(line.slice(0, LINE_LENGTH_MAX));
      }
    }
    if (rest !== "") this.#options.onLine(rest);
  }
}

function endOf({ isBusy, partition, number, step, counters }: Progress): Omit<ProcessEnd, "cause" | "reason"> {
  return { at: isBusy ? { partition, number } : null, isFirst: isBusy && step === 1, counters };
}

/** Memory of a process that is in RAM; 0 for one that is gone. */
function residentBytes(pid: number): number {
  try {
    return Number(readFileSync(`/proc/${pid}/statm`, "latin1").split(" ")[1]) * PAGE_BYTES;
  } catch {
    return 0;
  }
}
