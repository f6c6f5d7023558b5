/** The hot functions of the core take no more instructions than they did: bench/core/instructions.json has the record. */
import { describe, expect, test } from "bun:test";
import {
  countOf,
  faultOf,
  type Recorded,
  readRecord,
  toolVersions,
  worksToCount,
} from "../../bench/core/instructions.ts";

const WORK_MS_MAX = 60_000;

const recorded: Recorded | undefined = (await readRecord())[process.arch];

describe.skipIf(recorded === undefined)(`instructions on ${process.arch}`, async () => {
  if (recorded === undefined) {
    test("are not recorded", () => undefined);
    return;
  }
  const { binary, works } = await worksToCount();
  const now = await toolVersions();

  test("the record and the bench binary name the same functions", () => {
    expect(Object.keys(recorded.counts).sort()).toEqual(works.map(({ name, item }) => `${name}/${item}`).sort());
  });

  for (const work of works) {
    const name = `${work.name}/${work.item}`;
    test(
      name,
      async () => {
        const fault = faultOf(name, await countOf(binary, work), recorded, now);
        if (fault !== undefined) throw new Error(fault);
      },
      WORK_MS_MAX,
    );
  }
});
