/**
 * The state of one consumer group as a pure machine: commands go in as plain data, time with them, and events come out.
 * The same commands give the same state, so it can be tested against a model and, later, replicated.
 *
 * Invariants (test/broker/group-state.test.ts):
 * - a partition has at most one owner at any time; it is given only after its owner released it, left or was expelled;
 * - when no revocation is pending, every partition of a subscribed topic has an owner;
 * - a change of members moves only the partitions that a balanced assignment needs to move.
 */
import { assign, type PartitionKey, partitionKey, splitPartitionKey } from "./assignor.ts";

/** Where a member's events go: a subscription of a session on a worker. */
export interface MemberAddress {
  readonly worker: number;
  /** Serial number of the session on its worker; unlike a connection id it is never used again. */
  readonly session: number;
  readonly sub: number;
}

export type GroupCommand =
  | {
      readonly type: "join";
      readonly nowMs: number;
      /** The member's id: its own from before, or a fresh one. */
      readonly member: string;
      readonly instance: string | null;
      readonly topics: readonly string[];
      readonly sessionTimeoutMs: number;
      readonly client: string;
      readonly address: MemberAddress;
    }
  | { readonly type: "heartbeat"; readonly nowMs: number; readonly member: string }
  | {
      readonly type: "release";
      readonly nowMs: number;
      readonly member: string;
      readonly partitions: readonly PartitionKey[];
    }
  /** `forGood` false: the member said goodbye, which a static member survives until its session times out. */
  | { readonly type: "leave"; readonly nowMs: number; readonly member: string; readonly forGood: boolean }
  /** The connection broke; the member may come back until its session times out. */
  | { readonly type: "detach"; readonly nowMs: number; readonly member: string; readonly address: MemberAddress }
  | { readonly type: "topics"; readonly nowMs: number }
  | { readonly type: "tick"; readonly nowMs: number };

export type GroupEvent =
  | {
      readonly type: "assignment";
      readonly member: string;
      readonly address: MemberAddress;
      readonly generation: number;
      readonly added: PartitionKey[];
      readonly revoked: PartitionKey[];
    }
  | {
      readonly type: "expelled";
      readonly member: string;
      readonly address: MemberAddress;
      readonly error: "member_unknown" | "fenced_instance";
      readonly reason: string;
    };

export interface GroupMember {
  id: string;
  readonly instance: string | null;
  topics: readonly string[];
  sessionTimeoutMs: number;
  client: string;
  /** null while no connection stands behind the member. */
  address: MemberAddress | null;
  deadlineMs: number;
  /** When revoked partitions must be released; Infinity when none are. */
  releaseDeadlineMs: number;
}

interface Ownership {
  owner: string | null;
  /** Generation that gave the partition to its owner: older commits are stale. */
  givenAt: number;
  revoking: boolean;
  target: string | null;
}

export type CommitFault = "member_unknown" | "generation_stale" | "group_not_empty";

/** A member has this many session timeouts to finish, commit and release what was revoked. */
const RELEASE_TIMEOUTS = 3;

export class GroupState {
  generation: number;
  readonly members = new Map<string, GroupMember>();
  readonly #partitions = new Map<PartitionKey, Ownership>();
  readonly #partitionCount: (topic: string) => number;
  #events: GroupEvent[] = [];
  /** No member's deadline lies before this. */
  #nextDeadlineMs = Infinity;

  /** @param partitionCount how many partitions a topic has now; 0 when it does not exist. */
  constructor(partitionCount: (topic: string) => number, firstGeneration = 0) {
    this.#partitionCount = partitionCount;
    this.generation = firstGeneration;
  }

  /** Carries out one command and returns what members must hear. Commands about unknown members change nothing. */
  apply(command: GroupCommand): GroupEvent[] {
    this.#events = [];
    switch (command.type) {
      case "join":
        this.#join(command);
        break;
      case "heartbeat":
        this.#extend(command.member, command.nowMs);
        break;
      case "release":
        this.#release(command.member, command.partitions, command.nowMs);
        break;
      case "leave":
        this.#leave(command.member, command.forGood, command.nowMs);
        break;
      case "detach":
        this.#detach(command.member, command.address);
        break;
      case "topics":
        this.#rebalance(command.nowMs);
        break;
      case "tick":
        this.#tick(command.nowMs);
        break;
    }
    const events = this.#events;
    this.#events = [];
    return events;
  }

  get rebalancing(): boolean {
    for (const state of this.#partitions.values()) {
      if (state.owner !== state.target) return true;
    }
    return false;
  }

  subscribes(topic: string): boolean {
    for (const member of this.members.values()) {
      if (member.topics.includes(topic)) return true;
    }
    return false;
  }

  ownerOf(key: PartitionKey): string | null {
    return this.#partitions.get(key)?.owner ?? null;
  }

  /** Partitions that a member owns, also those it must still release. */
  ownedBy(member: string): PartitionKey[] {
    const owned: PartitionKey[] = [];
    for (const [key, state] of this.#partitions) {
      if (state.owner === member) owned.push(key);
    }
    return owned;
  }

  memberOfInstance(instance: string): GroupMember | undefined {
    for (const member of this.members.values()) {
      if (member.instance === instance) return member;
    }
    return undefined;
  }

  /** Why a commit must be refused, or undefined. Without a member it is only allowed while the group has none. */
  commitFault(
    member: string | null,
    generation: number | null,
    keys: readonly PartitionKey[],
  ): CommitFault | undefined {
    if (member === null) return this.members.size === 0 ? undefined : "group_not_empty";
    if (!this.members.has(member)) return "member_unknown";
    if (generation !== null && generation > this.generation) return "generation_stale";
    for (const key of keys) {
      const state = this.#partitions.get(key);
      if (state?.owner !== member) return "generation_stale";
      if (generation !== null && generation < state.givenAt) return "generation_stale";
    }
    return undefined;
  }

  #join(command: Extract<GroupCommand, { type: "join" }>): void {
    const known =
      command.instance === null ? this.members.get(command.member) : this.memberOfInstance(command.instance);
    if (known === undefined) {
      this.members.set(command.member, {
        id: command.member,
        instance: command.instance,
        topics: command.topics,
        sessionTimeoutMs: command.sessionTimeoutMs,
        client: command.client,
        address: command.address,
        deadlineMs: 0,
        releaseDeadlineMs: Infinity,
      });
      this.#extend(command.member, command.nowMs);
      this.#rebalance(command.nowMs);
      return;
    }
    this.#rejoin(known, command);
  }

  /** A member that comes back starts from its commits on a fresh subscription: nothing of its old one is in use any more. */
  #rejoin(member: GroupMember, command: Extract<GroupCommand, { type: "join" }>): void {
    this.#expel(member, "fenced_instance", "another subscription took this member's place");
    const previous = member.id;
    this.members.delete(previous);
    member.id = command.member;
    member.topics = command.topics;
    member.sessionTimeoutMs = command.sessionTimeoutMs;
    member.client = command.client;
    member.address = command.address;
    member.releaseDeadlineMs = Infinity;
    this.members.set(member.id, member);
    this.#extend(member.id, command.nowMs);
    for (const state of this.#partitions.values()) {
      if (state.target === previous) state.target = member.id;
      if (state.owner !== previous) continue;
      state.owner = null;
      // What was being revoked goes to its new owner; the rest comes back to this member, sticky by its target.
      state.revoking = false;
    }
    this.#rebalance(command.nowMs);
  }

  #release(id: string, keys: readonly PartitionKey[], nowMs: number): void {
    const member = this.members.get(id);
    if (member === undefined) return;
    this.#extend(id, nowMs);
    let released = false;
    for (const key of keys) {
      const state = this.#partitions.get(key);
      if (state === undefined || state.owner !== id || !state.revoking) continue;
      state.owner = null;
      state.revoking = false;
      released = true;
    }
    if (!released) return;
    if (!this.#hasRevocations(id)) member.releaseDeadlineMs = Infinity;
    this.#settle(nowMs);
  }

  #leave(id: string, forGood: boolean, nowMs: number): void {
    const member = this.members.get(id);
    if (member === undefined) return;
    if (member.instance !== null && !forGood) {
      member.address = null;
      return;
    }
    this.#remove(member);
    this.#rebalance(nowMs);
  }

  #detach(id: string, address: MemberAddress): void {
    const member = this.members.get(id);
    if (member?.address == null || !sameAddress(member.address, address)) return;
    member.address = null;
  }

  #tick(nowMs: number): void {
    if (nowMs < this.#nextDeadlineMs) return;
    this.#nextDeadlineMs = Infinity;
    let removed = false;
    for (const member of [...this.members.values()]) {
      if (member.deadlineMs <= nowMs) {
        this.#expel(member, "member_unknown", `no heartbeat for ${member.sessionTimeoutMs} ms`);
      } else if (member.releaseDeadlineMs <= nowMs) {
        this.#expel(member, "member_unknown", "revoked partitions were not released in time");
      } else {
        this.#noteDeadline(member);
        continue;
      }
      this.#remove(member);
      removed = true;
    }
    if (removed) this.#rebalance(nowMs);
  }

  #remove(member: GroupMember): void {
    this.members.delete(member.id);
    for (const state of this.#partitions.values()) {
      if (state.owner !== member.id) continue;
      state.owner = null;
      state.revoking = false;
    }
  }

  #expel(member: GroupMember, error: "member_unknown" | "fenced_instance", reason: string): void {
    if (member.address === null) return;
    this.#events.push({ type: "expelled", member: member.id, address: member.address, error, reason });
    member.address = null;
  }

  #extend(id: string, nowMs: number): void {
    const member = this.members.get(id);
    if (member === undefined) return;
    member.deadlineMs = nowMs + member.sessionTimeoutMs;
    this.#noteDeadline(member);
  }

  #noteDeadline(member: GroupMember): void {
    this.#nextDeadlineMs = Math.min(this.#nextDeadlineMs, member.deadlineMs, member.releaseDeadlineMs);
  }

  #hasRevocations(id: string): boolean {
    for (const state of this.#partitions.values()) {
      if (state.owner === id && state.revoking) return true;
    }
    return false;
  }

  /** A new generation: decides who should own what, then gives and revokes as far as it can now. */
  #rebalance(nowMs: number): void {
    this.generation += 1;
    const counts = this.#subscribedPartitions();
    this.#dropMissing();
    const current = new Map<PartitionKey, string>();
    for (const [key, state] of this.#partitions) {
      // A partition that is on its way keeps its way, else every join would turn round what the last one began.
      const keeper = state.revoking || state.owner === null ? state.target : state.owner;
      if (keeper !== null) current.set(key, keeper);
    }
    const targets = assign({ members: [...this.members.values()], partitions: counts, current });
    for (const [topic, count] of counts) {
      for (let partition = 0; partition < count; partition += 1) {
        const key = partitionKey(topic, partition);
        if (!this.#partitions.has(key)) {
          this.#partitions.set(key, { owner: null, givenAt: 0, revoking: false, target: null });
        }
      }
    }
    for (const [key, state] of this.#partitions) state.target = targets.get(key) ?? null;
    this.#settle(nowMs);
  }

  /** Partitions of deleted topics: their sources have ended by themselves, so nobody has to release them. */
  #dropMissing(): void {
    for (const key of this.#partitions.keys()) {
      const [topic, partition] = splitPartitionKey(key);
      if (partition >= this.#partitionCount(topic)) this.#partitions.delete(key);
    }
  }

  #subscribedPartitions(): Map<string, number> {
    const counts = new Map<string, number>();
    for (const member of this.members.values()) {
      for (const topic of member.topics) {
        if (!counts.has(topic)) counts.set(topic, this.#partitionCount(topic));
      }
    }
    return counts;
  }

  /** Gives what is free and revokes what is held by the wrong member. */
  #settle(nowMs: number): void {
    const added = new Map<string, PartitionKey[]>();
    const revoked = new Map<string, PartitionKey[]>();
    for (const [key, state] of this.#partitions) {
      if (state.owner === null && state.target !== null) {
        state.owner = state.target;
        state.givenAt = this.generation;
        push(added, state.target, key);
      } else if (state.owner === null) {
        // Nobody subscribes to it any more.
        this.#partitions.delete(key);
      } else if (state.owner !== null && state.owner !== state.target && !state.revoking) {
        state.revoking = true;
        push(revoked, state.owner, key);
      }
    }
    for (const member of this.members.values()) {
      const gained = added.get(member.id) ?? [];
      const lost = revoked.get(member.id) ?? [];
      if (gained.length === 0 && lost.length === 0) continue;
      if (lost.length > 0) {
        const deadline = nowMs + RELEASE_TIMEOUTS * member.sessionTimeoutMs;
        member.releaseDeadlineMs = Math.min(member.releaseDeadlineMs, deadline);
        this.#noteDeadline(member);
      }
      if (member.address === null) continue;
      this.#events.push({
        type: "assignment",
        member: member.id,
        address: member.address,
        generation: this.generation,
        added: gained,
        revoked: lost,
      });
    }
  }
}

function sameAddress(a: MemberAddress, b: MemberAddress): boolean {
  return a.worker === b.worker && a.session === b.session && a.sub === b.sub;
}

function push(map: Map<string, PartitionKey[]>, id: string, key: PartitionKey): void {
  const list = map.get(id);
  if (list === undefined) map.set(id, [key]);
  else list.push(key);
}
