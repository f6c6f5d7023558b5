import { expect, test } from "bun:test";
import fc from "fast-check";
import { bucketStartUs, Latencies, STAGES, stagesOf } from "../../src/metrics/index.ts";

/** As the core finds the bucket of a duration (core/stdx/histogram.rs). */
function bucketOf(us: number): number {
  let bucket = 0;
  while (bucketStartUs(bucket + 1) <= us) bucket += 1;
  return bucket;
}

function counted(durationsUs: readonly number[], stage = "append") {
  const counts = durationsUs.flatMap((us) => [bucketOf(us), 1]);
  const sumUs = durationsUs.reduce((sum, us) => sum + us, 0);
  return { stage, counts, sumUs, maxUs: Math.max(0, ...durationsUs) };
}

test("percentiles are never less than what was measured, and at most a thirtieth more", () => {
  fc.assert(
    fc.property(
      fc.array(fc.integer({ min: 0, max: 3_000_000 }), { minLength: 1, maxLength: 60 }),
      fc.double({ min: 0.01, max: 1, noNaN: true }),
      (durationsUs, share) => {
        const sorted = [...durationsUs].sort((a, b) => a - b);
        const exactUs = sorted[Math.ceil(sorted.length * share) - 1] ?? 0;
        const toldUs = Latencies.of([counted(durationsUs)]).percentileMs(share) * 1000;
        expect(toldUs).toBeGreaterThanOrEqual(exactUs);
        expect(toldUs).toBeLessThanOrEqual(exactUs * (1 + 1 / 30) + 1.001);
      },
    ),
    { numRuns: 200 },
  );
});

test("counts below a bound that begins a bucket are exact", () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 0, max: 10_000 }), { maxLength: 40 }), (durationsUs) => {
      const bounds = [25, 50, 100, 200, 400, 3_200, 6_400];
      const expected = bounds.map((boundUs) => durationsUs.filter((us) => us < boundUs).length);
      expect(Latencies.of([counted(durationsUs)]).below(bounds)).toEqual(expected);
    }),
    { numRuns: 200 },
  );
});

test("what came since an earlier look is what was noted in between, from all workers", () => {
  const before = Latencies.of([counted([100, 5_000]), counted([30])]);
  const now = Latencies.of([counted([100, 5_000, 200, 200]), counted([30, 40])]);
  expect(now.since(before).summary()).toMatchObject({ count: 3, p50Ms: 0.204 });
  expect(now.since(before).sumUs).toBe(440);
  expect(now.since(now).summary()).toEqual({ count: 0, p50Ms: 0, p90Ms: 0, p99Ms: 0, p999Ms: 0, maxMs: 0 });
});

test("stages that nobody has noted are there, and empty", () => {
  const stages = stagesOf([counted([10]), counted([20], "send"), counted([30], "send")]);
  expect(Object.keys(stages)).toEqual([...STAGES]);
  expect([stages.append.count, stages.send.count, stages.total.count]).toEqual([1, 2, 0]);
});
