/** What workers and sessions say to a group's owner, and what they hear from it. Plain data: it travels between workers. */
import type { MemberAddress } from "./group-state.ts";
import type { CommittedOffset } from "./offsets-store.ts";

export interface GroupName {
  readonly namespace: string;
  readonly group: string;
}

export interface JoinRequest extends GroupName {
  /** The id of before, to come back as the same member; null for a fresh one. */
  readonly member: string | null;
  /** Static membership: the id under which a restarted process takes its place again. */
  readonly instance: string | null;
  readonly topics: readonly string[];
  readonly sessionTimeoutMs: number;
  readonly client: string;
  readonly address: MemberAddress;
}

export interface JoinResult {
  readonly member: string;
  readonly generation: number;
}

export interface MemberRequest extends GroupName {
  readonly member: string;
  readonly generation: number | null;
}

export interface ReleaseRequest extends GroupName {
  readonly member: string;
  readonly partitions: readonly (readonly [topic: string, partition: number])[];
}

export interface LeaveRequest extends GroupName {
  readonly member: string;
  readonly address: MemberAddress;
  /** `closed`: unsubscribed or said goodbye. `lost`: the connection broke. */
  readonly how: "closed" | "lost";
}

export interface CommitRequest extends GroupName {
  readonly member: string | null;
  readonly generation: number | null;
  readonly offsets: readonly (readonly [topic: string, partition: number, offset: number, metadata: string | null])[];
}

/** Asks that a transaction's offsets may be committed, and holds the group until they are or `cancel` comes. */
export interface PrepareRequest extends CommitRequest {
  /** Names the hold. */
  readonly txn: string;
}

/** Offsets that may be committed. */
export interface Prepared extends GroupName {
  readonly offsets: readonly CommittedOffset[];
  /** Where the offsets log stood: a record of these partitions from there on is this commit's or a later one's. */
  readonly logOffset: number;
}

export interface HeldCommit extends GroupName {
  readonly txn: string;
  readonly offsets: readonly CommittedOffset[];
}

export interface HoldName extends GroupName {
  readonly txn: string;
}

export type Position = "earliest" | "latest" | { readonly offset: number } | { readonly timestamp: number };

export interface ResetRequest extends GroupName {
  readonly topic: string;
  readonly partitions: readonly number[] | null;
  readonly to: Position;
}

/** A partition given to a member: the offset to go on from, null when the group has committed none. */
export type Given = readonly [topic: string, partition: number, offset: number | null, metadata: string | null];

/** To the worker of a member's session. */
export type MemberEvent =
  | {
      readonly type: "assignment";
      readonly session: number;
      readonly sub: number;
      readonly member: string;
      readonly generation: number;
      readonly added: readonly Given[];
      readonly revoked: readonly (readonly [topic: string, partition: number])[];
    }
  | {
      readonly type: "expelled";
      readonly session: number;
      readonly sub: number;
      readonly member: string;
      readonly error: "member_unknown" | "fenced_instance";
      readonly reason: string;
    };

/** Offset a group has committed, with what lies behind it. `lagMs` is the age of the first unread record; null if unknown. */
export type OffsetRow = readonly [
  topic: string,
  partition: number,
  offset: number,
  metadata: string | null,
  lag: number,
  lagMs: number | null,
];

export interface GroupDescription {
  readonly group: string;
  readonly state: GroupPhase;
  readonly generation: number;
  readonly members: readonly {
    readonly member: string;
    readonly instance: string | null;
    readonly client: string;
    readonly connected: boolean;
    readonly sessionTimeoutMs: number;
    readonly topics: readonly string[];
    readonly partitions: readonly (readonly [topic: string, partition: number])[];
  }[];
  readonly offsets: readonly OffsetRow[];
}

export type GroupPhase = "empty" | "rebalancing" | "stable";

export interface GroupSummary extends GroupName {
  readonly state: GroupPhase;
  readonly members: number;
}

/** Lag of a group in one topic, for metrics. */
export interface GroupLag extends GroupName {
  readonly topic: string;
  readonly lag: number;
  readonly lagMs: number;
}
