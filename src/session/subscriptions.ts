/** The subscriptions of a session: what sources they have, and how those come and go. */
import type { Topic, ViewRequest } from "../broker/index.ts";
import { ERRORS, isMillraceError, MillraceError, toMillraceError } from "../errors/index.ts";
import { encodeFrame, Op } from "../protocol/index.ts";
import { compilePattern } from "../stdx/index.ts";
import { topicResource } from "./resources.ts";
import type { Session } from "./session.ts";

export type From =
  | "earliest"
  | "latest"
  | { readonly offset: number }
  | { readonly timestamp: number }
  | { readonly offsets: ReadonlyMap<number, number> };

export type SourceRow = [source: number, topic: string, partition: number, offset: number];

export interface Source {
  readonly topicId: number;
  readonly topic: string;
  readonly partition: number;
}

/** `until` of a source that follows. */
const FOLLOW = -1;

/** The part that all subscriptions share: numbers for sources, and the engine's side of them. */
export abstract class Subscription {
  readonly session: Session;
  readonly sub: number;
  readonly sources = new Map<number, Source>();
  /** How it reads records, where not as they are. */
  readonly #view: ViewRequest | undefined;
  #lastSource = 0;

  constructor(session: Session, sub: number, view: ViewRequest | undefined) {
    this.session = session;
    this.sub = sub;
    this.#view = view;
  }

  /** The core ended this source by itself. */
  sourceEnded(source: number): void {
    this.sources.delete(source);
  }

  /** Users or rules have changed: what lost its right ends. */
  abstract recheck(): void;

  /** Ends the subscription. @param how `lost` when the connection broke under it. */
  abstract close(how: "closed" | "lost"): Promise<void>;

  protected nextSource(): number {
    this.#lastSource += 1;
    return this.#lastSource;
  }

  protected start(source: number, at: Source, from: number, until: number = FOLLOW): void {
    const { engine, views } = this.session.services;
    const reader = this.#view && views.open(this.session.namespace, at.topic, this.#view);
    engine.sourceAdd(this.session.connectionId, this.sub, source, at.topicId, at.partition, from, until);
    if (reader !== undefined) engine.sourceReader(this.session.connectionId, this.sub, source, reader);
    this.sources.set(source, at);
    this.session.services.turnSoon();
  }

  /** Stops a source; one that has ended already is no fault. */
  protected stop(source: number): void {
    this.sources.delete(source);
    try {
      this.session.services.engine.sourceRemove(this.session.connectionId, this.sub, source);
    } catch (error) {
      if (!isMillraceError(error)) throw error;
    }
  }

  /** Tells the client of a source, then starts it. */
  protected announce(topic: Topic, partition: number, from: number): void {
    const source = this.nextSource();
    this.session.send(encodeFrame(Op.SOURCE, this.sub, source, topic.name, partition, from));
    this.startOrEnd(source, { topicId: topic.id, topic: topic.name, partition }, from);
  }

  /** Ends a source with the reason that its topic may not be read any more. */
  protected revoke(source: number): void {
    const topic = this.sources.get(source)?.topic ?? "";
    const message = `the right to read the topic "${topic}" was taken away`;
    this.stop(source);
    this.session.send(encodeFrame(Op.SOURCE_END, this.sub, source, 0, ERRORS.unauthorized.code, message));
  }

  protected mayConsume(topic: string): boolean {
    return this.session.isAllowed("topic.consume", topicResource(this.session, topic));
  }

  /** A source that was announced and cannot start ends at once, with the reason. */
  protected startOrEnd(source: number, at: Source, from: number): void {
    try {
      this.start(source, at, from);
    } catch (error) {
      const { code, message } = toMillraceError(error);
      this.session.send(encodeFrame(Op.SOURCE_END, this.sub, source, from, code, message));
    }
  }
}

/** One topic: all partitions, or those that were named. */
export class TopicSubscription extends Subscription {
  readonly topicId: number;
  readonly #topic: string;
  /** Partitions that are added later belong to it. */
  readonly #grows: boolean;

  private constructor(
    session: Session,
    sub: number,
    topic: Topic,
    options: { grows: boolean; view: ViewRequest | undefined },
  ) {
    super(session, sub, options.view);
    this.topicId = topic.id;
    this.#topic = topic.name;
    this.#grows = options.grows;
  }

  /** @returns the subscription with its sources started, and what OK says of them. */
  static open(
    session: Session,
    sub: number,
    topic: Topic,
    request: {
      partitions: readonly number[] | undefined;
      from: From;
      until: "end" | { offset: number } | undefined;
      view: ViewRequest | undefined;
    },
  ): { subscription: TopicSubscription; sources: SourceRow[] } {
    const { engine } = session.services;
    const grows = request.partitions === undefined && request.until === undefined;
    const subscription = new TopicSubscription(session, sub, topic, { grows, view: request.view });
    const partitions = request.partitions ?? Array.from({ length: topic.partitions }, (_, partition) => partition);
    const rows = partitions.map((partition): SourceRow => {
      session.services.topics.checkPartition(topic, partition);
      return [subscription.nextSource(), topic.name, partition, resolveFrom(session, topic, partition, request.from)];
    });
    for (const [source, , partition, from] of rows) {
      const { highWatermark } = engine.partition(topic.id, partition);
      const until =
        request.until === undefined ? FOLLOW : request.until === "end" ? highWatermark : request.until.offset;
      subscription.start(source, { topicId: topic.id, topic: topic.name, partition }, from, until);
    }
    return { subscription, sources: rows };
  }

  /** Attaches partitions that were added to the topic, from their first record. */
  grown(topic: Topic, previousPartitions: number): void {
    if (!this.#grows) return;
    for (let partition = previousPartitions; partition < topic.partitions; partition += 1)
      this.announce(topic, partition, 0);
  }

  recheck(): void {
    if (this.mayConsume(this.#topic)) return;
    for (const source of [...this.sources.keys()]) this.revoke(source);
    this.session.dropSubscription(this.sub);
  }

  close(): Promise<void> {
    this.session.services.hub.unfollow(this);
    return Promise.resolve();
  }
}

/** All topics whose name matches and that may be consumed, also those to come; at most once, from now on. */
export class PatternSubscription extends Subscription {
  readonly pattern: string;

  constructor(session: Session, sub: number, pattern: string, view: ViewRequest | undefined) {
    super(session, sub, view);
    this.pattern = pattern;
  }

  get namespace(): string {
    return this.session.namespace;
  }

  /** Starts at the end of what matches now. */
  open(topics: readonly Topic[]): SourceRow[] {
    const rows: SourceRow[] = [];
    for (const topic of topics) {
      if (!this.mayConsume(topic.name)) continue;
      for (let partition = 0; partition < topic.partitions; partition += 1) {
        const from = this.session.services.engine.partition(topic.id, partition).highWatermark;
        const source = this.nextSource();
        this.start(source, { topicId: topic.id, topic: topic.name, partition }, from);
        rows.push([source, topic.name, partition, from]);
      }
    }
    return rows;
  }

  /** Topics that may not be read any more leave; those that may be again come from where they are then. */
  recheck(): void {
    const known = new Map<string, number>();
    for (const [source, { topic }] of this.sources) {
      if (this.mayConsume(topic)) known.set(topic, source);
      else this.revoke(source);
    }
    const { engine, topics } = this.session.services;
    for (const topic of topics.matching(this.namespace, compilePattern(this.pattern))) {
      if (known.has(topic.name) || !this.mayConsume(topic.name)) continue;
      for (let partition = 0; partition < topic.partitions; partition += 1)
        this.announce(topic, partition, engine.partition(topic.id, partition).highWatermark);
    }
  }

  /** A topic that came, or grew, after the subscription did: everything in its new partitions is news. */
  grown(topic: Topic, previousPartitions: number): void {
    if (!this.mayConsume(topic.name)) return;
    for (let partition = previousPartitions; partition < topic.partitions; partition += 1)
      this.announce(topic, partition, 0);
  }

  close(): Promise<void> {
    this.session.services.hub.unfollow(this);
    return Promise.resolve();
  }
}

/** The offset to start from. @throws offset_out_of_range for an offset that was never written. */
export function resolveFrom(session: Session, topic: Topic, partition: number, from: From): number {
  const { engine } = session.services;
  const { startOffset, highWatermark } = engine.partition(topic.id, partition);
  if (from === "earliest") return startOffset;
  if (from === "latest") return highWatermark;
  if ("timestamp" in from) return engine.offsetAt(topic.id, partition, from.timestamp);
  const offset = "offset" in from ? from.offset : (from.offsets.get(partition) ?? startOffset);
  if (offset > highWatermark) {
    throw new MillraceError(
      "offset_out_of_range",
      `${topic.name}/${partition} holds offsets ${startOffset} to ${highWatermark}, not ${offset}`,
      { details: { startOffset, highWatermark } },
    );
  }
  // What retention has taken is skipped; the answer says where reading begins.
  return Math.max(offset, startOffset);
}
