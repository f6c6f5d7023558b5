/** How much each measurement moves. */

const KIB = 1024;
const MB = 1e6;
const GB = 1e9;

export interface Sizes {
  /** Bytes of a burst into the page cache: below `dirtyBytesMax`, past which credit waits for the disk, and below what a
   * host leaves to its machine (warm.ts). */
  readonly burstBytes: number;
  /** Bytes of a run of single records. */
  readonly singlesBytes: number;
  /** Records that go through the client in a run. */
  readonly clientRecords: number;
  /** Bytes that each of ten subscribers is sent. */
  readonly fanoutBytes: number;
  /** Bytes of a run in which the disk takes every group. */
  readonly syncedBytes: number;
  readonly sustainedSeconds: number;
  /** Bytes on disk that a sustained run keeps; what is older is deleted. More than the kernel leaves unwritten. */
  readonly sustainedKeepBytes: number;
  /** Bytes before a sustained run's clock starts: as many as fill what is kept. */
  readonly sustainedWarmBytes: number;
  readonly latencySeconds: number;
  /** What is left out at the start of a latency run. */
  readonly latencyWarmSeconds: number;
  /** Bytes in 100 partitions that the broker starts with. */
  readonly storedBytes: number;
  readonly residentSeconds: number;
}

export const FULL: Sizes = {
  burstBytes: 800 * MB,
  singlesBytes: 500 * MB,
  clientRecords: 6_000_000,
  fanoutBytes: 200 * MB,
  syncedBytes: 500 * MB,
  sustainedSeconds: 60,
  sustainedKeepBytes: 8 * GB,
  sustainedWarmBytes: 8 * GB,
  latencySeconds: 4,
  latencyWarmSeconds: 1,
  storedBytes: 10 * GB,
  residentSeconds: 60,
};

export const QUICK: Sizes = {
  burstBytes: 16 * MB,
  singlesBytes: 8 * MB,
  clientRecords: 50_000,
  fanoutBytes: 4 * MB,
  syncedBytes: 4 * MB,
  sustainedSeconds: 0.5,
  sustainedKeepBytes: 32 * MB,
  sustainedWarmBytes: 16 * MB,
  latencySeconds: 0.5,
  latencyWarmSeconds: 0.1,
  storedBytes: 32 * MB,
  residentSeconds: 0.5,
};

export const RECORD_BYTES = 100;
export const BATCH_BYTES = 64 * KIB;
/** Client writes that a sink is tried with. */
export const SINK_WRITE_BYTES = [16 * KIB, 64 * KIB, 256 * KIB] as const;
/** Client writes that a broker is tried with: one batch, and four. */
export const PRODUCE_WRITE_BYTES = [64 * KIB, 256 * KIB] as const;
/** What a bare sender writes at once. */
export const SEND_WRITE_BYTES = 256 * KIB;

export const ACKS_WRITTEN = 2;
export const ACKS_SYNCED = 3;
