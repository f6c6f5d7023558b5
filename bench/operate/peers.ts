/** Peers of a broker that do not behave, or behave and are many: connections on bare sockets, each at one thing. */
import { BatchEncoder, encodeFrame, encodePublish, FrameReader, Op, opOf, readAck } from "../../src/protocol/index.ts";

type Socket = Awaited<ReturnType<typeof Bun.connect>>;

const SUBSCRIPTION = 1;
const PUBLISHER = 1;
const CORRELATION_HELLO = 1;

export interface Place {
  readonly port: number;
  readonly namespace: string;
  /** A token of the broker's issuer. */
  readonly token: string;
}

/** A connection that logs in, answers pings, and counts what it is sent. */
export class Peer {
  acks = 0;
  nacks = 0;
  deliveries = 0;
  receivedBytes = 0;
  isOpen = false;
  isGone = false;
  protected socket: Socket | undefined;
  readonly #reader = new FrameReader();
  #unsent: Uint8Array[] = [];
  #welcome: (() => void) | undefined;

  /** Resolves when it is logged in, or gone. */
  async open({ port, namespace, token }: Place): Promise<void> {
    const hello = { version: [1, 1], features: [], client: "crowd", namespace, heartbeatMs: 0 };
    const welcome = new Promise<void>((resolve) => (this.#welcome = resolve));
    const data = (_: Socket, chunk: Uint8Array): void => this.#data(chunk);
    const close = (): void => this.#closed();
    const drain = (): void => this.#flush();
    this.socket = await Bun.connect({ hostname: "127.0.0.1", port, socket: { data, close, drain, error: close } });
    this.send(encodeFrame(Op.HELLO, CORRELATION_HELLO, { ...hello, auth: { mechanism: "TOKEN", token } }));
    await welcome;
  }

  /** Bytes that the socket has not taken. */
  get unsentFrames(): number {
    return this.#unsent.length;
  }

  send(frame: Uint8Array): void {
    this.#unsent.push(frame);
    if (this.#unsent.length === 1) this.#flush();
  }

  leave(): void {
    this.isGone = true;
    this.socket?.terminate();
  }

  #flush(): void {
    while (this.#unsent.length > 0) {
      const frame = this.#unsent[0] as Uint8Array;
      const written = this.socket?.write(frame) ?? 0;
      if (written < 0) return;
      if (written < frame.length) {
        this.#unsent[0] = frame.subarray(written);
        return;
      }
      this.#unsent.shift();
    }
  }

  #data(chunk: Uint8Array): void {
    this.receivedBytes += chunk.length;
    if (!this.received()) return;
    // Frames that are split over chunks are joined from copies.
    this.#reader.feed(new Uint8Array(chunk), (bytes, start, end) => {
      const op = opOf(bytes, start, end);
      if (op === Op.PING) this.send(encodeFrame(Op.PONG, 0));
      else if (op === Op.ACK)
        readAck(bytes, start, end, (_publisher, _correlation, count) => void (this.acks += count));
      else if (op === Op.NACK) this.nacks += 1;
      else if (op === Op.DELIVER || op === Op.MESSAGES) this.deliveries += 1;
      else if (op === Op.OK && !this.isOpen) {
        this.isOpen = true;
        this.#welcome?.();
      }
    });
  }

  /** Hears of each chunk. Returns whether it is to be read. */
  protected received(): boolean {
    return true;
  }

  #closed(): void {
    this.isGone = true;
    this.isOpen = false;
    this.#welcome?.();
  }
}

/** Publishes small batches at a steady pace, and may read what all of them publish. */
export class BusyPeer extends Peer {
  readonly #frame: Uint8Array;

  constructor(partition: number, records: number, recordBytes: number) {
    super();
    this.#frame = publishFrame(partition, records, recordBytes);
  }

  begin(topic: string, readsPartition?: number): void {
    this.send(encodeFrame(Op.PUBLISHER_OPEN, 2, PUBLISHER, { topic }));
    if (readsPartition === undefined) return;
    const source = { topic, partitions: [readsPartition], from: "latest", creditBytes: 64 << 20 };
    this.send(encodeFrame(Op.SUBSCRIBE, 3, SUBSCRIPTION, source));
  }

  publish(): void {
    // One that the broker holds back waits, as an application would.
    if (this.isOpen && this.unsentFrames < 4) this.send(this.#frame);
  }
}

/** Asks for all there is and hardly reads. */
export class SlowPeer extends Peer {
  begin(topic: string): void {
    this.send(encodeFrame(Op.SUBSCRIBE, 2, SUBSCRIPTION, { topic, from: "earliest", creditBytes: 64 << 20 }));
    this.socket?.pause();
  }

  /** Takes a moment's worth from its socket, and shows that it lives. */
  sip(): void {
    if (!this.isOpen) return;
    this.send(encodeFrame(Op.PING, 0));
    this.socket?.resume();
  }

  /** One chunk is a sip. What it says nobody looks at: this program's work would take from the cores that are measured. */
  protected override received(): boolean {
    if (this.isOpen) this.socket?.pause();
    return !this.isOpen;
  }
}

/** Publishes as fast as the socket takes it, up to a rate; it heeds no credit. */
export class GreedyPeer extends Peer {
  readonly #frame: Uint8Array;
  offeredBytes = 0;

  constructor(batchBytes: number) {
    super();
    this.#frame = publishFrame(0, 1, batchBytes);
  }

  /** Of frames. */
  get ackedBytes(): number {
    return this.acks * this.#frame.length;
  }

  begin(topic: string): void {
    this.send(encodeFrame(Op.PUBLISHER_OPEN, 2, PUBLISHER, { topic }));
  }

  /** Offers so many bytes; what the socket does not take is left. */
  offer(bytes: number): void {
    for (let left = bytes; left > 0 && this.unsentFrames < 2; left -= this.#frame.length) {
      this.send(this.#frame);
      this.offeredBytes += this.#frame.length;
    }
  }
}

function publishFrame(partition: number, records: number, recordBytes: number): Uint8Array {
  const encoder = new BatchEncoder();
  const value = new Uint8Array(recordBytes).fill(0x78);
  for (let n = 0; n < records; n += 1) encoder.append(Date.now(), null, value);
  encoder.finish();
  return encodePublish({ publisher: PUBLISHER, correlation: 0, partition, acks: 2, condition: null }, encoder.batch());
}

/** Logs in with a wrong password, as someone new each time. Resolves to whether the broker refused it. */
export async function guess(port: number, user: string): Promise<boolean> {
  const auth = { mechanism: "PLAIN", user, password: crypto.randomUUID() };
  const hello = { version: [1, 1], features: [], client: "guess", namespace: "default", heartbeatMs: 0, auth };
  return await answered(port, encodeFrame(Op.HELLO, CORRELATION_HELLO, hello));
}

/** Begins a frame and leaves it. Resolves when the broker ends the connection, or after a moment. */
export async function hangUp(port: number, waitMs: number): Promise<void> {
  const socket = await Bun.connect({ hostname: "127.0.0.1", port, socket: { data: () => undefined } });
  socket.write(encodeFrame(Op.HELLO, CORRELATION_HELLO, {}).subarray(0, 5));
  await Bun.sleep(waitMs);
  socket.terminate();
}

/** Sends bytes that are no frame. Resolves to whether the broker ended the connection. */
export async function babble(port: number): Promise<boolean> {
  return await answered(port, crypto.getRandomValues(new Uint8Array(512)));
}

const ANSWER_MS = 30_000;

/** Resolves to true when the broker has ended the connection after these bytes. */
function answered(port: number, bytes: Uint8Array): Promise<boolean> {
  return new Promise((resolve) => {
    const timer = setTimeout(() => resolve(false), ANSWER_MS);
    const ended = (): void => {
      clearTimeout(timer);
      resolve(true);
    };
    const open = (socket: Socket): void => void socket.write(bytes);
    const socket = { open, data: () => undefined, close: ended, error: ended, connectError: ended };
    Bun.connect({ hostname: "127.0.0.1", port, socket }).catch(ended);
  });
}
