/** What became of one message: the answer of `client.explain`. Times are ms since 1970. */

/** A connection, as far as the broker remembers it. */
export interface ExplainedConnection {
  worker: number;
  connection?: number;
  remote?: string;
  transport?: string;
  client?: string;
  principal?: string;
  namespace?: string;
}

export interface ExplainedDelivery extends ExplainedConnection {
  atMs: number;
  /** The group whose member got it, while that is connected. */
  group?: string;
  /** Set for messages of queues: how often it had been delivered before. */
  queue?: string;
  redeliveries?: number;
}

export interface ExplainedAck extends Partial<ExplainedConnection> {
  /** Of a queue: acked, rejected, returned, delayed, deferred, removed, or dead-lettered with its reason. */
  outcome: string;
  atMs?: number;
  queue?: string;
  group?: string;
  committedOffset?: number;
}

export interface Explained {
  /** `isGone`: compaction has taken the record. */
  message: {
    timestampMs?: number;
    key?: Uint8Array | null;
    headers?: Record<string, unknown>;
    bytes?: number;
    isGone?: boolean;
  };
  stored: {
    log: "topic" | "journal";
    topic?: string;
    partition: number;
    offset: number;
    batchOffset: number;
    batchRecords: number;
    batchBytes: number;
    compression: string;
    producerId: number;
    /** First offset of the segment, which names its file. */
    segmentOffset: number;
    /** Byte of the file at which the batch begins. */
    position: number;
    isVisible: boolean;
    isSynced: boolean;
  };
  /** Absent when it came in before `remembersSinceMs`, or was written by the broker itself. */
  arrived?: ExplainedConnection & { receivedMs: number; appendedMs: number };
  /** Of a message that came by an exchange. */
  routing?: {
    /** Absent when the publisher is gone. */
    exchange?: string;
    key: string;
    destinations: { type: "queue" | "topic"; namespace: string; name: string }[];
  };
  deliveries: ExplainedDelivery[];
  acks: ExplainedAck[];
  /** Of a queue's message: ready, in_flight, delayed, deferred, or gone. */
  state?: string;
  /** Who sent and got it is known from then on. */
  remembersSinceMs: number;
}

/** How messages of a topic spread. */
export interface ExplainedLoad {
  topic: string;
  /** Since the broker started. */
  partitions: { partition: number; messages: number }[];
  /** The most frequent keys among messages that were looked at lately, with their shares, 0 to 1; of long keys the beginning. */
  hotKeys: { key: string; share: number }[];
}

export type ExplainRequest = { topic: string; partition?: number; offset: number } | { queue: string; number: number };
