import { describe, expect, test } from "bun:test";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { executableOf } from "../../bench/core/cargo.ts";
import { codecWorks } from "../../bench/core/codecs.ts";
import { parseDivan } from "../../bench/core/divan.ts";
import { figuresOf, tableOf } from "../../bench/core/figures.ts";
import {
  faultOf,
  parseCallgrind,
  RECORD_COMMAND,
  readRecord,
  runsOf,
  writeRecord,
} from "../../bench/core/instructions.ts";
import { parseWorks } from "../../bench/core/works.ts";

/** As divan 0.1.21 prints it. */
const DIVAN = `Timer precision: 20 ns
micro                             fastest       │ slowest       │ median        │ mean          │ samples │ iters
╰─ core                                         │               │               │               │         │
   ├─ append-64k/batch            21.78 µs      │ 57.64 µs      │ 24.76 µs      │ 26.35 µs      │ 20      │ 20
   │                              3.005 GB/s    │ 1.135 GB/s    │ 2.643 GB/s    │ 2.484 GB/s    │         │
   │                              45.9 Kitem/s  │ 17.34 Kitem/s │ 40.37 Kitem/s │ 37.94 Kitem/s │         │
   ├─ catch-up/batch              34.03 µs      │ 1.172 ms      │ 34.41 µs      │ 91.99 µs      │ 20      │ 20
   ├─ scan-batches/batch          239.4 ns      │ 245.7 ns      │ 241.3 ns      │ 241.5 ns      │ 20      │ 320
   ╰─ zstd-decompress/record      1.2 s         │ 70.72 ps      │ 1 s           │ 43.74 µs      │ 20      │ 20
                                  1.597 GB/s    │ 924.7 MB/s    │ 1.584 GB/s    │ 1.494 GB/s    │         │
`;

describe("divan", () => {
  test("rows with times are read in nanoseconds, heads and rates are left out", () => {
    expect(parseDivan(DIVAN)).toEqual([
      { name: "append-64k/batch", fastestNs: 21_780, slowestNs: 57_640, medianNs: 24_760 },
      { name: "catch-up/batch", fastestNs: 34_030, slowestNs: 1_172_000, medianNs: 34_410 },
      { name: "scan-batches/batch", fastestNs: 239.4, slowestNs: 245.7, medianNs: 241.3 },
      { name: "zstd-decompress/record", fastestNs: 1.2e9, slowestNs: 0.07072, medianNs: 1e9 },
    ]);
  });

  test("a row in a unit that is not known is refused", () => {
    expect(() => parseDivan(DIVAN.replace("239.4 ns", "239.4 fortnights"))).toThrow("not a line of divan's");
  });
});

describe("bench binaries", () => {
  test("the executable of a bench is found among cargo's messages", () => {
    const lines = [
      '{"reason":"compiler-artifact","target":{"name":"millrace_core"},"executable":null}',
      '{"reason":"compiler-artifact","target":{"name":"micro"},"executable":"target/release/deps/micro-1"}',
      '{"reason":"build-finished","success":true}',
    ].join("\n");
    expect(executableOf(lines, "micro")).toBe("target/release/deps/micro-1");
    expect(executableOf(lines, "instructions")).toBeUndefined();
  });

  test("works are read from their lines, and anything else is refused", () => {
    expect(parseWorks("crc-64k/batch 1 65402\nmurmur2/call 1000 0\n")).toEqual([
      { name: "crc-64k", item: "batch", items: 1, bytes: 65_402 },
      { name: "murmur2", item: "call", items: 1_000, bytes: 0 },
    ]);
    expect(() => parseWorks("usage: instructions")).toThrow("not a line about a work");
  });
});

describe("instruction counts", () => {
  const tools = { rustc: "1.95.0", valgrind: "3.19.0" };
  const recorded = { ...tools, counts: { "murmur2/call": 100 } };

  test("callgrind's count is read, and its absence is an error", () => {
    expect(parseCallgrind("==7== Callgrind\n==7== Events    : Ir\n==7== Collected : 1530981\n==7==\n")).toBe(1_530_981);
    expect(() => parseCallgrind("==7== out of memory")).toThrow("printed no count");
  });

  test("small works are run often, large ones at least a few times", () => {
    expect(runsOf({ items: 1 })).toBe(2_000);
    expect(runsOf({ items: 617 })).toBe(8);
    expect(runsOf({ items: 100_000 })).toBe(8);
  });

  test("up to a tenth above the record passes, and less than the record does", () => {
    for (const count of [50, 100, 110]) expect(faultOf("murmur2/call", count, recorded, tools)).toBeUndefined();
  });

  test("more fails, and names function, count, record and the command that records anew", () => {
    const fault = faultOf("murmur2/call", 111, recorded, tools);
    for (const part of ["murmur2/call", "111", "11.0 %", "100", RECORD_COMMAND]) expect(fault).toContain(part);
    expect(fault).not.toContain("then");
  });

  test("other tools than those of the record are named", () => {
    const fault = faultOf("murmur2/call", 111, recorded, { ...tools, rustc: "1.99.0" });
    expect(fault).toContain("rustc 1.95.0 then, 1.99.0 now");
  });

  test("a function without a record fails", () => {
    expect(faultOf("new/call", 1, recorded, tools)).toContain("no record");
  });

  test("recording leaves what other architectures recorded", async () => {
    const folder = await mkdtemp(join(tmpdir(), "millrace-core-test-"));
    const path = join(folder, "instructions.json");
    try {
      expect(await readRecord(path)).toEqual({});
      await Bun.write(path, JSON.stringify({ other: recorded }));
      await writeRecord({ ...tools, counts: { a: 1 } }, path);
      expect(await readRecord(path)).toEqual({ other: recorded, [process.arch]: { ...tools, counts: { a: 1 } } });
    } finally {
      await rm(folder, { recursive: true });
    }
  });
});

describe("figures", () => {
  const work = { name: "record-walk", item: "record", items: 100, bytes: 10_000 };
  const figures = figuresOf("core", [
    [{ ...work, runNs: 1_000 }],
    [{ ...work, runNs: 3_000 }],
    [{ ...work, runNs: 2_000 }],
  ]);

  test("the rounds become the median per item, and bytes a rate", () => {
    expect(figures).toMatchObject([
      { name: "core_record_walk", value: 20, unit: "ns/record", spread: [10, 30], runs: [10, 30, 20] },
      { name: "core_record_walk_rate", value: 5, unit: "GB/s" },
    ]);
    expect(figuresOf("core", [[{ ...work, bytes: 0, runNs: 1 }]])).toHaveLength(1);
  });

  test("the table has a line a work, its rate beside it", () => {
    expect(tableOf("t", figures).rows).toEqual([["core_record_walk", "20.0 ns/record", "10.0–30.0", "5.00 GB/s"]]);
  });
});

test("every work of the codec runs, and its names are its own", () => {
  const works = codecWorks();
  expect(new Set(works.map(({ name }) => name)).size).toBe(works.length);
  for (const { items, run } of works) {
    expect(items).toBeGreaterThan(0);
    expect(run()).toBeGreaterThan(0);
  }
});
