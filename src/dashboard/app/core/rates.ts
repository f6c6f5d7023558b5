/** Turns counters that are asked for again and again into rates over time, for charts. */
import { useEffect, useRef, useState } from "preact/hooks";

export interface Series<Name extends string> {
  /** Seconds since 1970. */
  readonly times: readonly number[];
  readonly values: Readonly<Record<Name, readonly (number | null)[]>>;
}

/** Three minutes of one sample a second. */
export const SAMPLES_MAX = 180;

/**
 * @param answer that the counters are of: each new one is a sample.
 * @param counters that only grow; one that shrinks belongs to a broker that has started anew, and makes a gap.
 */
export function useRates<Name extends string>(answer: unknown, counters: Readonly<Record<Name, number>>): Series<Name> {
  const before = useRef<{ atMs: number; counters: Readonly<Record<Name, number>> }>(undefined);
  const [series, setSeries] = useState<Series<Name>>(() => emptySeries(Object.keys(counters) as Name[]));
  useEffect(() => {
    const atMs = performance.now();
    const last = before.current;
    before.current = { atMs, counters };
    if (last === undefined || atMs <= last.atMs) return;
    const seconds = (atMs - last.atMs) / 1000;
    const rate = (name: Name): number | null => {
      const grown = counters[name] - last.counters[name];
      return grown < 0 ? null : grown / seconds;
    };
    setSeries((shown) => grow(shown, rate));
  }, [answer]);
  return series;
}

export function emptySeries<Name extends string>(names: readonly Name[]): Series<Name> {
  return {
    times: [],
    values: Object.fromEntries(names.map((name) => [name, []])) as unknown as Series<Name>["values"],
  };
}

/** With one more sample, without the oldest where there are too many. */
export function grow<Name extends string>(
  { times, values }: Series<Name>,
  sample: (name: Name) => number | null,
  atMs = Date.now(),
): Series<Name> {
  const keep = <T>(list: readonly T[], item: T): T[] => [...list, item].slice(-SAMPLES_MAX);
  const grown = (Object.keys(values) as Name[]).map((name) => [name, keep(values[name], sample(name))]);
  return { times: keep(times, atMs / 1000), values: Object.fromEntries(grown) as Series<Name>["values"] };
}
