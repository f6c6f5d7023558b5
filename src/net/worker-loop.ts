/**
 * One worker's event loop over its engine: runs turns, carries out their plans, and owns the worker's connections.
 * JavaScript here runs per socket chunk, per turn and per write of a plan, never per message.
 */
import type { ErrorName } from "../errors/index.ts";
import type { Logger } from "../stdx/index.ts";
import { Connection, type ConnectionHandler, type ConnectionHost } from "./connection.ts";
import type { ConnectionCount } from "./connection-count.ts";
import type { Transport } from "./transport.ts";

/** The part of the engine that net drives (src/log/engine.ts has the meaning of each). */
export interface DataPlane {
  connectionOpen(): number;
  connectionClose(connection: number): void;
  ingest(connection: number, chunk: Uint8Array): number;
  takeControl(connection: number): Uint8Array;
  fatalFrame(connection: number): Uint8Array;
  turn(sink: WorkerLoop): boolean;
  written(connection: number): boolean;
  isArena(bytes: Uint8Array): boolean;
  onWake(callback: () => void): void;
  now(): number;
}

export interface LoopOptions {
  readonly engine: DataPlane;
  readonly logger: Logger;
  readonly connectionOutBytesMax: number;
  /** Of all threads. */
  readonly connectionCount: ConnectionCount;
  /** Builds the protocol above a new connection. */
  readonly accept: (connection: Connection) => ConnectionHandler;
  /** Why no connection is accepted now, or undefined. */
  readonly refusal: () => { error: ErrorName; message: string } | undefined;
  /** The last frame for a peer whose connection ends with an error. */
  readonly goodbye: (error: ErrorName, message: string) => Uint8Array;
  readonly mail: (message: Uint8Array) => void;
}

const CONTROL = 1;
const TURN = 2;
const FATAL = 4;
const PAUSE = 8;

/**
 * So much input is followed by a turn at once. A busy socket is read again and again before the loop comes round, up to
 * all of its publish credit, and meanwhile nobody would be sent anything: with this, every connection may be sent as much
 * as was taken in (`writeBytesPerTurn` has the same default).
 */
const INPUT_BYTES_PER_TURN = 256 * 1024;

/** A timer takes at most this long at once (the limit of setTimeout is 2^31 ms). */
const TIMER_MS_MAX = 60_000;

export class WorkerLoop implements ConnectionHost {
  readonly connectionOutBytesMax: number;
  readonly #options: LoopOptions;
  readonly #engine: DataPlane;
  readonly #connections: (Connection | undefined)[] = [];
  /** Connections that are closed for the engine but still send their last bytes. */
  readonly #lingering = new Set<Connection>();
  readonly #holders = new Set<Connection>();
  #touched: Connection[] = [];
  #open = 0;
  #scheduled = false;
  /** Taken in since the last turn. */
  #inputBytes = 0;
  #stopped = false;
  #timer: Timer | undefined;
  readonly #run = (): void => this.#turn();

  constructor(options: LoopOptions) {
    this.#options = options;
    this.#engine = options.engine;
    this.connectionOutBytesMax = options.connectionOutBytesMax;
    options.engine.onWake(() => this.turnSoon());
  }

  get connectionCount(): number {
    return this.#open;
  }

  /** Connections that still have bytes to send. */
  get unsentConnections(): number {
    let count = 0;
    for (const connection of this.connections()) if (connection.unsentBytes > 0) count += 1;
    for (const connection of this.#lingering) if (connection.unsentBytes > 0) count += 1;
    return count;
  }

  *connections(): IterableIterator<Connection> {
    for (const connection of this.#connections) if (connection !== undefined) yield connection;
  }

  /** Runs a turn after the socket events that are waiting now, so that one turn serves them all. */
  turnSoon(): void {
    if (this.#scheduled || this.#stopped) return;
    this.#scheduled = true;
    setImmediate(this.#run);
  }

  /** Takes in a new socket. Undefined when it was refused, and closed. */
  attach(transport: Transport): Connection | undefined {
    const refusal = this.#stopped
      ? { error: "shutting_down" as const, message: "the broker has stopped" }
      : this.#options.refusal();
    if (refusal !== undefined) {
      this.refuse(transport, refusal.error, refusal.message);
      return undefined;
    }
    const connection = new Connection(this.#engine.connectionOpen(), transport, this);
    this.#connections[connection.id] = connection;
    this.#open += 1;
    this.#options.connectionCount.add();
    connection.handler = this.#options.accept(connection);
    return connection;
  }

  /** Says why a socket is not taken in, and closes it. */
  refuse(transport: Transport, error: ErrorName, message: string): void {
    const frame = this.#options.goodbye(error, message);
    transport.write(frame, 0, frame.length);
    transport.end();
  }

  /** Takes in one chunk of a connection. */
  received(connection: Connection, chunk: Uint8Array): void {
    if (connection.isClosing) return;
    connection.heard = true;
    try {
      this.#ingest(connection, chunk);
    } catch (error) {
      this.#options.logger.error("a chunk could not be taken in", { error, remote: connection.transport.remote });
      this.fail(connection, "internal", "internal error");
    }
    this.#inputBytes += chunk.length;
    for (let due = this.#inputBytes; due >= INPUT_BYTES_PER_TURN && this.#scheduled; due -= INPUT_BYTES_PER_TURN)
      this.#turn();
  }

  /** Ends connections for which more bytes wait than this: memory is low, and they hold what others need. */
  shed(unsentBytesMax: number): void {
    for (const connection of [...this.connections()]) {
      const { unsentBytes } = connection;
      if (unsentBytes <= unsentBytesMax) continue;
      this.fail(
        connection,
        "slow_consumer",
        `memory is low, and ${unsentBytes} bytes wait for a peer that does not read`,
      );
      // Its last bytes would wait as well.
      connection.terminate();
    }
  }

  /** Ends turns for good, and who is still sending last bytes: the engine, whose maps they may lie in, is closed next. */
  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#timer);
    for (const connection of [...this.#lingering]) connection.terminate();
  }

  #ingest(connection: Connection, chunk: Uint8Array): void {
    const flags = this.#engine.ingest(connection.id, chunk);
    if (flags === TURN) {
      this.turnSoon();
      return;
    }
    if (flags === 0) return;
    if ((flags & CONTROL) !== 0) connection.handler?.control(this.#engine.takeControl(connection.id));
    if ((flags & TURN) !== 0) this.turnSoon();
    if (connection.isClosing) return;
    if ((flags & FATAL) !== 0) connection.close(this.#engine.fatalFrame(connection.id));
    else if ((flags & PAUSE) !== 0) connection.pause();
  }

  // What connections ask of their loop.

  flushed(connection: Connection): void {
    if (!connection.awaitsFlush || this.#connections[connection.id] !== connection) return;
    connection.awaitsFlush = false;
    if (this.#engine.written(connection.id)) this.turnSoon();
  }

  holdsViews(connection: Connection, holds: boolean): void {
    if (holds) this.#holders.add(connection);
    else this.#holders.delete(connection);
  }

  fail(connection: Connection, error: ErrorName, message: string): void {
    this.#options.logger.warn("connection closed", { error, reason: message, remote: connection.transport.remote });
    connection.close(this.#options.goodbye(error, message));
  }

  gone(connection: Connection): void {
    if (this.#connections[connection.id] !== connection) return;
    this.#connections[connection.id] = undefined;
    this.#open -= 1;
    this.#options.connectionCount.subtract();
    this.#engine.connectionClose(connection.id);
    if (connection.unsentBytes > 0) this.#lingering.add(connection);
    this.turnSoon();
  }

  ended(connection: Connection): void {
    this.#lingering.delete(connection);
  }

  // What the engine asks during a turn (TurnSink). None of these may throw: the rest of the plan would be lost.

  write(id: number, bytes: Uint8Array, start: number, length: number): void {
    const connection = this.#connections[id];
    if (connection === undefined) return;
    if (!connection.awaitsFlush) {
      connection.awaitsFlush = true;
      this.#touched.push(connection);
    }
    connection.writePlanned(bytes, start, length, this.#engine.isArena(bytes));
  }

  retire(bytes: Uint8Array): void {
    for (const connection of [...this.#holders]) connection.retire(bytes);
  }

  resume(id: number): void {
    this.#connections[id]?.resume();
  }

  close(id: number, frame: Uint8Array): void {
    this.#connections[id]?.close(frame);
  }

  sourceEnd(id: number, sub: number, source: number, code: number): void {
    this.#connections[id]?.handler?.sourceEnded(sub, source, code);
  }

  mail(message: Uint8Array): void {
    try {
      this.#options.mail(message);
    } catch (error) {
      this.#options.logger.error("mail from another worker could not be handled", { error });
    }
  }

  /**
   * Runs a turn at this time of the engine's clock. One timer stands for all: the engine asks for the earliest time, and
   * for a later one when that has passed, which a turn may find before the timer does. So the last word counts.
   */
  timer(atMs: number): void {
    if (this.#stopped) return;
    clearTimeout(this.#timer);
    const delayMs = Math.min(Math.max(0, Math.ceil(atMs - this.#engine.now())), TIMER_MS_MAX);
    this.#timer = setTimeout(() => {
      // A wait that was cut short, or a timer that ran early: the engine would not ask again for the time it waits for.
      if (this.#engine.now() < atMs) this.timer(atMs);
      else this.turnSoon();
    }, delayMs);
  }

  #turn(): void {
    // A turn that was due may have run early.
    if (this.#stopped || !this.#scheduled) return;
    this.#scheduled = false;
    this.#inputBytes = 0;
    if (this.#engine.turn(this)) this.turnSoon();
    const touched = this.#touched;
    if (touched.length === 0) return;
    this.#touched = [];
    for (const connection of touched) {
      if (connection.unsentBytes === 0) this.flushed(connection);
    }
  }
}
