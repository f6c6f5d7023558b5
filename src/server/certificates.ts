/**
 * Certificates that are renewed while the broker runs: their files are looked at every few seconds, and on SIGHUP. What
 * cannot be used is told in the log, and the old certificate goes on serving.
 */
import { statSync } from "node:fs";
import type { Config } from "../config/index.ts";
import { readTls, type TlsMaterial } from "../net/index.ts";
import type { Logger } from "../stdx/index.ts";

export interface CertificateOptions {
  readonly config: Config;
  readonly logger: Logger;
  /** What is served now. */
  readonly current: TlsMaterial;
  /** Hands new material to all listeners. */
  readonly onChanged: (tls: TlsMaterial) => void;
}

const LOOK_MS = 2000;
const DAY_MS = 86_400_000;
/** Renewals that work come earlier; who sees the warning still has time. */
const WARN_BEFORE_MS = 14 * DAY_MS;

export class Certificates {
  readonly #options: CertificateOptions;
  readonly #timer: Timer;
  #stamp: string;
  #current: TlsMaterial;
  #warnedMs = -Infinity;

  constructor(options: CertificateOptions) {
    this.#options = options;
    this.#current = options.current;
    this.#stamp = stampOf(options.config);
    this.#timer = setInterval(() => this.#look(), LOOK_MS);
    this.#timer.unref();
    this.#look();
  }

  /**
   * Reads the files again.
   *
   * @returns whether there was anything new.
   * @throws invalid_config when they cannot be used; the old ones stay.
   */
  reload(): boolean {
    const { config, logger, onChanged } = this.#options;
    this.#stamp = stampOf(config);
    const tls = readTls(config, Date.now());
    if (tls === undefined || Bun.deepEquals(tls, this.#current)) return false;
    onChanged(tls);
    this.#current = tls;
    logger.info("certificates reloaded", { validTo: new Date(tls.validToMs).toISOString() });
    return true;
  }

  close(): void {
    clearInterval(this.#timer);
  }

  #look(): void {
    this.#warnOfEnd();
    if (stampOf(this.#options.config) === this.#stamp) return;
    try {
      this.reload();
    } catch (error) {
      this.#options.logger.error("the new certificates cannot be used; the old ones stay", { error });
    }
  }

  /** Once a day. */
  #warnOfEnd(): void {
    const nowMs = Date.now();
    const { validToMs } = this.#current;
    if (validToMs - nowMs > WARN_BEFORE_MS || nowMs - this.#warnedMs < DAY_MS) return;
    this.#warnedMs = nowMs;
    const days = Math.floor((validToMs - nowMs) / DAY_MS);
    this.#options.logger.warn("the certificate ends soon", { days, validTo: new Date(validToMs).toISOString() });
  }
}

/** Changes with the files, also where a link is pointed elsewhere. */
function stampOf({ tlsCertFile, tlsKeyFile, tlsClientCaFile }: Config): string {
  return [tlsCertFile, tlsKeyFile, tlsClientCaFile].map((path) => (path === "" ? "" : stampOfFile(path))).join();
}

function stampOfFile(path: string): string {
  const found = statSync(path, { throwIfNoEntry: false });
  return found === undefined ? "none" : `${found.ino} ${found.size} ${found.mtimeMs}`;
}
