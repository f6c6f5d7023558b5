/**
 * The metadata log: the only way to change metadata. Every worker applies it in order; a change is appended under the
 * condition that nothing was appended since it was decided, is announced to the other workers, and is acknowledged only
 * when it is synced.
 */
import { isMillraceError, MillraceError } from "../errors/index.ts";
import type { Engine, LogConfig } from "../log/engine.ts";
import { type MetadataEvent, MetadataState } from "./metadata-state.ts";
import { type LogRecord, RecordBatchCodec, type StoredRecord } from "./record-batch.ts";

export const METADATA_LOG_ID = 1;
const READ_BYTES = 1024 * 1024;
/** Changes are rare; a change that loses this often has a fault, not bad luck. */
const ATTEMPTS_MAX = 1000;

export interface MetadataLogOptions {
  /** Hears each change, right after the state has it, on every worker. */
  readonly onEvent: (event: MetadataEvent) => void;
  /** Tells the other workers that the log has grown. */
  readonly announce: () => void;
  /** States of other folders that live in this log: each sees every record and takes its own. */
  readonly others?: readonly MetadataPart[];
}

export interface MetadataPart {
  apply(record: StoredRecord): void;
}

export class MetadataLog {
  readonly state = new MetadataState();
  readonly #engine: Engine;
  readonly #codec = new RecordBatchCodec();
  readonly #options: MetadataLogOptions;
  #applying = false;

  constructor(engine: Engine, config: LogConfig, options: MetadataLogOptions) {
    this.#engine = engine;
    this.#options = options;
    engine.ensureLog(METADATA_LOG_ID, 1, config);
  }

  /** Applies what the log holds beyond the state. Synchronous; with nothing new it costs one native call. */
  catchUp(): void {
    // An event may lead to a call of catchUp; the outer one goes on with the rest anyway.
    if (this.#applying) return;
    this.#applying = true;
    try {
      while (this.state.appliedOffset < this.#engine.partition(METADATA_LOG_ID, 0).highWatermark) this.#applyChunk();
    } finally {
      this.#applying = false;
    }
  }

  /**
   * Changes metadata. The change is applied here when the call returns, and synced when its promise resolves.
   *
   * @param decide sees the newest state and returns the records of the change (empty: nothing to do); it is called again
   *   when another worker was faster. What it throws ends the change.
   * @returns when the change is synced and applied here.
   */
  async change(decide: (state: MetadataState) => readonly LogRecord[]): Promise<void> {
    if (!this.#append(decide)) return;
    this.#options.announce();
    await this.#engine.sync(METADATA_LOG_ID, 0);
  }

  #append(decide: (state: MetadataState) => readonly LogRecord[]): boolean {
    for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt += 1) {
      this.catchUp();
      const records = decide(this.state);
      if (records.length === 0) return false;
      const batch = this.#codec.encode(records, this.#engine.now());
      try {
        this.#engine.append(METADATA_LOG_ID, 0, batch, this.state.appliedOffset);
      } catch (error) {
        if (isMillraceError(error, "offset_conflict")) continue;
        throw error;
      }
      this.catchUp();
      return true;
    }
    throw new MillraceError("internal", `the metadata log moved on ${ATTEMPTS_MAX} times during one change`);
  }

  #applyChunk(): void {
    const bytes = this.#engine.read(METADATA_LOG_ID, 0, this.state.appliedOffset, READ_BYTES);
    const { records, nextOffset } = this.#codec.decode(bytes);
    if (nextOffset <= this.state.appliedOffset) {
      throw new MillraceError("corrupt_batch", `the metadata log does not go on at offset ${this.state.appliedOffset}`);
    }
    for (const record of records) {
      if (record.offset < this.state.appliedOffset) continue;
      this.state.appliedOffset = record.offset + 1;
      for (const event of this.state.apply(record)) this.#options.onEvent(event);
      for (const part of this.#options.others ?? []) part.apply(record);
    }
    // Compaction may have taken the last records of a batch.
    this.state.appliedOffset = Math.max(this.state.appliedOffset, nextOffset);
  }
}
