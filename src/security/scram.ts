/**
 * Passwords as the broker keeps them, and the server's side of SCRAM (RFC 5802, RFC 7677) as a state machine. What is
 * kept is salted and hashed such that it neither reveals the password nor lets anybody log in who steals it.
 */
import { createHash, createHmac, hkdfSync, randomBytes, timingSafeEqual } from "node:crypto";
import {
  type ClientFirst,
  exclusiveOr,
  hashOf,
  newNonce,
  PASSWORD_ITERATIONS,
  preparePassword,
  readClientFinal,
  ScramError,
  type ScramMechanism,
} from "../stdx/index.ts";
import { type Salter, saltInPool } from "./salt.ts";

/** One way to check a user's password. Bytes are base64, so that a record of it is plain JSON. */
export interface Credential {
  readonly mechanism: ScramMechanism;
  readonly salt: string;
  readonly iterations: number;
  readonly storedKey: string;
  readonly serverKey: string;
}

const SALT_BYTES = 16;

/** Hashes a new password, on a thread of the runtime's pool. @param iterations fewer only in tests. */
export async function newCredentials(
  password: string,
  mechanism: ScramMechanism,
  iterations: number = PASSWORD_ITERATIONS,
): Promise<Credential> {
  const salt = randomBytes(SALT_BYTES);
  const { storedKey, serverKey } = await keysOf(password, mechanism, salt, iterations);
  return {
    mechanism,
    salt: salt.toString("base64"),
    iterations,
    storedKey: storedKey.toString("base64"),
    serverKey: serverKey.toString("base64"),
  };
}

/** Whether this is the user's password; salts it off the loop. */
export async function isPassword(
  password: string,
  credential: Credential,
  salter: Salter = saltInPool,
): Promise<boolean> {
  const salt = Buffer.from(credential.salt, "base64");
  const { storedKey } = await keysOf(password, credential.mechanism, salt, credential.iterations, salter);
  const expected = Buffer.from(credential.storedKey, "base64");
  return expected.length === storedKey.length && timingSafeEqual(expected, storedKey);
}

/**
 * What a user that does not exist is challenged with: the same salt each time, as for one that does, so that nobody
 * learns from a challenge which names are taken. No password fits it.
 *
 * @param secret of the running broker, the same on all its threads.
 */
export function decoyCredential(user: string, mechanism: ScramMechanism, secret: Uint8Array): Credential {
  const derive = (purpose: string, length: number): string =>
    Buffer.from(hkdfSync("sha256", secret, user, `millrace decoy ${purpose}`, length)).toString("base64");
  const keyBytes = mechanism === "SCRAM-SHA-256" ? 32 : 64;
  return {
    mechanism,
    salt: derive("salt", SALT_BYTES),
    iterations: PASSWORD_ITERATIONS,
    storedKey: derive("stored key", keyBytes),
    serverKey: derive("server key", keyBytes),
  };
}

/** One log-in by SCRAM: `challenge` goes to the client, whose answer goes to `finish`, once. */
export class ScramServer {
  /** server-first-message. */
  readonly challenge: Uint8Array;
  readonly #first: ClientFirst;
  readonly #credential: Credential;
  readonly #nonce: string;
  readonly #challengeText: string;

  /**
   * @param first what the client began with.
   * @param credential of the user that it names, or a decoy.
   * @param nonce the server's part, for tests; otherwise random.
   */
  constructor(first: ClientFirst, credential: Credential, nonce: string = newNonce()) {
    this.#first = first;
    this.#credential = credential;
    this.#nonce = first.nonce + nonce;
    this.#challengeText = `r=${this.#nonce},s=${credential.salt},i=${credential.iterations}`;
    this.challenge = Buffer.from(this.#challengeText);
  }

  /**
   * @returns server-final-message, which proves to the client that this is the broker that knows it.
   * @throws ScramError when the proof is wrong or the message is not the answer to this challenge.
   */
  finish(clientFinal: Uint8Array): Uint8Array {
    const { binding, nonce, proof, withoutProof } = readClientFinal(clientFinal);
    if (nonce !== this.#nonce) throw new ScramError("the answer is to another challenge");
    if (Buffer.from(binding).toString() !== this.#first.header) throw new ScramError("the GS2 header has changed");
    const hash = nodeHash(this.#credential.mechanism);
    const storedKey = Buffer.from(this.#credential.storedKey, "base64");
    const signed = `${this.#first.bare},${this.#challengeText},${withoutProof}`;
    const signature = createHmac(hash, storedKey).update(signed).digest();
    if (proof.length !== signature.length) throw new ScramError("the proof has the wrong length");
    const clientKey = exclusiveOr(proof, signature);
    const shown = createHash(hash).update(clientKey).digest();
    if (!timingSafeEqual(shown, storedKey)) throw new ScramError("the proof is wrong");
    const serverKey = Buffer.from(this.#credential.serverKey, "base64");
    return Buffer.from(`v=${createHmac(hash, serverKey).update(signed).digest("base64")}`);
  }
}

async function keysOf(
  password: string,
  mechanism: ScramMechanism,
  salt: Uint8Array,
  iterations: number,
  salter: Salter = saltInPool,
) {
  const hash = nodeHash(mechanism);
  const salted = await salter(hash, Buffer.from(preparePassword(password)), salt, iterations);
  const clientKey = createHmac(hash, salted).update("Client Key").digest();
  return {
    storedKey: createHash(hash).update(clientKey).digest(),
    serverKey: createHmac(hash, salted).update("Server Key").digest(),
  };
}

function nodeHash(mechanism: ScramMechanism): "sha256" | "sha512" {
  return hashOf(mechanism) === "SHA-256" ? "sha256" : "sha512";
}
