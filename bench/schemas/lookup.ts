import { Histogram } from "../lib/histogram.ts";
import type { SchemaMeasure } from "./house.ts";
import type { LookupRequest, LookupResult } from "./programs/lookup.ts";

/** A registry with many subjects: looking things up, and starting again with it. */

const RATE = 1_000;
const MS_PER_SECOND = 1_000;

export const LOOKUP: SchemaMeasure = {
  title: "a registry with 10,000 subjects",
  figures: [
    {
      name: "lookup_p99_ms",
      unit: "ms",
      goal: { atMost: 1 },
      note: "over HTTP, one after another: by id, the latest version, and by text, in turn",
    },
    { name: "lookup_p50_ms", unit: "ms" },
    { name: "lookup_bare_p99_ms", unit: "ms", note: "the same from a bare HTTP server that answers all alike" },
    { name: "lookup_native_p99_ms", unit: "ms", note: "by id and the latest version, over the native protocol" },
    { name: "lookup_native_p50_ms", unit: "ms" },
    {
      name: "lookup_paced_p99_ms",
      unit: "ms",
      note: "over HTTP, 1,000 a second whatever becomes of those before, from when each was due",
    },
    { name: "lookup_paced_bare_p99_ms", unit: "ms", note: "the same from the bare server" },
    { name: "lookup_paced_late_p99_ms", unit: "ms", note: "how late the driver sent, which is part of both" },
    {
      name: "register_per_s",
      unit: "schemas/s",
      note: "new subjects, 64 at a time, each acknowledged when it is synced",
    },
    {
      name: "replay_s",
      unit: "s",
      goal: { atMost: 1 },
      note: "from the spawn of a broker that has them on disk to the line that it serves, after a clean stop",
    },
    { name: "replay_none_s", unit: "s", note: "the same without a subject" },
  ],
  async prepare(stage) {
    const { subjects, lookupSeconds: seconds, lookupWarmSeconds: warmSeconds } = stage.sizes;
    const [driver, bare] = [await stage.program("lookup"), await stage.program("bare-http")];
    return async () => {
      const [none, some] = [await stage.folder(), await stage.folder()];
      const empty = await stage.broker([], none);
      await empty.end("SIGTERM");
      const first = await stage.broker([], some);
      const filled = (await stage.run("register", { server: first, load: [driver], touchBytes: 0 }, () =>
        driver.request({ op: "fill", port: first.port, subjects }),
      )) as { perSecond: number };
      stage.add("register_per_s", filled.perSecond);
      const look = async (op: LookupRequest["op"], port: number, rate: number): Promise<LookupResult> => {
        const request: LookupRequest = { op, port, subjects, rate, seconds, warmSeconds };
        const cast = { server: op === "bare" ? bare : first, load: [driver], touchBytes: 0 };
        const title = `look up, ${op}, ${rate === 0 ? "one after another" : `${rate}/s`}`;
        return (await stage.run(title, cast, () => driver.request(request))) as LookupResult;
      };
      const ms = (text: string, percent: number): number => Histogram.decode(text).percentile(percent) / MS_PER_SECOND;
      const barePort = Number(bare.info["port"]);
      const http = await look("http", first.registryPort, 0);
      stage.add("lookup_p99_ms", ms(http.latency, 99));
      stage.add("lookup_p50_ms", ms(http.latency, 50));
      stage.add("lookup_bare_p99_ms", ms((await look("bare", barePort, 0)).latency, 99));
      const native = await look("native", first.port, 0);
      stage.add("lookup_native_p99_ms", ms(native.latency, 99));
      stage.add("lookup_native_p50_ms", ms(native.latency, 50));
      const paced = await look("http", first.registryPort, RATE);
      stage.add("lookup_paced_p99_ms", ms(paced.latency, 99));
      stage.add("lookup_paced_late_p99_ms", ms(paced.lateness, 99));
      stage.add("lookup_paced_bare_p99_ms", ms((await look("bare", barePort, RATE)).latency, 99));
      await first.end("SIGTERM");
      for (const [name, folder] of [["replay_none_s", none] as const, ["replay_s", some] as const]) {
        const again = await stage.broker([], folder);
        stage.add(name, again.readyMs / MS_PER_SECOND);
        await again.end("SIGTERM");
      }
    };
  },
};
