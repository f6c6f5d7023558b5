/**
 * Measures what quotas allow to be stored. Between two looks more may be stored than allowed, as much as comes in that time:
 * the way of a message stays free of counting.
 */
import type { Engine } from "../log/engine.ts";
import type { Logger } from "../stdx/index.ts";
import type { MetadataLog } from "./metadata-log.ts";
import { keyOf, logsOf, type Quota } from "./quotas.ts";

/** Who is full may store again below this share of its quota, so that it does not swing at the limit. */
const AGAIN_BELOW = 0.95;

interface Watched {
  readonly quota: Quota;
  readonly storageBytesMax: number;
  readonly logIds: readonly number[];
}

export class StorageQuotas {
  readonly #engine: Engine;
  readonly #metadata: MetadataLog;
  readonly #logger: Logger;
  /** Quotas with a limit of storage, as the metadata was at `#atOffset`. */
  #watched: readonly Watched[] = [];
  #atOffset = -1;
  /** Buckets that the core was told are full. */
  readonly #full = new Set<string>();

  constructor(engine: Engine, metadata: MetadataLog, logger: Logger) {
    this.#engine = engine;
    this.#metadata = metadata;
    this.#logger = logger;
  }

  /** Called several times a second, by one worker. */
  tick(): void {
    const { state } = this.#metadata;
    if (state.quotas.size === 0 && this.#full.size === 0) return;
    if (state.appliedOffset !== this.#atOffset) this.#lookAgain();
    for (const watched of this.#watched) this.#measure(watched);
  }

  #lookAgain(): void {
    const { state } = this.#metadata;
    this.#atOffset = state.appliedOffset;
    this.#watched = state.quotas.all().flatMap((quota) => {
      const { storageBytesMax } = quota;
      return storageBytesMax === null ? [] : [{ quota, storageBytesMax, logIds: logsOf(state, quota) }];
    });
    const limited = new Set(this.#watched.map(({ quota }) => keyOf(quota)));
    for (const key of [...this.#full].filter((each) => !limited.has(each))) {
      this.#full.delete(key);
      this.#engine.quotaFull(key, false);
    }
  }

  #measure({ quota, storageBytesMax, logIds }: Watched): void {
    const key = keyOf(quota);
    const storageBytes = this.#engine.logBytes(logIds);
    const wasFull = this.#full.has(key);
    const isFull = storageBytes >= storageBytesMax || (wasFull && storageBytes > storageBytesMax * AGAIN_BELOW);
    if (isFull === wasFull) return;
    if (isFull) this.#full.add(key);
    else this.#full.delete(key);
    this.#engine.quotaFull(key, isFull);
    const { kind, name } = quota;
    const fields = { kind, name, storageBytes, storageBytesMax };
    if (isFull) this.#logger.warn("publishes are refused: a quota's storage is used up", fields);
    else this.#logger.info("publishes go on: there is room in a quota's storage again", fields);
  }
}
