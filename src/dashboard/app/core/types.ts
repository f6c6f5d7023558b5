/** What the broker's HTTP interface answers, as far as the dashboard shows it. Its whole is in /api/v1/openapi.json. */

export interface Whoami {
  readonly user: string;
  readonly kind: "anonymous" | "user" | "certificate" | "token" | "internal";
  readonly roles: readonly string[];
  /** Whether anybody has to log in. */
  readonly authentication: "off" | "required";
  /** Of a session by cookie: every change has to carry it. */
  readonly csrf?: string;
}

export type Settings = Readonly<Record<string, unknown>>;

export interface TopicRow {
  readonly namespace: string;
  readonly name: string;
  readonly partitions: number;
}

/** A topic in the list. */
export interface ListedTopic extends TopicRow {
  readonly records: number;
  readonly bytes: number;
  readonly recordsIn: number;
  readonly recordsOut: number;
}

export interface Partition {
  readonly partition: number;
  readonly startOffset: number;
  readonly highWatermark: number;
  readonly nextOffset: number;
  readonly bytes: number;
  readonly segments: number;
  readonly recordsIn: number;
  readonly bytesIn: number;
  readonly recordsOut: number;
  readonly bytesOut: number;
  /** -1 for an empty partition. */
  readonly lastTimestamp: number;
}

export interface Topic extends TopicRow {
  readonly config: Settings;
  readonly createdMs: number;
  readonly offsets: readonly Partition[];
}

export interface GroupRow {
  readonly namespace: string;
  readonly group: string;
  readonly state: string;
  readonly members: number;
}

export interface GroupOffset {
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
  readonly lag: number;
  readonly lagMs: number | null;
}

export interface GroupMember {
  readonly member: string;
  readonly client: string;
  readonly connected: boolean;
  readonly topics: readonly string[];
  readonly partitions: readonly { readonly topic: string; readonly partition: number }[];
}

export interface Group {
  readonly namespace: string;
  readonly group: string;
  readonly state: string;
  readonly generation: number;
  readonly members: readonly GroupMember[];
  readonly offsets: readonly GroupOffset[];
}

export interface QueueCounts {
  readonly ready?: number;
  readonly inFlight?: number;
  readonly delayed?: number;
  readonly deferred?: number;
  readonly consumers?: number;
  readonly [count: string]: number | undefined;
}

export interface QueueRow {
  readonly namespace: string;
  readonly name: string;
  readonly counts: QueueCounts;
}

export interface Queue extends QueueRow {
  readonly config: Settings;
  readonly createdMs: number;
}

export interface ExchangeRow {
  readonly namespace: string;
  readonly name: string;
  readonly type: string;
  readonly config: Settings;
  readonly bindings: number;
  readonly createdMs: number;
}

export interface Binding {
  readonly id: string;
  readonly exchange: string;
  readonly queue?: string;
  readonly topic?: string;
  /** Another exchange. */
  readonly to?: string;
  readonly key?: string;
  readonly match?: string;
  readonly headers?: Settings;
  readonly where?: string;
}

export interface StageSummary {
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly p999Ms: number;
  readonly count: number;
}

export interface Rates {
  readonly recordsInPerSec: number;
  readonly bytesInPerSec: number;
  readonly recordsOutPerSec: number;
  readonly bytesOutPerSec: number;
  /** Of all queues. */
  readonly enqueuedPerSec: number;
  readonly deliveredPerSec: number;
  readonly ackedPerSec: number;
}

export interface Overview {
  readonly version: string;
  readonly startedMs: number;
  readonly nowMs: number;
  readonly threads: number;
  readonly counts: Readonly<
    Record<"topics" | "partitions" | "queues" | "exchanges" | "bindings" | "connections", number>
  >;
  /** Null until there is a second look to compare with. */
  readonly rates: Rates | null;
  /** Where the messages of all queues are. */
  readonly queues: Readonly<Record<"ready" | "inFlight" | "delayed" | "deferred" | "bytes" | "deadLettered", number>>;
  readonly storage: {
    readonly logBytes: number;
    readonly failedPartitions: number;
    /** Absent where the log is kept in memory. */
    readonly diskFreeBytes?: number;
    readonly diskBytes?: number;
  };
  readonly residentBytes: number;
  /** By the stage's name; `total` is all of them. */
  readonly stages: Readonly<Record<string, StageSummary>>;
  readonly workers: readonly {
    readonly worker: number;
    readonly connections: number;
    readonly requestsInFlight: number;
    /** How late its timers run. */
    readonly delay: { readonly p50Ms: number; readonly p99Ms: number; readonly maxMs: number };
  }[];
}

export interface Connection {
  readonly id: string | number;
  readonly worker: number;
  readonly client: string;
  readonly principal: string;
  readonly namespace: string;
  readonly remote: string;
  readonly transport: string;
  readonly openedMs: number;
  readonly publishers: number;
  readonly subscriptions: number;
  readonly requestsInFlight: number;
}

export interface User {
  readonly name: string;
  readonly roles: readonly string[];
  readonly isEnabled: boolean;
  /** How the user may log in by password. */
  readonly mechanisms: readonly string[];
  readonly createdMs: number;
}

export interface Role {
  readonly name: string;
  readonly description: string;
  readonly isBuiltIn: boolean;
}

export type Right = "configure" | "write" | "read" | "admin";

/** A rule about a principal or a role; the other is null. */
export interface Permission {
  readonly id: string;
  readonly principal: string | null;
  readonly role: string | null;
  readonly effect: "allow" | "deny";
  readonly operations: readonly Right[];
  readonly resource: {
    readonly kind: string;
    readonly namespace: string;
    readonly name: string;
    readonly match: string;
  };
}
