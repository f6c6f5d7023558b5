/** What the flight recorders of all workers tell of one record, with the names of the connections. */
import type { Engine, Mailroom } from "../broker/index.ts";
import { ConnectionBook, type ConnectionName } from "./connection-book.ts";
import { GroupSubscription } from "./group-subscription.ts";
import type { SessionHub } from "./hub.ts";

/** A connection, as far as it is remembered. */
export interface Who extends Partial<ConnectionName> {
  readonly worker: number;
  /** The topic or exchange that its publisher publishes to, while the connection is open. */
  readonly target?: string;
  /** Of the group that the subscription belongs to, while it is open. */
  readonly group?: string;
}

export interface Trace {
  readonly arrived?: Who & { readonly receivedMs: number; readonly appendedMs: number };
  readonly deliveries: readonly (Who & { readonly atMs: number })[];
  readonly sinceMs: number;
}

/** As the core names a consumer: worker, connection, generation, subscription. */
export type Address = readonly [worker: number, connection: number, generation: number, subscription: number];

const TRACE_REQUEST = "explain.trace";
const WHO_REQUEST = "explain.who";

export class Tracer {
  readonly book = new ConnectionBook();
  readonly #engine: Engine;
  readonly #mailroom: Mailroom;
  readonly #hub: SessionHub;

  constructor(engine: Engine, mailroom: Mailroom, hub: SessionHub) {
    this.#engine = engine;
    this.#mailroom = mailroom;
    this.#hub = hub;
    mailroom.onRequest(TRACE_REQUEST, (place: [number, number, number]) => this.#trace(...place));
    mailroom.onRequest(WHO_REQUEST, (address: Address) => this.#who(address));
  }

  /** Of all workers: a record came in on one of them, and may be delivered by each. */
  async trace(logId: number, partition: number, offset: number): Promise<Trace> {
    const traces = await this.#mailroom.requestAll<Trace>(TRACE_REQUEST, [logId, partition, offset]);
    const deliveries = traces.flatMap((trace) => trace.deliveries).sort((a, b) => a.atMs - b.atMs);
    const arrived = traces.find((trace) => trace.arrived !== undefined)?.arrived;
    const sinceMs = Math.max(...traces.map((trace) => trace.sinceMs));
    return { ...(arrived === undefined ? {} : { arrived }), deliveries, sinceMs };
  }

  /** The connection that a consumer of a queue is or was. */
  who(address: Address): Promise<Who> {
    return this.#mailroom.request<Who>(address[0], WHO_REQUEST, address);
  }

  #trace(logId: number, partition: number, offset: number): Trace {
    const { worker } = this.#engine;
    const { arrival, sent, sinceMs } = this.#engine.trace(logId, partition, offset);
    const deliveries = sent.map(({ connection, generation, subscription, atMs }) => ({
      atMs,
      ...this.#who([worker, connection, generation, subscription]),
    }));
    if (arrival === undefined) return { deliveries, sinceMs };
    const { connection, generation, publisher, receivedMs, appendedMs } = arrival;
    const who = this.#who([worker, connection, generation, 0]);
    const opened = this.#hub.session(who.connection ?? 0)?.publishers.get(publisher);
    const target = opened && ("topic" in opened ? opened.topic : opened.exchange);
    const times = { receivedMs, appendedMs };
    return { arrived: { ...times, ...who, ...(target === undefined ? {} : { target }) }, deliveries, sinceMs };
  }

  #who([worker, connection, generation, subscription]: Address): Who {
    const name = this.book.name(connection, generation);
    const session = name === undefined ? undefined : this.#hub.session(name.connection);
    const open = session?.subscriptions.get(subscription);
    const group = open instanceof GroupSubscription ? { group: open.group } : {};
    return { worker, ...name, ...group };
  }
}
