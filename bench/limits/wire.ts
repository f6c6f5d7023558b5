import { encodeFlow, encodeFrame, Op, opOf, readAck, readCredit, unpack } from "../../src/protocol/index.ts";
import { Skimmer } from "./skimmer.ts";
import type { Unit } from "./units.ts";

/**
 * The load's connection, to a bare program and to a broker alike: the same writes, the same reads. What a broker adds is
 * the handshake, credit, and counting acks and deliveries by their frames.
 */

type Socket = Awaited<ReturnType<typeof Bun.connect>>;

/** The largest grant that a subscription may hold by default. */
const CREDIT_BYTES = 64 * 1024 * 1024;
/** Given back in portions of half the window. */
const FLOW_BYTES = CREDIT_BYTES / 2;
const SUBSCRIPTION = 1;
const PUBLISHER = 1;

export class Wire {
  #socket: Socket | undefined;
  readonly #skimmer: Skimmer | undefined;
  readonly #replies: { resolve: (result: unknown) => void; reject: (error: Error) => void }[] = [];
  #correlation = 0;
  #unit: Unit | undefined;
  #unitsLeft = 0;
  /** Position of the next byte in the unit, and of the end of the write that it belongs to. */
  #at = 0;
  #writeEnd = 0;
  /** Frames that came up in the middle of a write. */
  readonly #held: Uint8Array[] = [];
  #creditBytes: number;
  #owedBytes = 0;
  #levelMin = 0;
  #failure: Error | undefined;
  #isDone: (() => boolean) | undefined;
  #settle: { resolve: () => void; reject: (error: Error) => void } | undefined;
  /** Bytes that came in, of any kind. */
  received = 0;
  /** Publishes that were acknowledged. */
  acked = 0;
  /** Bytes of batches that were delivered. */
  deliveredBytes = 0;
  /** Messages that retention took before they were delivered. */
  dropped = 0;
  /** Hears every chunk before it is counted. */
  onChunk: ((chunk: Uint8Array) => void) | undefined;

  private constructor(isBare: boolean) {
    this.#creditBytes = isBare ? Number.POSITIVE_INFINITY : 0;
    if (isBare) return;
    this.#skimmer = new Skimmer({
      control: (bytes, start, end) => this.#control(bytes, start, end),
      delivered: (frameBytes, batchBytes) => this.#delivered(frameBytes, batchBytes),
    });
  }

  /** To a program that speaks no protocol. */
  static async bare(port: number): Promise<Wire> {
    const wire = new Wire(true);
    await wire.#connect(port);
    return wire;
  }

  /**
   * To a broker, with the handshake.
   *
   * @param how `ca`: who signs its certificate, where it speaks TLS; `auth`: how HELLO logs in, where it asks who that is.
   */
  static async open(port: number, how: { ca?: string | undefined; auth?: object | null } = {}): Promise<Wire> {
    const { ca, auth = null } = how;
    const wire = new Wire(false);
    await wire.#connect(port, ca);
    const hello = {
      version: [1, 1],
      features: [],
      client: "millrace-limits",
      namespace: "default",
      heartbeatMs: 60_000,
      auth,
    };
    const welcome = (await wire.request(Op.HELLO, hello)) as { publishCreditBytes: number };
    wire.#creditBytes = welcome.publishCreditBytes;
    return wire;
  }

  async #connect(port: number, ca?: string): Promise<void> {
    const data = (_: Socket, chunk: Uint8Array): void => this.#data(chunk);
    const drain = (): void => this.#step();
    const close = (): void => this.#fail(new Error("the connection was closed"));
    const secured = Promise.withResolvers<void>();
    const handshake = (_: Socket, isDone: boolean, error: Error | null): void =>
      isDone ? secured.resolve() : secured.reject(error ?? new Error("no TLS handshake"));
    const tls = ca === undefined ? {} : { tls: { ca } };
    this.#socket = await Bun.connect({
      hostname: "127.0.0.1",
      port,
      ...tls,
      socket: { data, drain, close, handshake },
    });
    this.#socket.setNoDelay(true);
    if (ca !== undefined) await secured.promise;
  }

  request(op: number, ...args: unknown[]): Promise<unknown> {
    this.#correlation += 1;
    this.write(encodeFrame(op, this.#correlation, ...args));
    return new Promise((resolve, reject) => this.#replies.push({ resolve, reject }));
  }

  /** Opens the publisher of the units' frames. */
  async openPublisher(topic: string): Promise<void> {
    await this.openPublisherOn({ topic });
  }

  async openPublisherOn(target: { readonly topic: string } | { readonly exchange: string }): Promise<void> {
    await this.request(Op.PUBLISHER_OPEN, PUBLISHER, target);
  }

  /** Reads the whole topic from its first record on. */
  async subscribe(topic: string, from: "earliest" | "latest" = "earliest"): Promise<void> {
    await this.request(Op.SUBSCRIBE, SUBSCRIPTION, { topic, from, creditBytes: CREDIT_BYTES });
  }

  async unsubscribe(): Promise<void> {
    await this.request(Op.UNSUBSCRIBE, SUBSCRIPTION);
    this.#owedBytes = 0;
  }

  /** Writes a short frame, between the writes of units. */
  write(frame: Uint8Array): void {
    if (this.#at < this.#writeEnd) {
      this.#held.push(frame);
      return;
    }
    const written = this.#socket?.write(frame) ?? 0;
    if (written !== frame.length) this.#fail(new Error(`wrote ${written} of ${frame.length} bytes`));
  }

  /**
   * Sends the unit `count` times, as the socket and the credit allow; `until` tells when it has come to something.
   *
   * @param levelMin the lowest level that an ack may name
   */
  send(unit: Unit, count: number, levelMin: number = 0): void {
    this.#unit = unit;
    this.#unitsLeft += count;
    this.#levelMin = levelMin;
    this.#step();
  }

  /** Units that are not written to their end. */
  get unsentUnits(): number {
    return this.#unitsLeft;
  }

  /** Resolves once it is so; looked at after every chunk and every write. Errors: a refusal, the connection's end. */
  until(isDone: () => boolean): Promise<void> {
    return new Promise((resolve, reject) => {
      if (this.#failure) return reject(this.#failure);
      if (isDone()) return resolve();
      this.#isDone = isDone;
      this.#settle = { resolve, reject };
    });
  }

  /** Looks again at what `until` waits for: for conditions that the connection does not change. */
  poke(): void {
    this.#step();
  }

  close(): void {
    this.#failure ??= new Error("this side closed the connection");
    this.#socket?.end();
  }

  #data(chunk: Uint8Array): void {
    this.received += chunk.length;
    try {
      this.onChunk?.(chunk);
      this.#skimmer?.feed(chunk);
    } catch (error) {
      this.#fail(error as Error);
    }
    this.#step();
  }

  #step(): void {
    if (this.#unitsLeft > 0) this.#pump();
    if (this.#isDone?.() !== true) return;
    this.#isDone = undefined;
    this.#settle?.resolve();
  }

  #pump(): void {
    const { bytes, frameBytes, strideBytes } = this.#unit as Unit;
    const socket = this.#socket as Socket;
    while (this.#unitsLeft > 0) {
      if (this.#at === this.#writeEnd) {
        // What credit is left may be all that the other side gives before it has more: whole frames go as long as there is any.
        const credit = Math.floor(this.#creditBytes / frameBytes) * frameBytes;
        const length = Math.min(strideBytes, bytes.length - this.#at, credit);
        if (length < frameBytes) return;
        this.#creditBytes -= length;
        this.#writeEnd += length;
      }
      const written = socket.write(bytes, this.#at, this.#writeEnd - this.#at);
      if (written < 0) return this.#fail(new Error("the connection was closed"));
      this.#at += written;
      if (this.#at < this.#writeEnd) return;
      if (this.#at === bytes.length) {
        this.#at = 0;
        this.#writeEnd = 0;
        this.#unitsLeft -= 1;
      }
      if (this.#held.length > 0) for (const frame of this.#held.splice(0)) this.write(frame);
    }
  }

  #control(bytes: Uint8Array, start: number, end: number): void {
    const op = opOf(bytes, start, end);
    if (op === Op.ACK) {
      readAck(bytes, start, end, (_publisher, _correlation, count, _partition, _offset, level) => {
        if (level < this.#levelMin) throw new Error(`an ack of level ${level}, and ${this.#levelMin} was asked for`);
        this.acked += count;
      });
    } else if (op === Op.DROPPED) this.dropped += Number((unpack(bytes, start, end) as unknown[])[3]);
    else if (op === Op.CREDIT) this.#creditBytes += readCredit(bytes, start, end);
    else if (op === Op.OK || op === Op.ERROR) this.#answered(op, unpack(bytes, start, end) as unknown[]);
    else if (op !== Op.PING && op !== Op.PONG && op !== Op.SOURCE) {
      throw new Error(`an unexpected frame: ${JSON.stringify(unpack(bytes, start, end))}`);
    } else if (op === Op.PING) this.write(encodeFrame(Op.PONG, (unpack(bytes, start, end) as unknown[])[1]));
  }

  #answered(op: number, content: readonly unknown[]): void {
    const reply = this.#replies.shift();
    if (op === Op.OK) reply?.resolve(content[2]);
    else reply?.reject(new Error(content.slice(3).join(" ")));
  }

  #delivered(frameBytes: number, batchBytes: number): void {
    this.deliveredBytes += batchBytes;
    this.#owedBytes += frameBytes;
    if (this.#owedBytes < FLOW_BYTES) return;
    this.write(encodeFlow(SUBSCRIPTION, this.#owedBytes));
    this.#owedBytes = 0;
  }

  #fail(error: Error): void {
    if (this.#failure) return;
    this.#failure = error;
    this.#settle?.reject(error);
    for (const { reject } of this.#replies.splice(0)) reject(error);
  }
}
