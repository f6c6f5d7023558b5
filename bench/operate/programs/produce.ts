/** Publishes batches that were encoded before, on several connections at once, each to a topic of its own. */
import { connect } from "../../../src/client/index.ts";
import { runProgram } from "../../lib/program.ts";
import { batchUnit, unitsFor } from "../../limits/units.ts";
import { Wire } from "../../limits/wire.ts";

export interface ProduceRequest {
  readonly port: number;
  readonly connections: number;
  /** Of one connection. */
  readonly bytes: number;
  readonly recordBytes: number;
  readonly batchBytes: number;
  readonly acks: number;
  /** Who signs the broker's certificate (PEM), where it speaks TLS. */
  readonly ca?: string;
}

/** Of all connections: bytes of frames, and the time to the last ack. */
export interface ProduceResult {
  readonly bytes: number;
  readonly seconds: number;
}

const FRAMES = 16;

async function produce(request: ProduceRequest): Promise<ProduceResult> {
  const unit = batchUnit({ ...request, writeBytes: request.batchBytes, partitions: 1, frames: FRAMES });
  const { count } = unitsFor(unit, request.bytes);
  const { ca } = request;
  const place = `127.0.0.1:${request.port}`;
  await using client = await (ca === undefined
    ? connect(`millrace://${place}`)
    : connect(`millraces://${place}`, { tls: { ca } }));
  const wires: Wire[] = [];
  for (let n = 0; n < request.connections; n += 1) {
    await client.topics.create(`produce-${n}`);
    const wire = await Wire.open(request.port, { ca });
    await wire.openPublisher(`produce-${n}`);
    wires.push(wire);
  }
  const startMs = performance.now();
  for (const wire of wires) wire.send(unit, count, request.acks);
  const expected = count * unit.publishes;
  await Promise.all(wires.map((wire) => wire.until(() => wire.acked >= expected)));
  const seconds = (performance.now() - startMs) / 1e3;
  for (const wire of wires) wire.close();
  return { bytes: count * unit.bytes.length * wires.length, seconds };
}

await runProgram({}, (message) => produce(message as ProduceRequest));
