/**
 * One client connection: bytes in to the engine, bytes out to the socket, whatever the transport.
 *
 * What the socket does not take at once waits in a FIFO. Deliveries in it are bounded by the engine (a connection gets no
 * more plan until everything is out), control frames by `connectionOutBytesMax`; beyond it the peer is a slow consumer
 * and is closed. Views of mapped segments may wait here; `retire` replaces them by copies before they are unmapped.
 */
import type { ErrorName } from "../errors/index.ts";
import type { Transport } from "./transport.ts";

/** The protocol above a connection. */
export interface ConnectionHandler {
  /** Whole control frames, heads included. */
  control(frames: Uint8Array): void;
  /** The core ended a source by itself. */
  sourceEnded(sub: number, source: number, code: number): void;
  /** The connection is over for the protocol; called once, maybe before the last bytes are out. */
  closed(): void;
}

/** What connections share with their worker's loop. */
export interface ConnectionHost {
  readonly connectionOutBytesMax: number;
  /** Everything that was planned for the connection is out. */
  flushed(connection: Connection): void;
  /** The connection holds views, or no longer. */
  holdsViews(connection: Connection, holds: boolean): void;
  /** Closes with a GOODBYE of this error. */
  fail(connection: Connection, error: ErrorName, message: string): void;
  /** The connection takes nothing in any more and gets no more plans. */
  gone(connection: Connection): void;
  /** The socket is closed. */
  ended(connection: Connection): void;
}

interface Remainder {
  bytes: Uint8Array;
  start: number;
  length: number;
  isView: boolean;
}

/** So many writes of 0 bytes in a row on a socket that said it is writable are a fault, not pressure. */
const ZERO_WRITES_MAX = 16;
/** How long a closing connection may take to send its last bytes. */
const LINGER_MS = 2000;

export class Connection {
  readonly id: number;
  readonly transport: Transport;
  handler: ConnectionHandler | undefined;
  /** Set when bytes arrive, cleared by whoever watches for silence. */
  heard = true;
  /** Set when the peer takes bytes that waited, cleared by whoever watches for silence. */
  took = false;
  paused = false;
  /** The engine was told nothing about the end of this turn's writes yet. */
  awaitsFlush = false;
  readonly #host: ConnectionHost;
  #waiting: Remainder[] = [];
  #waitingBytes = 0;
  #views = 0;
  #zeroWrites = 0;
  #closing = false;
  #closed = false;
  #linger: Timer | undefined;

  constructor(id: number, transport: Transport, host: ConnectionHost) {
    this.id = id;
    this.transport = transport;
    this.#host = host;
  }

  /** True once no more frames should be sent or taken in. */
  get isClosing(): boolean {
    return this.#closing || this.#closed;
  }

  /** True while silence is our doing: we do not read, and the peer takes what we send. */
  get excusesSilence(): boolean {
    return this.paused && (this.took || this.#waitingBytes === 0);
  }

  get unsentBytes(): number {
    return this.#waitingBytes;
  }

  /** Sends a frame that nobody writes to afterwards. */
  send(frame: Uint8Array): void {
    if (this.isClosing) return;
    this.#write(frame, 0, frame.length, false, false);
    if (this.#waitingBytes > this.#host.connectionOutBytesMax) {
      this.#host.fail(this, "slow_consumer", `${this.#waitingBytes} bytes wait for a peer that does not read`);
    }
  }

  /** Carries out one write of the engine's plan. `isArena`: the bytes change after this turn. */
  writePlanned(bytes: Uint8Array, start: number, length: number, isArena: boolean): void {
    if (this.isClosing) return;
    this.#write(bytes, start, length, !isArena, isArena);
  }

  /** The socket can take bytes again. */
  drained(): void {
    if (this.#closed) return;
    while (this.#waiting.length > 0) {
      const first = this.#waiting[0] as Remainder;
      const taken = this.transport.write(first.bytes, first.start, first.length);
      if (taken < 0) {
        this.terminate();
        return;
      }
      if (taken === 0) {
        this.#noteZeroWrite();
        return;
      }
      this.#zeroWrites = 0;
      this.took = true;
      this.#waitingBytes -= taken;
      if (taken < first.length) {
        first.start += taken;
        first.length -= taken;
        return;
      }
      this.#waiting.shift();
      if (first.isView) this.#dropView();
    }
    if (this.#closing) this.#finish();
    else this.#host.flushed(this);
  }

  /** Copies what still waits in this buffer, which goes away when the call returns. */
  retire(bytes: Uint8Array): void {
    for (const remainder of this.#waiting) {
      if (!remainder.isView || remainder.bytes !== bytes) continue;
      remainder.bytes = bytes.slice(remainder.start, remainder.start + remainder.length);
      remainder.start = 0;
      remainder.isView = false;
      this.#dropView();
    }
  }

  pause(): void {
    if (this.paused || this.isClosing) return;
    this.paused = true;
    this.transport.pause();
  }

  resume(): void {
    if (!this.paused) return;
    this.paused = false;
    // Silence while we did not read says nothing about the peer.
    this.heard = true;
    if (!this.isClosing) this.transport.resume();
  }

  /** Sends a last frame and closes when it is out, or after a while without success. */
  close(lastFrame: Uint8Array | undefined): void {
    if (this.isClosing) return;
    if (lastFrame !== undefined) this.#write(lastFrame, 0, lastFrame.length, false, false);
    if (this.#closed) return;
    this.#closing = true;
    // A paused socket would not notice that the peer closes.
    if (this.paused) this.transport.resume();
    this.#host.gone(this);
    this.handler?.closed();
    this.#linger = setTimeout(() => this.terminate(), LINGER_MS);
    if (this.#waiting.length === 0) this.#finish();
  }

  /** Closes at once. */
  terminate(): void {
    if (this.#closed) return;
    this.transport.terminate();
    this.socketClosed();
  }

  /** The socket is closed, whoever did it. */
  socketClosed(): void {
    if (this.#closed) return;
    this.#closed = true;
    clearTimeout(this.#linger);
    if (this.#views > 0) this.#host.holdsViews(this, false);
    this.#views = 0;
    this.#waiting = [];
    this.#waitingBytes = 0;
    if (!this.#closing) {
      this.#host.gone(this);
      this.handler?.closed();
    }
    this.#host.ended(this);
  }

  #write(bytes: Uint8Array, start: number, length: number, isView: boolean, copies: boolean): void {
    let taken = 0;
    if (this.#waiting.length === 0) {
      taken = this.transport.write(bytes, start, length);
      if (taken === length) return;
      if (taken < 0) {
        this.terminate();
        return;
      }
    }
    const rest = length - taken;
    const from = start + taken;
    if (copies) this.#waiting.push({ bytes: bytes.slice(from, from + rest), start: 0, length: rest, isView: false });
    else this.#waiting.push({ bytes, start: from, length: rest, isView });
    this.#waitingBytes += rest;
    if (!isView) return;
    this.#views += 1;
    if (this.#views === 1) this.#host.holdsViews(this, true);
  }

  #dropView(): void {
    this.#views -= 1;
    if (this.#views === 0) this.#host.holdsViews(this, false);
  }

  /** Bun answers a write from an unmapped view with 0 and no error, again and again: that must not look like pressure. */
  #noteZeroWrite(): void {
    // A WebSocket says so whenever its queue has shrunk and is still long.
    if (this.transport.kind === "ws") return;
    this.#zeroWrites += 1;
    if (this.#zeroWrites < ZERO_WRITES_MAX) return;
    this.#host.fail(this, "internal", `a writable socket took 0 bytes ${this.#zeroWrites} times`);
    this.terminate();
  }

  #finish(): void {
    this.transport.end();
  }
}
