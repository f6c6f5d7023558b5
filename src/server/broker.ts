/** The composition root: one broker, embedded or as a process of its own. */
import { fileURLToPath } from "node:url";
import { adminPhase, type BrokerPhase } from "./phase.ts";
import { type Config, configOf } from "../config/index.ts";
import { openEngineAside } from "../log/native.ts";
import { createLogger, type Logger } from "../stdx/index.ts";
import type { RecoveryReport } from "../log/engine.ts";
import { ConnectionCount, readTls, type TlsMaterial } from "../net/index.ts";
import { Certificates } from "./certificates.ts";
import { engineOptions } from "./engine-options.ts";
import { type HttpListener, listenHttp } from "./http.ts";
import { checkLogins, newSecret } from "./logins.ts";
import { needFreePorts } from "./replaceable.ts";
import { Runtime } from "./runtime.ts";
import { Thread } from "./threads.ts";
import { VERSION } from "./version.ts";
import { within } from "./within.ts";

export interface BrokerOptions extends Partial<Config> {
  /** Starts with a clock that stands at this many ms since the epoch and moves by `setClock`. */
  readonly manualClockMs?: number;
  /** Receives whole log lines. Default: nowhere, for a broker inside another program. */
  readonly log?: (line: string) => void;
  /**
   * Module that other threads run. Default: the module beside this one. A binary made with `bun build --compile` names
   * its own main module, which must begin with `if (!Bun.isMainThread) await import("millrace/worker")`.
   */
  readonly workerEntry?: string | URL;
  /**
   * Program and arguments that run a worker of a transform, whose entry is `millrace/transform-worker`. Default: the
   * module of this package, by the Bun that runs this program; a binary of `bun build --compile` names itself.
   */
  readonly transformCommand?: readonly string[];
}

const SERVER_NAME = `millrace/${VERSION}`;

export class Broker implements AsyncDisposable {
  readonly config: Config;
  /** What recovery found at the start. */
  readonly recovery: RecoveryReport;
  /** Of the native protocol. */
  readonly port: number;
  /** Of HTTP, and of WebSocket at /ws. */
  readonly httpPort: number;
  /** Of the schema registry's HTTP interface. */
  readonly registryPort: number;
  /** Resolves when the broker has stopped; rejects when one of its threads failed, which stops it too. */
  readonly closed: Promise<void>;
  readonly #parts: Parts;
  readonly #certificates: Certificates | undefined;
  readonly #close = Promise.withResolvers<void>();
  #stopping: Promise<void> | undefined;

  private constructor(parts: Parts, port: number) {
    this.#parts = parts;
    this.config = parts.config;
    this.recovery = parts.runtime.engine.recovery();
    this.port = port;
    this.httpPort = parts.http.port;
    this.registryPort = parts.http.registryPort;
    this.closed = this.#close.promise;
    // Nobody has to listen.
    this.closed.catch(() => undefined);
    for (const thread of parts.threads) thread.onFailure = (error) => this.#fail(error);
    this.#certificates = parts.tls === undefined ? undefined : watchCertificates(parts, parts.tls);
  }

  /**
   * Starts a broker: recovers the data directory, then listens.
   *
   * @param options settings of src/config, besides those of `BrokerOptions`; none is read from the environment.
   * @throws invalid_config, data_dir_locked, format_too_new, bad_format, storage_failed; EADDRINUSE as Bun gives it.
   *
   * @example
   * await using broker = await Broker.start({ storage: "memory", port: 0, httpPort: 0 });
   */
  static async start(options: BrokerOptions = {}): Promise<Broker> {
    const { manualClockMs, log, workerEntry, transformCommand, ...settings } = options;
    const { config, warnings } = configOf(settings, process.cwd());
    const writeLog = log ?? (() => undefined);
    const logger = createLogger(() => config.logLevel, writeLog);
    for (const warning of warnings) logger.warn(warning);
    const startup: Startup = {
      config,
      logger,
      writeLog,
      manualClockMs: manualClockMs ?? null,
      workerEntry: workerEntry ?? new URL("./worker.ts", import.meta.url),
      transformCommand: transformCommand ?? defaultTransformCommand(),
    };
    return launch(startup, (parts, port) => new Broker(parts, port));
  }

  /** Moves a clock that was started with `manualClockMs`. */
  setClock(nowMs: number): void {
    const { engine, loop } = this.#parts.runtime;
    engine.setClock(nowMs);
    // What is due by then is done in a turn, and the timer that would bring it runs by the time of day.
    loop.turnSoon();
  }

  /**
   * Reads the certificates again, as it happens by itself when their files change; connections that are open stay.
   *
   * @returns whether there was anything new.
   * @throws invalid_config when they cannot be used; the old ones stay.
   */
  reloadCertificates(): boolean {
    return this.#stopping === undefined && (this.#certificates?.reload() ?? false);
  }

  /** Refuses new work, finishes what is in flight, says goodbye to clients, syncs, and leaves the clean mark. */
  stop(): Promise<void> {
    this.#certificates?.close();
    this.#stopping ??= shutDown(this.#parts).finally(() => this.#close.resolve());
    return this.#stopping;
  }

  /** The owner of groups is gone, and connections of that thread hang: a whole restart is the honest answer. */
  #fail(failure: Error): void {
    const { logger } = this.#parts;
    logger.error("a thread failed: the broker stops", { error: failure });
    this.#close.reject(failure);
    this.stop().catch((reason: unknown) => logger.error("the broker could not stop well", { error: reason }));
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }
}

interface Startup {
  readonly config: Config;
  readonly logger: Logger;
  readonly writeLog: (line: string) => void;
  readonly manualClockMs: number | null;
  readonly workerEntry: string | URL;
  readonly transformCommand: readonly string[];
}

interface Parts {
  readonly config: Config;
  readonly logger: Logger;
  readonly phase: BrokerPhase;
  readonly runtime: Runtime;
  readonly http: HttpListener;
  readonly connectionCount: ConnectionCount;
  readonly threads: readonly Thread[];
  readonly tls: TlsMaterial | undefined;
  readonly secret: Uint8Array;
}

async function launch(startup: Startup, build: (parts: Parts, port: number) => Broker): Promise<Broker> {
  const { config, logger } = startup;
  const phase: BrokerPhase = { current: "recovering" };
  let runtime: Runtime | undefined;
  const tls = readTls(config, Date.now());
  if (config.threads > 1 || tls !== undefined) needFreePorts(config);
  // Health is answered from here on; everything else when recovery is done.
  const http = listenHttp({
    config,
    port: config.httpPort,
    registryPort: config.registryPort,
    logger,
    version: VERSION,
    phase: adminPhase(phase),
    tls,
    runtime: () => runtime,
  });
  const threads: Thread[] = [];
  try {
    const manualClock = startup.manualClockMs !== null;
    const engine = await openEngineAside(engineOptions(config, startup.manualClockMs));
    const connectionCount = new ConnectionCount();
    const secret = newSecret();
    runtime = new Runtime({ engine, config, logger, serverName: SERVER_NAME, manualClock, connectionCount, secret });
    const parts: Parts = { config, connectionCount, logger, phase, runtime, http, threads, tls, secret };
    logRecovery(engine.recovery(), logger);
    await checkLogins(config, runtime);
    const port = runtime.listen(config.port, tls);
    runtime.startTransforms(startup.transformCommand);
    await startThreads(startup, parts, port);
    phase.current = "ready";
    logger.info("serving", {
      port,
      httpPort: http.port,
      registryPort: http.registryPort,
      threads: config.threads,
      dataDir: place(config),
      version: VERSION,
    });
    return build(parts, port);
  } catch (error) {
    await http.stop();
    await runtime?.stopTransforms();
    for (const thread of threads) await thread.end();
    runtime?.close();
    await runtime?.engine.close();
    throw error;
  }
}

async function startThreads(startup: Startup, parts: Parts, port: number): Promise<void> {
  const { config } = startup;
  const threads = parts.threads as Thread[];
  for (let worker = 1; worker < config.threads; worker += 1) {
    const thread = new Thread(startup.workerEntry, startup.writeLog);
    threads.push(thread);
    await thread.ask(
      {
        type: "serve",
        engineId: parts.runtime.engine.engineId,
        worker,
        config,
        port,
        httpPort: parts.http.port,
        registryPort: parts.http.registryPort,
        serverName: SERVER_NAME,
        version: VERSION,
        manualClock: startup.manualClockMs !== null,
        connections: parts.connectionCount.shared,
        tls: parts.tls,
        secret: parts.secret,
      },
      "serving",
    );
  }
}

function watchCertificates({ config, logger, runtime, http, threads }: Parts, current: TlsMaterial): Certificates {
  return new Certificates({
    config,
    logger,
    current,
    onChanged(tls) {
      http.replaceTls(tls);
      runtime.replaceTls(tls);
      for (const thread of threads) thread.tell({ type: "certificates", tls });
    },
  });
}

async function shutDown(parts: Parts): Promise<void> {
  const { config, logger, runtime, threads } = parts;
  parts.phase.current = "stopping";
  logger.info("stopping");
  const timeoutMs = config.drainTimeoutMs;
  // They are clients: what they have under way is committed while requests are still taken.
  await within(runtime.stopTransforms(), timeoutMs);
  // All workers at once: a request of one may need the answer of another.
  const drains = threads.map((thread) => thread.ask({ type: "drain", timeoutMs }, "drained"));
  await Promise.allSettled([runtime.drain(timeoutMs), ...drains]);
  for (const thread of threads) await thread.end();
  await parts.http.stop();
  runtime.close();
  await runtime.engine.close();
  logger.info("stopped");
}

function defaultTransformCommand(): readonly string[] {
  return [process.execPath, fileURLToPath(new URL("../transforms/worker.ts", import.meta.url))];
}

function logRecovery(report: RecoveryReport, logger: Logger): void {
  const { notes, ...figures } = report;
  const isNew = report.epoch === 1 && report.logs === 0;
  logger.info(
    isNew ? "started empty" : report.clean ? "started after a clean stop" : "recovered after a crash",
    figures,
  );
  for (const note of notes) logger.warn(note);
}

function place(config: Config): string {
  return config.storage === "memory" ? "memory" : config.dataDir;
}
