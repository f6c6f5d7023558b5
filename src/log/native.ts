/**
 * The native log behind the `Engine` interface, and the only importer of the
 * addon. Everything here is conversion: plans become calls of a sink, error
 * strings become errors, sync tokens become promises.
 */

import { errorOf, MillraceError } from "../errors/index.ts";
import type {
  BackupReport,
  BucketQuota,
  Engine,
  EngineOptions,
  EngineStats,
  Location,
  LogConfig,
  Noted,
  PartitionInfo,
  RecordTrace,
  RecoveryReport,
  SchemaFault,
  SchemaResolved,
  StageCounts,
  TurnSink,
} from "./engine.ts";

/** What the addon does otherwise than `Engine`: `native/lib.rs` declares the class, its other methods are the interface's. */
interface NativeEngine extends Omit<Engine, "worker" | "sync" | "turn" | "isArena" | "backup" | "close"> {
  /** Returns the token that a plan names when the sync is over. */
  sync(logId: number, partition: number): number;
  /** Bit 0: more is ready. Bit 1: the plan's memory has moved, take its views again. */
  turn(): number;
  planWords(): Float64Array;
  planArena(): Uint8Array;
  mapView(slot: number): Uint8Array;
  mapRelease(slot: number): void;
  takeMail(): Uint8Array[];
  close(): void;
}

/** The addon takes absent where `EngineOptions` has null. */
type NativeOptions = Omit<EngineOptions, "dataDir" | "manualClockMs"> & { dataDir?: string; manualClockMs?: number };

interface Addon {
  openCore(options: NativeOptions): Promise<number>;
  backup(engineId: number, target: string): Promise<BackupReport>;
  NativeEngine: {
    open(options: NativeOptions): NativeEngine;
    attach(engineId: number, worker: number): NativeEngine;
  };
  schemaValidate(table: Uint8Array, body: Uint8Array): SchemaFault | null;
  schemaResolve(writer: Uint8Array, reader: Uint8Array, body: Uint8Array): SchemaResolved;
  notify(address: string, state: string): void;
  saltPassword(hash: string, password: Uint8Array, salt: Uint8Array, iterations: number): Promise<Uint8Array>;
}

/** Operations of a plan; core/engine/plan.rs has what follows each. */
const WRITE_ARENA = 1;
const WRITE_MAP = 2;
const MAP_OPEN = 3;
const MAP_RETIRE = 4;
const RESUME = 5;
const CLOSE = 6;
const SOURCE_END = 7;
const MAIL = 8;
const SYNCED = 9;
const TIMER = 10;

const MORE = 1;
const MOVED = 2;

/** Message, position, schema id, field and reason, each behind a byte 1 (native/convert.rs). */
// oxlint-disable-next-line no-control-regex
const RECORD_FAULT = /^([^]*)\u0001(\d+)\u0001(\d*)\u0001([^\u0001]*)\u0001([^\u0001]*)$/;

/**
 * Opens a data directory (or memory) and recovers it; worker 0.
 *
 * @throws data_dir_locked, format_too_new, bad_format, storage_failed.
 */
export function openEngine(options: EngineOptions): Engine {
  return new LogEngine(
    translated(() => addon().NativeEngine.open(nativeOptions(options))),
    0,
  );
}

/** As `openEngine`, while this thread's loop goes on: recovery may take seconds, and health checks want answers. */
export async function openEngineAside(options: EngineOptions): Promise<Engine> {
  try {
    return attachEngine(await addon().openCore(nativeOptions(options)), 0);
  } catch (error) {
    throw translate(error);
  }
}

/**
 * Sends one datagram to a supervisor (sd_notify(3)); Bun has no such sockets. Never waits.
 *
 * @param address what the supervisor put into NOTIFY_SOCKET: a path, or `@` and a name.
 * @param state lines such as `READY=1`.
 * @throws Error with the system's words when it could not be sent.
 */
export function notifySupervisor(address: string, state: string): void {
  addon().notify(address, state);
}

/**
 * PBKDF2 with HMAC on a thread that runs only where nobody else wants the processor.
 *
 * @param hash `sha256` or `sha512`; the result is as long.
 * @throws Error where too many wait already.
 */
export async function saltWhereIdle(
  hash: string,
  password: Uint8Array,
  salt: Uint8Array,
  iterations: number,
): Promise<Uint8Array> {
  return await addon().saltPassword(hash, password, salt, iterations);
}

function nativeOptions({ dataDir, manualClockMs, ...limits }: EngineOptions): NativeOptions {
  return {
    ...limits,
    ...(dataDir === null ? {} : { dataDir }),
    ...(manualClockMs === null ? {} : { manualClockMs }),
  };
}

/** Joins, from another worker thread, the core that `openEngine` opened. */
export function attachEngine(engineId: number, worker: number): Engine {
  return new LogEngine(
    translated(() => addon().NativeEngine.attach(engineId, worker)),
    worker,
  );
}

/**
 * What is wrong with an Avro body; null where nothing is.
 *
 * @param table of the schema, as src/schema/compile.ts writes it.
 * @throws schema_invalid where it is no such table.
 */
export function schemaValidate(table: Uint8Array, body: Uint8Array): SchemaFault | null {
  return translated(() => addon().schemaValidate(table, body));
}

/**
 * Reads an Avro body with another schema, as Avro's schema resolution says.
 *
 * @param writer table of the schema that the body was written with.
 * @param reader table of the schema that it is to be read with.
 * @throws schema_invalid where one is no table, schema_incompatible where no body at all can be read.
 */
export function schemaResolve(writer: Uint8Array, reader: Uint8Array, body: Uint8Array): SchemaResolved {
  return translated(() => addon().schemaResolve(writer, reader, body));
}

function addon(): Addon {
  // A literal path, so that `bun build --compile` embeds the file.
  return require("../../native/millrace.node") as Addon;
}

/** The native side throws `code|offset|message`, and about a record of a batch what is wrong with it behind that. */
function translate(error: unknown): unknown {
  if (!(error instanceof Error)) return error;
  const [, code, offset, text] = /^(\d+)\|(\d*)\|([^]*)$/.exec(error.message) ?? [];
  if (code === undefined || text === undefined) return error;
  const [, message, position, schemaId, field, reason] = RECORD_FAULT.exec(text) ?? [];
  if (message !== undefined) {
    const schema = schemaId ? Number(schemaId) : null;
    return errorOf(Number(code), message, { position: Number(position), schemaId: schema, field, reason });
  }
  return errorOf(Number(code), text, offset ? { offset: Number(offset) } : undefined);
}

function translated<T>(call: () => T): T {
  try {
    return call();
  } catch (error) {
    throw translate(error);
  }
}

interface Waiter {
  resolve: () => void;
  reject: (error: MillraceError) => void;
}

class LogEngine implements Engine {
  readonly engineId: number;
  readonly worker: number;
  readonly workers: number;
  readonly epoch: number;
  readonly #native: NativeEngine;
  readonly #maps: (Uint8Array | undefined)[] = [];
  readonly #syncs = new Map<number, Waiter>();
  #words: Float64Array = new Float64Array(0);
  #arena: Uint8Array = new Uint8Array(0);

  constructor(native: NativeEngine, worker: number) {
    this.#native = native;
    this.worker = worker;
    this.engineId = native.engineId;
    this.workers = native.workers;
    this.epoch = native.epoch;
  }

  recovery(): RecoveryReport {
    return this.#native.recovery();
  }

  onWake(callback: () => void): void {
    this.#native.onWake(callback);
  }

  ensureLog(logId: number, partitions: number, config: LogConfig): void {
    translated(() => this.#native.ensureLog(logId, partitions, config));
  }

  deleteLog(logId: number): void {
    translated(() => this.#native.deleteLog(logId));
  }

  logIds(): number[] {
    return this.#native.logIds();
  }

  partition(logId: number, partition: number): PartitionInfo {
    return translated(() => this.#native.partition(logId, partition));
  }

  offsetAt(logId: number, partition: number, timestampMs: number): number {
    return translated(() => this.#native.offsetAt(logId, partition, timestampMs));
  }

  timestampAt(logId: number, partition: number, offset: number): number {
    return translated(() => this.#native.timestampAt(logId, partition, offset));
  }

  append(logId: number, partition: number, batch: Uint8Array, expectNextOffset: number): number {
    return translated(() => this.#native.append(logId, partition, batch, expectNextOffset));
  }

  read(logId: number, partition: number, offset: number, bytesMax: number): Uint8Array {
    return translated(() => this.#native.read(logId, partition, offset, bytesMax));
  }

  sync(logId: number, partition: number): Promise<void> {
    const token = translated(() => this.#native.sync(logId, partition));
    return new Promise((resolve, reject) => this.#syncs.set(token, { resolve, reject }));
  }

  connectionOpen(): number {
    return this.#native.connectionOpen();
  }

  connectionClose(connection: number): void {
    this.#native.connectionClose(connection);
  }

  ingest(connection: number, chunk: Uint8Array): number {
    // No closure here: this runs once a socket chunk.
    try {
      return this.#native.ingest(connection, chunk);
    } catch (error) {
      throw translate(error);
    }
  }

  takeControl(connection: number): Uint8Array {
    return translated(() => this.#native.takeControl(connection));
  }

  fatalFrame(connection: number): Uint8Array {
    return translated(() => this.#native.fatalFrame(connection));
  }

  publisherOpen(connection: number, pub: number, logId: number, producerId: number, producerEpoch: number): void {
    translated(() => this.#native.publisherOpen(connection, pub, logId, producerId, producerEpoch));
  }

  publisherClose(connection: number, pub: number): void {
    translated(() => this.#native.publisherClose(connection, pub));
  }

  subscriptionOpen(connection: number, sub: number, creditBytes: number, bufferBytesMax: number): void {
    translated(() => this.#native.subscriptionOpen(connection, sub, creditBytes, bufferBytesMax));
  }

  subscriptionFilter(connection: number, sub: number, rule: string): void {
    translated(() => this.#native.subscriptionFilter(connection, sub, rule));
  }

  sourceReader(connection: number, sub: number, source: number, schemaId: number): void {
    translated(() => this.#native.sourceReader(connection, sub, source, schemaId));
  }

  subscriptionClose(connection: number, sub: number): void {
    translated(() => this.#native.subscriptionClose(connection, sub));
  }

  sourceAdd(
    connection: number,
    sub: number,
    source: number,
    logId: number,
    partition: number,
    from: number,
    until: number,
  ): void {
    translated(() => this.#native.sourceAdd(connection, sub, source, logId, partition, from, until));
  }

  sourceRemove(connection: number, sub: number, source: number): number {
    return translated(() => this.#native.sourceRemove(connection, sub, source));
  }

  newProducerId(): number {
    return this.#native.newProducerId();
  }

  spaceOpen(spaceId: number, journalLogId: number, ackLogId: number, version: number): void {
    translated(() => this.#native.spaceOpen(spaceId, journalLogId, ackLogId, version));
  }

  spaceApply(spaceId: number, version: number, change: Uint8Array): void {
    translated(() => this.#native.spaceApply(spaceId, version, change));
  }

  spaceRequest(spaceId: number, request: Uint8Array): Uint8Array {
    return translated(() => this.#native.spaceRequest(spaceId, request));
  }

  spaceTransact(spaceId: number, request: Uint8Array): Uint8Array {
    return translated(() => this.#native.spaceTransact(spaceId, request));
  }

  batchCheck(logId: number, isExchange: boolean, batch: Uint8Array): number {
    return translated(() => this.#native.batchCheck(logId, isExchange, batch));
  }

  batchPermitted(batch: Uint8Array, rules: readonly string[]): void {
    translated(() => this.#native.batchPermitted(batch, rules));
  }

  publisherPermit(connection: number, pub: number, rules: readonly string[] | null): void {
    translated(() => this.#native.publisherPermit(connection, pub, rules));
  }

  quotaSet(bucket: string, quota: BucketQuota | undefined): void {
    translated(() => this.#native.quotaSet(bucket, quota));
  }

  quotaFull(bucket: string, isFull: boolean): void {
    translated(() => this.#native.quotaFull(bucket, isFull));
  }

  quotaConnections(bucket: string): number {
    return translated(() => this.#native.quotaConnections(bucket));
  }

  connectionQuotas(connection: number, buckets: readonly string[], isNew: boolean): void {
    translated(() => this.#native.connectionQuotas(connection, buckets, isNew));
  }

  publishCharge(buckets: readonly string[], messages: number, bytes: number): void {
    translated(() => this.#native.publishCharge(buckets, messages, bytes));
  }

  pressureSet(level: number): void {
    translated(() => this.#native.pressureSet(level));
  }

  memoryLogBytes(): number {
    return translated(() => this.#native.memoryLogBytes());
  }

  logBytes(logIds: readonly number[]): number {
    return translated(() => this.#native.logBytes(logIds));
  }

  connectionCharge(connection: number, messages: number, bytes: number): boolean {
    return translated(() => this.#native.connectionCharge(connection, messages, bytes));
  }

  exchangePublisherOpen(...args: Parameters<Engine["exchangePublisherOpen"]>): void {
    translated(() => this.#native.exchangePublisherOpen(...args));
  }

  queueSubscribe(...args: Parameters<Engine["queueSubscribe"]>): void {
    translated(() => this.#native.queueSubscribe(...args));
  }

  schemaPut(id: number, table: Uint8Array): void {
    translated(() => this.#native.schemaPut(id, table));
  }

  schemaKnown(id: number): boolean {
    return this.#native.schemaKnown(id);
  }

  schemaRemove(id: number): void {
    this.#native.schemaRemove(id);
  }

  enforce(...args: Parameters<Engine["enforce"]>): void {
    translated(() => this.#native.enforce(...args));
  }

  enforceNoMore(...args: Parameters<Engine["enforceNoMore"]>): void {
    translated(() => this.#native.enforceNoMore(...args));
  }

  turn(sink: TurnSink): boolean {
    const flags = this.#native.turn();
    if (flags & MOVED) {
      this.#words = this.#native.planWords();
      this.#arena = this.#native.planArena();
    }
    const end = this.#words[0] ?? 0;
    let at = 1;
    while (at < end) at = this.#carryOut(sink, at);
    return (flags & MORE) !== 0;
  }

  /** Carries out the operation at word `at`; returns where the next one stands. */
  #carryOut(sink: TurnSink, at: number): number {
    const words = this.#words;
    const a = words[at + 1] ?? 0;
    const b = words[at + 2] ?? 0;
    const c = words[at + 3] ?? 0;
    switch (words[at]) {
      case WRITE_ARENA:
        sink.write(a, this.#arena, b, c);
        return at + 4;
      case WRITE_MAP:
        sink.write(a, this.#map(b), c, words[at + 4] ?? 0);
        return at + 5;
      case MAP_OPEN:
        this.#maps[a] = this.#native.mapView(a);
        return at + 2;
      case MAP_RETIRE:
        this.#retire(sink, a);
        return at + 2;
      case RESUME:
        sink.resume(a);
        return at + 2;
      case CLOSE:
        sink.close(a, this.#arena.slice(b, b + c));
        return at + 4;
      case SOURCE_END:
        sink.sourceEnd(a, b, c, words[at + 4] ?? 0, words[at + 5] ?? 0);
        return at + 6;
      case MAIL:
        for (const message of this.#native.takeMail()) sink.mail(message);
        return at + 1;
      case SYNCED:
        this.#synced(a, b);
        return at + 3;
      case TIMER:
        sink.timer(a);
        return at + 2;
      default:
        throw new MillraceError("internal", `plan word ${at} is no operation: ${words[at]}`);
    }
  }

  #map(slot: number): Uint8Array {
    const view = this.#maps[slot];
    if (view === undefined) throw new MillraceError("internal", `map slot ${slot} was not opened`);
    return view;
  }

  /**
   * Lets a map go. The view is detached before the core is told, so that no
   * JavaScript can reach memory that is about to be unmapped.
   */
  #retire(sink: TurnSink, slot: number): void {
    const view = this.#maps[slot];
    if (view === undefined) return;
    sink.retire(view);
    this.#maps[slot] = undefined;
    (view.buffer as ArrayBuffer).transfer(0);
    this.#native.mapRelease(slot);
  }

  #synced(token: number, code: number): void {
    const waiter = this.#syncs.get(token);
    this.#syncs.delete(token);
    if (code === 0) waiter?.resolve();
    else waiter?.reject(errorOf(code, "the sync failed"));
  }

  written(connection: number): boolean {
    return this.#native.written(connection);
  }

  isArena(bytes: Uint8Array): boolean {
    return bytes === this.#arena;
  }

  post(worker: number, message: Uint8Array): void {
    translated(() => this.#native.post(worker, message));
  }

  stats(): EngineStats {
    return this.#native.stats();
  }

  stages(): StageCounts[] {
    return this.#native.stages();
  }

  trace(logId: number, partition: number, offset: number): RecordTrace {
    return translated(() => this.#native.trace(logId, partition, offset));
  }

  notedSince(arrivalsSeen: number, sentSeen: number, max: number): Noted {
    return translated(() => this.#native.notedSince(arrivalsSeen, sentSeen, max));
  }

  locate(logId: number, partition: number, offset: number): Location {
    return translated(() => this.#native.locate(logId, partition, offset));
  }

  connectionGeneration(connection: number): number {
    return translated(() => this.#native.connectionGeneration(connection));
  }

  now(): number {
    return this.#native.now();
  }

  setClock(nowMs: number): void {
    translated(() => this.#native.setClock(nowMs));
  }

  async backup(target: string): Promise<BackupReport> {
    try {
      return await addon().backup(this.engineId, target);
    } catch (error) {
      throw translate(error);
    }
  }

  backupFiles(): [done: number, total: number] {
    return this.#native.backupFiles();
  }

  async close(): Promise<void> {
    // Detach what is still mapped: the core unmaps it when this handle goes.
    for (const view of this.#maps) (view?.buffer as ArrayBuffer | undefined)?.transfer(0);
    this.#maps.length = 0;
    if (this.worker === 0) translated(() => this.#native.close());
  }
}
