import { encodeSettle, Outcome, SETTLE_RANGES_MAX } from "../protocol/index.ts";

/** What a consumer says of its messages, gathered over a turn of the loop: ranges of tags by what happens to them. */

type Argument = number | string | Uint8Array | null;

interface Group {
  outcome: number;
  argument: Argument;
  /** `[first tag, count, ...]`. */
  ranges: number[];
}

export class Settler {
  private readonly subscription: number;
  /** Acks by themselves: they are nearly all there is. */
  private acks: number[] = [];
  private readonly others = new Map<string, Group>();

  constructor(subscription: number) {
    this.subscription = subscription;
  }

  get isEmpty(): boolean {
    return this.acks.length === 0 && this.others.size === 0;
  }

  add(outcome: number, argument: Argument, first: number, count: number): void {
    if (outcome === Outcome.ACK) {
      addRange(this.acks, first, count);
      return;
    }
    // The state of a session is one message's own.
    const key = outcome === Outcome.ACK_STATE ? `${outcome} ${first}` : `${outcome} ${typeof argument} ${argument}`;
    const group = this.others.get(key) ?? { outcome, argument, ranges: [] };
    this.others.set(key, group);
    addRange(group.ranges, first, count);
  }

  /** The frames for what was gathered; with a correlation id the last one carries it, and there is at least one. */
  take(correlation: number | null): Uint8Array[] {
    const others = [...this.others.values()];
    const isRenewal = ({ outcome }: Group): boolean => outcome === Outcome.RENEW;
    const settled: Group[] = others.filter((group) => !isRenewal(group));
    // Renewals are never what carries the correlation id: one that came too late says nothing of what was settled.
    const groups = [...others.filter(isRenewal), ...settled];
    if (this.acks.length > 0 || (correlation !== null && settled.length === 0)) {
      groups.push({ outcome: Outcome.ACK, argument: null, ranges: this.acks });
    }
    this.acks = [];
    this.others.clear();
    const parts = groups.flatMap(split);
    return parts.map((group, index) => {
      const isLast = index === parts.length - 1;
      return encodeSettle({ subscription: this.subscription, correlation: isLast ? correlation : null, ...group });
    });
  }
}

function addRange(ranges: number[], first: number, count: number): void {
  const last = ranges.length - 1;
  if (last > 0 && (ranges[last - 1] as number) + (ranges[last] as number) === first) {
    ranges[last] = (ranges[last] as number) + count;
  } else {
    ranges.push(first, count);
  }
}

/** Groups that fit into a frame each, their ranges in order and joined where they touch. */
function split({ ranges, ...rest }: Group): Group[] {
  const joined = ranges.length > 2 ? join(ranges) : ranges;
  const groups: Group[] = [];
  for (let at = 0; at === 0 || at < joined.length; at += 2 * SETTLE_RANGES_MAX) {
    groups.push({ ...rest, ranges: joined.slice(at, at + 2 * SETTLE_RANGES_MAX) });
  }
  return groups;
}

/** Handlers that run side by side settle out of order; most of their tags are neighbours all the same. */
function join(ranges: readonly number[]): number[] {
  const starts: number[] = [];
  for (let index = 0; index < ranges.length; index += 2) starts.push(index);
  starts.sort((a, b) => (ranges[a] as number) - (ranges[b] as number));
  const joined: number[] = [];
  for (const index of starts) addRange(joined, ranges[index] as number, ranges[index + 1] as number);
  return joined;
}
