/**
 * Listeners whose certificate changes while they serve: a second one is opened on the same port (`reusePort`), and the first
 * takes no more connections but keeps those that it has.
 */
import type { Config } from "../config/index.ts";
import type { TlsMaterial } from "../net/index.ts";

interface Stoppable {
  readonly port?: number | undefined;
  stop(isForced: boolean): Promise<void> | void;
}

/** Listens on a port. @param port 0 lets the system choose. @throws EADDRINUSE and its like. */
export type Listen<L extends Stoppable> = (port: number, tls: TlsMaterial | undefined) => L;

export class Replaceable<L extends Stoppable> {
  readonly port: number;
  readonly #listen: Listen<L>;
  /** Those that still have connections. */
  readonly #leaving = new Set<L>();
  #current: L;

  constructor(listen: Listen<L>, port: number, tls: TlsMaterial | undefined) {
    this.#listen = listen;
    this.#current = listen(port, tls);
    this.port = this.#current.port ?? port;
  }

  /** From now on, new connections see this certificate. */
  replace(tls: TlsMaterial): void {
    const last = this.#current;
    this.#current = this.#listen(this.port, tls);
    this.#leaving.add(last);
    // Resolves when its last connection has ended.
    void Promise.resolve(last.stop(false)).finally(() => this.#leaving.delete(last));
  }

  /** @param isForced ends the connections too. */
  async stop(isForced: boolean): Promise<void> {
    await Promise.all([this.#current, ...this.#leaving].map((listener) => listener.stop(isForced)));
  }
}

/**
 * Listeners that share a port would share it with another broker's too, and the kernel would send each every other client:
 * so the ports are tried alone first.
 *
 * @throws EADDRINUSE and its like, as Bun gives them.
 */
export function needFreePorts({ host, port, httpPort, registryPort }: Config): void {
  for (const each of [port, httpPort, registryPort]) {
    if (each === 0) continue;
    Bun.listen({ hostname: host, port: each, socket: { data: () => undefined } }).stop(true);
  }
}
