/** Publishes batches that were encoded before, on several connections at once, each to a topic of its own. */
import { type Client, connect } from "../../../src/client/index.ts";
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
  /** The load is a user of its own, with so many rules about it and others; where nobody is asked, there is none. */
  readonly as?: { readonly admin: string; readonly password: string; readonly rules: number };
}

/** Of all connections: bytes of frames, and the time to the last ack. */
export interface ProduceResult {
  readonly bytes: number;
  readonly seconds: number;
}

const FRAMES = 16;
const LOADER = "loader";
const RULES_AT_ONCE = 100;

async function produce(request: ProduceRequest): Promise<ProduceResult> {
  const unit = batchUnit({ ...request, writeBytes: request.batchBytes, partitions: 1, frames: FRAMES });
  const { count } = unitsFor(unit, request.bytes);
  const { ca, as } = request;
  const place = `127.0.0.1:${request.port}`;
  await using client = await (ca === undefined
    ? connect(`millrace://${place}`, as === undefined ? {} : { auth: { user: as.admin, password: as.password } })
    : connect(`millraces://${place}`, { tls: { ca } }));
  const auth = as === undefined ? null : await loaderAmongRules(client, as);
  const wires: Wire[] = [];
  for (let n = 0; n < request.connections; n += 1) {
    await client.topics.create(`produce-${n}`);
    const wire = await Wire.open(request.port, { ca, auth });
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

/** Makes a user that may publish by one of many rules: half of them are about it, some with patterns, some that deny. */
async function loaderAmongRules(
  client: Client,
  { password, rules }: NonNullable<ProduceRequest["as"]>,
): Promise<object> {
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
  const resource = { kind: "topic", name: "produce-", match: "prefix" } as const;
  await client.permissions.put({ principal: LOADER, operations: ["write"], resource });
  return { mechanism: "PLAIN", user: LOADER, password };
}

await runProgram({}, (message) => produce(message as ProduceRequest));
