/** What tests of hard conditions share beyond harness.ts: a client that speaks bare frames, and what a process costs. */
import { readFileSync } from "node:fs";
import type { Socket } from "bun";
import { ERRORS, type ErrorName, errorName } from "../../src/errors/index.ts";
import {
  BatchEncoder,
  decodeContent,
  encodeFrame,
  FrameReader,
  Op,
  opOf,
  readDeliverHead,
} from "../../src/protocol/index.ts";
import { binaryMessage, MessageReader, upgradeRequest } from "./web-socket-wire.ts";

const WAIT_MS = 10_000;

export const SEED = Number(process.env.MILLRACE_SEED ?? Date.now() % 1_000_000);

/** Park and Miller's generator, from 0 to less than 1: what a test drew must come back with its seed. */
export function random(seed: number): () => number {
  let state = (seed % 2_147_483_646) + 1;
  return () => (state = (state * 48_271) % 2_147_483_647) / 2_147_483_647;
}

/** The sum of a metric's samples. */
export async function metric(httpPort: number, name: string): Promise<number> {
  const text = await (await fetch(`http://127.0.0.1:${httpPort}/metrics`)).text();
  const samples = text.split("\n").filter((line) => line.startsWith(`${name}{`) || line.startsWith(`${name} `));
  if (samples.length === 0) throw new Error(`there is no metric ${name}`);
  return samples.reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(" ") + 1)), 0);
}

/** Memory of a process that is neither mapped from files nor shared, in bytes. */
export function anonymousBytes(pid: number): number {
  const [, kib] = /^RssAnon:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8")) ?? [];
  return Number(kib) * 1024;
}

export interface Frame {
  readonly op: number;
  /** Behind the op; of a DELIVER only subscription and source. */
  readonly args: unknown[];
  /** The batches of a DELIVER. */
  readonly batches: Uint8Array;
}

const NONE = new Uint8Array(0);

function decodeFrame(bytes: Uint8Array, start: number, end: number): Frame {
  if (opOf(bytes, start, end) !== Op.DELIVER) return { ...decodeContent(bytes, start, end), batches: NONE };
  const { subscription, source, batchesStart } = readDeliverHead(bytes, start, end);
  return { op: Op.DELIVER, args: [subscription, source], batches: bytes.slice(batchesStart, end) };
}

/** How the bytes travel: TCP, or binary messages of a WebSocket. */
interface Wire {
  send(bytes: Uint8Array): void;
  pause(): void;
  resume(): void;
  end(): void;
  terminate(): void;
}

type Receive = { data(chunk: Uint8Array): void; closed(): void };

async function tcpWire(port: number, receive: Receive): Promise<Wire> {
  let waiting: Uint8Array[] = [];
  const flush = (socket: Socket<undefined>): void => {
    while (waiting[0] !== undefined) {
      const taken = socket.write(waiting[0]);
      if (taken < 0) waiting = [];
      else if (taken < waiting[0].length) {
        waiting[0] = waiting[0].subarray(taken);
        return;
      } else waiting.shift();
    }
  };
  const socket = await Bun.connect<undefined>({
    hostname: "127.0.0.1",
    port,
    socket: {
      data: (_, chunk) => receive.data(new Uint8Array(chunk)),
      drain: flush,
      close: () => receive.closed(),
      end: (ended) => void ended.end(),
      error: () => receive.closed(),
    },
  });
  return {
    send(bytes) {
      waiting.push(bytes);
      if (waiting.length === 1) flush(socket);
    },
    pause: () => void socket.pause(),
    resume: () => void socket.resume(),
    end: () => void socket.end(),
    terminate: () => socket.terminate(),
  };
}

async function webSocketWire(httpPort: number, receive: Receive): Promise<Wire> {
  const opened = Promise.withResolvers<void>();
  const reader = new MessageReader(opened.resolve, (bytes) => receive.data(new Uint8Array(bytes)));
  const tcp = await tcpWire(httpPort, { data: (chunk) => reader.feed(chunk), closed: () => receive.closed() });
  tcp.send(upgradeRequest(httpPort));
  await opened.promise;
  return { ...tcp, send: (bytes) => tcp.send(binaryMessage(bytes)) };
}

/** One connection that sends whatever it is told to, and keeps the frames that come until somebody takes them. */
export class RawClient implements Disposable {
  readonly frames: Frame[] = [];
  readonly closed: Promise<void>;
  isClosed = false;
  receivedBytes = 0;
  /** Set to stop reading for so long after each chunk. */
  restMs: number | undefined;
  #wire: Wire | undefined;
  #correlation = 0;
  readonly #waiters: (() => void)[] = [];

  private constructor() {
    this.closed = new Promise((resolve) => (this.#onClosed = resolve));
  }

  #onClosed: () => void = () => undefined;

  /** A connection without a handshake. */
  static async open(port: number, over: "tcp" | "ws" = "tcp"): Promise<RawClient> {
    const client = new RawClient();
    const reader = new FrameReader();
    const receive: Receive = {
      data(chunk) {
        client.receivedBytes += chunk.length;
        reader.feed(chunk, (bytes, start, end) => client.frames.push(decodeFrame(bytes, start, end)));
        client.#changed();
        if (client.restMs !== undefined) client.#rest(client.restMs);
      },
      closed() {
        client.isClosed = true;
        client.#onClosed();
        client.#changed();
      },
    };
    client.#wire = over === "tcp" ? await tcpWire(port, receive) : await webSocketWire(port, receive);
    return client;
  }

  /** A connection whose handshake is done. */
  static async connect(
    port: number,
    hello: Record<string, unknown> = {},
    over: "tcp" | "ws" = "tcp",
  ): Promise<RawClient> {
    const client = await RawClient.open(port, over);
    await client.hello(hello);
    return client;
  }

  get wire(): Wire {
    if (this.#wire === undefined) throw new Error("not connected");
    return this.#wire;
  }

  hello(fields: Record<string, unknown> = {}): Promise<Record<string, unknown>> {
    return this.ok(Op.HELLO, { version: [1, 1], features: [], client: "raw", namespace: "default", ...fields });
  }

  send(bytes: Uint8Array): void {
    this.wire.send(bytes);
  }

  /** Takes the first frame that fits, of those that came and those to come. */
  async take(what: string, fits: (frame: Frame) => boolean): Promise<Frame> {
    const deadlineMs = performance.now() + WAIT_MS;
    for (;;) {
      const at = this.frames.findIndex(fits);
      if (at >= 0) return this.frames.splice(at, 1)[0] as Frame;
      if (this.isClosed) throw new Error(`the connection closed before: ${what}`);
      const leftMs = deadlineMs - performance.now();
      if (leftMs <= 0) throw new Error(`within ${WAIT_MS} ms there was no frame: ${what}`);
      await this.#change(leftMs);
    }
  }

  /** Resolves when something came, or after the time. */
  #change(waitMs: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, waitMs);
      this.#waiters.push(() => {
        clearTimeout(timer);
        resolve();
      });
    });
  }

  #rest(restMs: number): void {
    this.wire.pause();
    setTimeout(() => this.wire.resume(), restMs);
  }

  #changed(): void {
    for (const wake of this.#waiters.splice(0)) wake();
  }

  takeOp(op: number): Promise<Frame> {
    return this.take(`op ${op}`, (frame) => frame.op === op);
  }

  /** Sends a request and resolves to its answer, OK or ERROR. */
  request(op: number, ...args: unknown[]): Promise<Frame> {
    const correlation = ++this.#correlation;
    this.send(encodeFrame(op, correlation, ...args));
    const isAnswer = (frame: Frame): boolean => frame.op === Op.OK || frame.op === Op.ERROR;
    return this.take(`the answer to op ${op}`, (frame) => isAnswer(frame) && frame.args[0] === correlation);
  }

  /** The result of a request that must succeed. */
  async ok(op: number, ...args: unknown[]): Promise<Record<string, unknown>> {
    const answer = await this.request(op, ...args);
    if (answer.op !== Op.OK) throw new Error(`op ${op} failed: ${JSON.stringify(answer.args)}`);
    return answer.args[1] as Record<string, unknown>;
  }

  /** The error of a request that must fail. */
  async refused(op: number, ...args: unknown[]): Promise<ErrorName> {
    const answer = await this.request(op, ...args);
    if (answer.op !== Op.ERROR) throw new Error(`op ${op} succeeded: ${JSON.stringify(answer.args)}`);
    return errorAt(answer.args, 1);
  }

  /** Resolves to the reason of the GOODBYE, when the broker has closed the connection too. */
  async goodbye(): Promise<ErrorName> {
    const { args } = await this.takeOp(Op.GOODBYE);
    await this.closed;
    return errorName(Number(args[0])) ?? "internal";
  }

  [Symbol.dispose](): void {
    this.wire.terminate();
  }
}

/** The error whose code and name stand at `at`; both have to be those of the catalogue. */
export function errorAt(args: readonly unknown[], at: number): ErrorName {
  const name = errorName(Number(args[at]));
  if (name === undefined || name !== args[at + 1] || typeof args[at + 2] !== "string") {
    throw new Error(`no error of the catalogue: ${JSON.stringify(args)}`);
  }
  if (args[at + 3] !== ERRORS[name].retryable) throw new Error(`${name} says retryable: ${args[at + 3]}`);
  return name;
}

/** A finished batch of records with these values. */
export function batchOf(
  values: readonly (string | Uint8Array)[],
  seal: Parameters<BatchEncoder["finish"]>[0] = {},
): Uint8Array {
  const encoder = new BatchEncoder({ batchBytesMax: 64 << 20 });
  for (const value of values) encoder.append(1_700_000_000_000, null, value);
  encoder.finish(seal);
  return encoder.batch().slice();
}

/** What became of one publish: the offset it got, or the error it was refused with. */
export type Outcome = { readonly offset: number; readonly level: number } | { readonly error: ErrorName };

/** Sends a publish frame and resolves to its outcome. Nothing else may be under way on the publisher. */
export async function publishFrame(client: RawClient, frame: Uint8Array): Promise<Outcome> {
  client.send(frame);
  const { op, args } = await client.take(
    "the answer to a publish",
    (come) => come.op === Op.ACK || come.op === Op.NACK,
  );
  if (op === Op.NACK) return { error: errorAt(args, 3) };
  const [, , , , offset, level] = args as number[];
  return { offset: offset ?? -1, level: level ?? 0 };
}
