import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { median } from "../lib/figure.ts";
import type { BrokerChild, Child } from "../lib/processes.ts";
import { ACKS_WRITTEN, BATCH_BYTES, RECORD_BYTES } from "../limits/sizes.ts";
import type { Stage } from "../limits/stage.ts";
import type { OperateMeasure } from "./house.ts";
import type { OpenRequest, SliceRequest, SliceResult } from "./programs/slices.ts";
import type { Sizes } from "./sizes.ts";

/** What permission checks leave of batched produce: by a user among a thousand rules, and by nobody where none are asked for. */

const MB = 1e6;
const PASSWORD = "of the bench";
/** About the user, and about others. */
const RULES = 1_000;

/** A broker with its load, ready to publish. */
interface Side {
  readonly broker: BrokerChild;
  readonly load: Child;
}

async function openSide(stage: Stage<Sizes>, isChecked: boolean): Promise<Side> {
  const load = await stage.program("slices");
  const secret = join(await stage.folder(), "password");
  await writeFile(secret, PASSWORD);
  const flags = isChecked ? ["--authentication", "required", "--admin-password-file", secret] : [];
  const broker = await stage.broker(["--retention-check-ms", "50ms", ...flags]);
  const request: OpenRequest = {
    op: "open",
    port: broker.port,
    recordBytes: RECORD_BYTES,
    batchBytes: BATCH_BYTES,
    acks: ACKS_WRITTEN,
    ...(isChecked ? { as: { admin: "admin", password: PASSWORD, rules: RULES } } : {}),
  };
  await load.request(request);
  return { broker, load };
}

/** MB/s of frames, from the first to the last ack. */
async function rateOf({ load }: Side, bytes: number): Promise<number> {
  const request: SliceRequest = { op: "slice", bytes };
  const result = (await load.request(request)) as SliceResult;
  return result.bytes / MB / result.seconds;
}

export const PERMISSIONS: OperateMeasure = {
  title: "produce by a user with rules, and with none asked for",
  figures: [
    {
      name: "permissions_vs_none",
      unit: "ratio",
      goal: { atLeast: 0.98 },
      note: "batched produce on one connection, acknowledged as written; medians of slices that take turns on two brokers",
    },
    { name: "permissions_mb_s", unit: "MB/s" },
    { name: "none_mb_s", unit: "MB/s" },
  ],
  async prepare(stage) {
    const [none, checked] = [await openSide(stage, false), await openSide(stage, true)];
    const { permissionsSliceBytes: bytes, permissionsSlices: slices } = stage.sizes;
    const cast = { load: [none.load, checked.load], touchBytes: 0 };
    return async () => {
      const rates = { none: [] as number[], checked: [] as number[] };
      const both = [
        [rates.none, none],
        [rates.checked, checked],
      ] as const;
      await stage.run("produce with rules and without, in turns", cast, async () => {
        for (let turn = 0; turn < slices; turn += 1) {
          for (const [taken, side] of turn % 2 === 0 ? both : both.toReversed()) taken.push(await rateOf(side, bytes));
        }
      });
      const [noneMbS, checkedMbS] = [median(rates.none), median(rates.checked)];
      stage.add("none_mb_s", noneMbS);
      stage.add("permissions_mb_s", checkedMbS);
      stage.add("permissions_vs_none", checkedMbS / noneMbS);
    };
  },
};
