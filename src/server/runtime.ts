/**
 * Everything that one worker thread runs: the control plane over its engine, its sessions, its listeners. The first
 * worker and all others are built alike; what only the first does (recovery, orphans) is a flag.
 */
import {
  Applier,
  applyDecided,
  Commits,
  Coordinator,
  Definitions,
  Enforcements,
  type Engine,
  EVENT_NOTICE,
  Exchanges,
  Groups,
  hashName,
  internalLogConfig,
  isQuotaEvent,
  isScheduleEvent,
  isSchemaEvent,
  isTopicEvent,
  isTransformEvent,
  Mailroom,
  type MemberEvent,
  type MetadataEvent,
  MetadataLog,
  Namespaces,
  OffsetsStore,
  Owner,
  ownerOf,
  QueueLife,
  Queues,
  Quotas,
  Schedules,
  Schemas,
  spaceLogConfig,
  SinglePublisher,
  Spaces,
  StorageQuotas,
  Topics,
  TransactionLog,
  transactionLogConfig,
  Transactions,
  Views,
  Transforms,
} from "../broker/index.ts";
import type { Config } from "../config/index.ts";
import { ERRORS } from "../errors/index.ts";
import type { Logger } from "../stdx/index.ts";
import { type ConnectionCount, type TlsMaterial, WorkerLoop } from "../net/index.ts";
import { encodeFrame, Op } from "../protocol/index.ts";
import { type AccessRecord, AccessState } from "../security/index.ts";
import {
  Connections,
  type Invoke,
  invoker,
  operationTable,
  Session,
  Handshakes,
  SessionHub,
  type SessionServices,
  Tracer,
} from "../session/index.ts";
import { openAccess, type OpenAccess } from "./access.ts";
import { Figures } from "./figures.ts";
import { spanSource, type SpanSource } from "./span-source.ts";
import { Overview } from "./overview.ts";
import { Settings } from "./settings.ts";
import { VERSION } from "./version.ts";
import { type Logins, openLogins } from "./logins.ts";
import { openListeners, type TcpListeners } from "./tcp-listeners.ts";
import { openBackups } from "./backups.ts";
import { DefinitionsFile } from "./definitions/index.ts";
import { hostTransforms, type TransformHosting } from "./transforms.ts";
import { type Pressure, watch, type Watermarks } from "./watermarks.ts";
import { within } from "./within.ts";

export interface RuntimeOptions {
  readonly engine: Engine;
  readonly config: Config;
  readonly logger: Logger;
  readonly serverName: string;
  /** A clock that tests move drives deadlines too. */
  readonly manualClock: boolean;
  /** Of all threads. */
  readonly connectionCount: ConnectionCount;
  /** Of this broker, see logins.ts. */
  readonly secret: Uint8Array;
}

const SWEEP_MS = 50;
const EXPIRY_SWEEP_MS = 250;
const DRAIN_POLL_MS = 5;
/** A collector that does not answer keeps nobody longer. */
const SPANS_DRAIN_MS = 500;
/** This long without anything under way counts as drained. */
const DRAIN_QUIET_MS = 30;
/** Operations under way for HTTP on one worker. */
const HTTP_REQUESTS_MAX = 256;
const METADATA_NOTICE = "metadata.changed";

export class Runtime {
  readonly engine: Engine;
  readonly loop: WorkerLoop;
  /** Runs operations for requests over HTTP. */
  readonly invoke: Invoke;
  readonly mailroom: Mailroom;
  readonly groups: Groups;
  readonly schemas: Schemas;
  readonly figures: Figures;
  /** Who may do what. */
  readonly access: OpenAccess;
  /** Who is there. */
  readonly logins: Logins;
  readonly #options: RuntimeOptions;
  readonly #metadata: MetadataLog;
  readonly #topics: Topics;
  readonly #spaces: Spaces;
  readonly #definitions: Definitions;
  readonly #enforcements: Enforcements;
  readonly #views: Views;
  readonly #exchanges: Exchanges;
  readonly #queues: Queues;
  readonly #quotas: Quotas;
  readonly #schedules: Schedules;
  readonly #transforms: Transforms;
  readonly #queueLife: QueueLife;
  readonly #coordinator: Coordinator;
  readonly #commits: Commits;
  readonly #transactions: Transactions;
  readonly #hub: SessionHub;
  readonly #tracer: Tracer;
  readonly #spans: SpanSource | undefined;
  readonly #sweepers: Timer[];
  /** Of the first worker. */
  readonly #watermarks: Watermarks | undefined;
  #listeners: TcpListeners | undefined;
  /** Of the first worker, from the moment there is a port. */
  #hosting: TransformHosting | undefined;
  #isLive = false;
  #isStopping = false;

  /** Replays the broker's own logs. The engine is open and recovered. */
  constructor(options: RuntimeOptions) {
    const { engine, config, logger } = options;
    this.#options = options;
    this.engine = engine;
    this.mailroom = new Mailroom(engine);
    this.#hub = new SessionHub(logger);
    this.#tracer = new Tracer(engine, this.mailroom, this.#hub);
    const internal = internalLogConfig(config);
    const accessState = new AccessState();
    this.#metadata = new MetadataLog(engine, internal, {
      onEvent: (event) => this.#onMetadata(event),
      announce: () => this.mailroom.notifyOthers(METADATA_NOTICE, null),
      others: [{ apply: (record) => this.#applyAccess(accessState, record) }],
    });
    this.access = openAccess(accessState, { log: this.#metadata, config, logger, now: () => engine.now() });
    const { access, mailroom: threads } = this;
    this.logins = openLogins({
      config,
      logger,
      state: accessState,
      audit: access.audit,
      mailroom: threads,
      secret: options.secret,
    });
    this.#topics = new Topics(engine, this.#metadata, config);
    this.#spaces = new Spaces(engine, this.#metadata, spaceLogConfig(config));
    this.#definitions = new Definitions(engine, this.#metadata, { spaces: this.#spaces, limits: config });
    this.#exchanges = new Exchanges(this.#definitions);
    this.#queues = new Queues(this.#definitions);
    this.schemas = new Schemas(this.#metadata, config);
    this.#quotas = new Quotas(engine, this.#metadata, config);
    this.#schedules = new Schedules({
      engine,
      metadata: this.#metadata,
      spaces: this.#spaces,
      limits: config,
      logger,
    });
    this.#transforms = this.#newTransforms();
    this.#queueLife = new QueueLife(this.#definitions, this.#queues, (error) => this.#onQueueLifeFailure(error));
    this.#enforcements = new Enforcements(engine, this.#metadata, ({ id }, error) => {
      logger.error(`records of schema ${id} are refused where schemas are enforced`, { error });
    });
    this.#views = new Views(this.#metadata, this.#enforcements);
    this.#metadata.catchUp();
    if (engine.worker === 0) this.#openAll();
    this.#enforcements.openAll();
    const offsets = new OffsetsStore(engine, internal);
    const transactionLog = new TransactionLog(engine, transactionLogConfig(config));
    const replayed = transactionLog.replay();
    const applier = new Applier(engine, this.#spaces, (commit, what, error) => {
      logger.error(`a transaction's ${what} could not be applied`, { txn: commit.txn, error });
    });
    // What was decided before the start is applied before anything is served; other workers start after the first.
    const touched = engine.worker === 0 ? applyDecided(replayed, applier, offsets) : undefined;
    offsets.replay((namespace, group) => ownerOf(namespace, group, engine.workers) === engine.worker);
    const monotonicMs = options.manualClock ? () => engine.now() : () => performance.now();
    const { mailroom } = this;
    const limits = config;
    this.#coordinator = new Coordinator({ engine, topics: this.#topics, offsets, mailroom, limits, monotonicMs });
    this.groups = new Groups(mailroom, this.#coordinator);
    const { groups } = this;
    this.#commits = new Commits({ engine, spaces: this.#spaces, groups, log: transactionLog, applier });
    if (touched !== undefined)
      this.#commits.adopt(
        replayed.unapplied.map(({ key }) => key),
        touched,
      );
    const ownsId = (key: string): boolean => hashName(key) % engine.workers === engine.worker;
    const owner = new Owner({ commits: this.#commits, log: transactionLog, limits }, replayed, ownsId);
    const nowMs = (): number => engine.now();
    this.#transactions = new Transactions({ mailroom, spaces: this.#spaces, owner, limits, monotonicMs, nowMs });
    this.#isLive = true;
    mailroom.onNotice(METADATA_NOTICE, () => this.#metadata.catchUp());
    mailroom.onNotice(EVENT_NOTICE, (event: MemberEvent) => this.#hub.onMemberEvent(event));
    this.figures = this.#newFigures();
    this.#spans = spanSource({
      engine,
      config,
      logger,
      tracer: this.#tracer,
      queues: this.#queues,
      state: () => this.#metadata.state,
    });
    const services = this.#services(monotonicMs);
    this.invoke = invoker(services, HTTP_REQUESTS_MAX);
    this.loop = this.#createLoop(services);
    const sweep = (): void => {
      this.#hub.tick(monotonicMs());
      this.#transactions.tick(monotonicMs());
      if (engine.worker === 0) this.#schedules.tick(engine.now());
    };
    this.#sweepers = [setInterval(sweep, SWEEP_MS)];
    if (engine.worker === 0) {
      const storage = new StorageQuotas(engine, this.#metadata, logger);
      const look = (): void => {
        storage.tick();
        void this.#queueLife.sweep(engine.now());
      };
      this.#sweepers.push(setInterval(look, EXPIRY_SWEEP_MS));
    }
    this.#watermarks = watch({ engine, config, logger, mailroom, loop: this.loop });
  }

  #newFigures(): Figures {
    const { engine, mailroom, groups } = this;
    const [metadata, queues, quotas, hub] = [this.#metadata, this.#queues, this.#quotas, this.#hub];
    const [loop, pressure] = [() => this.loop, () => this.pressure];
    return new Figures({ engine, metadata, queues, quotas, groups, mailroom, hub, loop, pressure });
  }

  #newTransforms(): Transforms {
    const [definitions, exchanges, queues] = [this.#definitions, this.#exchanges, this.#queues];
    return new Transforms({ definitions, exchanges, queues, mailroom: this.mailroom, limits: this.#options.config });
  }

  /** What only the first worker does: opens what the metadata names, and removes what did not outlive the restart. */
  #openAll(): void {
    // The change is applied when the call returns; that it is synced needs nobody's waiting, because it would be made again.
    this.#queues.deleteTransient().catch((error: unknown) => this.#onQueueLifeFailure(error));
    this.#topics.openAll(this.#spaces.logIds());
    this.#spaces.openAll();
  }

  #onMetadata(event: MetadataEvent): void {
    if (this.#isLive) {
      this.#enforcements.apply(event);
      this.#views.apply(event);
    }
    if (isSchemaEvent(event)) return;
    if (isQuotaEvent(event)) {
      this.#quotas.apply(event);
      if (this.#isLive) this.#hub.onQuota(event);
      return;
    }
    if (isScheduleEvent(event)) {
      // Only the first worker publishes them.
      if (this.engine.worker === 0) this.#schedules.onChanged(event);
      return;
    }
    if (isTransformEvent(event)) {
      this.#hosting?.apply(event);
      return;
    }
    if (!isTopicEvent(event)) {
      // The first worker hands the definitions to the core all at once when it has replayed them.
      if (this.#isLive || this.engine.worker > 0) this.#spaces.apply(event);
      if (this.#isLive && event.type === "queue_deleted") this.#hub.onQueueDeleted(event.queue);
      return;
    }
    if (!this.#isLive) return;
    this.#topics.apply(event);
    this.#coordinator.onMetadata(event);
    this.#hub.onMetadata(event);
  }

  #applyAccess(state: AccessState, record: AccessRecord): void {
    if (state.apply(record) && this.#isLive) this.#hub.onAccessChanged();
  }

  #onQueueLifeFailure(error: unknown): void {
    if (!this.#isStopping) this.#options.logger.warn("a queue could not be removed", { error });
  }

  /** @returns the port. */
  listen(port: number, tls: TlsMaterial | undefined): number {
    const { config, logger } = this.#options;
    const ownSecret = this.engine.worker === 0 ? this.logins.authenticator.internalSecret : undefined;
    this.#listeners = openListeners({ config, logger, loop: this.loop, port, tls, ownSecret });
    return this.#listeners.port;
  }

  /** From now on, new connections see this certificate. */
  replaceTls(tls: TlsMaterial): void {
    if (!this.#isStopping) this.#listeners?.replaceTls(tls);
  }

  /** Begins to run the transforms, as the first worker does. @param command runs a worker's process. */
  startTransforms(command: readonly string[]): void {
    const { config, logger } = this.#options;
    const { mailroom, groups } = this;
    const own = this.#listeners?.own;
    if (own === undefined) throw new Error("transforms are started when the broker listens");
    this.#hosting = hostTransforms({ config, logger, mailroom, groups, own, command });
    for (const transform of this.#metadata.state.transforms.all()) {
      this.#hosting.apply({ type: "transform_put", transform });
    }
  }

  /** Resolves when the transforms have committed what they had. */
  async stopTransforms(): Promise<void> {
    await this.#hosting?.close();
  }

  /** How low the machine is on disk and memory, which the first worker watches. */
  get pressure(): Pressure | undefined {
    return this.#watermarks?.pressure;
  }

  /** Takes no new connections and no new work. */
  refuse(): void {
    this.#isStopping = true;
    this.#listeners?.stop();
    for (const connection of this.loop.connections()) connection.pause();
  }

  /** Finishes what is in flight, then says goodbye to all clients. Resolves at the latest after `timeoutMs`. */
  async drain(timeoutMs: number): Promise<void> {
    this.refuse();
    const deadlineMs = performance.now() + timeoutMs;
    // Acks that wait for a sync are out of JavaScript's sight; when everything is synced, none can wait.
    await within(this.#syncAll(), timeoutMs);
    let quietSinceMs = performance.now();
    while (performance.now() < deadlineMs && performance.now() - quietSinceMs < DRAIN_QUIET_MS) {
      this.loop.turnSoon();
      await Bun.sleep(DRAIN_POLL_MS);
      if (this.#isBusy()) quietSinceMs = performance.now();
    }
    await within(this.#commits.forget(), Math.max(0, deadlineMs - performance.now()));
    for (const session of [...this.#hub.sessions()]) session.goodbye("shutting_down", "the broker is shutting down");
    while (performance.now() < deadlineMs && this.loop.unsentConnections > 0) await Bun.sleep(DRAIN_POLL_MS);
    if (this.#spans !== undefined) await within(this.#spans.close(), SPANS_DRAIN_MS);
  }

  /** Ends everything but the engine. */
  close(): void {
    this.#isStopping = true;
    this.#listeners?.stop();
    for (const connection of [...this.loop.connections()]) connection.terminate();
    this.loop.stop();
    for (const sweeper of this.#sweepers) clearInterval(sweeper);
    this.#watermarks?.close();

    this.#coordinator.close();
    this.#commits.close();
    this.mailroom.close();
    this.figures.close();
    this.#spans?.stop();
  }

  async #syncAll(): Promise<void> {
    const syncs: Promise<void>[] = [];
    for (const topic of this.#metadata.state.topics()) {
      for (let partition = 0; partition < topic.partitions; partition += 1) {
        const { syncedOffset, nextOffset } = this.engine.partition(topic.id, partition);
        if (syncedOffset < nextOffset) syncs.push(this.engine.sync(topic.id, partition));
      }
    }
    for (const logId of this.#spaces.logIds()) syncs.push(this.engine.sync(logId, 0));
    await Promise.allSettled(syncs);
  }

  #isBusy(): boolean {
    if (this.loop.unsentConnections > 0) return true;
    for (const session of this.#hub.sessions()) if (session.inFlight > 0) return true;
    return false;
  }

  #definitionsFile(): DefinitionsFile {
    const [metadata, definitions, exchanges] = [this.#metadata, this.#definitions, this.#exchanges];
    const { access } = this.access;
    return new DefinitionsFile({ ...this.#options, metadata, definitions, exchanges, access, mailroom: this.mailroom });
  }

  #services(monotonicMs: () => number): SessionServices {
    const { engine, config, logger, serverName } = this.#options;
    const { mailroom } = this;
    const overview = new Overview({
      config,
      metadata: this.#metadata,
      snapshot: () => this.figures.snapshot(VERSION),
      now: () => engine.now(),
    });
    return {
      engine,
      connections: new Connections(mailroom, this.#hub, engine.epoch),
      overview: (busiest) => overview.read(busiest),
      settings: new Settings(config, mailroom, logger),
      topics: this.#topics,
      groups: this.groups,
      exchanges: this.#exchanges,
      queues: this.#queues,
      queueLife: this.#queueLife,
      backups: openBackups(this.#options, this.#metadata, mailroom),
      definitionsFile: this.#definitionsFile(),
      namespaces: new Namespaces(this.#definitions, config),
      quotas: this.#quotas,
      schedules: this.#schedules,
      singles: new SinglePublisher(this.#definitions),
      schemas: this.schemas,
      views: this.#views,
      transforms: this.#transforms,
      transactions: this.#transactions,
      hub: this.#hub,
      tracer: this.#tracer,
      hotKeys: (topicId) => this.figures.hotKeys(topicId),
      handshakes: new Handshakes(config, monotonicMs),
      operations: operationTable(),
      limits: config,
      logger,
      ...this.access,
      authenticator: this.logins.authenticator,
      serverName,
      monotonicMs,
      turnSoon: () => this.loop.turnSoon(),
      isStopping: () => this.#isStopping,
    };
  }

  #createLoop(services: SessionServices): WorkerLoop {
    const { engine, config, logger } = this.#options;
    return new WorkerLoop({
      engine,
      logger,
      connectionOutBytesMax: config.connectionOutBytesMax,
      connectionCount: this.#options.connectionCount,
      accept: (connection) => new Session(connection, services),
      refusal: () => this.#refusal(),
      goodbye: (error, message) => encodeFrame(Op.GOODBYE, ERRORS[error].code, message),
      mail: (message) => this.mailroom.deliver(message),
    });
  }

  #refusal(): { error: "shutting_down" | "limit_exceeded"; message: string } | undefined {
    if (this.#isStopping) return { error: "shutting_down", message: "the broker is shutting down" };
    const { config, connectionCount } = this.#options;
    const { connectionsMax } = config;
    if (connectionCount.value < connectionsMax) return undefined;
    return { error: "limit_exceeded", message: `the broker has its ${connectionsMax} connections (connectionsMax)` };
  }
}
