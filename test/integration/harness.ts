/** What integration tests share: brokers on free ports, clients, raw connections, and waiting for conditions. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Client, type ClientOptions, connect } from "../../src/client/index.ts";
import { isMillraceError, type MillraceError } from "../../src/errors/index.ts";
import { decodeContent, encodeFrame, FrameReader, Op, readHeader, readMessagesHead } from "../../src/protocol/index.ts";
import { Broker, type BrokerOptions } from "../../src/server/index.ts";

import { until } from "../until.ts";

export { until };

/** The suite runs with one worker thread and with two. */
export const THREADS = Number(process.env["MILLRACE_TEST_THREADS"] ?? "1");

/** A broker in memory unless `dataDir` is given. Log lines of level warn and up are shown when MILLRACE_TEST_LOG is set. */
export function startBroker(options: BrokerOptions = {}): Promise<Broker> {
  const storage = options.dataDir === undefined ? ({ storage: "memory" } as const) : {};
  const log =
    process.env["MILLRACE_TEST_LOG"] === undefined ? {} : { log: (line: string) => process.stderr.write(line) };
  return Broker.start({ port: 0, httpPort: 0, threads: THREADS, ...log, ...storage, ...options });
}

export function dial(broker: Broker, options: ClientOptions = {}): Promise<Client> {
  return connect(`millrace://127.0.0.1:${broker.port}`, options);
}

/** A folder that goes away with the test. */
export async function temporaryFolder(): Promise<{ path: string } & AsyncDisposable> {
  const path = await mkdtemp(join(tmpdir(), "millrace-test-"));
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }) };
}

export interface Frame {
  readonly op: number;
  readonly args: unknown[];
}

/** A connection that sends and receives frames as they are; batches behind a frame's array are left away. */
export class RawConnection implements Disposable {
  readonly frames: Frame[] = [];
  isClosed = false;
  #socket: Bun.Socket<undefined> | undefined;
  readonly #reader = new FrameReader(64 * 1024 * 1024);
  #correlation = 0;

  static async open(port: number): Promise<RawConnection> {
    const raw = new RawConnection();
    raw.#socket = await Bun.connect({
      hostname: "127.0.0.1",
      port,
      socket: {
        data: (_, chunk) =>
          raw.#reader.feed(new Uint8Array(chunk), (bytes, start, end) => raw.#take(bytes, start, end)),
        close: () => {
          raw.isClosed = true;
        },
      },
    });
    return raw;
  }

  /** Shakes hands and returns the answer's result. */
  async hello(fields: Record<string, unknown> = {}): Promise<Record<string, unknown>> {
    return (await this.ask(Op.HELLO, { version: [1, 1], client: "raw", ...fields })) as Record<string, unknown>;
  }

  send(bytes: Uint8Array): void {
    this.#socket?.write(bytes);
  }

  sendFrame(op: number, ...args: unknown[]): void {
    this.send(encodeFrame(op, ...args));
  }

  /** The result of a request. @throws the ERROR's name and message. */
  async ask(op: number, ...args: unknown[]): Promise<unknown> {
    this.#correlation += 1;
    const correlation = this.#correlation;
    this.sendFrame(op, correlation, ...args);
    const answer = await this.frame(
      `the answer to op ${op}`,
      (frame) => (frame.op === Op.OK || frame.op === Op.ERROR) && frame.args[0] === correlation,
    );
    if (answer.op === Op.OK) return answer.args[1];
    throw new Error(`${answer.args[2]}: ${answer.args[3]}`);
  }

  /** The first frame, of those that came and those to come, that fits. */
  frame(what: string, fits: (frame: Frame) => boolean, timeoutMs = 5000): Promise<Frame> {
    return until(what, () => this.frames.find(fits), timeoutMs);
  }

  /** The GOODBYE's code, once the broker has closed. */
  async goodbye(): Promise<number> {
    const frame = await this.frame("GOODBYE", ({ op }) => op === Op.GOODBYE);
    await until("the socket is closed", () => this.isClosed);
    return frame.args[0] as number;
  }

  pause(): void {
    this.#socket?.pause();
  }

  end(): void {
    this.#socket?.terminate();
  }

  [Symbol.dispose](): void {
    this.end();
  }

  #take(bytes: Uint8Array, start: number, end: number): void {
    const op = bytes[start + 1] ?? 0;
    // Deliveries carry batches behind their array, which one msgpack value cannot hold.
    if (op === Op.DELIVER) this.frames.push({ op, args: [end - start] });
    else if (op === Op.MESSAGES) this.frames.push({ op, args: messagesOf(bytes, start, end) });
    else this.frames.push(decodeContent(bytes, start, end));
  }
}

/** `[sub, first tag, how many]` of a delivery from a queue. */
function messagesOf(bytes: Uint8Array, start: number, end: number): number[] {
  const { subscription, firstTag, batchStart } = readMessagesHead(bytes, start, end);
  return [subscription, firstTag, readHeader(bytes, batchStart, end).recordCount];
}

/** Reads `count` messages of an iterable. */
export async function take<T>(count: number, from: AsyncIterable<T>): Promise<T[]> {
  const taken: T[] = [];
  if (count === 0) return taken;
  for await (const item of from) {
    taken.push(item);
    if (taken.length === count) break;
  }
  return taken;
}

/** Reads a bounded iterable to its end. */
export async function all<T>(from: AsyncIterable<T>): Promise<T[]> {
  const taken: T[] = [];
  for await (const item of from) taken.push(item);
  return taken;
}

const decoder = new TextDecoder();

export function textOf(bytes: Uint8Array | null | undefined): string {
  return decoder.decode(bytes ?? undefined);
}

/** The error that a promise ends with. @throws when it does not. */
export async function failureOf(promise: PromiseLike<unknown>): Promise<MillraceError> {
  try {
    await promise;
  } catch (error) {
    if (isMillraceError(error)) return error;
    throw error;
  }
  throw new Error("it did not fail");
}

/** The name of the error that a promise ends with; "nothing" when it does not. */
export async function codeOf(promise: PromiseLike<unknown>): Promise<string> {
  try {
    await promise;
    return "nothing";
  } catch (error) {
    if (isMillraceError(error)) return error.codeName;
    throw error;
  }
}
