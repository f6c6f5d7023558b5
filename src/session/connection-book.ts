/**
 * Who the connections of one worker are and were: the core remembers numbers, this their names. Of connections that have
 * ended, the newest are remembered.
 */
export interface ConnectionName {
  readonly connection: number;
  /** Address of the peer. */
  readonly remote: string;
  readonly transport: string;
  readonly client: string;
  readonly principal: string;
  readonly namespace: string;
}

const REMEMBERED_MAX = 10_000;

export class ConnectionBook {
  readonly #names = new Map<string, ConnectionName>();

  /**
   * Notes a connection that has said HELLO.
   *
   * @param id of the engine, which is used again.
   * @param generation tells it from others with this id.
   */
  note(id: number, generation: number, name: ConnectionName): void {
    this.#names.set(keyOf(id, generation), name);
    if (this.#names.size <= REMEMBERED_MAX) return;
    const oldest = this.#names.keys().next();
    if (oldest.done !== true) this.#names.delete(oldest.value);
  }

  name(id: number, generation: number): ConnectionName | undefined {
    return this.#names.get(keyOf(id, generation));
  }
}

function keyOf(id: number, generation: number): string {
  return `${id}.${generation}`;
}
