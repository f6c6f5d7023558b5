/**
 * The TCP listeners of one worker: the one that clients connect to, and, where that is not open to everybody, one for the
 * broker's own processes. Those are on this machine and prove by a secret that the broker has started them, so they need
 * neither trust a certificate that may be made for another name, nor show one.
 */
import type { Config } from "../config/index.ts";
import { listenTcp, type TcpListener, type TlsMaterial, type WorkerLoop } from "../net/index.ts";
import type { Logger } from "../stdx/index.ts";
import { Replaceable } from "./replaceable.ts";

export interface ListenerOptions {
  readonly config: Config;
  readonly logger: Logger;
  readonly loop: WorkerLoop;
  /** 0 lets the system choose. */
  readonly port: number;
  readonly tls: TlsMaterial | undefined;
  /** What the broker's own processes log in with; undefined on workers that start none. */
  readonly ownSecret: string | undefined;
}

/** Where the broker's own processes connect to. */
export interface OwnAddress {
  readonly url: string;
  /** Null where nobody has to log in. */
  readonly secret: string | null;
}

export interface TcpListeners {
  readonly port: number;
  readonly own: OwnAddress;
  replaceTls(tls: TlsMaterial): void;
  /** Accepts no more; open connections live on. */
  stop(): void;
}

const LOOPBACK = "127.0.0.1";

/** @throws EADDRINUSE and its like, as Bun gives them. */
export function openListeners(options: ListenerOptions): TcpListeners {
  const { config, logger, loop, tls, ownSecret } = options;
  const { host, handshakeTimeoutMs } = config;
  const listen = (port: number, material: TlsMaterial | undefined): TcpListener => {
    // Listeners of other threads, or the next one with another certificate, have the same port.
    const reusePort = config.threads > 1 || material !== undefined;
    return listenTcp({ host, port, reusePort, handshakeTimeoutMs, tls: material, loop, logger });
  };
  const main = new Replaceable(listen, options.port, tls);
  const isOpen = tls === undefined && config.authentication === "off";
  const own = isOpen || ownSecret === undefined ? undefined : listenInternal(options);
  return {
    port: main.port,
    own:
      own === undefined
        ? { url: `millrace://${host.includes(":") ? `[${host}]` : host}:${main.port}`, secret: null }
        : { url: `millrace://${LOOPBACK}:${own.port}`, secret: ownSecret ?? null },
    replaceTls: (material) => main.replace(material),
    stop() {
      void main.stop(false);
      own?.stop();
    },
  };
}

function listenInternal({ config, logger, loop }: ListenerOptions): TcpListener {
  const { handshakeTimeoutMs } = config;
  return listenTcp({ host: LOOPBACK, port: 0, reusePort: false, handshakeTimeoutMs, isInternal: true, loop, logger });
}
