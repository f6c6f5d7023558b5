import type { SchemaMeasure } from "./house.ts";
import type { TransformRequest, TransformResult } from "./programs/transform.ts";

/** A transform: JSON mapped in a worker, from a topic or a queue to a topic, exactly once. */

export const TRANSFORM: SchemaMeasure = {
  title: "a transform that maps JSON",
  figures: [
    {
      name: "transform_records",
      unit: "records/s",
      goal: { atLeast: 200_000 },
      note: "80 bytes of JSON from a topic to a topic by one worker: picked, renamed, converted, set; from its putting to the last record out",
    },
    { name: "transform_queue_records", unit: "records/s", note: "the same from a queue" },
    { name: "transform_steps_records", unit: "records/s", note: "the steps alone, in a loop on one core" },
  ],
  async prepare(stage) {
    const { transformRecords: records } = stage.sizes;
    const driver = await stage.program("transform");
    const figures = {
      topic: "transform_records",
      queue: "transform_queue_records",
      steps: "transform_steps_records",
    } as const;
    return async () => {
      for (const op of ["topic", "queue", "steps"] as const) {
        // Each has a broker of its own: the names are the same.
        const server = await stage.broker();
        const request: TransformRequest = { op, port: server.port, records };
        const cast = { server, load: [driver], touchBytes: 0 };
        const result = (await stage.run(`transform, ${op}`, cast, () => driver.request(request))) as TransformResult;
        stage.add(figures[op], result.perSecond);
        await server.end("SIGTERM");
      }
    };
  },
};
