import { type Parcel, pooledBytes } from "./parcel.ts";

/** What a producer may hold: the bytes of records without an answer, and the buffers they stand in. */

/**
 * Whole batches without an answer past which callers are asked to wait: enough
 * for the broker to work while this side encodes; more would only be written
 * to memory and read back. A sync takes the disk milliseconds.
 */
const QUEUED_BYTES_MAX = 2 * 1024 * 1024;
const QUEUED_BYTES_MAX_SYNCED = 8 * 1024 * 1024;
/** Batches that count as enough where they are large. */
const QUEUED_BATCHES = 4;
/** Callers go on when this part of them is answered. */
const RELEASED_PART = 1 / 8;

export class Room {
  /** True from too much under way until it is less again. */
  isPressed: boolean = false;
  private readonly bytesMax: number;
  private readonly queuedBytesMax: number;
  private readonly queuedBytesLow: number;
  private bytes = 0;
  /** The part of them that is in sealed parcels. */
  private queuedBytes = 0;

  constructor(bytesMax: number, batchBytes: number, isSynced: boolean) {
    this.bytesMax = bytesMax;
    this.queuedBytesMax = Math.max(isSynced ? QUEUED_BYTES_MAX_SYNCED : QUEUED_BYTES_MAX, QUEUED_BATCHES * batchBytes);
    this.queuedBytesLow = this.queuedBytesMax * (1 - RELEASED_PART);
  }

  /** False when records must wait. */
  get isThere(): boolean {
    return this.bytes < this.bytesMax;
  }

  /** A parcel took `bytes` in. */
  charge(parcel: Parcel, bytes: number): void {
    parcel.chargedBytes += bytes;
    this.bytes += bytes;
  }

  /** Presses when there is no more room, once what was charged last has been sent where it could be. */
  check(): void {
    if (this.bytes >= this.bytesMax) this.isPressed = true;
  }

  /** A parcel is complete. */
  sealed(parcel: Parcel): void {
    this.queuedBytes += parcel.chargedBytes;
    if (this.queuedBytes >= this.queuedBytesMax) this.isPressed = true;
  }

  /** A sealed parcel is answered. */
  released(parcel: Parcel): void {
    this.bytes -= parcel.chargedBytes;
    this.queuedBytes -= parcel.chargedBytes;
  }

  /** Lets callers go on where enough was released. */
  relax(): void {
    if (this.isThere && this.queuedBytes <= this.queuedBytesLow) this.isPressed = false;
  }
}

const POOL_MAX = 64;

/** Buffers of full batches, used again: a new one costs a page fault every 4 KiB. */
export class BufferPool {
  private readonly buffers: Uint8Array[] = [];
  private readonly bufferBytes: number;

  constructor(batchBytes: number) {
    this.bufferBytes = pooledBytes(batchBytes);
  }

  take(): Uint8Array {
    return this.buffers.pop() ?? new Uint8Array(this.bufferBytes);
  }

  giveBack(buffer: Uint8Array): void {
    if (buffer.length === this.bufferBytes && this.buffers.length < POOL_MAX) this.buffers.push(buffer);
  }
}
