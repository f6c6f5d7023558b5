import { join } from "node:path";
import { ACKS_WRITTEN, BATCH_BYTES, RECORD_BYTES } from "../limits/sizes.ts";
import type { Stage } from "../limits/stage.ts";
import type { OperateMeasure } from "./house.ts";
import type { ProduceRequest, ProduceResult } from "./programs/produce.ts";
import type { Sizes } from "./sizes.ts";

/** What TLS leaves of batched produce, on one connection: the load and the broker have a core each, and both cipher. */

const MB = 1e6;

/** A certificate of its own for the broker, signed by itself. */
async function certificate(folder: string): Promise<{ flags: string[]; ca: string }> {
  const [cert, key] = [join(folder, "cert.pem"), join(folder, "key.pem")];
  const words = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"];
  const names = ["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"];
  const child = Bun.spawn(["openssl", ...words, ...names, "-keyout", key, "-out", cert], { stderr: "pipe" });
  if ((await child.exited) !== 0) throw new Error(`openssl: ${await child.stderr.text()}`);
  return { flags: ["--tls-cert-file", cert, "--tls-key-file", key], ca: await Bun.file(cert).text() };
}

/** MB/s of frames, from the first to the last ack. */
async function produced(stage: Stage<Sizes>, isTls: boolean): Promise<number> {
  const load = await stage.program("produce");
  const tls = isTls ? await certificate(await stage.folder()) : undefined;
  const broker = await stage.broker(tls?.flags);
  const request: ProduceRequest = {
    port: broker.port,
    connections: 1,
    bytes: stage.sizes.tlsBytes,
    recordBytes: RECORD_BYTES,
    batchBytes: BATCH_BYTES,
    acks: ACKS_WRITTEN,
    ...(tls === undefined ? {} : { ca: tls.ca }),
  };
  const cast = { server: broker, load: [load], touchBytes: request.bytes };
  const work = async (): Promise<ProduceResult> => (await load.request(request)) as ProduceResult;
  const { bytes, seconds } = await stage.run(isTls ? "produce over TLS" : "produce without TLS", cast, work);
  await stage.clear();
  return bytes / MB / seconds;
}

export const TLS: OperateMeasure = {
  title: "produce over TLS and without",
  figures: [
    {
      name: "tls_vs_plain",
      unit: "ratio",
      goal: { atLeast: 0.5 },
      note: "batched produce on one connection, acknowledged as written; run by run, TLS 1.3 with what the two agree on",
    },
    { name: "tls_mb_s", unit: "MB/s" },
    { name: "plain_mb_s", unit: "MB/s" },
  ],
  async prepare(stage) {
    return async (round) => {
      const rates = new Map<boolean, number>();
      for (const isTls of round % 2 === 0 ? [false, true] : [true, false]) {
        rates.set(isTls, await produced(stage, isTls));
      }
      const [plain = Number.NaN, tls = Number.NaN] = [rates.get(false), rates.get(true)];
      stage.add("plain_mb_s", plain);
      stage.add("tls_mb_s", tls);
      stage.add("tls_vs_plain", tls / plain);
    };
  },
};
