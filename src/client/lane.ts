import { clientError, type MillraceError } from "./errors.ts";
import type { Identity, Parcel } from "./parcel.ts";
import { backoffMs } from "./timing.ts";

/**
 * One partition's way out of a producer: the parcel being filled, those waiting,
 * those in flight, in the order of their records. It keeps sequences without a
 * gap: what the broker refused leaves its numbers to what follows.
 */

/** What a lane needs of its producer. */
export interface LaneHost {
  readonly topic: string;
  /** How many the topic has. */
  readonly partitions: number;
  readonly identity: Identity | null;
  readonly inFlightMax: number;
  /** True when the caller chose it. */
  readonly isInFlightMaxGiven: boolean;
  readonly acks: number;
  /** Sends a parcel's frames if the connection has credit for them. */
  transmit(lane: Lane, parcel: Parcel): boolean;
  /** A parcel is complete and waits to be sent. */
  sealed(parcel: Parcel): void;
  /** A parcel is answered in full: gives its buffer and its share of the limit back. */
  retire(parcel: Parcel): void;
  /** The producer needs a new epoch before anything more goes out. */
  requestEpoch(): void;
  /** Nothing more can be sent by this producer. */
  abandon(error: MillraceError): void;
  /** Calls the lane's `pump` after a while. */
  retryLater(lane: Lane, delayMs: number): void;
}

/** Where nobody holds a result: five keep the broker waiting while the client encodes, and the offset of a duplicate interests nobody. */
const IN_FLIGHT_MAX_WITHOUT_RESULTS = 64;
const RETRY_MIN_MS = 20;
const RETRY_MAX_MS = 2_000;

function isBarrier(parcel: Parcel): boolean {
  return parcel.condition !== null;
}

function hasResults(parcel: Parcel): boolean {
  return parcel.hasResults;
}

export class Lane {
  readonly partition: number | null;
  /** The parcel that records are added to. */
  current: Parcel | null = null;
  /** True when the current parcel has waited long enough. */
  isDue: boolean = false;
  /** True while the producer's next tick knows of this lane. */
  isTouched: boolean = false;
  /** True once records came out of the order of their times. */
  isUnordered: boolean = false;
  private readonly host: LaneHost;
  private waiting: Parcel[] = [];
  private inFlight: Parcel[] = [];
  /** Refused for now, or refused because something before them was. */
  private returned: Parcel[] = [];
  private nextSequence = 0;
  private attempt = 0;
  private isPaused = false;
  /** True from a refusal until nothing is in flight: gaps behind it are its consequence. */
  private isRefused = false;
  /** True from the discovery that the broker lost this producer's state to the new epoch. */
  private isLost = false;
  /** First sequence of what was refused for good, free for what follows; -1 = none. */
  private hole = -1;

  constructor(host: LaneHost, partition: number | null) {
    this.host = host;
    this.partition = partition;
  }

  get isIdle(): boolean {
    return this.current === null && this.waiting.length + this.inFlight.length + this.returned.length === 0;
  }

  get hasInFlight(): boolean {
    return this.inFlight.length > 0;
  }

  /** When the oldest parcel's first record came, or Infinity. */
  get oldest(): number {
    let oldest = this.current?.since ?? Number.POSITIVE_INFINITY;
    for (const parcel of this.parcels()) oldest = Math.min(oldest, parcel.since);
    return oldest;
  }

  private *parcels(): IterableIterator<Parcel> {
    yield* this.inFlight;
    yield* this.returned;
    yield* this.waiting;
  }

  /** Ends the current parcel; the next record begins another. */
  seal(): void {
    if (!this.current) return;
    this.waiting.push(this.current);
    this.host.sealed(this.current);
    this.current = null;
    this.isDue = false;
  }

  /** Adds a parcel that is complete already, behind everything before it. */
  add(parcel: Parcel): void {
    this.seal();
    this.waiting.push(parcel);
    this.host.sealed(parcel);
  }

  /** Sends what may go. */
  pump(): void {
    if (this.isPaused || this.isRefused) return;
    while (true) {
      const next = this.waiting[0] ?? (this.isDue ? this.current : null);
      if (!next || this.inFlight.length >= this.limitFor(next)) return;
      if (this.waiting.length === 0) this.seal();
      const parcel = this.waiting[0] as Parcel;
      const mustWait = this.inFlight.some(isBarrier) || (isBarrier(parcel) && this.inFlight.length > 0);
      if (this.host.identity !== null && mustWait) return;
      if (!this.dispatch(parcel)) return;
    }
  }

  /** How many parcels may be in flight with this one. */
  private limitFor(parcel: Parcel): number {
    // After a refusal one goes ahead, to see whether the others would be refused again.
    if (this.attempt > 0) return 1;
    const { inFlightMax, isInFlightMaxGiven } = this.host;
    // One that is not full yet grows instead.
    if (isInFlightMaxGiven || parcel === this.current) return inFlightMax;
    if (parcel.hasResults || this.inFlight.some(hasResults)) return inFlightMax;
    return Math.max(inFlightMax, IN_FLIGHT_MAX_WITHOUT_RESULTS);
  }

  private dispatch(parcel: Parcel): boolean {
    const isNew = parcel.sequence < 0;
    if (!this.host.transmit(this, parcel)) return false;
    this.waiting.shift();
    if (isNew) this.nextSequence = (this.nextSequence + parcel.recordCount) >>> 0;
    if (this.host.acks === 0) {
      parcel.acked(0, parcel.correlations, this.partition ?? 0, null, 0);
      this.host.retire(parcel);
    } else {
      this.inFlight.push(parcel);
    }
    return true;
  }

  /** The sequence to send a parcel with. */
  sequenceOf(parcel: Parcel): number {
    return parcel.sequence < 0 ? this.nextSequence : parcel.sequence;
  }

  private find(correlation: number): Parcel | undefined {
    return this.inFlight.find((parcel) => (correlation - parcel.correlation) >>> 0 < parcel.correlations);
  }

  owns(correlation: number): boolean {
    return this.find(correlation) !== undefined;
  }

  /** Takes an ACK run, which may cover several parcels. */
  acked(correlation: number, count: number, partition: number, baseOffset: number | null, level: number): void {
    this.answer(correlation, count, (parcel, first, taken, skipped) => {
      parcel.acked(first, taken, partition, baseOffset === null ? null : baseOffset + skipped, level);
    });
    this.attempt = 0;
    this.resend();
    this.pump();
  }

  /** Takes word of records that went nowhere. */
  unrouted(correlation: number, positions: readonly number[], error: MillraceError): void {
    const parcel = this.find(correlation);
    parcel?.unrouted((correlation - parcel.correlation) >>> 0, positions, error);
  }

  /** Takes a NACK of `count` publishes. */
  refused(correlation: number, count: number, error: MillraceError): void {
    if (error.code === PRODUCER_FENCED) {
      this.host.abandon(error);
      return;
    }
    this.answer(correlation, count, (parcel, first, taken) => this.refuse(parcel, first, taken, error));
    this.resend();
    this.pump();
  }

  /** Applies an answer for `count` correlation ids to the parcels that they belong to. */
  private answer(
    correlation: number,
    count: number,
    apply: (parcel: Parcel, first: number, taken: number, skipped: number) => void,
  ): void {
    for (let skipped = 0; skipped < count;) {
      const at = (correlation + skipped) >>> 0;
      const parcel = this.find(at);
      if (!parcel) return;
      const first = (at - parcel.correlation) >>> 0;
      const taken = Math.min(count - skipped, parcel.correlations - first);
      apply(parcel, first, taken, skipped);
      skipped += taken;
      if (parcel.outstanding === 0) this.land(parcel);
    }
  }

  /** A parcel with all its answers leaves the flight, to its end or to be sent again. */
  private land(parcel: Parcel): void {
    this.inFlight.splice(this.inFlight.indexOf(parcel), 1);
    if (parcel.outcome.isSettled) this.host.retire(parcel);
    else this.returned.push(parcel);
  }

  private refuse(parcel: Parcel, first: number, taken: number, error: MillraceError): void {
    const isGap = error.code === SEQUENCE_GAP || error.code === UNKNOWN_PRODUCER;
    if (isGap && !this.isRefused) {
      // With nothing refused before it, the broker has lost or forgotten this producer's state.
      this.isLost = true;
      this.host.requestEpoch();
    }
    this.isRefused = true;
    if (isGap && this.isLost && parcel.isDoubtful) {
      // It may be stored already: under a new epoch it could be stored twice.
      parcel.failed(first, taken, error);
      return;
    }
    if (error.retryable || isGap) {
      parcel.deferred(first, taken);
      return;
    }
    const sequence = (parcel.sequence + first) >>> 0;
    if (this.hole < 0 || ((sequence - this.hole) | 0) < 0) this.hole = sequence;
    parcel.failed(first, taken, error);
  }

  /** Once nothing is in flight, what was refused goes out again, in order and without holes. */
  private resend(): void {
    if (this.inFlight.length > 0) return;
    this.isRefused = false;
    const { returned } = this;
    const hasReturned = returned.length > 0;
    if (hasReturned) {
      this.returned = [];
      returned.sort(bySending);
      for (const parcel of returned) parcel.compact();
      this.waiting = returned.concat(this.waiting);
    }
    if (this.hole >= 0) this.closeHole();
    if (hasReturned) this.pause(backoffMs(this.attempt++, RETRY_MIN_MS, RETRY_MAX_MS));
  }

  /** Numbers everything that waits from the first sequence that is free. */
  private closeHole(): void {
    let first = this.hole;
    for (const parcel of this.waiting) {
      if (parcel.sequence < 0) continue;
      if (((parcel.sequence - first) | 0) < 0) first = parcel.sequence;
      parcel.sequence = -1;
    }
    this.nextSequence = first;
    this.hole = -1;
  }

  private pause(delayMs: number): void {
    this.isPaused = true;
    this.host.retryLater(this, delayMs);
  }

  resume(): void {
    this.isPaused = false;
    this.pump();
  }

  /** The connection is gone: what was in flight goes first in the next one, with its sequences. */
  disconnected(): void {
    for (const parcel of this.inFlight) parcel.isDoubtful = true;
    const returned = this.inFlight.concat(this.returned).sort(bySending);
    for (const parcel of returned) parcel.compact();
    this.inFlight = [];
    this.returned = [];
    this.isRefused = false;
    this.waiting = returned.concat(this.waiting);
    if (this.hole >= 0) this.closeHole();
  }

  /** A new epoch begins: sequences restart. Only the old epoch could tell whether a doubtful parcel is stored. */
  renumber(): void {
    this.disconnected();
    const doubtful = this.waiting.filter((parcel) => parcel.isDoubtful);
    this.waiting = this.waiting.filter((parcel) => !parcel.isDoubtful);
    for (const parcel of doubtful) {
      parcel.failRest(clientError("sequence_gap", "the broker lost this producer's state; the record may be stored"));
      this.host.retire(parcel);
    }
    for (const parcel of this.waiting) parcel.sequence = -1;
    this.nextSequence = 0;
    this.isLost = false;
  }

  /** Fails everything. Returns whether something of unknown outcome was among it. */
  fail(error: MillraceError): boolean {
    this.seal();
    const parcels = [...this.parcels()];
    this.inFlight = [];
    this.returned = [];
    this.waiting = [];
    for (const parcel of parcels) {
      parcel.failRest(error);
      this.host.retire(parcel);
    }
    return parcels.some((parcel) => parcel.sequence >= 0);
  }
}

const SEQUENCE_GAP = 130;
const PRODUCER_FENCED = 131;
const UNKNOWN_PRODUCER = 136;

/** Sendings are numbered upwards, so correlation ids order parcels as their records came. */
function bySending(a: Parcel, b: Parcel): number {
  return (a.correlation - b.correlation) | 0;
}
