/** What sessions share on one worker; the composition root (src/server) fills it. */
import type {
  Backups,
  Engine,
  Exchanges,
  Groups,
  Namespaces,
  QueueLife,
  Queues,
  Quotas,
  Schedules,
  Schemas,
  SinglePublisher,
  Topics,
  Transactions,
  Transforms,
  Views,
} from "../broker/index.ts";
import type { Logger } from "../stdx/index.ts";
import type { Access, Audit, Authenticator, Authorizer } from "../security/index.ts";
import type { Connections } from "./connections.ts";
import type { Handshakes } from "./handshakes.ts";
import type { SessionHub } from "./hub.ts";
import type { Tracer } from "./tracer.ts";
import type { AnyOperation } from "./operation.ts";

/** Keys of the configuration (src/config says what they mean). */
export interface SessionLimits {
  readonly frameBytesMax: number;
  readonly batchBytesMax: number;
  readonly messageBytesMax: number;
  readonly subscriptionCreditBytesMax: number;
  readonly publishCreditBytes: number;
  readonly patternBufferBytesMax: number;
  readonly requestsInFlightMax: number;
  readonly handshakeTimeoutMs: number;
  readonly handshakesMax: number;
  readonly heartbeatMs: number;
  readonly sessionTimeoutMs: number;
  readonly prefetchMax: number;
}

/** The configuration of the running broker. */
export interface BrokerSettings {
  list(): readonly Readonly<Record<string, unknown>>[];
  /** @throws invalid_config, config_fixed. */
  change(changes: Readonly<Record<string, unknown>>): Promise<void>;
}

/** All definitions of the broker as one file (src/server/definitions). */
export interface DefinitionsService {
  export(): Readonly<Record<string, unknown>>;
  /** @throws definitions_invalid. */
  import(text: string, dryRun: boolean): Promise<unknown>;
}

export interface SessionServices {
  readonly engine: Engine;
  readonly topics: Topics;
  readonly groups: Groups;
  readonly exchanges: Exchanges;
  readonly queues: Queues;
  readonly queueLife: QueueLife;
  readonly backups: Backups;
  readonly definitionsFile: DefinitionsService;
  readonly namespaces: Namespaces;
  readonly quotas: Quotas;
  readonly schedules: Schedules;
  readonly singles: SinglePublisher;
  readonly schemas: Schemas;
  readonly views: Views;
  readonly transforms: Transforms;
  readonly transactions: Transactions;
  readonly hub: SessionHub;
  readonly tracer: Tracer;
  /** The most frequent keys among messages of a topic that were looked at lately, the largest share first. */
  readonly hotKeys: (topicId: number) => Promise<readonly { readonly key: string; readonly share: number }[]>;
  readonly handshakes: Handshakes;
  readonly operations: ReadonlyMap<number, AnyOperation>;
  readonly limits: SessionLimits;
  readonly logger: Logger;
  readonly authenticator: Authenticator;
  readonly authorizer: Authorizer;
  /** Users, roles and rules. */
  readonly access: Access;
  readonly audit: Audit;
  /** Of all workers. */
  readonly connections: Connections;
  /** The broker at a glance (src/server/overview.ts). */
  readonly overview: (busiest?: number) => Promise<Readonly<Record<string, unknown>>>;
  readonly settings: BrokerSettings;
  /** Name and version, for HELLO. */
  readonly serverName: string;
  readonly monotonicMs: () => number;
  /** Asks for a turn of the engine: a source that was added has something to deliver. */
  readonly turnSoon: () => void;
  /** True from the moment the broker begins to shut down. */
  readonly isStopping: () => boolean;
}
