/** The other threads of a broker: messages between the first worker and each of them, and how they are started. */
import type { Config } from "../config/index.ts";
import { type ErrorName, MillraceError } from "../errors/index.ts";
import type { TlsMaterial } from "../net/index.ts";
import { within } from "./within.ts";

export type ToThread =
  | {
      readonly type: "serve";
      readonly engineId: number;
      readonly worker: number;
      readonly config: Config;
      readonly port: number;
      readonly httpPort: number;
      readonly registryPort: number;
      readonly serverName: string;
      readonly version: string;
      readonly manualClock: boolean;
      readonly connections: SharedArrayBuffer;
      readonly tls: TlsMaterial | undefined;
      /** Of this broker, see logins.ts. */
      readonly secret: Uint8Array;
    }
  /** New connections see this certificate. */
  | { readonly type: "certificates"; readonly tls: TlsMaterial }
  /** Finish what is in flight, say goodbye. */
  | { readonly type: "drain"; readonly timeoutMs: number }
  /** End; the thread closes itself. */
  | { readonly type: "end" };

export type FromThread =
  | { readonly type: "serving" }
  | { readonly type: "drained" }
  | { readonly type: "failed"; readonly name: ErrorName; readonly message: string }
  | { readonly type: "log"; readonly line: string };

interface Waiting {
  readonly type: FromThread["type"];
  resolve(message: FromThread): void;
  reject(error: Error): void;
}

const END_TIMEOUT_MS = 2000;

/** One other thread, seen from the first. */
export class Thread {
  readonly #worker: Worker;
  readonly #writeLog: (line: string) => void;
  #waiting: Waiting | undefined;
  #failure: Error | undefined;
  /** Hears of a failure that no `ask` waited for. */
  onFailure: ((error: Error) => void) | undefined;

  /** @param entry module of the thread: worker.ts, or a bundle that runs it when it is not on the main thread. */
  constructor(entry: string | URL, writeLog: (line: string) => void) {
    this.#writeLog = writeLog;
    this.#worker = new Worker(entry);
    this.#worker.onmessage = (event: MessageEvent<FromThread>) => this.#receive(event.data);
    this.#worker.onerror = (event) =>
      this.#fail(new MillraceError("internal", `a worker thread failed: ${event.message}`));
  }

  /** Sends one message and waits for its answer. One at a time. @throws what the thread failed with. */
  async ask<T extends FromThread["type"]>(message: ToThread, answer: T): Promise<Extract<FromThread, { type: T }>> {
    if (this.#failure !== undefined) throw this.#failure;
    const promise = new Promise<FromThread>((resolve, reject) => {
      this.#waiting = { type: answer, resolve, reject };
    });
    this.#worker.postMessage(message);
    return (await promise) as Extract<FromThread, { type: T }>;
  }

  /** Sends a message that has no answer. */
  tell(message: Extract<ToThread, { type: "certificates" }>): void {
    this.#worker.postMessage(message);
  }

  /** Ends the thread; by force when it does not end by itself. */
  async end(): Promise<void> {
    const closed = new Promise<void>((resolve) => {
      this.#worker.addEventListener("close", () => resolve(), { once: true });
    });
    // A thread that failed to do its work can still end.
    this.#worker.postMessage({ type: "end" } satisfies ToThread);
    if (!(await within(closed, END_TIMEOUT_MS))) this.#worker.terminate();
  }

  #receive(message: FromThread): void {
    if (message.type === "log") this.#writeLog(message.line);
    else if (message.type === "failed") this.#fail(new MillraceError(message.name, message.message));
    else if (message.type === this.#waiting?.type) this.#settle((waiting) => waiting.resolve(message));
  }

  #fail(error: Error): void {
    this.#failure ??= error;
    if (this.#waiting === undefined) this.onFailure?.(error);
    this.#settle((waiting) => waiting.reject(error));
  }

  #settle(how: (waiting: Waiting) => void): void {
    const waiting = this.#waiting;
    this.#waiting = undefined;
    if (waiting !== undefined) how(waiting);
  }
}
