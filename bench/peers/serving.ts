import { mkdir, rm } from "node:fs/promises";
import { join } from "node:path";
import type { Driver } from "./driver.ts";
import type { Measured, Running, Tool, Work } from "./peer.ts";
import { type RunOptions, ServerProcess } from "./shell.ts";

/** What all peers share: a server over a data folder of its own, loaded by the driver. */

/** What the peers are given. */
export interface Bench {
  readonly driver: Driver;
  readonly workDir: string;
  readonly options: RunOptions;
  /** Divides all counts of messages, for quick runs. */
  readonly divisor: number;
}

export interface Served {
  readonly startMs: number;
  readonly server: ServerProcess;
  readonly address: string;
  readonly dataDir: string;
  /** Ends what the server leaves behind. */
  readonly afterwards?: () => Promise<void>;
}

/** An empty folder for a server's data. */
export async function freshFolder(bench: Bench, name: string): Promise<string> {
  const folder = join(bench.workDir, name);
  await rm(folder, { recursive: true, force: true });
  await mkdir(folder, { recursive: true });
  return folder;
}

/** Starts a server and waits for its first answer. When it does not come, nothing is left. */
export async function serve(
  bench: Bench,
  what: {
    readonly command: readonly string[];
    readonly env?: Readonly<Record<string, string>>;
    readonly protocol: string;
    readonly address: string;
    readonly dataDir: string;
    readonly afterwards?: () => Promise<void>;
  },
): Promise<Served> {
  const { command, env, protocol, address, dataDir, afterwards } = what;
  const startedMs = performance.now();
  const server = new ServerProcess(command, { ...bench.options, ...(env === undefined ? {} : { env }) });
  const served = { server, address, dataDir, ...(afterwards === undefined ? {} : { afterwards }) };
  try {
    await bench.driver.ready(protocol, address, server);
    return { ...served, startMs: performance.now() - startedMs };
  } catch (error) {
    await stop(served);
    throw error;
  }
}

async function stop({ server, dataDir, afterwards }: Omit<Served, "startMs">): Promise<void> {
  await server.stop();
  await afterwards?.();
  await rm(dataDir, { recursive: true, force: true });
}

export abstract class ServedBroker implements Running {
  readonly startMs: number;
  protected readonly bench: Bench;
  protected readonly served: Served;
  private readonly name: string;

  /** @param name what the driver calls the peer */
  constructor(name: string, bench: Bench, served: Served) {
    this.name = name;
    this.bench = bench;
    this.served = served;
    this.startMs = served.startMs;
  }

  abstract prepare(work: Work): Promise<void>;
  abstract tools(work: Work): readonly Tool[];

  /** Runs the driver. */
  protected load(work: string, flags: Readonly<Record<string, string | number>>): Promise<Measured> {
    return this.bench.driver.load(this.name, { work, address: this.served.address, ...flags });
  }

  memoryMb(): number {
    return this.served.server.memoryMb();
  }

  cpuSeconds(): number {
    return this.served.server.cpuSeconds();
  }

  async stop(): Promise<void> {
    await stop(this.served);
  }
}
