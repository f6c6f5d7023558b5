import { createServer } from "node:net";
import { cpuSecondsOf, rssAnonMbOf } from "../lib/processes.ts";
import { UnavailableError } from "./peer.ts";

/** Programs that the suite runs or serves with, all of which end when it does. */

const END_MS_MAX = 15_000;
const ERROR_TEXT_MAX = 300;

export interface RunOptions {
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly signal: AbortSignal;
}

function spawn(command: readonly string[], { cwd, env, signal }: RunOptions) {
  signal.throwIfAborted();
  try {
    return Bun.spawn([...command], {
      ...(cwd === undefined ? {} : { cwd }),
      env: { ...process.env, ...env },
      stdin: "ignore",
      stdout: "pipe",
      stderr: "pipe",
    });
  } catch (error) {
    throw new UnavailableError(`${command[0]} cannot be run: ${(error as Error).message}`);
  }
}

/** Runs a program to its end and gives back what it printed. Errors: it failed, with the end of what it said; the signal. */
export async function run(command: readonly string[], options: RunOptions): Promise<string> {
  const child = spawn(command, options);
  const abort = (): void => child.kill("SIGKILL");
  options.signal.addEventListener("abort", abort, { once: true });
  try {
    const [out, errors, code] = await Promise.all([
      new Response(child.stdout).text(),
      new Response(child.stderr).text(),
      child.exited,
    ]);
    options.signal.throwIfAborted();
    if (code !== 0) throw new Error(`${command[0]} ended with ${code}: ${lastWords(errors) || lastWords(out)}`);
    return out;
  } finally {
    options.signal.removeEventListener("abort", abort);
  }
}

function lastWords(text: string): string {
  return text.trim().replaceAll(/\s+/g, " ").slice(-ERROR_TEXT_MAX);
}

/** A server in a process of its own. */
export class ServerProcess {
  /** The process that serves, where what was started is only its launcher. */
  pid: number;
  private readonly child: ReturnType<typeof spawn>;
  private text = "";

  constructor(command: readonly string[], options: RunOptions) {
    this.child = spawn(command, options);
    this.pid = this.child.pid;
    void this.read(this.child.stdout);
    void this.read(this.child.stderr);
  }

  private async read(stream: ReadableStream<Uint8Array>): Promise<void> {
    const decoder = new TextDecoder();
    for await (const chunk of stream) this.text = (this.text + decoder.decode(chunk)).slice(-ERROR_TEXT_MAX * 4);
  }

  /** What it printed last. */
  get lastWords(): string {
    return lastWords(this.text);
  }

  memoryMb(): number {
    return rssAnonMbOf(this.pid);
  }

  cpuSeconds(): number {
    return cpuSecondsOf(this.pid);
  }

  /** Asks it to end, and ends it after a while. */
  async stop(): Promise<void> {
    signalTo(this.pid, "SIGTERM");
    const kill = setTimeout(() => {
      signalTo(this.pid, "SIGKILL");
      this.child.kill("SIGKILL");
    }, END_MS_MAX);
    await this.child.exited;
    clearTimeout(kill);
  }
}

function signalTo(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch {
    // It has ended already.
  }
}

/** Ports of the loopback that nobody listens on, all different. */
export async function freePorts(count: number): Promise<number[]> {
  const servers = Array.from({ length: count }, () => createServer());
  const ports = await Promise.all(
    servers.map(
      (server) =>
        new Promise<number>((resolve) => {
          server.listen(0, "127.0.0.1", () => resolve((server.address() as { port: number }).port));
        }),
    ),
  );
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  return ports;
}
