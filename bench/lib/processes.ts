import { readdirSync, readFileSync } from "node:fs";
import { basename, join } from "node:path";
import type { Refusal } from "./program.ts";

/** Programs and brokers in processes of their own: started, asked, measured through /proc, ended. */

const TICKS_PER_S = 100;
const START_MS_MAX = 60_000;
const ERROR_TEXT_MAX = 4_000;

/** True in the compiled binary, where a program is the binary itself with a hidden word. */
const isCompiled = import.meta.dir.startsWith("/$bunfs");

type Spawned = Bun.Subprocess<"pipe", "pipe", "pipe">;

/** Children that have not ended, for `endAll`. */
const living = new Set<Child>();

/** Ends every child at once: for the last moments of a process. */
export function endAll(): void {
  for (const child of living) child.kill("SIGKILL");
}

/** What a child refused a request with. */
export class ProgramError extends Error {
  readonly code: number | undefined;

  constructor(name: string, message: string, code: number | undefined) {
    super(message);
    this.name = name;
    this.code = code;
  }
}

/** User and system time of a process in seconds, all threads and those that have ended; NaN when it is gone. */
export function cpuSecondsOf(pid: number): number {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, "latin1");
    // The name in parentheses may hold anything, blanks too.
    const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
    return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_S;
  } catch {
    return Number.NaN;
  }
}

/** Memory of a process in MB that no file stands behind (RssAnon); NaN when it is gone. */
export function rssAnonMbOf(pid: number): number {
  try {
    const kib = /^RssAnon:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, "latin1"))?.[1];
    return (Number(kib) * 1024) / 1e6;
  } catch {
    return Number.NaN;
  }
}

export class Child {
  readonly pid: number;
  /** Its first line of JSON. */
  info: Record<string, unknown> = {};
  private readonly process: Spawned;
  private readonly title: string;
  private readonly waiting: { resolve: (value: unknown) => void; reject: (error: Error) => void }[] = [];
  /** The last of what it wrote to standard error. */
  private errorText = "";
  private isEnding = false;

  constructor(process: Spawned, title: string) {
    this.process = process;
    this.pid = process.pid;
    this.title = title;
    living.add(this);
    void this.read(process.stdout, (line) => this.answered(line));
    const errors = this.read(process.stderr, (line) => this.complained(line));
    void Promise.all([process.exited, errors]).then(([code]) => this.exited(code));
  }

  /** What it wrote to standard error last. */
  get errors(): string {
    return this.errorText;
  }

  protected answered(line: string): void {
    this.waiting.shift()?.resolve(JSON.parse(line));
  }

  protected complained(line: string): void {
    this.errorText = `${this.errorText}${line}\n`.slice(-ERROR_TEXT_MAX);
  }

  private async read(stream: ReadableStream<Uint8Array>, take: (line: string) => void): Promise<void> {
    const decoder = new TextDecoder();
    let text = "";
    for await (const chunk of stream) {
      text += decoder.decode(chunk, { stream: true });
      for (let end = text.indexOf("\n"); end >= 0; end = text.indexOf("\n")) {
        take(text.slice(0, end));
        text = text.slice(end + 1);
      }
    }
    if (text !== "") take(text);
  }

  private exited(code: number): void {
    living.delete(this);
    const why = this.errorText.trim() === "" ? "" : `: ${this.errorText.trim()}`;
    const error = new Error(this.isEnding ? `${this.title} was ended` : `${this.title} ended with ${code}${why}`);
    for (const { reject } of this.waiting.splice(0)) reject(error);
  }

  /** The next line that it writes. Errors: it ended. */
  next(): Promise<unknown> {
    return new Promise((resolve, reject) => {
      if (!living.has(this)) reject(new Error(`${this.title} has ended: ${this.errorText.trim()}`));
      else this.waiting.push({ resolve, reject });
    });
  }

  /** One JSON line to its standard input, one back. Errors: ProgramError with what it refused with; it ended. */
  async request(message: unknown): Promise<unknown> {
    const answer = this.next();
    this.process.stdin.write(`${JSON.stringify(message)}\n`);
    void this.process.stdin.flush();
    const value = await answer;
    const error = (value as Partial<Refusal> | null)?.error;
    if (error !== undefined) throw new ProgramError(error.name, error.message, error.code);
    return value;
  }

  cpuSeconds(): number {
    return cpuSecondsOf(this.pid);
  }

  /** CPU seconds of each thread by its name, for "which thread is it that works". Threads that have ended are left out. */
  cpuSecondsByThread(): Map<string, number> {
    const seconds = new Map<string, number>();
    for (const thread of readdirSync(`/proc/${this.pid}/task`)) {
      const folder = `/proc/${this.pid}/task/${thread}`;
      const name = readFileSync(`${folder}/comm`, "latin1").trim();
      const text = readFileSync(`${folder}/stat`, "latin1");
      const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
      seconds.set(name, (seconds.get(name) ?? 0) + (Number(fields[11]) + Number(fields[12])) / TICKS_PER_S);
    }
    return seconds;
  }

  rssAnonMb(): number {
    return rssAnonMbOf(this.pid);
  }

  kill(signal: NodeJS.Signals = "SIGTERM"): void {
    this.isEnding = true;
    this.process.kill(signal);
  }

  /** Ends it (SIGTERM unless another signal is given). Resolves to its exit code when it is gone. */
  async end(signal: NodeJS.Signals = "SIGTERM"): Promise<number> {
    if (living.has(this)) this.kill(signal);
    return await this.process.exited;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.end();
  }
}

function spawn(command: readonly string[]): Spawned {
  return Bun.spawn([...command], { stdin: "pipe", stdout: "pipe", stderr: "pipe" });
}

/** Rejects when the start takes too long, and ends the child when the start fails. */
async function started<T>(child: Child, ready: Promise<T>): Promise<T> {
  let timer: Timer | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`process ${child.pid} did not start in time`)), START_MS_MAX);
  });
  try {
    return await Promise.race([ready, late]);
  } catch (error) {
    await child.end("SIGKILL");
    throw error;
  } finally {
    clearTimeout(timer);
  }
}

/**
 * Starts a bench program (one that calls `runProgram`) in a process of its own, and waits for its first line. In the
 * compiled binary it is the binary itself, which knows the program by the name of its file (`../load/programs.ts`).
 */
export async function spawnProgram(file: string, args: readonly string[] = []): Promise<Child> {
  const name = basename(file, ".ts");
  const words = isCompiled ? ["bench-program", name] : [file];
  const child = new Child(spawn([process.execPath, ...words, ...args]), name);
  child.info = (await started(child, child.next())) as Record<string, unknown>;
  return child;
}

const MAIN = join(import.meta.dir, "../../src/main.ts");

export class BrokerChild extends Child {
  port: number = 0;
  httpPort: number = 0;
  registryPort: number = 0;
  /** From the spawn to the line that says it serves, in ms. */
  readyMs: number = 0;
  #serving: ((line: Record<string, unknown>) => void) | undefined;

  readonly serving: Promise<Record<string, unknown>> = new Promise((resolve) => {
    this.#serving = resolve;
  });

  /** Its log goes to standard error. */
  protected override complained(line: string): void {
    super.complained(line);
    if (line.includes('"message":"serving"')) this.#serving?.(JSON.parse(line) as Record<string, unknown>);
  }

  get url(): string {
    return `millrace://127.0.0.1:${this.port}`;
  }
}

/** Starts a broker on free ports of the loopback. Errors: it ended, with what it said. */
export async function spawnBroker(options: { dataDir: string; flags?: readonly string[] }): Promise<BrokerChild> {
  const { dataDir, flags = [] } = options;
  const startMs = performance.now();
  const words = ["serve", "--port", "0", "--http-port", "0", "--data-dir", dataDir, ...flags];
  const child = new BrokerChild(spawn([process.execPath, ...(isCompiled ? [] : [MAIN]), ...words]), "the broker");
  // A broker says nothing else on standard output, so the line that never comes stands for its end.
  const ended = child.next() as Promise<never>;
  const line = await started(child, Promise.race([child.serving, ended]));
  child.readyMs = performance.now() - startMs;
  ended.catch(() => undefined);
  child.port = Number(line["port"]);
  child.httpPort = Number(line["httpPort"]);
  child.registryPort = Number(line["registryPort"]);
  return child;
}
