import { type Content, Op } from "../protocol/index.ts";
import { Consumer, type ConsumerOptions } from "./consumer.ts";
import { asMillraceError, clientError, type MillraceError } from "./errors.ts";
import { Exchange, Exchanges } from "./exchange.ts";
import { Group, Groups } from "./group.ts";
import { type ClientOptions, type ReconnectOptions, settingsOf } from "./options.ts";
import { PatternSubscription, type PatternOptions } from "./pattern.ts";
import { PayloadProducer } from "./payloads/payload-producer.ts";
import type { LargePayloads } from "./payloads/payloads.ts";
import { Producer } from "./producer.ts";
import type { ProducerOptions, ProducerTarget } from "./producer-options.ts";
import { Queue, Queues } from "./queue.ts";
import type { QueueConsumer } from "./queue-consumer.ts";
import type { QueueMessage } from "./queue-message.ts";
import {
  type Answer,
  type GatherOptions,
  type Reply,
  type ReplyOptions,
  type RequestOptions,
  Requests,
} from "./requests.ts";
import { Schemas } from "./schemas.ts";
import { type PublisherSink, Session, type SessionHost, type SubscriptionSink, type Welcome } from "./session.ts";
import { backoffMs, sleep, withSignal } from "./timing.ts";
import { Namespaces } from "./namespaces.ts";
import type { Explained, ExplainedLoad, ExplainRequest } from "./explain.ts";
import { type Overview, overview, type OverviewOptions } from "./overview.ts";
import { Connections } from "./connections.ts";
import { Permissions, Roles, Users } from "./access.ts";
import { Backups } from "./backups.ts";
import { DefinitionsFile } from "./definitions.ts";
import { Quotas } from "./quotas.ts";
import { Schedules } from "./schedules.ts";
import { Topics } from "./topics.ts";
import type { Transaction } from "./transaction.ts";
import { type TransactionOptions, Transactions } from "./transactions.ts";
import { Transforms } from "./transform.ts";
import { type Address, parseAddress } from "./transport.ts";
import { Worker, type WorkerHandler, type WorkerOptions } from "./worker.ts";

/** Connects to a broker. Errors: connection_lost, timeout, cancelled, invalid_argument, and what the server refuses with. */
export async function connect(url: string, options: ClientOptions = {}): Promise<Client> {
  const client = new Client(parseAddress(url, options.tls), options);
  await client.start(options.signal);
  return client;
}

export type ClientState = "connecting" | "connected" | "reconnecting" | "closed";

/** What a producer or consumer is to the client across connections. */
export interface Endpoint {
  /** A session begins: open again and go on. Must not throw. */
  connected(session: Session): void;
  /** The session is over; another will come. */
  disconnected(): void;
  /** No session will come. */
  failed(error: MillraceError): void;
  close(): Promise<void>;
}

interface SessionWaiter {
  resolve(session: Session): void;
  reject(error: MillraceError): void;
}

/**
 * A connection to a broker that is made again when it breaks. Producers,
 * consumers and subscriptions made from it live on over such breaks.
 */
export class Client implements SessionHost, AsyncDisposable {
  readonly topics: Topics;
  readonly namespaces: Namespaces;
  /** What namespaces and users may have. */
  readonly connections: Connections;
  readonly backups: Backups;
  readonly definitions: DefinitionsFile;
  readonly quotas: Quotas;
  readonly users: Users;
  readonly roles: Roles;
  /** Rules of who may do what. */
  readonly permissions: Permissions;
  /** Messages that the broker publishes again and again. */
  readonly schedules: Schedules;
  readonly groups: Groups;
  readonly exchanges: Exchanges;
  readonly queues: Queues;
  readonly transactions: Transactions;
  readonly schemas: Schemas;
  readonly transforms: Transforms;
  /** Where large bodies of exchanges and queues are kept, or null. */
  readonly payloads: LargePayloads | null;
  private readonly traceContext: ClientOptions["traceContext"];
  state: ClientState = "connecting";
  /** Called on every change of `state`, with the error that caused it. */
  onStateChange: ((state: ClientState, error: MillraceError | null) => void) | null = null;
  private readonly address: Address;
  private readonly settings: ReturnType<typeof settingsOf>;
  private readonly endpoints = new Set<Endpoint>();
  private readonly publisherSinks = new Map<number, PublisherSink>();
  private readonly subscriptionSinks = new Map<number, SubscriptionSink>();
  private readonly waiters = new Set<SessionWaiter>();
  private readonly stop = new AbortController();
  private current: Session | null = null;
  private failure: MillraceError | null = null;
  private numbers = 0;
  private readonly requests: Requests;
  /** Those without options of their own, so that a publish can begin at the client each time. */
  private readonly usualExchanges = new Map<string, Exchange>();

  constructor(address: Address, options: ClientOptions) {
    this.address = address;
    this.settings = settingsOf(options);
    this.payloads = options.payloads ?? null;
    this.traceContext = options.traceContext;
    this.topics = new Topics(this);
    this.namespaces = new Namespaces(this);
    this.connections = new Connections(this);
    this.backups = new Backups(this);
    this.definitions = new DefinitionsFile(this);
    this.quotas = new Quotas(this);
    this.users = new Users(this);
    this.roles = new Roles(this);
    this.permissions = new Permissions(this);
    this.schedules = new Schedules(this);
    this.groups = new Groups(this);
    this.exchanges = new Exchanges(this);
    this.queues = new Queues(this);
    this.transactions = new Transactions(this);
    this.schemas = new Schemas(this);
    this.transforms = new Transforms(this);
    this.requests = new Requests(this);
  }

  /** Makes the first connection. Errors: as `connect`. */
  async start(signal?: AbortSignal): Promise<void> {
    try {
      this.begin(await Session.open(this.address, this, this.settings.session, signal));
    } catch (error) {
      this.end(asMillraceError(error));
      throw error;
    }
  }

  /** The server's answer to the latest handshake: its limits, features and name. */
  get server(): Welcome | null {
    return this.current?.welcome ?? null;
  }

  private setState(state: ClientState, error: MillraceError | null): void {
    if (this.state === state) return;
    this.state = state;
    this.onStateChange?.(state, error);
  }

  private begin(session: Session): void {
    this.current = session;
    this.setState("connected", null);
    for (const endpoint of this.endpoints) endpoint.connected(session);
    for (const waiter of this.waiters) waiter.resolve(session);
    this.waiters.clear();
  }

  sessionClosed(session: Session, error: MillraceError): void {
    if (session !== this.current) return;
    this.current = null;
    for (const endpoint of this.endpoints) endpoint.disconnected();
    if (this.stop.signal.aborted) return;
    const { reconnect } = this.settings;
    if (!reconnect.enabled) {
      this.end(error);
      return;
    }
    this.setState("reconnecting", error);
    void this.reconnect(reconnect, error);
  }

  private async reconnect(reconnect: Required<ReconnectOptions>, first: MillraceError): Promise<void> {
    let error = first;
    for (let attempt = 0; attempt < reconnect.attemptsMax; attempt++) {
      try {
        await sleep(backoffMs(attempt, reconnect.delayMinMs, reconnect.delayMaxMs), this.stop.signal);
        const session = await Session.open(this.address, this, this.settings.session, this.stop.signal);
        if (this.stop.signal.aborted) session.close();
        else this.begin(session);
        return;
      } catch (caught) {
        error = asMillraceError(caught);
        if (this.stop.signal.aborted) return;
        if (!error.retryable) break;
      }
    }
    this.end(error);
  }

  /** No more sessions: everything that waits fails with the error. */
  private end(error: MillraceError): void {
    this.failure = error;
    this.setState("closed", error);
    for (const endpoint of this.endpoints) endpoint.failed(error);
    for (const waiter of this.waiters) waiter.reject(error);
    this.waiters.clear();
  }

  /** The current session, or the next. Errors: closed, cancelled, and why the client gave up. */
  session(signal?: AbortSignal): Promise<Session> {
    if (this.current?.isOpen) return Promise.resolve(this.current);
    if (this.failure) return Promise.reject(this.failure);
    let waiter: SessionWaiter | null = null;
    const promise = new Promise<Session>((resolve, reject) => {
      waiter = { resolve, reject };
      this.waiters.add(waiter);
    });
    return withSignal(promise, signal).finally(() => this.waiters.delete(waiter as unknown as SessionWaiter));
  }

  /** Sends a request, once there is a connection. Errors: what the server answers; connection_lost (retryable: it may have been carried out), timeout, cancelled, closed. */
  async ask(op: number, args: readonly unknown[], signal?: AbortSignal): Promise<unknown> {
    const session = await this.session(signal);
    return session.request(op, args, this.settings.requestTimeoutMs, signal);
  }

  /** The broker at a glance. Errors: unauthorized. */
  overview(options: OverviewOptions = {}): Promise<Overview> {
    return overview(this, options);
  }

  /** A producer for a topic. It opens by itself; `ready()` tells when. */
  producer(topic: string, options: ProducerOptions = {}): Producer {
    return this.produceTo({ topic }, options);
  }

  /** A producer for a topic or an exchange. */
  produceTo(target: ProducerTarget, own: ProducerOptions): Producer {
    const options = this.traceContext === undefined ? own : { traceContext: this.traceContext, ...own };
    const { payloads = "exchange" in target ? this.payloads : null } = options;
    const number = ++this.numbers;
    const producer = payloads
      ? new PayloadProducer(this, number, target, options, payloads)
      : new Producer(this, number, target, options);
    this.publisherSinks.set(producer.number, producer);
    this.attach(producer);
    return producer;
  }

  /** Reads a topic without a group. Iterate the result. */
  consume(topic: string, options: ConsumerOptions = {}): Consumer {
    const consumer = new Consumer(this, ++this.numbers, topic, options);
    this.addSubscription(consumer.number, consumer);
    return consumer;
  }

  /**
   * What became of one message: where it came in, where it lies, whom it was delivered to, its acks. Who and when is told
   * of what the broker still remembers.
   *
   * Errors: topic_not_found, queue_not_found, offset_out_of_range.
   */
  async explain(request: ExplainRequest, signal?: AbortSignal): Promise<Explained> {
    return (await this.ask(Op.EXPLAIN, [request], signal)) as Explained;
  }

  /** How the messages of a topic spread over its partitions and keys. Errors: topic_not_found. */
  async explainLoad(topic: string, signal?: AbortSignal): Promise<ExplainedLoad> {
    return (await this.ask(Op.EXPLAIN, [{ topic }], signal)) as ExplainedLoad;
  }

  /** A consumer group by name; `consume` on it joins. */
  group(name: string): Group {
    return new Group(this, name);
  }

  /** An exchange by name; "" is the default one, which routes to the queue that the routing key names. */
  exchange(name: string, options?: ProducerOptions): Exchange {
    if (options) return new Exchange(this, name, options);
    const known = this.usualExchanges.get(name) ?? new Exchange(this, name, {});
    this.usualExchanges.set(name, known);
    return known;
  }

  /** A queue by name. */
  queue(name: string): Queue {
    return new Queue(this, name);
  }

  /**
   * Asks whoever replies to `name`.
   *
   * Errors: no_responder at once where nobody consumes; timeout, cancelled, connection_lost; what the responder threw.
   *
   * @example
   * const price = (await client.request("pricing", JSON.stringify(order), { timeoutMs: 500 })).json();
   */
  request(name: string, body: Content, options: GatherOptions): Promise<Reply[]>;
  request(name: string, body: Content, options?: RequestOptions): Promise<Reply>;
  async request(name: string, body: Content, options: RequestOptions | GatherOptions = {}): Promise<Reply | Reply[]> {
    const replies = await this.requests.request(name, body, options);
    return "replies" in options ? replies : (replies[0] as Reply);
  }

  /** Answers requests to `name`; what the handler throws is answered as an error. */
  reply(
    name: string,
    handler: (message: QueueMessage) => Answer | Promise<Answer>,
    options: ReplyOptions = {},
  ): QueueConsumer {
    return this.requests.reply(name, handler, options);
  }

  /**
   * Publishes, acks and commits offsets together: all of it happens, or nothing.
   * What the callback throws rolls back; what it returns is the result.
   *
   * Errors: producer_fenced when another client uses the id; unknown_delivery when a message to be acked is not this
   * client's any more; transaction_timeout; unroutable, queue_full and what else a part is refused with;
   * connection_lost when the connection broke and it was rolled back.
   *
   * @example
   * await client.transaction((tx) => {
   *   tx.send("shipments", { key: order.id, value: JSON.stringify(order) });
   *   tx.ack(message);
   * });
   */
  transaction<T>(body: (transaction: Transaction) => T | Promise<T>, options: TransactionOptions = {}): Promise<T> {
    return this.transactions.run(body, options);
  }

  /**
   * Works on a queue until it is told to stop: `concurrency` handlers side by
   * side, leases renewed, and on SIGTERM or SIGINT (`signals`) what runs ends first.
   *
   * @example
   * const worker = client.worker("orders", (message) => ship(message.json()), { concurrency: 8, signals: ["SIGTERM"] });
   * await worker.done;
   * await client.close();
   */
  worker(queue: string, handler: WorkerHandler, options: WorkerOptions = {}): Worker {
    return new Worker(this, queue, handler, options);
  }

  /** Hears what is published from now on to every topic that matches the pattern, at most once. */
  subscribe(pattern: string, options: PatternOptions = {}): PatternSubscription {
    const subscription = new PatternSubscription(this, ++this.numbers, pattern, options);
    this.addSubscription(subscription.number, subscription);
    return subscription;
  }

  /** A number that no publisher or subscription of this client has had. */
  nextNumber(): number {
    return ++this.numbers;
  }

  addSubscription(number: number, subscription: SubscriptionSink & Endpoint): void {
    this.subscriptionSinks.set(number, subscription);
    this.attach(subscription);
  }

  private attach(endpoint: Endpoint): void {
    this.endpoints.add(endpoint);
    if (this.failure) endpoint.failed(this.failure);
    else if (this.current) endpoint.connected(this.current);
  }

  /** Forgets a closed producer or consumer. */
  detach(number: number, endpoint: Endpoint): void {
    this.endpoints.delete(endpoint);
    this.publisherSinks.delete(number);
    this.subscriptionSinks.delete(number);
  }

  publisher(number: number): PublisherSink | undefined {
    return this.publisherSinks.get(number);
  }

  subscription(number: number): SubscriptionSink | undefined {
    return this.subscriptionSinks.get(number);
  }

  publishers(): Iterable<PublisherSink> {
    return this.publisherSinks.values();
  }

  /** Flushes producers, commits and leaves groups, says goodbye and closes. Idempotent. */
  async close(): Promise<void> {
    if (this.stop.signal.aborted) return;
    const endpoints = [...this.endpoints];
    const closing = Promise.allSettled(endpoints.map((endpoint) => endpoint.close()));
    // A sleep that is not ended would keep the program alive for the rest of its time.
    const patience = new AbortController();
    await Promise.race([closing, sleep(this.settings.closeTimeoutMs, patience.signal).catch(() => undefined)]);
    patience.abort();
    this.stop.abort();
    this.current?.close();
    this.current = null;
    this.end(clientError("closed", "the client was closed"));
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}
