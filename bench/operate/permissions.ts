import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { ACKS_WRITTEN, BATCH_BYTES, RECORD_BYTES } from "../limits/sizes.ts";
import type { Stage } from "../limits/stage.ts";
import type { OperateMeasure } from "./house.ts";
import type { ProduceRequest, ProduceResult } from "./programs/produce.ts";
import type { Sizes } from "./sizes.ts";

/** What permission checks leave of batched produce: by a user among a thousand rules, and by nobody where none are asked for. */

const MB = 1e6;
const PASSWORD = "of the bench";
/** About the user, and about others. */
const RULES = 1_000;

/** MB/s of frames, from the first to the last ack. */
async function produced(stage: Stage<Sizes>, isChecked: boolean): Promise<number> {
  const load = await stage.program("produce");
  const secret = join(await stage.folder(), "password");
  await writeFile(secret, PASSWORD);
  const flags = isChecked ? ["--authentication", "required", "--admin-password-file", secret] : [];
  const broker = await stage.broker(flags);
  const request: ProduceRequest = {
    port: broker.port,
    connections: 1,
    bytes: stage.sizes.permissionsBytes,
    recordBytes: RECORD_BYTES,
    batchBytes: BATCH_BYTES,
    acks: ACKS_WRITTEN,
    ...(isChecked ? { as: { admin: "admin", password: PASSWORD, rules: RULES } } : {}),
  };
  const cast = { server: broker, load: [load], touchBytes: request.bytes };
  const work = async (): Promise<ProduceResult> => (await load.request(request)) as ProduceResult;
  const { bytes, seconds } = await stage.run(isChecked ? "produce with rules" : "produce without", cast, work);
  await stage.clear();
  return bytes / MB / seconds;
}

export const PERMISSIONS: OperateMeasure = {
  title: "produce by a user with rules, and with none asked for",
  figures: [
    {
      name: "permissions_vs_none",
      unit: "ratio",
      goal: { atLeast: 0.98 },
      note: "batched produce on one connection, acknowledged as written; run by run",
    },
    { name: "permissions_mb_s", unit: "MB/s" },
    { name: "none_mb_s", unit: "MB/s" },
  ],
  async prepare(stage) {
    return async (round) => {
      const rates = new Map<boolean, number>();
      for (const isChecked of round % 2 === 0 ? [false, true] : [true, false]) {
        rates.set(isChecked, await produced(stage, isChecked));
      }
      const [none = Number.NaN, checked = Number.NaN] = [rates.get(false), rates.get(true)];
      stage.add("none_mb_s", none);
      stage.add("permissions_mb_s", checked);
      stage.add("permissions_vs_none", checked / none);
    };
  },
};
