/** What transactions are made of. Plain data: it travels between workers, and the commit is stored as it is. */
import type { CommitRequest } from "../groups/messages.ts";
import type { CommittedOffset } from "../groups/offsets-store.ts";

/** Names a transaction: the client chose `txn`. */
export interface TransactionName {
  readonly namespace: string;
  readonly txn: string;
}

export interface TopicPublish {
  readonly topicId: number;
  readonly partition: number;
  /** A whole batch that was checked; without a producer until it is sealed. */
  readonly batch: Uint8Array;
}

export interface ExchangePublish {
  readonly exchangeId: number;
  readonly flags: number;
  readonly batch: Uint8Array;
}

/** Messages of a queue that are claimed: `[first number, count, ...]`. */
export interface ClaimedAck {
  readonly queueId: number;
  readonly runs: readonly number[];
}

export type OffsetsCommit = Omit<CommitRequest, "namespace">;

/** A transaction as its owner is asked to commit it. */
export interface CommitAsk extends TransactionName {
  /** The transactional id and the epoch that the client holds of it; null where there is none. */
  readonly id: string | null;
  readonly epoch: number | null;
  readonly topics: readonly TopicPublish[];
  readonly exchanges: readonly ExchangePublish[];
  readonly acks: readonly ClaimedAck[];
  readonly offsets: readonly OffsetsCommit[];
}

export interface StoredOffsets {
  readonly group: string;
  readonly offsets: readonly CommittedOffset[];
  /** Where the offsets log stood (`Prepared`). */
  readonly logOffset: number;
}

/** Whom the batches of a commit come from. It is the commit's own, so applying it again stores nothing twice. */
export interface Identity {
  readonly producerId: number;
  /** Of what bindings copy to topics: its sequences must not meet those of the batches for topics. */
  readonly copiesId: number;
  readonly epoch: number;
}

/** The commit: one record of the transaction log. Batches are sealed with the identity. */
export interface Commit extends TransactionName, Identity {
  readonly type: "commit";
  readonly v: 1;
  readonly topics: readonly (readonly [topicId: number, partition: number, batch: Uint8Array])[];
  readonly exchanges: readonly (readonly [exchangeId: number, batch: Uint8Array])[];
  readonly acks: readonly (readonly [queueId: number, runs: readonly number[]])[];
  readonly offsets: readonly StoredOffsets[];
}

/** The newest epoch of a transactional id. */
export interface IdRecord {
  readonly type: "id";
  readonly v: 1;
  readonly epoch: number;
}

export interface BeginAsk {
  readonly namespace: string;
  readonly id: string;
}

/** `committed`, or rolled back: never heard of, or taken away by the question. */
export type Outcome = "committed" | "unknown";

export interface OpenTransaction {
  readonly txn: string;
  readonly id: string | null;
  readonly ageMs: number;
  readonly timeoutMs: number;
  readonly bytes: number;
  readonly parts: number;
}
