/** A session's membership in a consumer group: turns what the coordinator gives and takes into sources. */
import type { Given, MemberEvent, ViewRequest } from "../broker/index.ts";
import { ERRORS, MillraceError } from "../errors/index.ts";
import { encodeFrame, Op } from "../protocol/index.ts";
import { groupResource } from "./resources.ts";
import type { Session } from "./session.ts";
import { type From, resolveFrom, type Source, Subscription } from "./subscriptions.ts";

export interface GroupSubscribeRequest {
  readonly group: string;
  readonly topics: readonly string[];
  readonly from: From;
  readonly member: string | null;
  readonly instance: string | null;
  readonly sessionTimeoutMs: number;
  readonly view: ViewRequest | undefined;
}

type Pair = readonly [topic: string, partition: number];

export class GroupSubscription extends Subscription {
  readonly group: string;
  readonly #request: GroupSubscribeRequest;
  #member: string | null = null;
  #generation = 0;
  /** Events that came before the client knows that it joined. */
  #early: MemberEvent[] | null = [];
  readonly #sourceOf = new Map<string, number>();
  /** Revoked sources that the client has not released yet. */
  readonly #revoked = new Map<number, Pair>();

  constructor(session: Session, sub: number, request: GroupSubscribeRequest) {
    super(session, sub, request.view);
    this.group = request.group;
    this.#request = request;
  }

  async join(): Promise<{ sources: never[]; member: string; generation: number }> {
    const { group, topics, member, instance, sessionTimeoutMs } = this.#request;
    const { namespace } = this.session;
    const client = this.session.clientName;
    const address = this.#address();
    const request = { namespace, group, member, instance, topics, sessionTimeoutMs, client, address };
    const joined = await this.session.services.groups.join(request);
    this.#member = joined.member;
    this.#generation = joined.generation;
    // The connection may have gone while the owner was asked, and then nobody left the group for it.
    if (this.session.isClosed) await this.#leave("lost");
    // So may its right.
    if (!this.#isAllowed()) {
      await this.#leave("closed");
      throw new MillraceError("unauthorized", `the right to read with the group "${group}" was taken away`);
    }
    return { sources: [], ...joined };
  }

  /** The client knows: what came early can go out. */
  opened(): void {
    const early = this.#early ?? [];
    this.#early = null;
    for (const event of early) this.handle(event);
  }

  handle(event: MemberEvent): void {
    if (this.#early !== null) {
      this.#early.push(event);
      return;
    }
    if (event.member !== this.#member) return;
    if (event.type === "expelled") this.#expelled(event.error, event.reason);
    else this.#assigned(event.generation, event.added, event.revoked);
  }

  /** The client is done with revoked sources: they may go to their next owner. */
  async release(sources: readonly number[]): Promise<void> {
    const { namespace } = this.session;
    const partitions: Pair[] = [];
    for (const source of sources) {
      const pair = this.#revoked.get(source);
      if (pair === undefined) continue;
      this.#revoked.delete(source);
      partitions.push(pair);
    }
    if (partitions.length === 0 || this.#member === null) return;
    await this.session.services.groups.release({ namespace, group: this.group, member: this.#member, partitions });
  }

  override sourceEnded(source: number): void {
    const ended = this.sources.get(source);
    super.sourceEnded(source);
    if (ended !== undefined) this.#sourceOf.delete(keyOf(ended.topic, ended.partition));
  }

  /** A member reads whatever its group gives it, so without the right to one topic it leaves. */
  recheck(): void {
    // Whoever is still joining is asked when it has.
    if (this.#member === null || this.#isAllowed()) return;
    this.#leave("closed").catch((error: unknown) => {
      this.session.services.logger.debug("a member could not leave its group", { error });
    });
    this.#expelled("unauthorized", `the right to read with the group "${this.group}" was taken away`);
  }

  #isAllowed(): boolean {
    const { group, topics } = this.#request;
    if (!this.session.isAllowed("group.join", groupResource(this.session, group))) return false;
    return topics.every((topic) => this.mayConsume(topic));
  }

  close(how: "closed" | "lost"): Promise<void> {
    return this.#leave(how);
  }

  async #leave(how: "closed" | "lost"): Promise<void> {
    if (this.#member === null) return;
    const { namespace, services } = this.session;
    await services.groups.leave({ namespace, group: this.group, member: this.#member, address: this.#address(), how });
  }

  #assigned(generation: number, added: readonly Given[], revoked: readonly Pair[]): void {
    this.#generation = generation;
    const gone: number[] = [];
    for (const [topic, partition] of revoked) {
      const key = keyOf(topic, partition);
      const source = this.#sourceOf.get(key);
      if (source === undefined) {
        void this.#releaseEnded([topic, partition]);
        continue;
      }
      this.#sourceOf.delete(key);
      this.stop(source);
      this.#revoked.set(source, [topic, partition]);
      gone.push(source);
    }
    const rows: [number, string, number, number, string | null][] = [];
    const starts: [source: number, at: Source, from: number][] = [];
    for (const given of added) {
      const started = this.#prepare(given);
      if (started === undefined) continue;
      const [source, at, from] = started;
      rows.push([source, at.topic, at.partition, from, given[3]]);
      starts.push(started);
    }
    // The client hears of its sources before their first delivery.
    this.session.send(encodeFrame(Op.ASSIGNMENT, this.sub, this.#generation, rows, gone));
    for (const [source, at, from] of starts) this.startOrEnd(source, at, from);
  }

  /** A revoked partition without a source: the source had ended by itself, so there is nothing to wait for. */
  async #releaseEnded(pair: Pair): Promise<void> {
    if (this.#member === null) return;
    const { namespace, services } = this.session;
    const request = { namespace, group: this.group, member: this.#member, partitions: [pair] };
    await services.groups.release(request).catch(() => undefined);
  }

  #prepare([topicName, partition, committed]: Given): [number, Source, number] | undefined {
    const { topics, logger } = this.session.services;
    try {
      const topic = topics.require(this.session.namespace, topicName);
      const source = this.nextSource();
      this.#sourceOf.set(keyOf(topicName, partition), source);
      return [source, { topicId: topic.id, topic: topicName, partition }, this.#startOf(topic, partition, committed)];
    } catch (error) {
      // The topic went at this very moment; its deletion is on the way to the group as well.
      logger.debug("a partition could not be given to a member", { topic: topicName, partition, error });
      return undefined;
    }
  }

  /** The committed offset, as far as it still exists. */
  #startOf(topic: Parameters<typeof resolveFrom>[1], partition: number, committed: number | null): number {
    if (committed === null) return resolveFrom(this.session, topic, partition, this.#request.from);
    const { startOffset, highWatermark } = this.session.services.engine.partition(topic.id, partition);
    return Math.min(Math.max(committed, startOffset), highWatermark);
  }

  #expelled(error: "member_unknown" | "fenced_instance" | "unauthorized", reason: string): void {
    this.#member = null;
    for (const source of this.sources.keys()) {
      this.session.send(encodeFrame(Op.SOURCE_END, this.sub, source, 0, ERRORS[error].code, reason));
    }
    this.session.dropSubscription(this.sub);
  }

  #address(): { worker: number; session: number; sub: number } {
    return { worker: this.session.services.engine.worker, session: this.session.serial, sub: this.sub };
  }
}

function keyOf(topic: string, partition: number): string {
  return `${topic} ${partition}`;
}

/** @throws what ends a request about a subscription that is no group's. */
export function requireGroup(subscription: Subscription | undefined, sub: number): GroupSubscription {
  if (subscription instanceof GroupSubscription) return subscription;
  throw new MillraceError("subscription_not_found", `there is no group subscription ${sub}`);
}
