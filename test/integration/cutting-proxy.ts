/** A TCP proxy that breaks connections at random points of their byte streams, in all the ways a network does. */
import type { Socket, TCPSocketListener } from "bun";

export interface CutOptions {
  /** Draws from 0 to less than 1. */
  readonly random: () => number;
  /** A connection lives for up to this many bytes, both directions together; some for far fewer. */
  readonly bytesMax: number;
}

/** How a connection is broken. */
type CutKind = "reset" | "end" | "answers-lost";
const KINDS: readonly CutKind[] = ["reset", "end", "answers-lost"];

type Side = "down" | "up";

/** One client's connection and the broker's, with what the sockets have not taken yet. */
class Pair {
  readonly down: Socket<Pair>;
  up: Socket<Pair> | undefined;
  /** Bytes of both directions until it is cut. */
  left: number;
  readonly kind: CutKind;
  isCut = false;
  readonly #waiting: Record<Side, Uint8Array[]> = { down: [], up: [] };
  readonly #isEnding: Record<Side, boolean> = { down: false, up: false };

  constructor(down: Socket<Pair>, left: number, kind: CutKind) {
    this.down = down;
    this.left = left;
    this.kind = kind;
  }

  /** Sends to a side after all that is waiting for it. */
  send(side: Side, bytes: Uint8Array): void {
    this.#waiting[side].push(bytes);
    this.flush(side);
  }

  /** Ends a side when it has taken everything. */
  end(side: Side): void {
    this.#isEnding[side] = true;
    this.flush(side);
  }

  flush(side: Side): void {
    const socket = this[side];
    if (socket === undefined) return;
    const waiting = this.#waiting[side];
    while (waiting[0] !== undefined) {
      const taken = socket.write(waiting[0]);
      if (taken < 0) return;
      if (taken < waiting[0].length) {
        waiting[0] = waiting[0].subarray(taken);
        return;
      }
      waiting.shift();
    }
    if (this.#isEnding[side]) socket.end();
  }
}

export class CuttingProxy implements Disposable {
  readonly port: number;
  cuts = 0;
  readonly #target: number;
  readonly #options: CutOptions;
  readonly #listener: TCPSocketListener<Pair>;
  readonly #pairs = new Set<Pair>();
  #isCalm = false;

  /** @param target the broker's port on this machine. */
  constructor(target: number, options: CutOptions) {
    this.#target = target;
    this.#options = options;
    this.#listener = Bun.listen<Pair>({
      hostname: "127.0.0.1",
      port: 0,
      socket: {
        open: (down) => this.#opened(down),
        data: ({ data }, chunk) => this.#passed(data, "up", chunk),
        drain: ({ data }) => data.flush("down"),
        end: ({ data }) => data.end("up"),
        close: ({ data }) => this.#closed(data),
        error: () => undefined,
      },
    });
    this.port = this.#listener.port;
  }

  /** From now on nothing is cut; what is half broken already is broken now. */
  calm(): void {
    this.#isCalm = true;
    for (const pair of this.#pairs) if (pair.isCut) this.#reset(pair);
  }

  /** Cuts again, after `calm`. */
  rage(): void {
    this.#isCalm = false;
  }

  /** Breaks every connection there is, now. */
  cutAll(): void {
    for (const pair of this.#pairs) this.#reset(pair);
  }

  [Symbol.dispose](): void {
    this.#listener.stop(true);
    for (const { up } of this.#pairs) up?.terminate();
  }

  #opened(down: Socket<Pair>): void {
    const { random, bytesMax } = this.#options;
    // Every fifth connection does not get far: it breaks amid its handshake, or in what is sent again.
    const scale = random() < 0.2 ? 0.02 : 1;
    const left = Math.ceil(random() * bytesMax * scale);
    const pair = new Pair(down, left, KINDS[Math.floor(random() * KINDS.length)] ?? "reset");
    down.data = pair;
    this.#pairs.add(pair);
    const connecting = Bun.connect<Pair>({
      hostname: "127.0.0.1",
      port: this.#target,
      data: pair,
      socket: {
        data: (_, chunk) => this.#passed(pair, "down", chunk),
        drain: () => pair.flush("up"),
        end: () => pair.end("down"),
        close: () => this.#closed(pair),
        error: () => undefined,
      },
    });
    connecting.then(
      (up) => {
        pair.up = up;
        if (this.#pairs.has(pair)) pair.flush("up");
        else up.terminate();
      },
      () => this.#reset(pair),
    );
  }

  #passed(pair: Pair, to: Side, chunk: Uint8Array): void {
    if (pair.isCut) {
      // Of the kind that loses answers the broker still gets everything.
      if (pair.kind === "answers-lost" && to === "up") pair.send("up", new Uint8Array(chunk));
      return;
    }
    const bytes = new Uint8Array(chunk);
    if (this.#isCalm || bytes.length < pair.left) {
      pair.left -= bytes.length;
      pair.send(to, bytes);
      return;
    }
    const part = bytes.subarray(0, pair.left);
    this.cuts += 1;
    pair.isCut = true;
    switch (pair.kind) {
      case "reset":
        pair.send(to, part);
        this.#reset(pair);
        return;
      case "end":
        pair.send(to, part);
        pair.end("up");
        pair.end("down");
        return;
      case "answers-lost":
        pair.send(to, to === "up" ? bytes : part);
        setTimeout(() => this.#reset(pair), 10);
    }
  }

  #reset(pair: Pair): void {
    pair.isCut = true;
    pair.down.terminate();
    pair.up?.terminate();
  }

  #closed(pair: Pair | undefined): void {
    if (pair === undefined || !this.#pairs.delete(pair)) return;
    pair.down.end();
    pair.up?.end();
  }
}
