/** Turns counters that are asked for again and again into rates over time, for charts. */
import { useEffect, useMemo, useRef, useState } from "preact/hooks";

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

type Counters = Readonly<Record<string, number>>;

/** Two answers that follow each other faster say little of a rate. */
const LIST_MS_MIN = 500;

interface Look {
  readonly atMs: number;
  readonly counters: ReadonlyMap<string, Counters>;
  readonly rates: ReadonlyMap<string, Counters>;
}

/**
 * Rates of each row of a list that is asked for again and again: since the answer before.
 *
 * @returns the rates of a row by its key; undefined until there are two answers.
 */
export function useRowRates<T>(
  rows: readonly T[] | undefined,
  keyOf: (row: T) => string,
  countersOf: (row: T) => Counters,
): (key: string) => Counters | undefined {
  const look = useRef<Look>({ atMs: 0, counters: new Map(), rates: new Map() });
  useMemo(() => {
    const atMs = performance.now();
    const before = look.current;
    if (rows === undefined || atMs - before.atMs < LIST_MS_MIN) return;
    const counters = new Map(rows.map((row) => [keyOf(row), countersOf(row)]));
    const seconds = (atMs - before.atMs) / 1000;
    const rates = [...counters].flatMap(([key, now]): [string, Counters][] => {
      const then = before.counters.get(key);
      return then === undefined ? [] : [[key, ratesBetween(then, now, seconds)]];
    });
    look.current = { atMs, counters, rates: new Map(rates) };
  }, [rows]);
  return (key) => look.current.rates.get(key);
}

/** Counters that shrink belong to a broker that has started anew: they count from 0. */
function ratesBetween(then: Counters, now: Counters, seconds: number): Counters {
  const rates = Object.entries(now).map(([name, count]) => [name, Math.max(0, count - (then[name] ?? 0)) / seconds]);
  return Object.fromEntries(rates);
}
