import type { Meter } from "./meter.ts";

/**
 * What a producer has sent to a partition and has no answer for, oldest first: the broker answers a partition's publishes
 * in their order. Two rings of numbers, so that nothing is allocated for a message.
 */

/** A queue of numbers that grows by doubling. */
class Ring {
  private values = new Float64Array(64);
  private start = 0;
  length = 0;

  push(value: number): void {
    if (this.length === this.values.length) this.grow();
    this.values[(this.start + this.length) & (this.values.length - 1)] = value;
    this.length += 1;
  }

  private grow(): void {
    const grown = new Float64Array(this.values.length * 2);
    for (let at = 0; at < this.length; at += 1) grown[at] = this.at(at);
    this.values = grown;
    this.start = 0;
  }

  at(index: number): number {
    return this.values[(this.start + index) & (this.values.length - 1)] as number;
  }

  /** Changes the value that was pushed last. */
  addToLast(value: number): void {
    const at = (this.start + this.length - 1) & (this.values.length - 1);
    this.values[at] = (this.values[at] as number) + value;
  }

  shift(): number {
    const value = this.at(0);
    this.start = (this.start + 1) & (this.values.length - 1);
    this.length -= 1;
    return value;
  }
}

export class InFlight {
  /** Records given to the connection or client. */
  sent: number = 0;
  /** Records that the broker has answered. */
  acked: number = 0;
  /** Runs of records that were due at one time: the time, and how many are left of it. */
  private readonly dues = new Ring();
  private readonly counts = new Ring();
  private head = 0;
  /** Records, and their bytes, of each publish. */
  private readonly publishes = new Ring();
  private readonly publishBytes = new Ring();

  /** A record was sent; `published` says when its publish is complete. */
  add(dueUs: number): void {
    this.addRun(dueUs, 1);
  }

  /** Records that were due at one time were sent. */
  addRun(dueUs: number, records: number): void {
    this.sent += records;
    const { dues, counts } = this;
    if (dues.length > 0 && dues.at(dues.length - 1) === dueUs) {
      counts.addToLast(records);
      return;
    }
    dues.push(dueUs);
    counts.push(records);
  }

  /** The last `records` records went out as one publish. */
  published(records: number, bytes: number): void {
    this.publishes.push(records);
    this.publishBytes.push(bytes);
  }

  /** The broker answered so many publishes. */
  ack(publishes: number, nowUs: number, meter: Meter): void {
    for (let left = publishes; left > 0 && this.publishes.length > 0; left -= 1) {
      const records = this.publishes.shift();
      meter.count(nowUs, records, this.publishBytes.shift());
      this.acked += records;
      this.settle(records, nowUs, meter);
    }
  }

  /** Everything is answered, at some time that is not known: it counts, and has no latency. */
  ackRest(nowUs: number, meter: Meter): void {
    while (this.publishes.length > 0) {
      const records = this.publishes.shift();
      meter.count(nowUs, records, this.publishBytes.shift());
      this.acked += records;
    }
    while (this.dues.length > 0) {
      this.dues.shift();
      this.counts.shift();
    }
  }

  private settle(records: number, nowUs: number, meter: Meter): void {
    const { dues, counts } = this;
    for (let left = records; left > 0;) {
      const run = Math.min(left, counts.at(0) - this.head);
      meter.took(dues.at(0), nowUs, run);
      left -= run;
      this.head += run;
      if (this.head < counts.at(0)) return;
      this.head = 0;
      dues.shift();
      counts.shift();
    }
  }
}
