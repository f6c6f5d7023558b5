/**
 * Shipments are published to a durable queue and acknowledged by hand, only when they are delivered. Kill the broker
 * with -9 while this runs, start it again, as often as you like: nothing is lost, and what was acknowledged does not
 * come again.
 *
 *   bun test/scenarios/logistics.ts [URL]
 */
import { type Client, connect } from "../../src/client/index.ts";
import { brokerUrl, until } from "./program.ts";

const SHIPMENTS = 20_000;
const UNDER_WAY_MAX = 200;
const DRIVERS = 20;

/** What the broker has said of each shipment. */
export class Shipments {
  readonly total: number;
  /** Its publish was acknowledged. */
  readonly booked = new Set<number>();
  /** Its ack is in the broker's log. */
  readonly delivered = new Set<number>();
  /** Came again although its ack was in the broker's log: that must not be. */
  readonly again: number[] = [];
  /** Came again because the broker died before its ack was in the log: at least once is what a queue promises. */
  repeats = 0;

  constructor(total: number) {
    this.total = total;
  }
}

async function book(client: Client, shipments: Shipments): Promise<void> {
  const underWay = new Set<Promise<unknown>>();
  for (let id = 0; id < shipments.total; id += 1) {
    // The client sends again what a lost connection took along; the broker drops what it has already.
    const booked = client
      .queue("shipments")
      .publish(JSON.stringify({ id, to: `depot ${id % 17}` }))
      .then(() => shipments.booked.add(id));
    underWay.add(booked);
    void booked.finally(() => underWay.delete(booked));
    while (underWay.size >= UNDER_WAY_MAX) await Promise.race(underWay);
  }
  await Promise.all(underWay);
}

/** Runs until every shipment is delivered. `shipments` can be watched meanwhile. */
export async function ship(url: string, shipments: Shipments = new Shipments(SHIPMENTS)): Promise<Shipments> {
  await using client = await connect(url, { reconnect: { delayMinMs: 20, delayMaxMs: 200 } });
  await client.queue("shipments").declare({ durable: true });
  const seen = new Set<number>();
  const drivers = client.queue("shipments").consume(
    async (message) => {
      const { id } = message.json<{ id: number }>();
      if (shipments.delivered.has(id)) shipments.again.push(id);
      else if (seen.has(id)) shipments.repeats += 1;
      seen.add(id);
      try {
        message.ack();
        await drivers.flush();
        shipments.delivered.add(id);
      } catch {
        // The connection is gone, and the broker may not know of the ack: then the shipment comes again.
      }
    },
    { autoAck: false, prefetch: 2 * DRIVERS, concurrency: DRIVERS },
  );
  await book(client, shipments);
  await until(() => seen.size >= shipments.total);
  await drivers.close();
  return shipments;
}

if (import.meta.main) {
  const shipments = new Shipments(Number(process.env["SHIPMENTS"] ?? SHIPMENTS));
  const timer = setInterval(() => console.log(`${shipments.delivered.size} of ${shipments.total} delivered`), 1_000);
  await ship(brokerUrl(process.argv[2]), shipments);
  clearInterval(timer);
  console.log(`all ${shipments.total} delivered, ${shipments.repeats} came twice, ${shipments.again.length} too late`);
}
