/** Publishes one batch from the control plane, for requests that have no publisher. */
import { isMillraceError } from "../errors/index.ts";
import { PUBLISH_MANDATORY } from "../log/engine.ts";
import type { Definitions } from "./definitions.ts";
import type { Identity } from "./transactions/messages.ts";
import { Sealer } from "./transactions/seal.ts";

const EPOCH_MAX = 0xffff;

export class SinglePublisher {
  readonly #definitions: Definitions;
  /** What goes through an exchange needs a producer; the epoch rises with every batch, so that none counts as a repeat. */
  #identity: Identity | undefined;

  constructor(definitions: Definitions) {
    this.#definitions = definitions;
  }

  /**
   * @returns the offset that the batch got, once it is synced.
   * @throws what a publish of it would be refused with.
   */
  async toTopic(topicId: number, partition: number, batch: Uint8Array): Promise<number> {
    const { engine } = this.#definitions;
    engine.batchCheck(topicId, false, batch);
    const offset = engine.append(topicId, partition, batch, -1);
    await engine.sync(topicId, partition);
    return offset;
  }

  /**
   * @returns whether a queue or topic took it, and it is synced then; where none did, nothing is stored.
   * @throws what a publish of it would be refused with.
   */
  async toExchange(
    namespace: string,
    { id, journalLogId }: { readonly id: number; readonly journalLogId: number },
    batch: Uint8Array,
  ): Promise<boolean> {
    const { engine, spaces } = this.#definitions;
    engine.batchCheck(journalLogId, true, batch);
    try {
      spaces.transact(namespace, ["check", [[id, PUBLISH_MANDATORY, batch]]]);
    } catch (error) {
      if (isMillraceError(error, "unroutable")) return false;
      throw error;
    }
    const identity = this.#nextIdentity();
    const sealed = new Sealer(identity).seal("journal", batch);
    spaces.transact(namespace, ["publish", identity.copiesId, identity.epoch, [[id, sealed]]]);
    await engine.sync(journalLogId, 0);
    return true;
  }

  #nextIdentity(): Identity {
    const { engine } = this.#definitions;
    const last = this.#identity;
    this.#identity =
      last === undefined || last.epoch === EPOCH_MAX
        ? { producerId: engine.newProducerId(), copiesId: engine.newProducerId(), epoch: 0 }
        : { ...last, epoch: last.epoch + 1 };
    return this.#identity;
  }
}
