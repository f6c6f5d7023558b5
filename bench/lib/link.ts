import {
  encodeFlow,
  encodeFrame,
  FrameReader,
  Op,
  opOf,
  readAck,
  readCredit,
  unpack,
} from "../../src/protocol/index.ts";

/** A raw connection for load: frames by hand and no record objects, so that the load costs as little as it can. */

type Socket = Awaited<ReturnType<typeof Bun.connect>>;

const FLOW_BYTES = 8 * 1024 * 1024;
export const CREDIT_BYTES = 64 * 1024 * 1024;

export class Link {
  /** Set by `open` before anybody has the link. */
  #socket!: Socket;
  readonly #replies: ((content: unknown[]) => void)[] = [];
  #correlation = 0;
  #unit: Uint8Array = new Uint8Array(0);
  #unitAt = 0;
  #unitsLeft = 0;
  #creditBytes = 0;
  #owedBytes = 0;
  /** Publishes that were acknowledged. */
  acked = 0;
  /** Bytes of DELIVER frames that came in. */
  deliveredBytes = 0;
  /** Called for each DELIVER frame. */
  onDeliver: (() => void) | undefined;
  /** Called when something was acknowledged. */
  onAck: (() => void) | undefined;
  subscription: number | undefined;

  /** Connects and shakes hands. */
  static async open(port: number): Promise<Link> {
    const reader = new FrameReader();
    const link = new Link();
    link.#socket = await Bun.connect({
      hostname: "127.0.0.1",
      port,
      socket: {
        data: (_, chunk) => {
          reader.feed(chunk, (bytes, start, end) => link.receive(bytes, start, end));
          link.pump();
        },
        drain: () => link.pump(),
        close: () => undefined,
      },
    });
    link.#socket.setNoDelay(true);
    const hello = {
      version: [1, 1],
      features: [],
      client: "millrace-bench",
      namespace: "default",
      heartbeatMs: 60_000,
      auth: null,
    };
    const welcome = (await link.request(Op.HELLO, hello)) as { publishCreditBytes: number };
    link.#creditBytes = welcome.publishCreditBytes;
    return link;
  }

  request(op: number, ...args: unknown[]): Promise<unknown> {
    this.#correlation += 1;
    this.#socket.write(encodeFrame(op, this.#correlation, ...args));
    return new Promise((resolve, reject) => {
      this.#replies.push((content) =>
        content[0] === Op.OK ? resolve(content[2]) : reject(new Error(String(content.slice(3)))),
      );
    });
  }

  /** Sends the bytes `count` times, as the socket and the credit allow. */
  sendUnits(unit: Uint8Array, count: number): void {
    this.#unit = unit;
    this.#unitsLeft = count;
    this.pump();
  }

  /** Writes a frame at once, outside of units. */
  write(frame: Uint8Array): void {
    this.#socket.write(frame);
  }

  pump(): void {
    while (this.#unitsLeft > 0) {
      if (this.#unitAt === 0) {
        if (this.#creditBytes < this.#unit.length) return;
        this.#creditBytes -= this.#unit.length;
      }
      this.#unitAt += Math.max(0, this.#socket.write(this.#unit, this.#unitAt, this.#unit.length - this.#unitAt));
      if (this.#unitAt < this.#unit.length) return;
      this.#unitAt = 0;
      this.#unitsLeft -= 1;
    }
  }

  receive(bytes: Uint8Array, start: number, end: number): void {
    const op = opOf(bytes, start, end);
    if (op === Op.DELIVER) this.#delivered(end - start);
    else if (op === Op.ACK) {
      readAck(bytes, start, end, (_publisher, _correlation, count) => (this.acked += count));
      this.onAck?.();
    } else if (op === Op.CREDIT) this.#creditBytes += readCredit(bytes, start, end);
    else if (op === Op.OK || op === Op.ERROR) this.#replies.shift()?.(unpack(bytes, start, end) as unknown[]);
    else if (op === Op.NACK) throw new Error(`refused: ${JSON.stringify(unpack(bytes, start, end))}`);
  }

  #delivered(frameBytes: number): void {
    this.deliveredBytes += frameBytes;
    this.#owedBytes += frameBytes;
    if (this.#owedBytes >= FLOW_BYTES && this.subscription !== undefined) {
      this.#socket.write(encodeFlow(this.subscription, this.#owedBytes));
      this.#owedBytes = 0;
    }
    this.onDeliver?.();
  }

  close(): void {
    this.#socket.end();
  }
}
