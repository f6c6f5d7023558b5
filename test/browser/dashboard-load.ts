/** A broker with something of everything in it, and clients that keep it busy while its dashboard is looked at. */
import { type Client, connect } from "../../src/client/index.ts";
import { Broker } from "../../src/server/index.ts";
import { until } from "../until.ts";
import { WAIT_MS } from "./dashboard-kit.ts";

const BEAT_MS = 50;
/** Messages that are there before anybody looks: each key has come, and so each partition that has any. */
const FIRST = 10;

const PRICE = { type: "record", name: "Price", fields: [{ name: "symbol", type: "string" }] };
const PRICE_2 = { ...PRICE, fields: [...PRICE.fields, { name: "venue", type: "string", default: "" }] };

/** The versions of the subject `prices-value`. */
export const SCHEMAS: readonly object[] = [PRICE, PRICE_2];

export class Busy implements AsyncDisposable {
  readonly broker: Broker;
  readonly client: Client;
  readonly #timer: Timer;
  #beats = 0;

  private constructor(broker: Broker, client: Client) {
    this.broker = broker;
    this.client = client;
    const orders = client.producer("orders");
    const events = client.exchange("events");
    this.#timer = setInterval(() => {
      this.#beats += 1;
      const value = JSON.stringify({ id: this.#beats, amount: this.#beats / 4 });
      // Some of these fail when the test ends; nobody waits for them.
      orders.send({ key: `customer-${this.#beats % 7}`, value, headers: { source: "shop" } }).catch(() => undefined);
      events.publish("order.paid", value, { headers: { region: "eu" } }).catch(() => undefined);
    }, BEAT_MS);
  }

  static async start(): Promise<Busy> {
    const broker = await Broker.start({ storage: "memory", port: 0, httpPort: 0, registryPort: 0 });
    const client = await connect(`millrace://127.0.0.1:${broker.port}`);
    await declareAll(client);
    for (const schema of SCHEMAS) await register(broker, schema);
    const busy = new Busy(broker, client);
    busy.#read();
    const isThere = async (): Promise<boolean> => {
      const { counts } = await client.queue("waiting").describe();
      return (counts.ready ?? 0) >= FIRST;
    };
    await until("there is something to see", isThere, WAIT_MS);
    return busy;
  }

  /** A group that reads the topic, and a consumer that keeps what it gets for a while. */
  #read(): void {
    const read = async (): Promise<void> => {
      for await (const _ of this.client.group("billing").consume(["orders"])) continue;
    };
    // Both end with the client.
    read().catch(() => undefined);
    this.client.queue("work").consume(() => Bun.sleep(BEAT_MS), { prefetch: 5, onError: () => undefined });
  }

  /** Ends the clients first: one whose broker is gone would wait for it to come back. */
  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#timer);
    await this.client.close();
    await this.broker.stop();
  }
}

async function declareAll(client: Client): Promise<void> {
  await client.users.put({ name: "grace", password: "a long enough password", roles: ["monitoring"] });
  await client.permissions.put({
    id: "monitor-prices",
    role: "monitoring",
    operations: ["read"],
    resource: { kind: "topic", namespace: "default", name: "prices" },
  });
  await client.quotas.put({ kind: "namespace", name: "tight", connectionsMax: 2, topicsMax: 5 });
  await client.topics.create("orders", { partitions: 4 });
  await client.topics.create("prices");
  await client.queue("dead").declare();
  await client.queue("work").declare({ deliveryLimit: 2, deadLetter: { exchange: "", routingKey: "dead" } });
  await client.queue("waiting").declare({ deadLetter: { exchange: "", routingKey: "dead" } });
  await client.exchange("events").declare("topic");
  await client.exchange("everybody").declare("fanout");
  await client.exchange("events").bind({ queue: "work" }, { key: "order.paid" });
  await client.exchange("events").bind({ to: "everybody" }, { key: "order.#" });
  await client.exchange("everybody").bind({ queue: "waiting" });
  await client.exchange("everybody").bind({ topic: "prices" });
}

async function register(broker: Broker, schema: object): Promise<void> {
  const url = `http://127.0.0.1:${broker.registryPort}/subjects/prices-value/versions`;
  const headers = { "content-type": "application/json" };
  const body = JSON.stringify({ schema: JSON.stringify(schema) });
  const answer = await fetch(url, { method: "POST", headers, body });
  if (!answer.ok) throw new Error(await answer.text());
}
