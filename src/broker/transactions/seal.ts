/** Gives the batches of a transaction the identity of its commit. Positions are those of the batch header (src/protocol). */
import { crc32 } from "node:zlib";
import type { Identity } from "./messages.ts";

const AT = { crc: 16, count: 24, producerId: 43, producerEpoch: 52, baseSequence: 55 };
const SEQUENCES = 2 ** 32;

/** Numbers the batches of one commit: each place (a partition, the journal) counts from 0. */
export class Sealer {
  readonly #identity: Identity;
  readonly #next = new Map<string, number>();

  constructor(identity: Identity) {
    this.#identity = identity;
  }

  /** A copy of a batch that names its producer and sequence. */
  seal(place: string, batch: Uint8Array): Uint8Array {
    const sealed = Buffer.from(batch);
    const sequence = this.#next.get(place) ?? 0;
    this.#next.set(place, (sequence + sealed.readUInt32BE(AT.count)) % SEQUENCES);
    sealed.writeBigUInt64BE(BigInt(this.#identity.producerId), AT.producerId);
    sealed.writeUInt16BE(this.#identity.epoch, AT.producerEpoch);
    sealed.writeUInt32BE(sequence, AT.baseSequence);
    sealed.writeUInt32BE(crc32(sealed.subarray(20), crc32(sealed.subarray(0, 15))), AT.crc);
    return sealed;
  }
}
