import { closeSync, openSync, readSync, rmSync, writeFileSync } from "node:fs";
import type { Counters, Place } from "./messages.ts";

/**
 * Where a worker's process is, in a file that it has mapped: a store for each message there, a read now and then here.
 * It is readable whatever the worker does, also when it is gone: that is how the message that ended it is known.
 */

/** Float64 numbers of the file, by their place. */
const Slot = {
  /** Counts messages begun; it moves on with each. */
  STEP: 0,
  /** 1 while a message is under way. */
  BUSY: 1,
  PARTITION: 2,
  NUMBER: 3,
  MESSAGES_IN: 4,
  MESSAGES_OUT: 5,
  FAILED: 6,
  BATCHES: 7,
} as const;

const SLOTS = 8;
const PAGE_BYTES = SLOTS * Float64Array.BYTES_PER_ELEMENT;

/** The worker's side. */
export class ProgressWriter {
  private readonly slots: Float64Array;

  constructor(file: string) {
    this.slots = new Float64Array(Bun.mmap(file, { shared: true }).buffer, 0, SLOTS);
  }

  begin(partition: number, number: number): void {
    const { slots } = this;
    slots[Slot.PARTITION] = partition;
    slots[Slot.NUMBER] = number;
    slots[Slot.STEP] = (slots[Slot.STEP] as number) + 1;
    slots[Slot.BUSY] = 1;
  }

  end(): void {
    this.slots[Slot.BUSY] = 0;
  }

  /** A batch is committed. */
  committed(messagesIn: number, messagesOut: number, failed: number): void {
    this.add(Slot.MESSAGES_IN, messagesIn);
    this.add(Slot.MESSAGES_OUT, messagesOut);
    this.add(Slot.FAILED, failed);
    this.add(Slot.BATCHES, 1);
  }

  private add(slot: number, count: number): void {
    this.slots[slot] = (this.slots[slot] as number) + count;
  }
}

export interface Progress extends Place {
  /** Messages begun since the worker began, this one too. */
  readonly step: number;
  readonly isBusy: boolean;
  readonly counters: Counters;
}

/** The broker's side. It reads the file instead of mapping it: what somebody does to the file cannot end the broker. */
export class ProgressReader {
  readonly file: string;
  private readonly descriptor: number;
  private readonly slots = new Float64Array(SLOTS);

  constructor(file: string) {
    this.file = file;
    writeFileSync(file, new Uint8Array(PAGE_BYTES), { mode: 0o600, flag: "wx" });
    this.descriptor = openSync(file, "r");
  }

  /** The name has done its work once the worker has mapped the file. */
  unlink(): void {
    rmSync(this.file, { force: true });
  }

  read(): Progress {
    const { slots } = this;
    readSync(this.descriptor, new Uint8Array(slots.buffer), 0, PAGE_BYTES, 0);
    const at = (slot: number): number => slots[slot] as number;
    return {
      step: at(Slot.STEP),
      isBusy: at(Slot.BUSY) === 1,
      partition: at(Slot.PARTITION),
      number: at(Slot.NUMBER),
      counters: {
        messagesIn: at(Slot.MESSAGES_IN),
        messagesOut: at(Slot.MESSAGES_OUT),
        failed: at(Slot.FAILED),
        batches: at(Slot.BATCHES),
      },
    };
  }

  close(): void {
    this.unlink();
    closeSync(this.descriptor);
  }
}
