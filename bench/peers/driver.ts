import { join } from "node:path";
import type { LatencyMs, Measured, Work } from "./peer.ts";
import { isLatency, rateOfLatency } from "./peer.ts";
import { run, type RunOptions, type ServerProcess } from "./shell.ts";

/** The Go program (bench/peers/driver) that loads peers and says when they serve. */

export const DRIVER_SOURCE: string = join(import.meta.dir, "driver");
const LATENCY_LENGTH = "5s";
const LATENCY_LENGTH_QUICK = "2s";

/** Shares of counts need not be whole numbers. */
const flagText = (value: string | number): string => String(typeof value === "number" ? Math.round(value) : value);

interface Result {
  readonly records: number;
  readonly seconds: number;
  readonly touched: number;
  readonly latencyMs?: LatencyMs;
}

export class Driver {
  private readonly path: string;
  private readonly options: RunOptions;

  private readonly isQuick: boolean;

  constructor(path: string, options: RunOptions, isQuick: boolean = false) {
    this.path = path;
    this.options = options;
    this.isQuick = isQuick;
  }

  /** Runs one piece of work on a peer. Flags are those of driver/main.go. */
  async load(peer: string, flags: Readonly<Record<string, string | number>>): Promise<Measured> {
    const words = Object.entries(flags).flatMap(([name, value]) => [`-${name}`, flagText(value)]);
    const line = await run([this.path, peer, ...words], this.options);
    if (line === "") return { perSecond: Number.NaN };
    const { records, seconds, latencyMs } = JSON.parse(line) as Result;
    return { perSecond: records / seconds, records, ...(latencyMs === undefined ? {} : { latencyMs }) };
  }

  /** The flags of a latency run. */
  latencyFlags({ name, sizeBytes }: Work): Record<string, string | number> {
    if (!isLatency(name)) throw new Error(`${name} is no latency run`);
    return { rate: rateOfLatency(name), size: sizeBytes, length: this.isQuick ? LATENCY_LENGTH_QUICK : LATENCY_LENGTH };
  }

  /** Resolves when the server answers. Errors: it does not, with what it said. */
  async ready(protocol: string, address: string, server: ServerProcess): Promise<void> {
    try {
      await run([this.path, "ready", protocol, address], this.options);
    } catch (error) {
      throw new Error(`${(error as Error).message}; the server said: ${server.lastWords}`, { cause: error });
    }
  }
}
