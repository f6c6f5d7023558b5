/** Publishes slices of batches that were encoded before, on one connection that stays open. */
import { type Client, connect } from "../../../src/client/index.ts";
import { runProgram } from "../../lib/program.ts";
import { batchUnit, type Unit, unitsFor } from "../../limits/units.ts";
import { Wire } from "../../limits/wire.ts";

/** The load is a user of its own, with so many rules about it and others. */
interface Loader {
  readonly admin: string;
  readonly password: string;
  readonly rules: number;
}

export interface OpenRequest {
  readonly op: "open";
  readonly port: number;
  readonly recordBytes: number;
  readonly batchBytes: number;
  readonly acks: number;
  /** Absent where nobody is asked who it is. */
  readonly as?: Loader;
}

export interface SliceRequest {
  readonly op: "slice";
  readonly bytes: number;
}

/** Bytes of frames, and the time to the last ack. */
export interface SliceResult {
  readonly bytes: number;
  readonly seconds: number;
}

const FRAMES = 16;
const TOPIC = "slices";
const LOADER = "loader";
const RULES_AT_ONCE = 100;
/** What goes comes again as room for what follows, so that no slice waits for memory that the machine has to fetch. */
const RETENTION = { retentionBytes: 64 << 20, segmentBytes: 16 << 20 };

let wire: Wire | undefined;
let unit: Unit | undefined;
let acks = 0;

async function open({ port, as, ...frames }: OpenRequest): Promise<void> {
  const login = as === undefined ? {} : { auth: { user: as.admin, password: as.password } };
  await using client = await connect(`millrace://127.0.0.1:${port}`, login);
  await client.topics.create(TOPIC, RETENTION);
  const auth = as === undefined ? null : await loaderAmongRules(client, as);
  acks = frames.acks;
  unit = batchUnit({ ...frames, writeBytes: frames.batchBytes, partitions: 1, frames: FRAMES });
  wire = await Wire.open(port, { auth });
  await wire.openPublisher(TOPIC);
}

async function slice({ bytes }: SliceRequest): Promise<SliceResult> {
  const [open, batches] = [wire, unit];
  if (open === undefined || batches === undefined) throw new Error("nothing is open");
  const { count } = unitsFor(batches, bytes);
  const expected = open.acked + count * batches.publishes;
  const startMs = performance.now();
  open.send(batches, count, acks);
  await open.until(() => open.acked >= expected);
  return { bytes: count * batches.bytes.length, seconds: (performance.now() - startMs) / 1e3 };
}

/** Makes a user that may publish by one of many rules: half of them are about it, some with patterns, some that deny. */
async function loaderAmongRules(client: Client, { password, rules }: Loader): Promise<object> {
  await client.users.put({ name: LOADER, password });
  const put = (name: string, index: number): Promise<string> =>
    client.permissions.put({
      principal: index % 2 === 0 ? LOADER : `other-${index}`,
      effect: index % 10 === 0 ? "deny" : "allow",
      operations: ["write", "read"],
      resource: { kind: "topic", name, match: index % 3 === 0 ? "pattern" : "literal" },
    });
  for (let first = 0; first < rules; first += RULES_AT_ONCE) {
    const indices = Array.from({ length: Math.min(RULES_AT_ONCE, rules - first) }, (_, offset) => first + offset);
    await Promise.all(indices.map((index) => put(`elsewhere.${index}`, index)));
  }
  const resource = { kind: "topic", name: TOPIC, match: "literal" } as const;
  await client.permissions.put({ principal: LOADER, operations: ["write"], resource });
  return { mechanism: "PLAIN", user: LOADER, password };
}

await runProgram({}, async (message) => {
  const request = message as OpenRequest | SliceRequest;
  return request.op === "open" ? await open(request) : await slice(request);
});
