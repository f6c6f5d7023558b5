/**
 * The commit log and the data plane as TypeScript sees them. One `Engine` per
 * worker thread; all engines of a process share one Rust core.
 *
 * Numbers are JS numbers: offsets and ids stay below 2^53. Every method may
 * throw a `MillraceError` with a code of the catalogue (src/errors).
 */

export type Durability = "memory" | "written" | "synced";

/** What the core needs to know of a topic; every limit has its unit in its name. */
export interface LogConfig {
  segmentBytes: number;
  segmentMs: number;
  /** -1 keeps records for ever. */
  retentionMs: number;
  /** Per partition; -1 keeps everything. */
  retentionBytes: number;
  compact: boolean;
  tombstoneRetentionMs: number;
  /** The level a record must reach before consumers see it. */
  durability: Durability;
  messageBytesMax: number;
  /** `memory` keeps the segments in anonymous memory files, gone with the process. */
  storage: "log" | "memory";
  /** Per partition, for `storage: "memory"`. */
  memoryBytesMax: number;
  timestampType: "create" | "append";
  /** Who goes first where there is more to deliver than the broker can; for subscriptions from then on. */
  deliveryPriority: "high" | "normal" | "low";
  /** Written by the broker itself; clients may not publish to it. */
  internal: boolean;
}

/** Limits and places of a core; the keys are those of the configuration. */
export interface EngineOptions {
  /** `null` keeps everything in memory. */
  dataDir: string | null;
  workers: number;
  /** Set to start with a clock that stands at this many ms and moves by `setClock`. */
  manualClockMs: number | null;
  frameBytesMax: number;
  batchBytesMax: number;
  publishersPerConnectionMax: number;
  subscriptionsPerConnectionMax: number;
  sourcesPerSubscriptionMax: number;
  prefetchMax: number;
  publishCreditBytes: number;
  publishOverdraftBytesMax: number;
  subscriptionCreditBytesMax: number;
  writeBytesPerTurn: number;
  turnBytesMax: number;
  deliveryBytesMax: number;
  viewBytesMin: number;
  ringBytes: number;
  indexIntervalBytes: number;
  mappedSegmentsMax: number;
  openFilesMax: number;
  dirtyBytesMax: number;
  checkpointBytes: number;
  retentionCheckMs: number;
  producersPerPartitionMax: number;
  keyIndexEntriesMax: number;
  compactionKeysMax: number;
  flightRecorderBytes: number;
}

/** What is wrong with the body of a record, and where. */
export interface SchemaFault {
  /** Such as `legs[2].price`; empty for the body as a whole. */
  path: string;
  reason: string;
  /** The byte of the body at which it shows. */
  at: number;
}

/** A body read with another schema than it was written with: as a body of that one, or what stands in the way. */
export interface SchemaResolved {
  /** Whether every body of the writer's schema can be read; otherwise it depends on the branches and symbols in it. */
  isTotal: boolean;
  body?: Uint8Array;
  fault?: SchemaFault;
}

/** What recovery found; `notes` are sentences for the log. */
export interface RecoveryReport {
  clean: boolean;
  epoch: number;
  logs: number;
  partitions: number;
  segments: number;
  bytes: number;
  scannedBytes: number;
  /** Partitions whose log was followed by bytes that are no batch; those bytes were zeroed. */
  tailsZeroed: number;
  elapsedMs: number;
  notes: string[];
}

export interface PartitionInfo {
  /** First offset that can be read. */
  startOffset: number;
  /** Offset the next record gets. */
  nextOffset: number;
  /** Consumers see offsets below this. */
  highWatermark: number;
  /** Everything below this survives power loss. */
  syncedOffset: number;
  bytes: number;
  segments: number;
  recordsIn: number;
  bytesIn: number;
  recordsOut: number;
  bytesOut: number;
  /** Highest record timestamp in ms; -1 when empty. */
  lastTimestamp: number;
}

/** Counters of the whole core; `connections` and `recordsDropped` are this worker's. */
export interface EngineStats {
  connections: number;
  recordsDropped: number;
  /** Written, not yet synced. */
  dirtyBytes: number;
  mappedSegments: number;
  openFiles: number;
  partitions: number;
  segments: number;
  bytes: number;
  /** Partitions that refuse appends since a sync failed. */
  failedPartitions: number;
  /** Messages published to exchanges that reached nobody. */
  unroutable: number;
  /** Dead letters that were dropped because they would have gone round for ever. */
  deadLetterLoops: number;
  /** Publishes and single records that were refused because of their schemas. */
  schemaViolations: number;
  /** Upper bounds in ms and how many syncs fell between the bound before and this one; the last bound is Infinity. */
  syncLatencyMs: { boundMs: number; count: number }[];
  syncSumMs: number;
}

/** How long one stage took, as one worker counted it. */
export interface StageCounts {
  /** One of `STAGES` of src/metrics; the same stage may stand there twice. */
  stage: string;
  /** Bucket and count in turn, for the buckets that hold something (src/metrics/latencies.ts knows the buckets). */
  counts: number[];
  sumUs: number;
  maxUs: number;
}

/** What a worker remembers of a record; times are ms of the core's clock, with fractions. */
export interface RecordTrace {
  arrival?: { connection: number; generation: number; publisher: number; receivedMs: number; appendedMs: number };
  sent: { connection: number; generation: number; subscription: number; atMs: number }[];
  /** What happened before is forgotten. */
  sinceMs: number;
}

/** What a worker has noted since an earlier look; times as in `RecordTrace`. */
export interface Noted {
  arrivals: {
    logId: number;
    partition: number;
    baseOffset: number;
    count: number;
    connection: number;
    generation: number;
    receivedMs: number;
    appendedMs: number;
  }[];
  sent: {
    logId: number;
    partition: number;
    firstOffset: number;
    nextOffset: number;
    connection: number;
    generation: number;
    subscription: number;
    atMs: number;
  }[];
  /** For the next look. */
  arrivalsSeen: number;
  sentSeen: number;
}

/** Where a batch lies: `position` is the byte of the segment's file. */
export interface Location {
  segmentOffset: number;
  position: number;
}

/** What a backup holds, and what making it took. */
export interface BackupReport {
  /** The moment that it is of, by the core's clock. */
  atMs: number;
  epoch: number;
  partitions: {
    logId: number;
    partition: number;
    startOffset: number;
    /** Every offset from the start up to here is in the backup. */
    nextOffset: number;
    /** Base, next offset and bytes of one segment after another. */
    segments: number[];
  }[];
  /** All other files, by their paths below the backup's folder. */
  files: { path: string; bytes: number }[];
  /** What the backup shares with the data directory, and what was copied. */
  linkedBytes: number;
  copiedBytes: number;
  /** How long nothing could be appended. */
  stoppedMs: number;
  /** How long nothing could be removed. */
  heldMs: number;
}

/** Bits of what `ingest` returns. */
export const INGEST_CONTROL = 1;
export const INGEST_TURN = 2;
export const INGEST_FATAL = 4;
export const INGEST_PAUSE = 8;

/** Carries out what a turn decided. Called during `Engine.turn` only. */
export interface TurnSink {
  /**
   * Sends `bytes[start, start + length)` on the connection, after everything
   * given for it before. What the socket does not take at once must be kept:
   * as a copy when `engine.isArena(bytes)` (the arena is written again next
   * turn), as the view itself otherwise, until `retire(bytes)`.
   */
  write(connection: number, bytes: Uint8Array, start: number, length: number): void;
  /** This map view goes away when the call returns: copy what is still unsent of it. */
  retire(bytes: Uint8Array): void;
  /** Publish credit is back: read from the socket again. */
  resume(connection: number): void;
  /** The core ends the connection: write the frame, then close. */
  close(connection: number, frame: Uint8Array): void;
  /** A source has ended (its SOURCE_END frame is among the writes). `code` 0 is a completed bounded read. */
  sourceEnd(connection: number, sub: number, source: number, code: number, nextOffset: number): void;
  /** Another worker posted this. */
  mail(message: Uint8Array): void;
  /** A turn has to run at this time of the core's clock, in ms: a lease, a delay or a rate is due then. */
  timer(atMs: number): void;
}

/** What the connections of a bucket may have together; 0 is no limit. */
export interface BucketQuota {
  messagesPerSec: number;
  /** Bytes of publish frames. */
  bytesPerSec: number;
  /** So much of a pause may be made up for at once. */
  burstMs: number;
  connectionsMax: number;
}

/** How low the machine is on disk or memory: publishers go on, wait for credit, or are refused. */
export const PRESSURE_NONE = 0;
export const PRESSURE_HOLD = 1;
export const PRESSURE_REFUSE = 2;

/** Bits of `exchangePublisherOpen`. */
export const PUBLISH_MANDATORY = 1;
export const PUBLISH_REQUIRE_CONSUMER = 2;
/** Bit of `queueSubscribe`. */
export const SUBSCRIBE_EXCLUSIVE = 1;

/**
 * Exchanges and queues. A namespace has one space: its routes, its queues, the
 * journal that their messages are stored in, and the log of what became of them.
 */
export interface QueueEngine {
  /** Opens a space, and recovers it when no worker has yet; idempotent. @param version offset of its record in the metadata log. */
  spaceOpen(spaceId: number, journalLogId: number, ackLogId: number, version: number): void;
  /**
   * Changes what a space routes by (src/routing has the changes).
   *
   * @param version offset of the change in the metadata log; a change that the space has already, from another worker, is passed over.
   */
  spaceApply(spaceId: number, version: number, change: Uint8Array): void;
  /** Asks for, or does, something about a queue's messages; msgpack in and out. */
  spaceRequest(spaceId: number, request: Uint8Array): Uint8Array;
  /** Asks for a part of a transaction (core/space/transactions.rs has the requests); msgpack in and out. */
  spaceTransact(spaceId: number, request: Uint8Array): Uint8Array;
  /**
   * Whether a client's batch could be appended to a log, or published to an exchange whose journal the log is.
   *
   * @returns how many records it has.
   * @throws what an append of it would be refused with.
   */
  batchCheck(logId: number, isExchange: boolean, batch: Uint8Array): number;
  /**
   * Whether the keys of a batch that passed `batchCheck` are among those that rules permit.
   *
   * @param rules as those of `publisherPermit`.
   * @throws unauthorized.
   */
  batchPermitted(batch: Uint8Array, rules: readonly string[]): void;
  /**
   * Says which keys a publisher may use from now on; what it may not is refused with `unauthorized`.
   *
   * @param rules texts of an effect (`+`, `-`), a match (`=` literal, `^` prefix, `~` pattern) and a name; none permits
   *   nothing, null everything.
   */
  publisherPermit(connection: number, pub: number, rules: readonly string[] | null): void;
  /** @param flags PUBLISH_MANDATORY, PUBLISH_REQUIRE_CONSUMER. */
  exchangePublisherOpen(
    connection: number,
    pub: number,
    spaceId: number,
    exchangeId: number,
    flags: number,
    producerId: number,
    producerEpoch: number,
  ): void;
  /**
   * @param prefetch the most unsettled messages.
   * @param flags SUBSCRIBE_EXCLUSIVE.
   * @param leaseMs 0 takes the queue's.
   */
  queueSubscribe(
    connection: number,
    sub: number,
    spaceId: number,
    queueId: number,
    prefetch: number,
    priority: number,
    flags: number,
    leaseMs: number,
  ): void;
}

/** Whether a topic or queue asks that records name a schema it knows (`id`), and decode with it (`full`). */
export const SCHEMA_ENFORCE = ["none", "id", "full"] as const;
export type SchemaEnforce = (typeof SCHEMA_ENFORCE)[number];
/** What takes records. Its id is that of the topic's log, or the queue's. */
export type RecordTaker = "topic" | "queue";

/** Schemas in the core, which all workers share. */
export interface SchemaEngine {
  /** Adds the schema of an id. An id keeps its schema: one that is there stays. @throws schema_invalid, limit_exceeded. */
  schemaPut(id: number, table: Uint8Array): void;
  schemaKnown(id: number): boolean;
  schemaRemove(id: number): void;
  /**
   * Sets which records a topic or queue takes from now on, on all workers.
   *
   * @param version offset in the metadata log; what a worker tells that is behind it changes nothing.
   * @param ids of the schemas that records may have.
   */
  enforce(taker: RecordTaker, id: number, version: number, mode: SchemaEnforce, ids: number[]): void;
  /** A topic or queue is gone, and its id is never given again. */
  enforceNoMore(taker: RecordTaker, id: number): void;
}

/** Backups of the data directory; `core/log/backup` has how they are made. */
export interface BackupEngine {
  /**
   * Makes a backup while everything goes on.
   *
   * @param target a folder that is not there yet, in one that is.
   * @throws backup_running, invalid_argument in memory, disk_full, storage_failed, shutting_down; what was written by
   *   then stays.
   */
  backup(target: string): Promise<BackupReport>;
  /** Of the backup under way: files that are done, and all that are known of. */
  backupFiles(): [done: number, total: number];
}

export interface Engine extends QueueEngine, SchemaEngine, BackupEngine {
  /** Names the shared core, for `attach` in another worker. */
  readonly engineId: number;
  readonly worker: number;
  readonly workers: number;
  /** Rises at every start. */
  readonly epoch: number;

  recovery(): RecoveryReport;
  /** `callback` runs on this worker's loop when native threads or other workers have something for `turn`. */
  onWake(callback: () => void): void;

  /** Creates, opens, grows or alters a log; idempotent. Ids 1 to 15 are internal. */
  ensureLog(logId: number, partitions: number, config: LogConfig): void;
  deleteLog(logId: number): void;
  logIds(): number[];
  partition(logId: number, partition: number): PartitionInfo;
  /** The first offset whose timestamp is at or after `timestampMs`, or the high watermark. */
  offsetAt(logId: number, partition: number, timestampMs: number): number;
  /** The timestamp in ms of the batch that holds `offset`, or -1. */
  timestampAt(logId: number, partition: number, offset: number): number;

  /**
   * Appends one whole batch from the control plane.
   *
   * @param expectNextOffset the offset the batch must get, or -1 for any.
   * @returns its base offset.
   * @throws offset_conflict when the log has moved on; disk_full; storage_failed.
   */
  append(logId: number, partition: number, batch: Uint8Array, expectNextOffset: number): number;
  /** A copy of whole batches from the one that holds `offset`; empty at the watermark. */
  read(logId: number, partition: number, offset: number, bytesMax: number): Uint8Array;
  /** Resolves when everything appended so far is synced. */
  sync(logId: number, partition: number): Promise<void>;

  /** Gives a bucket its quota; without one it goes. The core is shared, so one worker's word counts for all. */
  quotaSet(bucket: string, quota: BucketQuota | undefined): void;
  /** Says whether what a bucket may store is used up. Publishes of its connections are refused then. */
  quotaFull(bucket: string, isFull: boolean): void;
  /** How many connections count for a bucket; 0 for one without a quota. */
  quotaConnections(bucket: string): number;
  /** Has a connection count for these buckets, of which those matter that have a quota. @throws quota_exceeded, where it is new. */
  connectionQuotas(connection: number, buckets: readonly string[], isNew: boolean): void;
  /**
   * Charges a connection for what it published through the control plane.
   *
   * @returns whether its socket is to be read no further; a turn resumes it.
   * @throws low_resources, quota_exceeded: it may publish nothing now.
   */
  connectionCharge(connection: number, messages: number, bytes: number): boolean;

  /**
   * Charges buckets for what is published without a connection.
   *
   * @throws low_resources; quota_exceeded where one may store no more or is past its rate.
   */
  publishCharge(buckets: readonly string[], messages: number, bytes: number): void;
  /** Holds all publishers back, or lets them go on. */
  pressureSet(level: number): void;
  /** Bytes of all logs in memory, which no figure of the process has until they are read. */
  memoryLogBytes(): number;
  /** Bytes of these logs together, all partitions. */
  logBytes(logIds: readonly number[]): number;

  /** Registers a connection of this worker and returns its id, a small int that is used again after close. */
  connectionOpen(): number;
  /** Takes in one chunk from the socket; returns the INGEST bits. The chunk is not kept. */
  ingest(connection: number, chunk: Uint8Array): number;
  /** The control frames that arrived, whole, one after another. */
  takeControl(connection: number): Uint8Array;
  /** After INGEST_FATAL: the GOODBYE frame to write before closing. */
  fatalFrame(connection: number): Uint8Array;
  connectionClose(connection: number): void;

  publisherOpen(connection: number, pub: number, logId: number, producerId: number, producerEpoch: number): void;
  publisherClose(connection: number, pub: number): void;
  /** @param bufferBytesMax how far behind an at-most-once subscriber may fall before records are dropped for it; 0 never drops. */
  subscriptionOpen(connection: number, sub: number, creditBytes: number, bufferBytesMax: number): void;
  /** Has a subscription get only the records that a rule takes (core/route has the language). @throws bad_expression. */
  subscriptionFilter(connection: number, sub: number, rule: string): void;
  /** Has the records of a source delivered in the schema of this id, where it can read them. */
  sourceReader(connection: number, sub: number, source: number, schemaId: number): void;
  subscriptionClose(connection: number, sub: number): void;
  /** @param until the offset to stop before, or -1 to follow. */
  sourceAdd(
    connection: number,
    sub: number,
    source: number,
    logId: number,
    partition: number,
    from: number,
    until: number,
  ): void;
  /** Stops a source; returns the next offset it would have delivered. */
  sourceRemove(connection: number, sub: number, source: number): number;
  /** A producer id no one has had before, in this start or any other. */
  newProducerId(): number;

  /** One turn: appends staged records, builds acks and deliveries, hands them to `sink`. True: more is ready. */
  turn(sink: TurnSink): boolean;
  /** Everything `turn` wrote for this connection is out; until then it gets no more. True: a turn has more for it. */
  written(connection: number): boolean;
  isArena(bytes: Uint8Array): boolean;

  /** Hands a message to another worker's `turn`. */
  post(worker: number, message: Uint8Array): void;
  stats(): EngineStats;
  /** Latencies of this worker, and with worker 0 those that no worker has. */
  stages(): StageCounts[];
  /** What this worker remembers of how a record came in and whom it was sent. */
  trace(logId: number, partition: number, offset: number): RecordTrace;
  /** The newest of what this worker has noted since an earlier look, at most `max` of each kind. */
  notedSince(arrivalsSeen: number, sentSeen: number, max: number): Noted;
  /** Where the batch of a record lies. @throws offset_out_of_range. */
  locate(logId: number, partition: number, offset: number): Location;
  /** Tells this connection from others that had its id before. */
  connectionGeneration(connection: number): number;
  /** The core's clock in ms. */
  now(): number;
  /** Moves a manual clock; throws invalid_argument on a real one. */
  setClock(nowMs: number): void;
  /** Worker 0: syncs, leaves the clean mark, joins the threads. Others: detach. */
  close(): Promise<void>;
}
