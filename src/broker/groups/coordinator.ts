/**
 * The groups that this worker owns: runs their state machines, keeps their offsets, and tells members' sessions, on
 * whatever worker they are, what changed.
 */
import { MillraceError } from "../../errors/index.ts";
import type { Engine } from "../../log/engine.ts";
import type { Mailroom } from "../mailroom.ts";
import type { TopicEvent, Topic } from "../metadata-state.ts";
import { entityKey, nameFault } from "../names.ts";
import type { Topics } from "../topics.ts";
import { partitionKey, splitPartitionKey } from "./assignor.ts";
import { Gate } from "./gate.ts";
import { type CommitFault, type GroupEvent, GroupState } from "./group-state.ts";
import type {
  CommitRequest,
  GroupDescription,
  Given,
  GroupLag,
  GroupName,
  GroupPhase,
  GroupSummary,
  HeldCommit,
  HoldName,
  JoinRequest,
  JoinResult,
  LeaveRequest,
  MemberEvent,
  MemberRequest,
  OffsetRow,
  Prepared,
  PrepareRequest,
  ReleaseRequest,
  ResetRequest,
} from "./messages.ts";
import type { CommittedOffset, OffsetsStore } from "./offsets-store.ts";

export interface GroupLimits {
  readonly groupsMax: number;
  readonly membersPerGroupMax: number;
}

export interface CoordinatorParts {
  readonly engine: Engine;
  readonly topics: Topics;
  readonly offsets: OffsetsStore;
  readonly mailroom: Mailroom;
  readonly limits: GroupLimits;
  /** Milliseconds that never go back; member deadlines are counted in them. */
  readonly monotonicMs: () => number;
}

export const EVENT_NOTICE = "group.event";
const TICK_MS = 50;

const COMMIT_FAULTS: Readonly<Record<CommitFault, string>> = {
  member_unknown: "the group does not know this member (any more): subscribe again",
  generation_stale: "the partition was given to another member, or is from a generation that is over",
  group_not_empty: "the group has members: commit as one of them",
};

export class Coordinator {
  readonly #parts: CoordinatorParts;
  /** Groups with members. A group with nothing but offsets is only in the store. */
  readonly #groups = new Map<string, { readonly name: GroupName; readonly state: GroupState }>();
  /** Of groups whose offsets a transaction is committing. */
  readonly #gates = new Map<string, Gate>();
  readonly #timer: Timer;

  constructor(parts: CoordinatorParts) {
    this.#parts = parts;
    this.#timer = setInterval(() => this.#tick(), TICK_MS);
  }

  close(): void {
    clearInterval(this.#timer);
  }

  /** Runs what changes a group or its offsets, behind transactions that are committing offsets of it. */
  gated<T>(name: GroupName, run: () => T): T | Promise<Awaited<T>> {
    const gate = this.#gates.get(entityKey(name.namespace, name.group));
    return gate === undefined ? run() : gate.change(run);
  }

  /** Checks a transaction's offsets and holds the group until `commitHeld` or `cancel`. @throws as `commit`. */
  prepare(request: PrepareRequest): Promise<Prepared> {
    const { namespace, group, txn } = request;
    const key = entityKey(namespace, group);
    const gate = this.#gates.get(key) ?? new Gate();
    this.#gates.set(key, gate);
    const keys = request.offsets.map(([topic, partition]) => partitionKey(topic, partition));
    const checked = gate.hold(txn, keys, () => {
      const offsets = this.#checkedCommit(request);
      const logOffset = this.#parts.offsets.nextOffset();
      return { namespace, group, offsets, logOffset };
    });
    return checked.finally(() => this.#dropIdleGate(key));
  }

  async commitHeld(request: HeldCommit): Promise<void> {
    await this.#parts.offsets.commit(request.namespace, request.group, request.offsets);
    this.cancel(request);
  }

  cancel({ namespace, group, txn }: HoldName): void {
    const key = entityKey(namespace, group);
    this.#gates.get(key)?.release(txn);
    this.#dropIdleGate(key);
  }

  #dropIdleGate(key: string): void {
    if (this.#gates.get(key)?.isIdle === true) this.#gates.delete(key);
  }

  join(request: JoinRequest): JoinResult {
    const fault = nameFault(request.group);
    if (fault !== undefined) throw new MillraceError("invalid_argument", `group: ${fault}`);
    const key = entityKey(request.namespace, request.group);
    const group = this.#groups.get(key);
    this.#checkRoom(request, group?.state);
    const name: GroupName = { namespace: request.namespace, group: request.group };
    const state = group?.state ?? new GroupState((topic) => this.#topic(name, topic)?.partitions ?? 0);
    if (group === undefined) this.#groups.set(key, { name, state });
    // A restarted static member is told apart from the one it replaces by a fresh id.
    const member = (request.instance === null ? request.member : null) ?? crypto.randomUUID();
    const { instance, topics, sessionTimeoutMs, client, address } = request;
    this.#apply(name, state, {
      type: "join",
      nowMs: this.#now(),
      member,
      instance,
      topics,
      sessionTimeoutMs,
      client,
      address,
    });
    return { member, generation: state.generation };
  }

  heartbeat(request: MemberRequest): { generation: number } {
    const state = this.#requireMember(request, request.member);
    if (request.generation !== null && request.generation > state.generation) throw commitFault("generation_stale");
    this.#apply(request, state, { type: "heartbeat", nowMs: this.#now(), member: request.member });
    return { generation: state.generation };
  }

  release(request: ReleaseRequest): void {
    const state = this.#requireMember(request, request.member);
    const partitions = request.partitions.map(([topic, partition]) => partitionKey(topic, partition));
    this.#apply(request, state, { type: "release", nowMs: this.#now(), member: request.member, partitions });
  }

  leave(request: LeaveRequest): void {
    const state = this.#state(request);
    if (state === undefined) return;
    const { member, address } = request;
    if (request.how === "lost") this.#apply(request, state, { type: "detach", nowMs: this.#now(), member, address });
    else this.#apply(request, state, { type: "leave", nowMs: this.#now(), member, forGood: false });
  }

  async commit(request: CommitRequest): Promise<void> {
    await this.#parts.offsets.commit(request.namespace, request.group, this.#checkedCommit(request));
  }

  #checkedCommit(request: CommitRequest): CommittedOffset[] {
    const fault = nameFault(request.group);
    if (fault !== undefined) throw new MillraceError("invalid_argument", `group: ${fault}`);
    const state = this.#state(request);
    const keys = request.offsets.map(([topic, partition]) => partitionKey(topic, partition));
    const refused =
      state === undefined
        ? request.member === null
          ? undefined
          : "member_unknown"
        : state.commitFault(request.member, request.generation, keys);
    if (refused !== undefined) throw commitFault(refused);
    const offsets = request.offsets.map((offset) => this.#checkedOffset(request, offset));
    if (state !== undefined && request.member !== null) {
      this.#apply(request, state, { type: "heartbeat", nowMs: this.#now(), member: request.member });
    }
    return offsets;
  }

  describe(name: GroupName): GroupDescription {
    const state = this.#state(name);
    const offsets = this.offsets(name);
    if (state === undefined && offsets.length === 0) throw groupNotFound(name);
    const members = [...(state?.members.values() ?? [])].map((member) => ({
      member: member.id,
      instance: member.instance,
      client: member.client,
      connected: member.address !== null,
      sessionTimeoutMs: member.sessionTimeoutMs,
      topics: [...member.topics],
      partitions: (state?.ownedBy(member.id) ?? []).map(splitPartitionKey),
    }));
    return { group: name.group, state: phaseOf(state), generation: state?.generation ?? 0, members, offsets };
  }

  list(): GroupSummary[] {
    const found = new Map<string, GroupSummary>();
    for (const [namespace, group] of this.#parts.offsets.groups()) {
      found.set(entityKey(namespace, group), { namespace, group, state: "empty", members: 0 });
    }
    for (const [key, { name, state }] of this.#groups) {
      found.set(key, { ...name, state: phaseOf(state), members: state.members.size });
    }
    return [...found.values()];
  }

  /** Lag of all groups by topic. */
  lags(): GroupLag[] {
    const lags = new Map<string, GroupLag>();
    for (const { namespace, group } of this.list()) {
      for (const [topic, , , , lag, lagMs] of this.offsets({ namespace, group })) {
        const key = entityKey(namespace, group, topic);
        const sum = lags.get(key) ?? { namespace, group, topic, lag: 0, lagMs: 0 };
        lags.set(key, { ...sum, lag: sum.lag + lag, lagMs: Math.max(sum.lagMs, lagMs ?? 0) });
      }
    }
    return [...lags.values()];
  }

  /** Committed offsets with lag, by topic and partition. Offsets of topics that are gone are left out. */
  offsets(name: GroupName): OffsetRow[] {
    const rows: OffsetRow[] = [];
    for (const committed of this.#parts.offsets.of(name.namespace, name.group).values()) {
      const topic = this.#topic(name, committed.topic);
      if (topic?.id !== committed.topicId) continue;
      const { highWatermark } = this.#parts.engine.partition(topic.id, committed.partition);
      const lag = Math.max(0, highWatermark - committed.offset);
      const lagMs = lag === 0 ? 0 : this.#ageMs(topic, committed);
      rows.push([committed.topic, committed.partition, committed.offset, committed.metadata, lag, lagMs]);
    }
    return rows.sort((a, b) => (a[0] === b[0] ? a[1] - b[1] : a[0] < b[0] ? -1 : 1));
  }

  /** Moves committed offsets. Only while the group is empty: a member would overwrite them with its next commit. */
  async reset(request: ResetRequest): Promise<{ offsets: [topic: string, partition: number, offset: number][] }> {
    const fault = nameFault(request.group);
    if (fault !== undefined) throw new MillraceError("invalid_argument", `group: ${fault}`);
    this.#requireEmpty(request, "reset");
    const topic = this.#parts.topics.require(request.namespace, request.topic);
    const partitions = request.partitions ?? Array.from({ length: topic.partitions }, (_, partition) => partition);
    const offsets = partitions.map((partition): CommittedOffset => {
      this.#parts.topics.checkPartition(topic, partition);
      const offset = this.#positionOf(topic, partition, request);
      return {
        topic: topic.name,
        topicId: topic.id,
        partition,
        offset,
        metadata: null,
        committedMs: this.#parts.engine.now(),
      };
    });
    await this.#parts.offsets.commit(request.namespace, request.group, offsets);
    return { offsets: offsets.map(({ topic: name, partition, offset }) => [name, partition, offset]) };
  }

  async delete(name: GroupName): Promise<void> {
    this.#requireEmpty(name, "delete");
    const offsets = [...this.#parts.offsets.of(name.namespace, name.group).values()];
    if (offsets.length === 0) throw groupNotFound(name);
    await this.#parts.offsets.remove(name.namespace, name.group, offsets);
  }

  /** Follows topics that come, grow and go. */
  onMetadata(event: TopicEvent): void {
    const { namespace, name: topic } = event.topic;
    for (const { name, state } of [...this.#groups.values()]) {
      if (name.namespace !== namespace || !state.subscribes(topic)) continue;
      this.#apply(name, state, { type: "topics", nowMs: this.#now() });
    }
    if (event.type !== "topic_deleted") return;
    for (const [ns, group] of this.#parts.offsets.groups()) {
      if (ns !== namespace) continue;
      const gone = [...this.#parts.offsets.of(ns, group).values()].filter(({ topicId }) => topicId === event.topic.id);
      // What cannot be removed now does no harm: the topic's id never comes back.
      void this.#parts.offsets.remove(ns, group, gone).catch(() => undefined);
    }
  }

  #tick(): void {
    const nowMs = this.#now();
    for (const [key, { name, state }] of [...this.#groups]) {
      // Nobody is expelled whose commit is under way.
      if (this.#gates.get(key)?.isHeld !== true) this.#apply(name, state, { type: "tick", nowMs });
    }
  }

  #apply(name: GroupName, state: GroupState, command: Parameters<GroupState["apply"]>[0]): void {
    for (const event of state.apply(command)) this.#send(name, event);
    if (state.members.size === 0) this.#groups.delete(entityKey(name.namespace, name.group));
  }

  #send(name: GroupName, event: GroupEvent): void {
    const { worker, session, sub } = event.address;
    const { member } = event;
    const out: MemberEvent =
      event.type === "expelled"
        ? { type: "expelled", session, sub, member, error: event.error, reason: event.reason }
        : {
            type: "assignment",
            session,
            sub,
            member,
            generation: event.generation,
            added: event.added.map((key) => this.#given(name, key)),
            revoked: event.revoked.map(splitPartitionKey),
          };
    this.#parts.mailroom.notify(worker, EVENT_NOTICE, out);
  }

  #given(name: GroupName, key: string): Given {
    const [topic, partition] = splitPartitionKey(key);
    const committed = this.#parts.offsets.of(name.namespace, name.group).get(key);
    if (committed === undefined || committed.topicId !== this.#topic(name, topic)?.id)
      return [topic, partition, null, null];
    return [topic, partition, committed.offset, committed.metadata];
  }

  #checkedOffset(name: GroupName, row: CommitRequest["offsets"][number]): CommittedOffset {
    const [topicName, partition, offset, metadata] = row;
    const topic = this.#parts.topics.require(name.namespace, topicName);
    this.#parts.topics.checkPartition(topic, partition);
    const { nextOffset } = this.#parts.engine.partition(topic.id, partition);
    if (offset > nextOffset) {
      throw new MillraceError(
        "offset_out_of_range",
        `offset ${offset} of ${topicName}/${partition} was never written: the next one is ${nextOffset}`,
      );
    }
    return { topic: topicName, topicId: topic.id, partition, offset, metadata, committedMs: this.#parts.engine.now() };
  }

  #positionOf(topic: Topic, partition: number, request: ResetRequest): number {
    const { startOffset, highWatermark } = this.#parts.engine.partition(topic.id, partition);
    const { to } = request;
    if (to === "earliest") return startOffset;
    if (to === "latest") return highWatermark;
    if ("timestamp" in to) return this.#parts.engine.offsetAt(topic.id, partition, to.timestamp);
    if (to.offset >= startOffset && to.offset <= highWatermark) return to.offset;
    throw new MillraceError(
      "offset_out_of_range",
      `${topic.name}/${partition} holds offsets ${startOffset} to ${highWatermark}, not ${to.offset}`,
    );
  }

  #ageMs(topic: Topic, committed: CommittedOffset): number | null {
    const { startOffset } = this.#parts.engine.partition(topic.id, committed.partition);
    const first = Math.max(committed.offset, startOffset);
    const timestampMs = this.#parts.engine.timestampAt(topic.id, committed.partition, first);
    return timestampMs < 0 ? null : Math.max(0, this.#parts.engine.now() - timestampMs);
  }

  #topic(name: GroupName, topic: string): Topic | undefined {
    return this.#parts.topics.find(name.namespace, topic);
  }

  #state(name: GroupName): GroupState | undefined {
    return this.#groups.get(entityKey(name.namespace, name.group))?.state;
  }

  #requireMember(name: GroupName, member: string): GroupState {
    const state = this.#state(name);
    if (state?.members.has(member) !== true) throw commitFault("member_unknown");
    return state;
  }

  #requireEmpty(name: GroupName, what: string): void {
    const members = this.#state(name)?.members.size ?? 0;
    if (members === 0) return;
    throw new MillraceError(
      "group_not_empty",
      `the group "${name.group}" has ${members} members; ${what} it when they are gone`,
    );
  }

  #checkRoom(request: JoinRequest, state: GroupState | undefined): void {
    const { groupsMax, membersPerGroupMax } = this.#parts.limits;
    if (state === undefined && this.#groups.size >= groupsMax) {
      throw new MillraceError("limit_exceeded", `the broker has its ${groupsMax} groups (groupsMax)`);
    }
    if (state === undefined || state.members.size < membersPerGroupMax) return;
    const back =
      request.instance === null ? state.members.has(request.member ?? "") : state.memberOfInstance(request.instance);
    if (!back) {
      throw new MillraceError("limit_exceeded", `the group has its ${membersPerGroupMax} members (membersPerGroupMax)`);
    }
  }

  #now(): number {
    return this.#parts.monotonicMs();
  }
}

function phaseOf(state: GroupState | undefined): GroupPhase {
  if (state === undefined || state.members.size === 0) return "empty";
  return state.rebalancing ? "rebalancing" : "stable";
}

function commitFault(fault: CommitFault): MillraceError {
  return new MillraceError(fault, COMMIT_FAULTS[fault]);
}

function groupNotFound(name: GroupName): MillraceError {
  return new MillraceError("group_not_found", `there is no group "${name.group}"`);
}
