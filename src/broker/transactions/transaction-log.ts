/**
 * The transaction log (log 3): one record a commit, which is the commit point; a tombstone when all of it is applied and
 * synced; and the newest epoch of each transactional id. Compacted, so it holds what is still needed.
 */
import type { Engine, LogConfig } from "../../log/engine.ts";
import { entityKey } from "../names.ts";
import { RecordBatchCodec, type StoredRecord } from "../record-batch.ts";
import type { Commit, IdRecord, TransactionName } from "./messages.ts";

export const TRANSACTION_LOG_ID = 3;
const READ_BYTES = 4 * 1024 * 1024;

export interface Replayed {
  /** Commits that may not be applied, in the order they were decided. */
  readonly unapplied: readonly { readonly key: string; readonly commit: Commit }[];
  /** Keys of all commits that the log still knows of, oldest first. */
  readonly decided: readonly string[];
  /** Epochs by the ids' keys, least recently used first. */
  readonly ids: ReadonlyMap<string, number>;
}

export function commitKey({ namespace, txn }: TransactionName): string {
  return entityKey("commit", namespace, txn);
}

export function idKey(namespace: string, id: string): string {
  return entityKey("id", namespace, id);
}

export class TransactionLog {
  readonly #engine: Engine;
  readonly #codec = new RecordBatchCodec();

  constructor(engine: Engine, config: LogConfig) {
    this.#engine = engine;
    engine.ensureLog(TRANSACTION_LOG_ID, 1, config);
  }

  /** The commit point, once it is synced. @throws disk_full, storage_failed: then nothing was decided. */
  commit(commit: Commit): void {
    this.#append([{ key: commitKey(commit), value: commit }]);
  }

  /** Forgets commits of which everything is on the disk. */
  forget(keys: readonly string[]): void {
    this.#append(keys.map((key) => ({ key, value: null })));
  }

  id(key: string, epoch: number): void {
    const value: IdRecord = { type: "id", v: 1, epoch };
    this.#append([{ key, value }]);
  }

  /** Resolves when everything written so far survives a power cut. */
  sync(): Promise<void> {
    return this.#engine.sync(TRANSACTION_LOG_ID, 0);
  }

  replay(): Replayed {
    const unapplied = new Map<string, Commit>();
    const decided = new Set<string>();
    const ids = new Map<string, number>();
    this.#each(({ key, value }) => {
      if (key.startsWith("id ")) {
        ids.delete(key);
        if (value !== null) ids.set(key, (value as IdRecord).epoch);
        return;
      }
      decided.add(key);
      if (value === null) unapplied.delete(key);
      else unapplied.set(key, value as Commit);
    });
    return { unapplied: [...unapplied].map(([key, commit]) => ({ key, commit })), decided: [...decided], ids };
  }

  #each(visit: (record: StoredRecord) => void): void {
    const { startOffset, highWatermark } = this.#engine.partition(TRANSACTION_LOG_ID, 0);
    let offset = startOffset;
    while (offset < highWatermark) {
      const bytes = this.#engine.read(TRANSACTION_LOG_ID, 0, offset, READ_BYTES);
      const { records, nextOffset } = this.#codec.decode(bytes);
      if (nextOffset <= offset) break;
      offset = nextOffset;
      for (const record of records) visit(record);
    }
  }

  #append(records: Parameters<RecordBatchCodec["encode"]>[0]): void {
    this.#engine.append(TRANSACTION_LOG_ID, 0, this.#codec.encode(records, this.#engine.now()), -1);
  }
}
