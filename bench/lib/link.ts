import {
  encodeFlow,
  encodeFrame,
  errorFromWire,
  FrameReader,
  Op,
  opOf,
  readAck,
  readCredit,
  readDeliverHead,
  unpack,
} from "../../src/protocol/index.ts";
import { MillraceError } from "../../src/errors/index.ts";

/** A raw connection for load: frames by hand and no record objects, so that the load costs as little as it can. */

type Socket = Awaited<ReturnType<typeof Bun.connect>>;

const FLOW_BYTES = 8 * 1024 * 1024;
export const CREDIT_BYTES = 64 * 1024 * 1024;

/** A source of a subscription: its number, topic, partition and first offset. */
export type SourceRow = readonly [source: number, topic: string, partition: number, offset: number];

export interface LinkOptions {
  readonly host?: string;
  readonly namespace?: string;
  readonly clientName?: string;
}

interface Reply {
  resolve(result: unknown): void;
  reject(error: Error): void;
}

const lost = (message: string): MillraceError => new MillraceError("connection_lost", message);

export class Link {
  /** Set by `open` before anybody has the link. */
  #socket!: Socket;
  readonly #replies: Reply[] = [];
  #correlation = 0;
  #unit: Uint8Array = new Uint8Array(0);
  #unitAt = 0;
  #unitsLeft = 0;
  #creditBytes = 0;
  #creditBytesMax = 0;
  #owedBytes = 0;
  /** What the socket has not taken of the frames that it took a part of. */
  #rest: Uint8Array | undefined;
  /** Frames without credit that wait for the rest to be out, and publish frames that wait for it or for credit. */
  #control: Uint8Array[] = [];
  #queue: Uint8Array[] = [];
  #queueStart = 0;
  #heartbeat: Timer | undefined;
  #isClosed = false;
  /** Publishes that were acknowledged. */
  acked = 0;
  /** Bytes of DELIVER frames that came in. */
  deliveredBytes = 0;
  /** Called for each DELIVER frame: its source, and where its batches stand. */
  onDeliver: ((source: number, bytes: Uint8Array, start: number, end: number) => void) | undefined;
  /** Called for each MESSAGES frame with where its content stands. */
  onMessages: ((bytes: Uint8Array, start: number, end: number) => void) | undefined;
  /** Called when something was acknowledged, after the runs of an ACK. */
  onAck: (() => void) | undefined;
  /** Called for each run of an ACK: so many publishes of a partition. */
  onAckRun: ((partition: number, count: number) => void) | undefined;
  /** Called when everything that was given to `send` is with the socket. */
  onClear: (() => void) | undefined;
  /** Called when the connection ends without `close`, or the broker refuses a publish. Without it a refusal is thrown. */
  onFailure: ((error: Error) => void) | undefined;
  subscription: number | undefined;

  /** Connects and shakes hands. Errors: connection_lost, and what the broker refuses with. */
  static async open(port: number, options: LinkOptions = {}): Promise<Link> {
    const reader = new FrameReader();
    const link = new Link();
    const hostname = options.host ?? "127.0.0.1";
    link.#socket = await Bun.connect({
      hostname,
      port,
      socket: {
        data: (_, chunk) => {
          reader.feed(chunk, (bytes, start, end) => link.receive(bytes, start, end));
          link.pump();
        },
        drain: () => link.pump(),
        close: () => link.#ended(lost("the broker closed the connection")),
        error: (_, error) => link.#ended(lost(error.message)),
      },
    }).catch((error: Error) => {
      throw lost(`no connection to ${hostname}:${port}: ${error.message}`);
    });
    link.#socket.setNoDelay(true);
    const hello = {
      version: [1, 1],
      features: [],
      client: options.clientName ?? "millrace-bench",
      namespace: options.namespace ?? "default",
      heartbeatMs: 60_000,
      auth: null,
    };
    const welcome = (await link.request(Op.HELLO, hello)) as { publishCreditBytes: number; heartbeatMs: number };
    link.#creditBytes = welcome.publishCreditBytes;
    link.#creditBytesMax = welcome.publishCreditBytes;
    if (welcome.heartbeatMs > 0) {
      link.#heartbeat = setInterval(() => link.write(encodeFrame(Op.PING, 0)), welcome.heartbeatMs / 2);
    }
    return link;
  }

  /** Sends a request; answers come in the order of the requests. Errors: what the broker refuses with; the link ended. */
  request(op: number, ...args: unknown[]): Promise<unknown> {
    return this.ask((correlation) => encodeFrame(op, correlation, ...args));
  }

  /** The same for a frame that the caller writes around the correlation id. */
  ask(frameOf: (correlation: number) => Uint8Array): Promise<unknown> {
    if (this.#isClosed) return Promise.reject(lost("the connection has ended"));
    this.#correlation += 1;
    this.write(frameOf(this.#correlation));
    return new Promise((resolve, reject) => {
      this.#replies.push({ resolve, reject });
    });
  }

  /** Subscribes with this number; `onSources` runs before the first delivery. Errors: what the broker refuses with. */
  async subscribe(number: number, args: object, onSources?: (sources: readonly SourceRow[]) => void): Promise<void> {
    this.subscription = number;
    const done = this.request(Op.SUBSCRIBE, number, { creditBytes: CREDIT_BYTES, ...args });
    const reply = this.#replies.at(-1);
    if (reply !== undefined) {
      const { resolve } = reply;
      // The first delivery may stand in the same chunk as the answer, so this must not wait for the promise.
      reply.resolve = (result) => {
        onSources?.((result as { sources: SourceRow[] }).sources);
        resolve(result);
      };
    }
    await done;
  }

  /** Sends the bytes `count` times, as the socket and the credit allow. Not to be mixed with `send`. */
  sendUnits(unit: Uint8Array, count: number): void {
    this.#unit = unit;
    this.#unitsLeft = count;
    this.pump();
  }

  /** True when nothing waits for the socket or for credit. */
  get isClear(): boolean {
    return this.#rest === undefined && this.#queueStart === this.#queue.length;
  }

  /** Sends publish frames as soon as the socket and the credit allow; what has to wait is copied. */
  send(frames: Uint8Array): void {
    if (this.isClear && this.#control.length === 0 && this.#pay(frames.length)) this.#put(frames);
    else this.#queue.push(frames.slice());
  }

  /** Takes the credit of frames that are to be sent. False: they have to wait for more. */
  #pay(bytes: number): boolean {
    const isWindowFull = this.#creditBytes >= this.#creditBytesMax;
    if (bytes > this.#creditBytes && !isWindowFull) return false;
    this.#creditBytes -= bytes;
    return true;
  }

  /** Gives whole frames to the socket, of which nothing else may be half written; keeps what it does not take. */
  #put(frames: Uint8Array): void {
    const taken = Math.max(0, this.#socket.write(frames));
    if (taken < frames.length) this.#rest = frames.slice(taken);
  }

  /** Writes a frame that costs no credit, outside of units: at once, or behind a frame that is half written. */
  write(frame: Uint8Array): void {
    const isBetweenFrames = this.#rest === undefined && this.#unitAt === 0;
    if (isBetweenFrames && this.#control.length === 0) this.#put(frame);
    else this.#control.push(frame);
  }

  /** Goes on with what waits. */
  pump(): void {
    const wasClear = this.isClear;
    if (!this.#pumpRest() || !this.#pumpQueue()) return;
    if (!wasClear) this.onClear?.();
    this.#pumpUnits();
  }

  /** True when no frame is half written any more, and no control frame waits. */
  #pumpRest(): boolean {
    const rest = this.#rest;
    if (rest !== undefined) {
      const taken = Math.max(0, this.#socket.write(rest));
      this.#rest = taken < rest.length ? rest.subarray(taken) : undefined;
    }
    while (this.#rest === undefined && this.#unitAt === 0 && this.#control.length > 0) {
      this.#put(this.#control.shift() as Uint8Array);
    }
    return this.#rest === undefined;
  }

  /** True when everything that was given to `send` is out. */
  #pumpQueue(): boolean {
    while (this.#queueStart < this.#queue.length) {
      const first = this.#queue[this.#queueStart] as Uint8Array;
      if (!this.#pay(first.length)) return false;
      this.#queueStart += 1;
      this.#put(first);
      if (this.#rest !== undefined) return false;
    }
    this.#queue = [];
    this.#queueStart = 0;
    return true;
  }

  #pumpUnits(): void {
    while (this.#unitsLeft > 0 && this.#rest === undefined) {
      if (this.#unitAt === 0) {
        if (this.#creditBytes < this.#unit.length) return;
        this.#creditBytes -= this.#unit.length;
      }
      this.#unitAt += Math.max(0, this.#socket.write(this.#unit, this.#unitAt, this.#unit.length - this.#unitAt));
      if (this.#unitAt < this.#unit.length) return;
      this.#unitAt = 0;
      this.#unitsLeft -= 1;
      if (this.#control.length > 0) this.#pumpRest();
    }
  }

  receive(bytes: Uint8Array, start: number, end: number): void {
    const op = opOf(bytes, start, end);
    if (op === Op.DELIVER) this.#delivered(bytes, start, end);
    else if (op === Op.MESSAGES) this.onMessages?.(bytes, start, end);
    else if (op === Op.ACK) this.#acked(bytes, start, end);
    else if (op === Op.CREDIT) this.#creditBytes += readCredit(bytes, start, end);
    else if (op === Op.OK || op === Op.ERROR) this.#replied(unpack(bytes, start, end) as unknown[]);
    else if (op === Op.PING) this.write(encodeFrame(Op.PONG, (unpack(bytes, start, end) as unknown[])[1]));
    else if (op === Op.NACK) this.#refused(errorFromWire((unpack(bytes, start, end) as unknown[]).slice(4)));
    else if (op === Op.SETTLE_FAILED) this.#refused(errorFromWire((unpack(bytes, start, end) as unknown[]).slice(5)));
    else if (op === Op.GOODBYE) this.#saidGoodbye(unpack(bytes, start, end) as unknown[]);
  }

  #replied(content: unknown[]): void {
    const reply = this.#replies.shift();
    if (content[0] === Op.OK) reply?.resolve(content[2]);
    else reply?.reject(errorFromWire(content.slice(2)));
  }

  #refused(error: Error): void {
    if (this.onFailure === undefined) throw error;
    this.onFailure(error);
  }

  #saidGoodbye([, code, message]: unknown[]): void {
    const { codeName } = errorFromWire([code, null, message, true, null]);
    this.#ended(new MillraceError(codeName, `the broker ended the connection: ${String(message)}`));
  }

  #acked(bytes: Uint8Array, start: number, end: number): void {
    readAck(bytes, start, end, (_publisher, _correlation, count, partition) => {
      this.acked += count;
      this.onAckRun?.(partition, count);
    });
    this.onAck?.();
  }

  #delivered(bytes: Uint8Array, start: number, end: number): void {
    const frameBytes = end - start;
    this.deliveredBytes += frameBytes;
    this.#owedBytes += frameBytes;
    if (this.#owedBytes >= FLOW_BYTES && this.subscription !== undefined) {
      this.write(encodeFlow(this.subscription, this.#owedBytes));
      this.#owedBytes = 0;
    }
    if (this.onDeliver === undefined) return;
    const { source, batchesStart } = readDeliverHead(bytes, start, end);
    this.onDeliver(source, bytes, batchesStart, end);
  }

  #ended(error: Error): void {
    if (this.#isClosed) return;
    this.#stop();
    for (const { reject } of this.#replies.splice(0)) reject(error);
    this.onFailure?.(error);
  }

  #stop(): void {
    this.#isClosed = true;
    clearInterval(this.#heartbeat);
  }

  close(): void {
    if (this.#isClosed) return;
    this.#stop();
    this.#socket.end();
  }
}
