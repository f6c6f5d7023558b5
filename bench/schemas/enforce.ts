import type { SchemaMeasure } from "./house.ts";
import type { EnforceRequest, EnforceResult } from "./programs/enforce.ts";

/** What it costs a producer that the broker looks at every record. */

export const ENFORCE: SchemaMeasure = {
  title: "batched produce to topics that enforce schemas",
  figures: [
    {
      name: "id_vs_plain",
      unit: "ratio",
      goal: { atLeast: 0.95 },
      note: "records/s with schemaEnforce id / without, through the client, in turns on one broker",
    },
    {
      name: "full_records",
      unit: "records/s",
      goal: { atLeast: 1_000_000 },
      note: "60-byte ticks, every body checked, through the client to the broker and acknowledged",
    },
    { name: "plain_records", unit: "records/s", note: "the same without enforcement" },
  ],
  async prepare(stage) {
    const { enforceRecords: records, enforceTurns: turns } = stage.sizes;
    const driver = await stage.program("enforce");
    return async () => {
      const server = await stage.broker();
      const request: EnforceRequest = { port: server.port, records, turns };
      const cast = { server, load: [driver], touchBytes: 0 };
      const result = (await stage.run("produce, enforced", cast, () => driver.request(request))) as EnforceResult;
      stage.add("id_vs_plain", result.id / result.none);
      stage.add("full_records", result.full);
      stage.add("plain_records", result.none);
      await server.end("SIGTERM");
    };
  },
};
