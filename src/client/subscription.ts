import { BatchReader, BatchView, CONTROL, encodeFlow, Op, type Record, type RecordReader } from "../protocol/index.ts";
import type { Client, Endpoint } from "./client.ts";
import { asMillraceError, cancelled, type MillraceError, wireError } from "./errors.ts";
import type { Session, SubscriptionSink } from "./session.ts";

/** What all kinds of subscriptions share: deliveries waiting to be read, credit given back as they are, iteration, and beginning again on a new connection. */

/** A message as consumers see it: a record with its topic and partition. */
export type Message = Record;

export interface SubscriptionOptions {
  /** Bytes that the broker may send ahead of the reader. Default 4 MiB. */
  creditBytes?: number;
  /** The most messages that `batches()` yields at once. Default 500. */
  maxPollRecords?: number;
  /** The iteration ends after this many. */
  maxRecords?: number;
  /** Ends the iteration with `cancelled`. */
  signal?: AbortSignal;
  /**
   * A rule, as bindings have them: only records that it takes are sent, such as `price > 190 and symbol == "AAPL"`.
   * It reads JSON, msgpack, and Avro by the schema that a record names.
   */
  filter?: string;
  /** Has records of other Avro schemas sent in this one: a version of the topic's subject, or a schema by its id. */
  readerSchema?: number | "latest" | { id: number };
  /** Whose version `readerSchema` is, where the topic's schemaStrategy is not "topic". */
  subject?: string;
}

/** One partition that a subscription reads. */
export interface Source {
  readonly number: number;
  readonly topic: string;
  readonly partition: number;
  /** The next offset to hand out. */
  position: number;
  /** The offset behind the last message that the reader is done with. */
  processed: number;
  /** Where reading began in this session. */
  readonly start: number;
  isEnded: boolean;
}

interface Waiting {
  source: Source;
  bytes: Uint8Array;
  at: number;
  end: number;
  frameBytes: number;
  /** The values of a SOURCE_END in its place among the deliveries. */
  ending: readonly unknown[] | null;
}

const NO_BYTES = new Uint8Array(0);
const CREDIT_BYTES = 4 * 1024 * 1024;
const POLL_RECORDS = 500;
const RETRY_MS = 100;
const DONE: IteratorReturnResult<undefined> = { done: true, value: undefined };

export abstract class Subscription
  implements SubscriptionSink, Endpoint, AsyncIterableIterator<Message>, AsyncDisposable
{
  readonly number: number;
  /** Messages that the broker dropped because this reader was too slow: of patterns, and where retention overtook it. Those published while it was not connected are not counted. */
  dropped: number = 0;
  protected readonly client: Client;
  protected readonly creditBytes: number;
  protected readonly sources = new Map<number, Source>();
  protected session: Session | null = null;
  /** True from the answer to SUBSCRIBE to the end of the session. */
  protected isOpen: boolean = false;
  protected isClosed: boolean = false;
  /** What the broker is to do with records before it sends them. */
  private readonly view: Pick<SubscriptionOptions, "filter" | "readerSchema" | "subject">;
  private readonly maxPollRecords: number;
  private readonly maxRecords: number;
  private readonly signal: AbortSignal | undefined;
  private readonly abort = (): void => {
    this.dropQueue();
    this.fail(cancelled(this.signal as AbortSignal));
  };
  private queue: Waiting[] = [];
  private queueStart = 0;
  private current: Waiting | null = null;
  private batch: BatchReader | null = null;
  private records: RecordReader | null = null;
  private last: Source | null = null;
  /** Sources of the views that `takeViews` gave last. */
  private readonly held = new Set<Source>();
  private handedOut = 0;
  private unreturnedBytes = 0;
  private failure: MillraceError | null = null;
  private wakers: (() => void)[] = [];

  constructor(client: Client, number: number, options: SubscriptionOptions) {
    const { filter, readerSchema, subject } = options;
    this.view = {
      ...(filter === undefined ? {} : { filter }),
      ...(readerSchema === undefined ? {} : { readerSchema }),
      ...(subject === undefined ? {} : { subject }),
    };
    this.client = client;
    this.number = number;
    this.creditBytes = options.creditBytes ?? CREDIT_BYTES;
    this.maxPollRecords = options.maxPollRecords ?? POLL_RECORDS;
    this.maxRecords = options.maxRecords ?? Number.POSITIVE_INFINITY;
    this.signal = options.signal;
    if (this.signal?.aborted) this.abort();
    else this.signal?.addEventListener("abort", this.abort, { once: true });
  }

  /** The map of a SUBSCRIBE that goes on where the last session ended. */
  protected abstract parameters(): { [name: string]: unknown };

  /** Takes the answer to SUBSCRIBE. */
  protected abstract subscribed(result: { [name: string]: unknown }): void;

  /** Records from this offset on were not asked for. */
  protected readonly untilOffset: number = Number.POSITIVE_INFINITY;

  /** True when nothing more will come. */
  protected isComplete(): boolean {
    return false;
  }

  /** Runs whenever the reader asks for more: it is done with what it had. */
  protected readerIsIdle(): void {}

  /** An end of a source other than the regular one. Returns true when the subscription goes on. */
  protected sourceFailed(_source: Source, _error: MillraceError): boolean {
    return false;
  }

  // -- The session's side -------------------------------------------------------

  connected(session: Session): void {
    this.session = session;
    this.subscribe(session);
  }

  protected subscribe(session: Session): void {
    if (this.isClosed || this.failure || this.session !== session) return;
    this.sources.clear();
    const args = { ...this.parameters(), ...this.view, creditBytes: this.creditBytes };
    session.call(
      Op.SUBSCRIBE,
      [this.number, args],
      (result) => {
        this.isOpen = true;
        this.subscribed(result as { [name: string]: unknown });
        this.wake();
      },
      (error) => this.subscribeFailed(session, error),
    );
  }

  protected subscribeFailed(session: Session, error: MillraceError): void {
    if (this.session !== session || !session.isOpen) return;
    if (!error.retryable) this.fail(error);
    else setTimeout(() => this.subscribe(session), RETRY_MS);
  }

  disconnected(): void {
    this.session = null;
    this.isOpen = false;
    this.dropQueue();
  }

  /** Leaves what was not handed out; the next session brings it again. */
  protected dropQueue(): void {
    this.queue = [];
    this.queueStart = 0;
    this.current = null;
    this.batch = null;
    this.records = null;
    this.unreturnedBytes = 0;
  }

  /** Ends this subscription on the server and begins it anew in the same session. */
  protected async restart(): Promise<void> {
    const { session } = this;
    if (!session || !this.isOpen) return;
    this.isOpen = false;
    this.dropQueue();
    await session.request(Op.UNSUBSCRIBE, [this.number], RETRY_MS * 50).catch(() => undefined);
    this.dropQueue();
    if (session.isOpen) this.subscribe(session);
  }

  failed(error: MillraceError): void {
    this.session = null;
    this.isOpen = false;
    this.fail(error);
  }

  /** Makes the iteration throw once what was delivered has been read. */
  protected fail(error: MillraceError): void {
    this.failure ??= error;
    this.wake();
  }

  protected addSource(number: number, topic: string, partition: number, offset: number): Source {
    const source = { number, topic, partition, position: offset, processed: offset, start: offset, isEnded: false };
    this.sources.set(number, source);
    return source;
  }

  delivered(number: number, bytes: Uint8Array, start: number, end: number, frameBytes: number): void {
    const source = this.sources.get(number);
    if (!source || !this.isOpen || this.isClosed) {
      // Deliveries that crossed a revocation on the way still count as credit.
      this.returnCredit(frameBytes);
      return;
    }
    this.queue.push({ source, bytes, at: start, end, frameBytes, ending: null });
    this.wake();
  }

  notified(op: number, args: unknown[]): void {
    if (op === Op.SOURCE) {
      const [number, topic, partition, offset] = args as [number, string, number, number];
      if (!this.sources.has(number)) this.addSource(number, topic, partition, offset);
    } else if (op === Op.DROPPED) {
      this.dropped += args[1] as number;
    } else if (op === Op.SOURCE_END) {
      const source = this.sources.get(args[0] as number);
      if (!source) return;
      this.queue.push({ source, bytes: NO_BYTES, at: 0, end: 0, frameBytes: 0, ending: args });
      this.wake();
    }
  }

  private returnCredit(bytes: number): void {
    this.unreturnedBytes += bytes;
    if (this.unreturnedBytes * 2 < this.creditBytes) return;
    if (this.isOpen && this.session) this.session.send(encodeFlow(this.number, this.unreturnedBytes));
    this.unreturnedBytes = 0;
  }

  /** Gives deliveries of sources that went away back, unread. */
  protected dropSources(gone: ReadonlySet<Source>): void {
    const kept: Waiting[] = [];
    for (const entry of this.queue.slice(this.queueStart)) {
      if (gone.has(entry.source)) this.returnCredit(entry.frameBytes);
      else kept.push(entry);
    }
    this.queue = kept;
    this.queueStart = 0;
    if (this.current && gone.has(this.current.source)) this.finishFrame();
  }

  // -- The reader's side ----------------------------------------------------------

  /** The next message that is here already, or undefined. Errors: what ended a source, what is wrong with a batch. */
  private pull(): Message | undefined {
    while (true) {
      if (this.records) {
        const record = this.records.read();
        if (record) {
          const { source } = this.current as Waiting;
          if (record.offset < source.position || record.offset >= this.untilOffset) continue;
          source.position = record.offset + 1;
          this.last = source;
          return record;
        }
        this.finishBatch();
      } else if (this.batch) {
        this.records = this.batch.records();
      } else if (!this.nextBatch()) {
        return undefined;
      }
    }
  }

  /** What is here already of the next batch, or undefined. Errors: as `pull`. */
  private pullView(): BatchView | undefined {
    while (!this.isClosed && this.handedOut < this.maxRecords) {
      const { batch } = this;
      if (!batch) {
        if (!this.nextBatch()) return undefined;
        continue;
      }
      const { source } = this.current as Waiting;
      const countMax = this.maxRecords - this.handedOut;
      const view = new BatchView(batch, { from: source.position, until: this.untilOffset, countMax });
      if (view.length > 0) source.position = view.offsetAt(view.length - 1) + 1;
      if (view.length < countMax) this.finishBatch();
      if (view.length === 0) continue;
      this.handedOut += view.length;
      this.last = source;
      return view;
    }
    return undefined;
  }

  private finishBatch(): void {
    const { source } = this.current as Waiting;
    const before = source.position;
    source.position = Math.max(before, (this.batch as BatchReader).nextOffset);
    // What a filter or compaction has left out needs nobody to be done with it.
    if (source.processed === before) source.processed = source.position;
    this.records = null;
    this.batch = null;
  }

  private nextBatch(): boolean {
    const { current } = this;
    if (current && current.at < current.end) {
      const { topic, partition } = current.source;
      const batch = new BatchReader(current.bytes, current.at, current.end, { topic, partition });
      current.at = batch.batchEnd;
      this.batch = batch;
      if ((batch.attributes & CONTROL) !== 0) this.finishBatch();
      return true;
    }
    if (current) this.finishFrame();
    if (this.queueStart === this.queue.length) {
      this.queue = [];
      this.queueStart = 0;
      return false;
    }
    const next = this.queue[this.queueStart++] as Waiting;
    // Behind a reader that never catches up the list would hold on to everything that it has read.
    if (this.queueStart * 2 > this.queue.length) {
      this.queue.splice(0, this.queueStart);
      this.queueStart = 0;
    }
    if (next.ending) this.sourceEnded(next.source, next.ending);
    else this.current = next;
    return true;
  }

  private finishFrame(): void {
    const { current } = this;
    this.current = null;
    this.batch = null;
    this.records = null;
    if (current) this.returnCredit(current.frameBytes);
  }

  private sourceEnded(source: Source, ending: readonly unknown[]): void {
    const [, nextOffset, code, message] = ending as [number, number, number, string];
    if (code === 0) {
      source.position = Math.max(source.position, nextOffset);
      source.isEnded = true;
      return;
    }
    const error = wireError([code, null, message, false, null]);
    if (!this.sourceFailed(source, error)) throw error;
  }

  /** What the reader held is done with. */
  private settleLast(): void {
    if (this.last) this.last.processed = this.last.position;
    this.last = null;
    for (const source of this.held) source.processed = source.position;
    this.held.clear();
    this.readerIsIdle();
  }

  /** Everything handed out counts as done, the last message too. */
  protected settleAll(): void {
    for (const source of this.sources.values()) source.processed = source.position;
  }

  private takeOne(): Message | undefined {
    if (this.isClosed || this.handedOut >= this.maxRecords) return undefined;
    const message = this.pull();
    if (message) this.handedOut++;
    return message;
  }

  next(): Promise<IteratorResult<Message, undefined>> {
    try {
      this.settleLast();
      const value = this.takeOne();
      if (value) return Promise.resolve({ done: false, value });
    } catch (error) {
      return this.broken(error);
    }
    return this.park();
  }

  private broken(error: unknown): Promise<never> {
    this.fail(asMillraceError(error));
    return this.finish().then(() => {
      throw error;
    });
  }

  private async park(): Promise<IteratorResult<Message, undefined>> {
    while (await this.more()) {
      const value = this.takeOne();
      if (value) return { done: false, value };
    }
    return DONE;
  }

  /** Waits until there may be more to read; false at the end. Errors: why the subscription failed. */
  private async more(): Promise<boolean> {
    const isAtEnd = this.isClosed || this.handedOut >= this.maxRecords || (this.isOpen && this.isComplete());
    if (isAtEnd || this.failure) {
      const { failure } = this;
      const isThrown = failure && !this.isClosed;
      await this.finish();
      if (isThrown) throw failure;
      return false;
    }
    if (this.queueStart < this.queue.length || this.current) return true;
    await new Promise<void>((resolve) => {
      this.wakers.push(resolve);
    });
    return true;
  }

  protected wake(): void {
    if (this.wakers.length === 0) return;
    const { wakers } = this;
    this.wakers = [];
    for (const run of wakers) run();
  }

  /** True while the reader waits for messages. */
  protected get isParked(): boolean {
    return this.wakers.length > 0;
  }

  /**
   * Messages in arrays of up to `maxPollRecords`, as they are there: at least
   * one, and never waiting for more. Faster than one by one.
   */
  async *batches(): AsyncIterableIterator<Message[]> {
    try {
      while (true) {
        this.settleLast();
        const messages: Message[] = [];
        const seen = new Set<Source>();
        for (let message = this.takeOne(); message; message = this.takeOne()) {
          messages.push(message);
          seen.add(this.last as unknown as Source);
          if (messages.length === this.maxPollRecords) break;
        }
        if (messages.length > 0) {
          yield messages;
          for (const source of seen) source.processed = source.position;
        } else if (!(await this.more())) {
          return;
        }
      }
    } finally {
      await this.finish();
    }
  }

  /**
   * Messages as views of whole batches, as they are there: positions in the
   * bytes that came, for readers that want no object for each message. The
   * quickest way to read; `maxPollRecords` plays no part in it.
   */
  async *views(): AsyncIterableIterator<BatchView> {
    try {
      while (true) {
        this.settleLast();
        const view = this.pullView();
        if (view) yield view;
        else if (!(await this.more())) return;
      }
    } finally {
      await this.finish();
    }
  }

  /**
   * Views as `views` gives them, all that are here until they have `countMax` records: at least one, waiting for the
   * first alone; null at the end. Instead of iterating, for readers that commit many batches at once: what was handed
   * out counts as done when this is called again.
   */
  async takeViews(countMax: number): Promise<BatchView[] | null> {
    this.settleLast();
    const views: BatchView[] = [];
    let count = 0;
    while (true) {
      const view = count < countMax ? this.pullView() : undefined;
      if (view) {
        views.push(view);
        count += view.length;
        this.held.add(this.last as unknown as Source);
      } else if (views.length > 0) {
        return views;
      } else if (!(await this.more())) {
        return null;
      }
    }
  }

  /** Ends the iteration, as `break` in a for-await does. */
  async return(): Promise<IteratorResult<Message, undefined>> {
    await this.finish();
    return DONE;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  /** Runs before the subscription is taken back. */
  protected async beforeClose(): Promise<void> {}

  private finishing: Promise<void> | null = null;

  private finish(): Promise<void> {
    this.finishing ??= this.end();
    return this.finishing;
  }

  private async end(): Promise<void> {
    this.signal?.removeEventListener("abort", this.abort);
    await this.beforeClose();
    this.isClosed = true;
    const { session, isOpen } = this;
    this.isOpen = false;
    this.dropQueue();
    if (session?.isOpen && isOpen) {
      await session.request(Op.UNSUBSCRIBE, [this.number], RETRY_MS * 50).catch(() => undefined);
    }
    this.client.detach(this.number, this);
    this.wake();
  }

  /** Ends the iteration and the subscription; a group commits and is left. */
  async close(): Promise<void> {
    await this.finish();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}
