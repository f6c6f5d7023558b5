/** What the broker counts, from everywhere it is counted: the numbers of `/metrics` and of the dashboard. */
import type { Engine, Groups, Mailroom, MetadataLog, Queues, Quotas, Topic } from "../broker/index.ts";
import type { WorkerLoop } from "../net/index.ts";
import {
  DelayMeter,
  type HotKey,
  type MetricsSnapshot,
  type PressureGauges,
  type QuotaGauge,
  PartitionLoad,
  stagesOf,
  type TopicCounters,
  type WorkerGauges,
} from "../metrics/index.ts";
import type { SessionHub } from "../session/index.ts";
import { KeySampler } from "./key-sampler.ts";

const GAUGES_REQUEST = "metrics.worker";
const HOT_KEYS_REQUEST = "metrics.hot-keys";
const FIRST_REQUEST = "metrics.first-worker";

export interface FiguresOptions {
  readonly engine: Engine;
  readonly metadata: MetadataLog;
  readonly queues: Queues;
  readonly quotas: Quotas;
  readonly groups: Groups;
  readonly mailroom: Mailroom;
  readonly hub: SessionHub;
  readonly loop: () => WorkerLoop;
  readonly pressure: () => PressureGauges | undefined;
}

/** What only the first worker knows. */
interface OfFirst {
  readonly hotKeyShares: readonly (readonly [topicId: number, share: number])[];
  readonly pressure: PressureGauges | undefined;
}

export class Figures {
  readonly #options: FiguresOptions;
  readonly #delay = new DelayMeter();
  readonly #startedMs = Date.now();
  readonly #load = new PartitionLoad();
  /** On the first worker: keys are looked at once for all. */
  readonly #keys: KeySampler | undefined;

  constructor(options: FiguresOptions) {
    this.#options = options;
    const { engine, metadata, mailroom, pressure } = options;
    if (engine.worker === 0) this.#keys = new KeySampler(engine, () => metadata.state.topics());
    mailroom.onRequest(GAUGES_REQUEST, () => this.#gauges());
    mailroom.onRequest(HOT_KEYS_REQUEST, (topicId: number) => this.#keys?.hotKeys(topicId) ?? []);
    mailroom.onRequest(FIRST_REQUEST, (): OfFirst => ({
      hotKeyShares: this.#keys?.shares() ?? [],
      pressure: pressure(),
    }));
  }

  close(): void {
    this.#delay.close();
    this.#keys?.close();
  }

  /** The most frequent keys among messages of a topic that were looked at lately. */
  hotKeys(topicId: number): Promise<HotKey[]> {
    return this.#options.mailroom.request<HotKey[]>(0, HOT_KEYS_REQUEST, topicId);
  }

  /** Of the whole broker, from any worker. */
  async snapshot(version: string): Promise<MetricsSnapshot> {
    const { engine, metadata, queues, groups, mailroom } = this.#options;
    const stats = engine.stats();
    const ofFirst = mailroom.request<OfFirst>(0, FIRST_REQUEST, null);
    const gauges = mailroom.requestAll<WorkerGauges>(GAUGES_REQUEST, null);
    const [workers, lags, first] = await Promise.all([gauges, groups.lags(), ofFirst]);
    metadata.catchUp();
    return {
      atMs: Date.now(),
      startedMs: this.#startedMs,
      version,
      epoch: engine.epoch,
      topics: this.#topics(new Map(first.hotKeyShares)),
      queues: queues.counters(),
      quotas: quotaGauges(this.#options.quotas),
      workers,
      groups: lags,
      stages: stagesOf(workers.flatMap(({ stages }) => stages)),
      namespaces: namespacesOf(workers),
      syncLatencyMs: stats.syncLatencyMs,
      syncSumMs: stats.syncSumMs,
      failedPartitions: stats.failedPartitions,
      unroutable: stats.unroutable,
      deadLetterLoops: stats.deadLetterLoops,
      schemaViolations: stats.schemaViolations,
      dirtyBytes: stats.dirtyBytes,
      mappedSegments: stats.mappedSegments,
      openFiles: stats.openFiles,
      residentBytes: process.memoryUsage.rss(),
      pressure: first.pressure ?? undefined,
    };
  }

  /** Counters of all topics. They live in the shared core, so any worker can tell them. */
  #topics(hotKeyShares: ReadonlyMap<number, number>): TopicCounters[] {
    const { metadata } = this.#options;
    const topics = [...metadata.state.topics()];
    this.#load.keep(new Set(topics.map(({ id }) => id)));
    return topics.map((topic) => this.#topic(topic, hotKeyShares.get(topic.id) ?? 0));
  }

  #topic({ namespace, name, id, partitions }: Topic, hotKeyShare: number): TopicCounters {
    const sum = { recordsIn: 0, bytesIn: 0, recordsOut: 0, bytesOut: 0, logBytes: 0, segments: 0 };
    const counts: number[] = [];
    for (let partition = 0; partition < partitions; partition += 1) {
      const info = this.#options.engine.partition(id, partition);
      counts.push(info.recordsIn);
      sum.recordsIn += info.recordsIn;
      sum.bytesIn += info.bytesIn;
      sum.recordsOut += info.recordsOut;
      sum.bytesOut += info.bytesOut;
      sum.logBytes += info.bytes;
      sum.segments += info.segments;
    }
    const skew = this.#load.skew(id, counts, performance.now());
    return { namespace, topic: name, partitions, ...sum, skew, hotKeyShare };
  }

  #gauges(): WorkerGauges {
    const { engine, hub, loop } = this.#options;
    const namespaces: Record<string, number> = {};
    let requestsInFlight = 0;
    for (const { inFlight, namespace } of hub.sessions()) {
      requestsInFlight += inFlight;
      if (namespace !== "") namespaces[namespace] = (namespaces[namespace] ?? 0) + 1;
    }
    return {
      worker: engine.worker,
      connections: loop().connectionCount,
      requestsInFlight,
      recordsDropped: engine.stats().recordsDropped,
      delay: this.#delay.summary(),
      stages: engine.stages(),
      namespaces,
    };
  }
}

function quotaGauges(quotas: Quotas): QuotaGauge[] {
  return quotas.list().flatMap(({ kind, name, used, ...limits }) => {
    const rows: [resource: string, limit: number | null, used?: number][] = [
      ["messages_per_second", limits.messagesPerSec],
      ["bytes_per_second", limits.bytesPerSec],
      ["connections", limits.connectionsMax, used.connections],
      ["storage_bytes", limits.storageBytesMax, used.storageBytes],
      ["topics", limits.topicsMax, used.topics],
      ["queues", limits.queuesMax, used.queues],
    ];
    return rows.flatMap(([resource, limit, has]): QuotaGauge[] => {
      if (limit === null) return [];
      return [{ kind, name, resource, limit, ...(has === undefined ? {} : { used: has }) }];
    });
  });
}

function namespacesOf(workers: readonly WorkerGauges[]): MetricsSnapshot["namespaces"] {
  const sums = new Map<string, number>();
  for (const worker of workers) {
    for (const [namespace, connections] of Object.entries(worker.namespaces)) {
      sums.set(namespace, (sums.get(namespace) ?? 0) + connections);
    }
  }
  return [...sums].map(([namespace, connections]) => ({ namespace, connections }));
}
