import { mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** A broker in a process of its own, so that it can be killed as a power cut would, minus the disk. */

export interface ServerPlace {
  readonly dataDir: string;
  readonly port: number;
  readonly httpPort: number;
  /** What was started there and may still run. */
  readonly children: Set<ReturnType<typeof Bun.spawn>>;
}

const READY_MS = 30_000;

/** A fresh data directory and two ports that are free now. A server that a failed test leaves there goes with it. */
export async function place(): Promise<ServerPlace & AsyncDisposable> {
  const dataDir = await mkdtemp(join(tmpdir(), "millrace-crash-"));
  const [port, httpPort] = [await freePort(), await freePort()];
  const children: ServerPlace["children"] = new Set();
  const dispose = async (): Promise<void> => {
    for (const child of children) child.kill("SIGKILL");
    await Promise.all([...children].map(({ exited }) => exited));
    await rm(dataDir, { recursive: true, force: true });
  };
  return { dataDir, port, httpPort, children, [Symbol.asyncDispose]: dispose };
}

/** Below the range that the system gives to outgoing connections, so that none takes it while the server is down. */
const PORT_MIN = 10_240;
const PORT_MAX = 32_000;

async function freePort(): Promise<number> {
  for (;;) {
    const port = PORT_MIN + Math.floor(Math.random() * (PORT_MAX - PORT_MIN));
    const server = createServer();
    const isFree = await new Promise<boolean>((resolve) => {
      server.once("error", () => resolve(false));
      server.listen(port, "127.0.0.1", () => resolve(true));
    });
    if (!isFree) continue;
    await new Promise((resolve) => server.close(resolve));
    return port;
  }
}

export class ServerProcess {
  readonly #process: ReturnType<typeof Bun.spawn>;
  readonly place: ServerPlace;
  /** What it has logged so far. */
  log = "";

  private constructor(place: ServerPlace, process: ReturnType<typeof Bun.spawn>) {
    this.place = place;
    this.#process = process;
  }

  /** Starts `millrace serve` there and resolves when it is ready. */
  static async start(place: ServerPlace, flags: readonly string[] = []): Promise<ServerProcess> {
    const main = join(import.meta.dir, "../../src/main.ts");
    const { dataDir, port, httpPort } = place;
    const where = [
      "--data-dir",
      dataDir,
      "--port",
      String(port),
      "--http-port",
      String(httpPort),
      "--registry-port",
      "0",
    ];
    const child = Bun.spawn([process.execPath, main, "serve", ...where, ...flags], {
      stdout: "ignore",
      stderr: "pipe",
    });
    place.children.add(child);
    void child.exited.then(() => place.children.delete(child));
    const server = new ServerProcess(place, child);
    void server.#collect(child.stderr);
    await server.ready();
    return server;
  }

  async #collect(output: ReadableStream<Uint8Array>): Promise<void> {
    const decoder = new TextDecoder();
    for await (const chunk of output) {
      this.log += decoder.decode(chunk, { stream: true });
      if (process.env.MILLRACE_TEST_VERBOSE) process.stderr.write(chunk);
    }
  }

  get pid(): number {
    return this.#process.pid;
  }

  async ready(): Promise<void> {
    const deadline = Date.now() + READY_MS;
    for (;;) {
      const answer = await fetch(`http://127.0.0.1:${this.place.httpPort}/health/ready`).catch(() => undefined);
      if (answer?.ok) return;
      if (this.#process.exitCode !== null)
        throw new Error(`the server ended with ${this.#process.exitCode}: ${this.log}`);
      if (Date.now() > deadline) throw new Error(`the server was not ready within ${READY_MS} ms`);
      await Bun.sleep(5);
    }
  }

  /** Ends the process at once, with nothing flushed and nobody told. */
  async kill(): Promise<void> {
    this.#process.kill("SIGKILL");
    await this.#process.exited;
  }

  /** Asks for an orderly stop; resolves with the exit code. */
  async stop(): Promise<number> {
    this.#process.kill("SIGTERM");
    return await this.#process.exited;
  }
}
