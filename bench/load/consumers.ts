import { type Client, connect, type Consumer } from "../../src/client/index.ts";
import { nowUs } from "../lib/clock.ts";
import { Link } from "../lib/link.ts";
import { clientOptions } from "./client-options.ts";
import { type LoadConsumer, partitionsOf, type Run } from "./lane.ts";
import { Ledger } from "./ledger.ts";
import { Meter, type Span } from "./meter.ts";
import { dueOf, numberOf, producerOf, runOf, STAMP_BYTES } from "./payload.ts";
import { addressOf } from "./target.ts";
import { walkBatches } from "./walk.ts";

/** The consuming side: raw connections that go over frames, and the TypeScript client with a record for each message. */

const SUBSCRIPTION = 1;
const NOTHING = new Uint8Array(0);

/** Where reading begins: behind what the topic held before, or at its beginning where nobody produces. */
function startOf(run: Run, partitions: readonly number[]): "earliest" | { offsets: Record<number, number> } {
  if (run.producers === 0) return "earliest";
  return { offsets: Object.fromEntries(partitions.map((partition) => [partition, run.offsets[partition] ?? 0])) };
}

/** What both kinds do with a value: read its stamp, check its number, count it. */
class Intake {
  readonly ledger: Ledger;
  readonly meter: Meter;
  private readonly runId: number;
  private readonly producers: number;
  private readonly isTimed: boolean;
  /** A run of messages that were due at one time. */
  private dueUs = 0;
  private count = 0;
  private nowUs = 0;
  private messages = 0;
  private bytes = 0;

  constructor(run: Run, span: Span) {
    this.ledger = new Ledger(run.producers, run.partitions);
    this.meter = new Meter(span);
    this.runId = run.id;
    this.producers = run.producers;
    // What an earlier run left in the topic was due then.
    this.isTimed = run.producers > 0;
  }

  /** Messages that follow came at this time. */
  begin(nowUs: number): void {
    this.nowUs = nowUs;
  }

  take(bytes: Uint8Array, at: number, length: number, partition: number): void {
    this.messages += 1;
    this.bytes += length;
    if (length < STAMP_BYTES || runOf(bytes, at) !== this.runId || producerOf(bytes, at) >= this.producers) {
      this.ledger.foreign += 1;
      return;
    }
    this.ledger.saw(producerOf(bytes, at), partition, numberOf(bytes, at));
    const dueUs = dueOf(bytes, at);
    if (dueUs !== this.dueUs) this.settle(dueUs);
    this.count += 1;
  }

  private settle(dueUs: number): void {
    if (this.count > 0 && this.isTimed) this.meter.took(this.dueUs, this.nowUs, this.count);
    this.dueUs = dueUs;
    this.count = 0;
  }

  /** All messages of this moment were taken. */
  end(): void {
    this.settle(0);
    if (this.messages > 0) this.meter.count(this.nowUs, this.messages, this.bytes);
    this.messages = 0;
    this.bytes = 0;
  }
}

abstract class MeasuredConsumer implements LoadConsumer {
  readonly partitions: readonly number[];
  failure: Error | undefined;
  protected readonly run: Run;
  #intake: Intake | undefined;

  constructor(run: Run, number: number) {
    this.run = run;
    this.partitions = partitionsOf(run, number);
  }

  get intake(): Intake {
    if (this.#intake === undefined) throw new Error("the consumer has not begun");
    return this.#intake;
  }

  protected fail(error: Error): void {
    this.failure ??= error;
  }

  async begin(span: Span): Promise<void> {
    this.#intake = new Intake(this.run, span);
    if (this.partitions.length > 0) await this.subscribe();
  }

  protected abstract subscribe(): Promise<void>;
  abstract close(): Promise<void>;
}

class RawConsumer extends MeasuredConsumer {
  private readonly link: Link;
  private readonly partitionOf = new Map<number, number>();

  constructor(run: Run, number: number, link: Link) {
    super(run, number);
    this.link = link;
    link.onFailure = (error) => this.fail(error);
  }

  protected async subscribe(): Promise<void> {
    const { link, intake, partitionOf } = this;
    let partition = 0;
    const take = (bytes: Uint8Array, at: number, length: number): void => intake.take(bytes, at, length, partition);
    link.onDeliver = (source, bytes, start, end) => {
      partition = partitionOf.get(source) ?? 0;
      intake.begin(nowUs());
      try {
        walkBatches(bytes, start, end, take);
      } catch (error) {
        this.fail(error as Error);
      }
      intake.end();
    };
    const { partitions, run } = this;
    const args = { topic: run.topic, from: startOf(run, partitions), partitions };
    await link.subscribe(SUBSCRIPTION, args, (sources) => {
      for (const [source, , of] of sources) partitionOf.set(source, of);
    });
  }

  async close(): Promise<void> {
    this.link.close();
  }
}

class ClientConsumer extends MeasuredConsumer {
  private readonly client: Client;
  private consumer: Consumer | undefined;

  constructor(run: Run, number: number, client: Client) {
    super(run, number);
    this.client = client;
  }

  protected async subscribe(): Promise<void> {
    const { run, partitions } = this;
    const from = startOf(run, partitions);
    this.consumer = this.client.consume(run.topic, { from, partitions: [...partitions] });
    this.read(this.consumer).catch((error: Error) => this.fail(error));
  }

  private async read(consumer: Consumer): Promise<void> {
    const { intake } = this;
    for await (const messages of consumer.batches()) {
      intake.begin(nowUs());
      for (const message of messages) {
        const { value } = message;
        if (value === null) intake.take(NOTHING, 0, 0, message.partition);
        else intake.take(value, 0, value.length, message.partition);
      }
      intake.end();
    }
  }

  async close(): Promise<void> {
    await this.consumer?.close().catch(() => undefined);
    await this.client.close();
  }
}

export type AnyConsumer = RawConsumer | ClientConsumer;

/** Connects. Errors: connection_lost, and what the broker refuses with. */
export async function openConsumer(run: Run, number: number): Promise<AnyConsumer> {
  if (run.payload === "client")
    return new ClientConsumer(run, number, await connect(run.url, await clientOptions(run.url, run.namespace)));
  const { host, port } = addressOf(run.url);
  const options = { host, ...(run.namespace === undefined ? {} : { namespace: run.namespace }) };
  return new RawConsumer(run, number, await Link.open(port, options));
}
