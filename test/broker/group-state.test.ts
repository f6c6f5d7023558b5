import { expect, test } from "bun:test";
import fc from "fast-check";
import { assign, type PartitionKey, partitionKey } from "../../src/broker/groups/assignor.ts";
import {
  type GroupCommand,
  type GroupEvent,
  GroupState,
  type MemberAddress,
} from "../../src/broker/groups/group-state.ts";

const TIMEOUT_MS = 1000;

function address(session: number): MemberAddress {
  return { worker: 0, session, sub: 1 };
}

function join(
  member: string,
  nowMs: number,
  options: { topics?: string[]; instance?: string; session?: number } = {},
): GroupCommand {
  return {
    type: "join",
    nowMs,
    member,
    instance: options.instance ?? null,
    topics: options.topics ?? ["t"],
    sessionTimeoutMs: TIMEOUT_MS,
    client: "test",
    address: address(options.session ?? 1),
  };
}

/** What the members believe they hold, from the events alone: the view that must never overlap. */
class Members {
  readonly held = new Map<string, Set<PartitionKey>>();
  readonly toRelease = new Map<string, Set<PartitionKey>>();
  moved = 0;

  take(events: GroupEvent[]): void {
    for (const event of events) {
      if (event.type === "expelled") {
        this.drop(event.member);
        continue;
      }
      const held = this.held.get(event.member) ?? new Set();
      this.held.set(event.member, held);
      for (const key of event.revoked) {
        expect(held.has(key)).toBe(true);
        const release = this.toRelease.get(event.member) ?? new Set();
        release.add(key);
        this.toRelease.set(event.member, release);
      }
      for (const key of event.added) {
        for (const [other, keys] of this.held) {
          if (keys.has(key)) throw new Error(`${key} was given to ${event.member} while ${other} holds it`);
        }
        held.add(key);
        this.moved += 1;
      }
    }
  }

  drop(member: string): void {
    this.held.delete(member);
    this.toRelease.delete(member);
  }

  /** Releases what was revoked, for one member or all. */
  release(state: GroupState, nowMs: number, only?: string): void {
    for (const [member, keys] of [...this.toRelease]) {
      if (only !== undefined && only !== member) continue;
      this.toRelease.delete(member);
      for (const key of keys) this.held.get(member)?.delete(key);
      this.take(state.apply({ type: "release", nowMs, member, partitions: [...keys] }));
    }
  }

  settle(state: GroupState, nowMs: number): void {
    while (this.toRelease.size > 0) this.release(state, nowMs);
  }
}

const step = fc.record({
  kind: fc.constantFrom("join", "leave", "release", "detach", "rejoin", "expire", "grow", "topics"),
  member: fc.constantFrom("a", "b", "c", "d", "e"),
  topics: fc.subarray(["t", "u"], { minLength: 1 }),
});

function runStep(
  s: { kind: string; member: string; topics: string[] },
  state: GroupState,
  members: Members,
  counts: Map<string, number>,
  nowMs: number,
): void {
  const known = state.members.get(s.member);
  switch (s.kind) {
    case "join":
    case "rejoin":
      // A member that comes back starts with nothing, before it hears anything.
      members.drop(s.member);
      members.take(state.apply(join(s.member, nowMs, { topics: s.topics, session: nowMs })));
      break;
    case "leave":
      members.drop(s.member);
      members.take(state.apply({ type: "leave", nowMs, member: s.member, forGood: true }));
      break;
    case "release":
      members.release(state, nowMs, s.member);
      break;
    case "detach":
      if (known?.address != null) {
        members.drop(s.member);
        members.take(state.apply({ type: "detach", nowMs, member: s.member, address: known.address }));
      }
      break;
    case "expire":
      for (const id of [...state.members.keys()]) {
        if (id !== s.member) state.apply({ type: "heartbeat", nowMs: nowMs + TIMEOUT_MS, member: id });
      }
      members.take(state.apply({ type: "tick", nowMs: nowMs + TIMEOUT_MS }));
      break;
    default:
      counts.set(s.topics[0] ?? "t", (counts.get(s.topics[0] ?? "t") ?? 0) + 1);
      members.take(state.apply({ type: "topics", nowMs }));
  }
}

test("no partition ever has two holders, and when all is settled every partition has one", () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), fc.nat(12), fc.nat(5), (steps, t, u) => {
      const counts = new Map([
        ["t", t],
        ["u", u],
      ]);
      const state = new GroupState((topic) => counts.get(topic) ?? 0);
      const members = new Members();
      let nowMs = 0;
      for (const s of steps) {
        nowMs += 10;
        runStep(s, state, members, counts, nowMs);
      }
      // Everyone who lost the connection comes back; then all release what they must.
      for (const member of [...state.members.values()]) {
        if (member.address === null) {
          members.drop(member.id);
          members.take(state.apply(join(member.id, nowMs, { topics: [...member.topics], session: ++nowMs })));
        }
      }
      members.settle(state, nowMs);
      expect(state.rebalancing).toBe(false);
      for (const [topic, count] of counts) {
        for (let partition = 0; partition < count; partition += 1) {
          const key = partitionKey(topic, partition);
          const holders = [...members.held].filter(([, keys]) => keys.has(key));
          expect(holders.length).toBe(state.subscribes(topic) ? 1 : 0);
          expect(state.ownerOf(key)).toBe(holders[0]?.[0] ?? null);
        }
      }
    }),
    { numRuns: 400 },
  );
});

test("with equal subscriptions a change of members moves only what balance needs", () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 40 }), fc.array(fc.nat(7), { maxLength: 20 }), (partitions, changes) => {
      let current = new Map<PartitionKey, string>();
      const ids = new Set(["m0"]);
      for (const change of [0, ...changes]) {
        const id = `m${change + 1}`;
        if (ids.has(id) && ids.size > 1) ids.delete(id);
        else ids.add(id);
        const members = [...ids].map((member) => ({ id: member, topics: ["t"] }));
        const next = assign({ members, partitions: new Map([["t", partitions]]), current });
        expect(next.size).toBe(partitions);
        const before = loadsOf(current, ids);
        const after = loadsOf(next, ids);
        const loads = [...after.values()];
        expect(Math.max(...loads) - Math.min(...loads)).toBeLessThanOrEqual(1);
        let kept = 0;
        for (const [key, owner] of current) if (next.get(key) === owner) kept += 1;
        expect(kept).toBe(mostKept(before, partitions));
        current = next;
      }
    }),
    { numRuns: 300 },
  );
});

function loadsOf(owners: Map<PartitionKey, string>, ids: Set<string>): Map<string, number> {
  const loads = new Map([...ids].map((id) => [id, 0]));
  for (const owner of owners.values()) {
    if (loads.has(owner)) loads.set(owner, (loads.get(owner) ?? 0) + 1);
  }
  return loads;
}

/** How many partitions can stay at best: quotas of floor and ceil, the ceils where the load is highest. */
function mostKept(before: Map<string, number>, partitions: number): number {
  const loads = [...before.values()].sort((a, b) => b - a);
  const floor = Math.floor(partitions / loads.length);
  const ceils = partitions % loads.length;
  return loads.reduce((sum, load, index) => sum + Math.min(load, index < ceils ? floor + 1 : floor), 0);
}

test("a third member gets its share from both others and nothing else moves", () => {
  const state = new GroupState(() => 8);
  const members = new Members();
  members.take(state.apply(join("a", 0)));
  members.take(state.apply(join("b", 0)));
  members.settle(state, 0);
  members.moved = 0;
  members.take(state.apply(join("c", 0)));
  expect(state.rebalancing).toBe(true);
  expect(members.held.get("c") ?? new Set()).toEqual(new Set());
  members.settle(state, 0);
  expect(members.moved).toBe(2);
  expect([...members.held.values()].map((keys) => keys.size).sort()).toEqual([2, 3, 3]);
});

test("a member without heartbeats is expelled after its session timeout and its partitions go on", () => {
  const state = new GroupState(() => 4);
  const members = new Members();
  members.take(state.apply(join("a", 0)));
  members.take(state.apply(join("b", 0)));
  members.settle(state, 0);
  state.apply({ type: "heartbeat", nowMs: TIMEOUT_MS - 1, member: "b" });
  expect(state.apply({ type: "tick", nowMs: TIMEOUT_MS - 1 })).toEqual([]);
  members.take(state.apply({ type: "tick", nowMs: TIMEOUT_MS }));
  expect([...state.members.keys()]).toEqual(["b"]);
  expect(members.held.get("b")?.size).toBe(4);
});

test("a static member that restarts keeps its partitions and fences its predecessor", () => {
  const state = new GroupState(() => 4);
  state.apply(join("a1", 0, { instance: "host-1" }));
  state.apply(join("b1", 0, { instance: "host-2", session: 2 }));
  state.apply({ type: "release", nowMs: 0, member: "a1", partitions: state.ownedBy("a1") });
  const owned = state.ownedBy("a1");
  state.apply({ type: "leave", nowMs: 1, member: "a1", forGood: false });
  expect(state.ownedBy("a1")).toEqual(owned);
  const events = state.apply(join("a2", 2, { instance: "host-1", session: 3 }));
  expect(events).toEqual([
    { type: "assignment", member: "a2", address: address(3), generation: state.generation, added: owned, revoked: [] },
  ]);
  const taken = state.apply(join("a3", 3, { instance: "host-1", session: 4 }));
  expect(taken[0]).toMatchObject({ type: "expelled", member: "a2", error: "fenced_instance" });
  expect(state.commitFault("a2", null, [])).toBe("member_unknown");
});

test("commits are fenced by ownership and generation", () => {
  const state = new GroupState(() => 2);
  state.apply(join("a", 0));
  const old = state.generation;
  expect(state.commitFault("a", old, ["t 0"])).toBeUndefined();
  state.apply(join("b", 0, { session: 2 }));
  const [lost] = state.ownedBy("a").filter((key) => state.rebalancing && key !== state.ownedBy("a")[0]);
  expect(lost).toBeDefined();
  state.apply({ type: "release", nowMs: 0, member: "a", partitions: ["t 0", "t 1"] });
  const kept = state.ownedBy("a");
  const given = state.ownedBy("b");
  expect(state.commitFault("a", old, kept)).toBeUndefined();
  expect(state.commitFault("a", old, given)).toBe("generation_stale");
  expect(state.commitFault("b", old, given)).toBe("generation_stale");
  expect(state.commitFault("b", state.generation, given)).toBeUndefined();
  expect(state.commitFault("x", null, [])).toBe("member_unknown");
  expect(state.commitFault(null, null, ["t 0"])).toBe("group_not_empty");
});

test("a member that never releases is expelled in the end", () => {
  const state = new GroupState(() => 2);
  const members = new Members();
  members.take(state.apply(join("a", 0)));
  members.take(state.apply(join("b", 0, { session: 2 })));
  for (let nowMs = 0; nowMs < 10 * TIMEOUT_MS; nowMs += TIMEOUT_MS / 2) {
    for (const member of ["a", "b"]) state.apply({ type: "heartbeat", nowMs, member });
    members.take(state.apply({ type: "tick", nowMs }));
  }
  expect([...state.members.keys()]).toEqual(["b"]);
  expect(members.held.get("b")?.size).toBe(2);
});
