/** Real input: flights of the vega-datasets package, through a topic of 8 partitions to a group of three. */
import { expect, test } from "bun:test";
import { once } from "node:events";
import { type AddressInfo, createConnection, createServer, type Socket } from "node:net";
import { join } from "node:path";
import { type Client, connect, type Message } from "../../src/client/index.ts";
import type { Broker } from "../../src/server/index.ts";
import { dial, startBroker, temporaryFolder, textOf, until } from "./harness.ts";

const DATA = join(import.meta.dir, "../../node_modules/vega-datasets/data");
const PARTITIONS = 8;

type Flight = Record<string, unknown>;

/** What the members of the group saw. A record may come again after a takeover, but a new one must be the next of its partition. */
class Ledger {
  readonly #next = new Map<number, number>();
  readonly #lastOfKey = new Map<string, number>();
  records = 0;
  repeats = 0;

  note({ partition, offset, key, value }: Message): void {
    const next = this.#next.get(partition) ?? 0;
    if (offset < next) {
      this.repeats += 1;
      return;
    }
    if (offset > next) throw new Error(`partition ${partition}: offset ${offset} came, ${next} was next`);
    this.#next.set(partition, offset + 1);
    const name = textOf(key);
    const { index } = JSON.parse(textOf(value)) as { index: number };
    if (index <= (this.#lastOfKey.get(name) ?? -1)) throw new Error(`key ${name}: flight ${index} came late`);
    this.#lastOfKey.set(name, index);
    this.records += 1;
  }
}

async function publish(client: Client, topic: string, flights: Flight[], keyField: string): Promise<void> {
  await client.topics.create(topic, { partitions: PARTITIONS });
  const producer = client.producer(topic);
  const sent = flights.map((flight, index) =>
    producer.send({ key: String(flight[keyField]), value: JSON.stringify({ index, ...flight }) }),
  );
  await Promise.all(sent);
}

/** A relay in front of the broker: taking it away is what a member's death looks like from the broker. */
async function relay(port: number): Promise<{ port: number; cut: () => void }> {
  const sockets = new Set<Socket>();
  const server = createServer((down) => {
    const up = createConnection(port, "127.0.0.1");
    for (const socket of [down, up]) {
      sockets.add(socket);
      // A cut resets both; whoever was reading hears of it through its own end.
      socket.on("error", () => socket.destroy());
    }
    // Pipes wait for a side that is slow; a write that is only begun would lose bytes.
    down.pipe(up).pipe(down);
  });
  await once(server.listen(0, "127.0.0.1"), "listening");
  const cut = (): void => {
    server.close();
    for (const socket of sockets) socket.destroy();
  };
  return { port: (server.address() as AddressInfo).port, cut };
}

async function readAsGroup(broker: Broker, topic: string, count: number): Promise<Ledger> {
  const ledger = new Ledger();
  const faults: unknown[] = [];
  const doomed = await relay(broker.port);
  const clients = [
    await dial(broker),
    await dial(broker),
    await connect(`millrace://127.0.0.1:${doomed.port}`, { reconnect: { enabled: false } }),
  ];
  const consumers = clients.map((client) =>
    client
      .group("flights")
      .consume(topic, { from: "earliest", sessionTimeoutMs: 500, autoCommitMs: 50, maxPollRecords: 500 }),
  );
  let isDead = false;
  const members = consumers.map(async (consumer, index) => {
    for await (const messages of consumer.batches()) {
      // The broker may still have sent to the dead one; what it had not shown anyone before does not count.
      if (index === 2 && isDead) return;
      for (const message of messages) ledger.note(message);
      // Slowly until all share the work, so that there is a half way to die at.
      await Bun.sleep(consumers.every(({ assignment }) => assignment.length >= 2) ? 1 : 20);
    }
  });
  for (const member of members) member.catch((error: unknown) => void (isDead || faults.push(error)));
  await until("half is read", () => ledger.records >= count / 2 || faults.length > 0, 60_000);
  isDead = true;
  doomed.cut();
  await until("everything is read", () => ledger.records >= count || faults.length > 0, 60_000);
  expect(faults).toEqual([]);
  await Promise.all(clients.map((client) => client.close()));
  return ledger;
}

const RUNS = [
  { file: "flights-200k.json", keyField: "distance" },
  { file: "flights-20k.json", keyField: "origin" },
];

for (const { file, keyField } of RUNS) {
  test(`${file} keyed by ${keyField}: every record is seen, in order per key, though one of three members dies half way`, async () => {
    const flights = (await Bun.file(join(DATA, file)).json()) as Flight[];
    await using folder = await temporaryFolder();
    await using broker = await startBroker({ dataDir: folder.path });
    await using client = await dial(broker);
    await publish(client, "flights", flights, keyField);
    const ledger = await readAsGroup(broker, "flights", flights.length);
    expect(ledger.records).toBe(flights.length);
  }, 120_000);
}
