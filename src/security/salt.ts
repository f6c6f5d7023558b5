/** Salting passwords (PBKDF2 with HMAC, as long as the hash): work of milliseconds, which nobody else shall wait for. */
import { pbkdf2 } from "node:crypto";
import { promisify } from "node:util";

export type SaltHash = "sha256" | "sha512";

/** @returns 32 bytes for sha256, 64 for sha512. */
export type Salter = (
  hash: SaltHash,
  password: Uint8Array,
  salt: Uint8Array,
  iterations: number,
) => Promise<Uint8Array>;

/** How long a log-in waits for a processor that nobody else wants. */
const PATIENCE_MS = 50;

const pbkdf2Async = promisify(pbkdf2);

/** On a thread of the runtime's pool, which takes its share of the processors. */
export const saltInPool: Salter = (hash, password, salt, iterations) =>
  pbkdf2Async(password, salt, iterations, hash === "sha256" ? 32 : 64, hash);

/**
 * Salts where it costs nobody anything, and in the pool as well where that takes too long or is refused: guesses of
 * passwords slow nothing down, and who has the right one gets in on a busy machine too.
 *
 * @param idle uses only processors that nobody else wants.
 */
export function saltPatiently(idle: Salter): Salter {
  return async (...asked) => {
    const { promise, resolve, reject } = Promise.withResolvers<Uint8Array>();
    const hurry = (): void => void saltInPool(...asked).then(resolve, reject);
    const timer = setTimeout(hurry, PATIENCE_MS);
    idle(...asked)
      .then(resolve, hurry)
      .finally(() => clearTimeout(timer));
    return await promise;
  };
}
