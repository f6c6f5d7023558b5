/**
 * Producer identities for commits. Each commit has an epoch of its own: batches that are applied again are known by it,
 * and two producer ids serve for 65,536 commits, so that partitions do not forget real producers because of them.
 */
import type { Engine } from "../../log/engine.ts";
import type { Identity } from "./messages.ts";

const EPOCH_MAX = 0xffff;

export class Identities {
  readonly #engine: Engine;
  #last: Identity | undefined;

  constructor(engine: Engine) {
    this.#engine = engine;
  }

  /** One that no commit has had. Commits have to be applied in the order of these calls. */
  next(): Identity {
    const last = this.#last;
    this.#last =
      last === undefined || last.epoch === EPOCH_MAX
        ? { producerId: this.#engine.newProducerId(), copiesId: this.#engine.newProducerId(), epoch: 0 }
        : { ...last, epoch: last.epoch + 1 };
    return this.#last;
  }
}
