import { ERRORS } from "../errors/index.ts";
import { Op } from "../protocol/index.ts";
import type { Client } from "./client.ts";
import type { From } from "./consumer.ts";
import { isMillraceError, type MillraceError } from "./errors.ts";
import type { Session } from "./session.ts";
import { type Message, type Source, Subscription, type SubscriptionOptions } from "./subscription.ts";
import { every, sleep } from "./timing.ts";

/** A member of a consumer group: reads what is assigned, commits what it has done, gives back what is revoked. */

export interface TopicPartition {
  topic: string;
  partition: number;
}

export interface AssignedPartition extends TopicPartition {
  /** Where reading begins: the committed offset, or where `from` leads. */
  offset: number;
  /** What was committed with it. */
  metadata: string | null;
}

export interface GroupConsumerOptions extends SubscriptionOptions {
  /** Where a partition without a committed offset begins: "earliest" (the default), "latest" or a timestamp. The broker refuses offsets here. */
  from?: From;
  /** A fixed name of this member: its partitions wait for it through a restart, up to the session timeout. */
  instance?: string;
  /** The id of a member that has ended without leaving, to take its place at once. Where there is none of this id, it is the new one's. */
  member?: string;
  /** Default: the server's, 10,000 ms. */
  sessionTimeoutMs?: number;
  /** Commits every so often what the reader is done with: a message counts as done when the next one is asked for. Default true. */
  autoCommit?: boolean;
  /** Default 1,000 ms. */
  autoCommitMs?: number;
  onAssigned?: (partitions: AssignedPartition[]) => void | Promise<void>;
  /** Runs when the reader is done with what it held; commit here what `autoCommit` does not. */
  onRevoked?: (partitions: TopicPartition[]) => void | Promise<void>;
  /** Hears failures of automatic commits and of the callbacks. */
  onError?: (error: MillraceError) => void;
}

export interface CommitOptions {
  metadata?: string;
}

interface Revocation {
  generation: number;
  sources: Source[];
}

type CommitRow = [topic: string, partition: number, offset: number, metadata: string | null];

const SESSION_TIMEOUT_MS = 10_000;
const AUTO_COMMIT_MS = 1_000;
const COMMIT_ATTEMPTS = 5;
const COMMIT_RETRY_MS = 50;

export class GroupConsumer extends Subscription {
  readonly group: string;
  readonly topics: readonly string[];
  /** The member id that the server gave; it stays through reconnects. */
  member: string | null = null;
  generation: number = 0;
  onAssigned: GroupConsumerOptions["onAssigned"];
  onRevoked: GroupConsumerOptions["onRevoked"];
  private readonly options: GroupConsumerOptions;
  private readonly committed = new Map<Source, number>();
  /** Number of the latest commit that names a partition, by topic and partition. */
  private readonly latestCommits = new Map<string, number>();
  private commits = 0;
  private readonly revocations: Revocation[] = [];
  private readonly timers: ReturnType<typeof setInterval>[] = [];
  private settling: Promise<void> = Promise.resolve();

  constructor(client: Client, number: number, group: string, topics: readonly string[], options: GroupConsumerOptions) {
    super(client, number, options);
    this.group = group;
    this.topics = topics;
    this.options = options;
    this.member = options.member ?? null;
    this.onAssigned = options.onAssigned;
    this.onRevoked = options.onRevoked;
    const { sessionTimeoutMs = SESSION_TIMEOUT_MS, autoCommitMs = AUTO_COMMIT_MS } = options;
    this.timers.push(every(sessionTimeoutMs / 3, () => void this.heartbeat()));
    if (this.isAutoCommit) this.timers.push(every(autoCommitMs, () => void this.autoCommit()));
  }

  private get isAutoCommit(): boolean {
    return this.options.autoCommit ?? true;
  }

  /** The partitions that this member reads now. */
  get assignment(): TopicPartition[] {
    return [...this.sources.values()].map(({ topic, partition }) => ({ topic, partition }));
  }

  protected parameters(): { [name: string]: unknown } {
    const { from = "earliest", instance, sessionTimeoutMs } = this.options;
    const member = this.member ?? undefined;
    return { group: this.group, topics: this.topics, from, member, instance, sessionTimeoutMs };
  }

  /** What was done before the connection broke is committed ahead of joining again, in the same flight. */
  override connected(session: Session): void {
    const rows = this.isAutoCommit ? this.uncommitted() : [];
    if (rows.length > 0 && this.member !== null) {
      const { group, member, generation } = this;
      this.numberCommit(rows);
      const ignore = (): void => undefined;
      session.call(Op.COMMIT, [{ group, member, generation, offsets: rows }], ignore, ignore);
    }
    super.connected(session);
  }

  override disconnected(): void {
    super.disconnected();
    this.revocations.length = 0;
  }

  protected subscribed(result: { [name: string]: unknown }): void {
    this.committed.clear();
    this.member = (result["member"] as string | undefined) ?? this.member;
    this.generation = (result["generation"] as number | undefined) ?? this.generation;
  }

  protected override subscribeFailed(session: Session, error: MillraceError): void {
    if (isMillraceError(error, "member_unknown")) this.member = null;
    super.subscribeFailed(session, error);
  }

  override notified(op: number, args: unknown[]): void {
    if (op === Op.SOURCE_END && args[2] === ERRORS.member_unknown.code) {
      void this.rejoin();
      return;
    }
    if (op !== Op.ASSIGNMENT) {
      super.notified(op, args);
      return;
    }
    const [generation, added, revoked] = args as [number, [number, string, number, number, string | null][], number[]];
    this.generation = generation;
    const gone = new Set<Source>();
    for (const number of revoked) {
      const source = this.sources.get(number);
      if (source) gone.add(source);
      this.sources.delete(number);
    }
    const assigned = added.map(([number, topic, partition, offset, metadata]) => {
      this.addSource(number, topic, partition, offset);
      return { topic, partition, offset, metadata };
    });
    if (assigned.length > 0) this.enqueue(async () => this.onAssigned?.(assigned));
    if (revoked.length === 0) return;
    this.dropSources(gone);
    this.revocations.push({ generation, sources: [...gone] });
    if (this.isParked) this.readerIsIdle();
  }

  /** Callbacks run one after another, in the order of the assignments. */
  private enqueue(run: () => Promise<void>): void {
    this.settling = this.settling.then(run).catch((error: MillraceError) => this.options.onError?.(error));
  }

  /** The reader has finished what it held, so revoked sources can go. */
  protected override readerIsIdle(): void {
    if (this.revocations.length === 0) return;
    for (const revocation of this.revocations.splice(0)) {
      this.enqueue(() => this.giveBack(revocation));
    }
  }

  private async giveBack({ generation, sources }: Revocation): Promise<void> {
    try {
      await this.onRevoked?.(sources.map(({ topic, partition }) => ({ topic, partition })));
      if (this.isAutoCommit) await this.commitRows(rowsOf(sources, this.committed));
    } finally {
      const { session } = this;
      for (const source of sources) this.committed.delete(source);
      const released = { sub: this.number, generation, sources: sources.map(({ number }) => number) };
      if (session?.isOpen)
        session.call(
          Op.RELEASE,
          [released],
          () => undefined,
          () => undefined,
        );
    }
  }

  private async heartbeat(): Promise<void> {
    const { session, member, group, generation } = this;
    if (!session || !this.isOpen || member === null) return;
    session.call(
      Op.GROUP_HEARTBEAT,
      [{ group, member, generation }],
      () => undefined,
      (error) => {
        if (isMillraceError(error, "member_unknown")) void this.rejoin();
        else if (isMillraceError(error, "fenced_instance")) this.fail(error);
      },
    );
  }

  /** A deleted topic only goes away; where retention overtook the reader, joining again finds the first record left. */
  protected override sourceFailed(source: Source, error: MillraceError): boolean {
    if (isMillraceError(error, "topic_deleted", "topic_not_found")) {
      this.sources.delete(source.number);
      return true;
    }
    if (!isMillraceError(error, "offset_out_of_range")) return false;
    void this.rejoin();
    return true;
  }

  /** The server has given this member up: what it read belongs to others now. */
  private async rejoin(): Promise<void> {
    if (!this.isOpen) return;
    const lost = this.assignment;
    this.member = null;
    this.committed.clear();
    if (lost.length > 0) this.enqueue(async () => this.onRevoked?.(lost));
    await this.restart();
  }

  // -- Commits -----------------------------------------------------------------

  private uncommitted(): CommitRow[] {
    return rowsOf([...this.sources.values()], this.committed);
  }

  private async autoCommit(): Promise<void> {
    // Without a session it would wait for one with what is old by then; `connected` commits what is done.
    if (!this.isOpen) return;
    try {
      await this.commitRows(this.uncommitted());
    } catch (error) {
      this.options.onError?.(error as MillraceError);
    }
  }

  /**
   * Commits that everything up to and including the message is done; without
   * one, everything handed out so far.
   *
   * Errors: generation_stale when the partition is no longer this member's,
   * connection_lost, closed.
   */
  async commit(message?: Message, options: CommitOptions = {}): Promise<void> {
    const metadata = options.metadata ?? null;
    if (message) {
      await this.commitRows([[message.topic, message.partition, message.offset + 1, metadata]]);
      return;
    }
    this.settleAll();
    await this.commitRows(this.uncommitted().map(([topic, partition, offset]) => [topic, partition, offset, metadata]));
  }

  /** Marks the rows as the latest commit of their partitions. Returns its number. */
  private numberCommit(rows: readonly CommitRow[]): number {
    const number = ++this.commits;
    for (const row of rows) this.latestCommits.set(placeOf(row), number);
    return number;
  }

  /**
   * A stale generation is tried again: the assignment that made it stale is on
   * its way. What has been committed anew meanwhile is left out then, because
   * the older offset would take the newer one back.
   */
  private async commitRows(rows: CommitRow[]): Promise<void> {
    const number = this.numberCommit(rows);
    for (let attempt = 0; ; attempt++) {
      const { group, member, generation } = this;
      const offsets = rows.filter((row) => this.latestCommits.get(placeOf(row)) === number);
      if (offsets.length === 0) return;
      try {
        const args = { group, member: member ?? undefined, generation, offsets };
        await this.client.ask(Op.COMMIT, [args]);
        break;
      } catch (error) {
        const isStale = isMillraceError(error, "generation_stale");
        if (!isStale || attempt === COMMIT_ATTEMPTS) throw error;
        await sleep(COMMIT_RETRY_MS);
      }
    }
    for (const [topic, partition, offset] of rows) {
      const source = this.sourceOf(topic, partition);
      if (source) this.committed.set(source, Math.max(offset, this.committed.get(source) ?? 0));
    }
  }

  private sourceOf(topic: string, partition: number): Source | undefined {
    for (const source of this.sources.values()) {
      if (source.topic === topic && source.partition === partition) return source;
    }
    return undefined;
  }

  protected override async beforeClose(): Promise<void> {
    for (const timer of this.timers) clearInterval(timer);
    this.readerIsIdle();
    await this.settling;
    if (this.isAutoCommit && this.isOpen) await this.autoCommit();
  }
}

function placeOf([topic, partition]: CommitRow): string {
  return `${topic} ${partition}`;
}

/** What is done and not committed, of these sources. */
function rowsOf(sources: readonly Source[], committed: ReadonlyMap<Source, number>): CommitRow[] {
  const rows: CommitRow[] = [];
  for (const source of sources) {
    const { topic, partition, processed, start } = source;
    if (processed > (committed.get(source) ?? start)) rows.push([topic, partition, processed, null]);
  }
  return rows;
}
