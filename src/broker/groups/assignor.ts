/**
 * Server-side assignment of partitions to the members of a group: sticky, balanced, and a pure function.
 *
 * 1. A member keeps what it holds, as long as it still subscribes to the topic.
 * 2. What nobody holds goes to the eligible member with the least load.
 * 3. While some partition can move from a member to one with at least two partitions less, it moves.
 *
 * Each move of step 3 lowers the sum of squared loads, so it ends; and with equal subscriptions every move is one that a
 * balanced result needs, so no partition moves that could have stayed. With unequal subscriptions the result is balanced
 * pairwise: no single move improves it.
 */

/** One partition of one topic, as "topic partition" (names hold no space). */
export type PartitionKey = string;

export interface AssignorMember {
  readonly id: string;
  readonly topics: readonly string[];
}

export interface AssignorInput {
  readonly members: readonly AssignorMember[];
  /** Partition counts of the topics that exist. */
  readonly partitions: ReadonlyMap<string, number>;
  /** Who should keep which partition if it can. */
  readonly current: ReadonlyMap<PartitionKey, string>;
}

export function partitionKey(topic: string, partition: number): PartitionKey {
  return `${topic} ${partition}`;
}

export function splitPartitionKey(key: PartitionKey): [topic: string, partition: number] {
  const space = key.lastIndexOf(" ");
  return [key.slice(0, space), Number(key.slice(space + 1))];
}

interface Load {
  readonly id: string;
  readonly topics: ReadonlySet<string>;
  /** Held partitions by topic, so that a move finds one without a search over all. */
  readonly held: Map<string, PartitionKey[]>;
  count: number;
}

/** The owner that every partition should have. Partitions without an eligible member are absent. */
export function assign(input: AssignorInput): Map<PartitionKey, string> {
  const loads = input.members
    .map((member) => ({
      id: member.id,
      topics: new Set(member.topics),
      held: new Map<string, PartitionKey[]>(),
      count: 0,
    }))
    .sort((a, b) => (a.id < b.id ? -1 : 1));
  const byId = new Map<string, Load>(loads.map((load) => [load.id, load]));
  const eligible = eligibleByTopic(loads);
  const free = keepHeld(input, byId);
  for (const [topic, key] of free) {
    const lightest = leastLoaded(eligible.get(topic) ?? []);
    if (lightest !== undefined) hold(lightest, topic, key);
  }
  balance(loads, eligible);
  const owners = new Map<PartitionKey, string>();
  for (const load of loads) {
    for (const keys of load.held.values()) {
      for (const key of keys) owners.set(key, load.id);
    }
  }
  return owners;
}

function eligibleByTopic(loads: Load[]): Map<string, Load[]> {
  const eligible = new Map<string, Load[]>();
  for (const load of loads) {
    for (const topic of load.topics) {
      const list = eligible.get(topic);
      if (list === undefined) eligible.set(topic, [load]);
      else list.push(load);
    }
  }
  return eligible;
}

/** Step 1. Returns the partitions that nobody holds, in a fixed order. */
function keepHeld(input: AssignorInput, byId: Map<string, Load>): [topic: string, key: PartitionKey][] {
  const free: [string, PartitionKey][] = [];
  const topics = [...input.partitions.keys()].sort();
  for (const topic of topics) {
    const count = input.partitions.get(topic) ?? 0;
    for (let partition = 0; partition < count; partition += 1) {
      const key = partitionKey(topic, partition);
      const holder = byId.get(input.current.get(key) ?? "");
      if (holder?.topics.has(topic)) hold(holder, topic, key);
      else free.push([topic, key]);
    }
  }
  return free;
}

/**
 * Step 3: one partition at a time from the heaviest member that can give. Draining one member before the next would move
 * more than needed: loads 6, 5, 0 become 4, 4, 3 in three moves only if the two heavy ones take turns.
 */
function balance(loads: Load[], eligible: Map<string, Load[]>): void {
  let moved = true;
  while (moved) {
    moved = false;
    const stuck = new Set<Load>();
    while (stuck.size < loads.length) {
      const heaviest = heaviestOf(loads, stuck);
      if (heaviest === undefined) break;
      if (moveOne(heaviest, eligible)) moved = true;
      else stuck.add(heaviest);
    }
  }
}

function heaviestOf(loads: Load[], except: Set<Load>): Load | undefined {
  let heaviest: Load | undefined;
  for (const load of loads) {
    if (except.has(load)) continue;
    if (heaviest === undefined || load.count > heaviest.count) heaviest = load;
  }
  return heaviest;
}

function moveOne(from: Load, eligible: Map<string, Load[]>): boolean {
  let bestTopic: string | undefined;
  let best: Load | undefined;
  for (const [topic, keys] of from.held) {
    if (keys.length === 0) continue;
    const candidate = leastLoaded(eligible.get(topic) ?? []);
    if (candidate === undefined || candidate.count + 1 >= from.count) continue;
    if (best === undefined || candidate.count < best.count) {
      best = candidate;
      bestTopic = topic;
    }
  }
  if (best === undefined || bestTopic === undefined) return false;
  const key = from.held.get(bestTopic)?.pop();
  if (key === undefined) return false;
  from.count -= 1;
  hold(best, bestTopic, key);
  return true;
}

function hold(load: Load, topic: string, key: PartitionKey): void {
  const keys = load.held.get(topic);
  if (keys === undefined) load.held.set(topic, [key]);
  else keys.push(key);
  load.count += 1;
}

function leastLoaded(loads: readonly Load[]): Load | undefined {
  let lightest: Load | undefined;
  for (const load of loads) {
    if (lightest === undefined || load.count < lightest.count) lightest = load;
  }
  return lightest;
}
