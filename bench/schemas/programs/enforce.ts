/** Publishes the same ticks to a topic without enforcement, one that looks at ids and one that looks at bodies, in turns. */
import { connect } from "../../../src/client/index.ts";
import { nowUs } from "../../lib/clock.ts";
import { runProgram } from "../../lib/program.ts";

export interface EnforceRequest {
  readonly port: number;
  /** Of one turn. */
  readonly records: number;
  readonly turns: number;
}

/** Records a second. */
export interface EnforceResult {
  readonly none: number;
  readonly id: number;
  readonly full: number;
}

const MODES = ["none", "id", "full"] as const;
const US_PER_SECOND = 1_000_000;
const BATCH_BYTES = 256 * 1024;
const DOUBLES = ["open", "high", "low", "close", "volume", "change"];
const PREFIX_BYTES = 5;
/** Six doubles and a text of six letters: 55 bytes of body. */
const TICK_BYTES = 60;

function schema(): string {
  const doubles = DOUBLES.map((name) => ({ name, type: "double" }));
  return JSON.stringify({ type: "record", name: "Tick", fields: [...doubles, { name: "symbol", type: "string" }] });
}

function tickOf(id: number): Uint8Array {
  const tick = new Uint8Array(TICK_BYTES);
  new DataView(tick.buffer).setUint32(1, id);
  const textAt = PREFIX_BYTES + DOUBLES.length * 8;
  const letters = TICK_BYTES - textAt - 1;
  tick[textAt] = letters * 2;
  tick.fill("A".charCodeAt(0), textAt + 1);
  return tick;
}

async function measure({ port, records, turns }: EnforceRequest): Promise<EnforceResult> {
  await using client = await connect(`millrace://127.0.0.1:${port}`);
  const spentUs = { none: 0, id: 0, full: 0 };
  let id = 0;
  for (const mode of MODES) {
    ({ id } = await client.schemas.register(`${mode}-value`, { schema: schema() }));
    await client.topics.create(mode, { schemaEnforce: mode });
  }
  const tick = tickOf(id);
  for (let turn = 0; turn < turns; turn += 1) {
    for (const mode of MODES) {
      const producer = client.producer(mode, { batchBytes: BATCH_BYTES });
      const startUs = nowUs();
      for (let sent = 0; sent < records; sent += 1) if (!producer.append(tick)) await producer.ready();
      await producer.flush();
      spentUs[mode] += nowUs() - startUs;
      await producer.close();
    }
  }
  const perSecond = (mode: (typeof MODES)[number]): number => (records * turns * US_PER_SECOND) / spentUs[mode];
  return { none: perSecond("none"), id: perSecond("id"), full: perSecond("full") };
}

await runProgram({}, (message) => measure(message as EnforceRequest));
