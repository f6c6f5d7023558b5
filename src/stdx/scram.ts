/**
 * SCRAM (RFC 5802) with SHA-256 (RFC 7677) and SHA-512, without channel binding: the messages as both sides read and write
 * them, and the client as a state machine. The server's side is in src/security/scram.ts.
 *
 *     client-first   n,,n=USER,r=NONCE              server-first   r=NONCE+,s=SALT,i=ITERATIONS
 *     client-final   c=biws,r=NONCE+,p=PROOF        server-final   v=SIGNATURE, or e=ERROR
 *
 * Runs wherever there is WebCrypto; a browser has that only on pages that came by https, or from its own machine.
 */
export const SCRAM_MECHANISMS = ["SCRAM-SHA-256", "SCRAM-SHA-512"] as const;
export type ScramMechanism = (typeof SCRAM_MECHANISMS)[number];

export function isScramMechanism(text: string): text is ScramMechanism {
  return (SCRAM_MECHANISMS as readonly string[]).includes(text);
}

/** Fewer would be cheap to guess (RFC 7677, section 4), more let a hostile server keep its clients busy. */
export const SCRAM_ITERATIONS_MIN = 4096;
export const SCRAM_ITERATIONS_MAX = 10_000_000;
/**
 * Rounds of PBKDF2 for a new password: some tens of milliseconds, which a client pays at its log-in by SCRAM and the
 * broker at one by PLAIN.
 */
export const PASSWORD_ITERATIONS = 100_000;
/** Longest message of either side. */
export const SCRAM_MESSAGE_BYTES_MAX = 4096;
const NONCE_BYTES = 24;
const SALT_BYTES = 16;
const SALT_BYTES_MAX = 1024;

/** What the other side sent is no message of SCRAM, or proves nothing. Its text holds no secrets. */
export class ScramError extends Error {
  override readonly name = "ScramError";
}

export interface ClientFirst {
  readonly user: string;
  readonly nonce: string;
  /** The message without its GS2 header, which both sides sign. */
  readonly bare: string;
  /** The GS2 header, which the client repeats in its last message. */
  readonly header: string;
}

export interface ServerFirst {
  readonly nonce: string;
  readonly salt: Uint8Array<ArrayBuffer>;
  readonly iterations: number;
}

export interface ClientFinal {
  readonly binding: Uint8Array<ArrayBuffer>;
  readonly nonce: string;
  readonly proof: Uint8Array<ArrayBuffer>;
  /** The message up to its proof, which both sides sign. */
  readonly withoutProof: string;
}

/** @throws ScramError. */
export function readClientFirst(message: Uint8Array): ClientFirst {
  const text = textOf(message);
  // No channel binding (`n`), or one that the client could do and thinks the server cannot (`y`), which is so.
  const header = /^[ny],(?:a=([^,]+))?,/.exec(text);
  if (header === null) throw new ScramError("the first message asks for a channel binding or is malformed");
  const bare = text.slice(header[0].length);
  const [name, nonce] = attributes(bare, ["n", "r"]);
  const user = decodeName(name);
  if (header[1] !== undefined && decodeName(header[1]) !== user) {
    throw new ScramError("acting for another user is not supported");
  }
  return { user, nonce: checkedNonce(nonce), bare, header: header[0] };
}

/** @throws ScramError. */
export function readServerFirst(message: Uint8Array): ServerFirst {
  const [nonce, salt, iterations] = attributes(textOf(message), ["r", "s", "i"]);
  if (!/^[1-9]\d{0,9}$/.test(iterations)) throw new ScramError("the iterations are no number");
  const bytes = decodeBase64(salt);
  if (bytes.length === 0 || bytes.length > SALT_BYTES_MAX) throw new ScramError("the salt has no sensible length");
  return { nonce: checkedNonce(nonce), salt: bytes, iterations: Number(iterations) };
}

/** @throws ScramError. */
export function readClientFinal(message: Uint8Array): ClientFinal {
  const text = textOf(message);
  const end = text.lastIndexOf(",p=");
  if (end < 0) throw new ScramError("the last message has no proof");
  const withoutProof = text.slice(0, end);
  const [binding, nonce] = attributes(withoutProof, ["c", "r"]);
  const proof = decodeBase64(text.slice(end + 3));
  return { binding: decodeBase64(binding), nonce: checkedNonce(nonce), proof, withoutProof };
}

/** The client's side: `first`, then `answer`, then `verify`, each once and in this order. */
export class ScramClient {
  readonly #mechanism: ScramMechanism;
  readonly #password: string;
  readonly #nonce: string;
  readonly #bare: string;
  #signature: Uint8Array | undefined;

  /** @param nonce for tests; otherwise random. */
  constructor(mechanism: ScramMechanism, user: string, password: string, nonce: string = newNonce()) {
    this.#mechanism = mechanism;
    this.#password = password;
    this.#nonce = nonce;
    this.#bare = `n=${encodeName(user)},r=${nonce}`;
  }

  first(): Uint8Array<ArrayBuffer> {
    return bytesOf(`n,,${this.#bare}`);
  }

  /**
   * @param serverFirst the server's challenge.
   * @returns the last message, with the proof.
   * @throws ScramError when the challenge is not for this client or asks for too few or too many iterations.
   */
  async answer(serverFirst: Uint8Array): Promise<Uint8Array<ArrayBuffer>> {
    const { nonce, salt, iterations } = readServerFirst(serverFirst);
    if (!nonce.startsWith(this.#nonce) || nonce.length === this.#nonce.length) {
      throw new ScramError("the challenge is for another client");
    }
    if (iterations < SCRAM_ITERATIONS_MIN || iterations > SCRAM_ITERATIONS_MAX) {
      throw new ScramError(`${iterations} iterations are too few or too many`);
    }
    const hash = hashOf(this.#mechanism);
    const salted = await saltedPassword(this.#password, salt, iterations, hash);
    const clientKey = await hmac(salted, bytesOf("Client Key"), hash);
    const storedKey = new Uint8Array(await crypto.subtle.digest(hash, clientKey));
    // `biws` is the GS2 header `n,,` in base64.
    const withoutProof = `c=biws,r=${nonce}`;
    const signed = bytesOf(`${this.#bare},${textOf(serverFirst)},${withoutProof}`);
    const proof = exclusiveOr(clientKey, await hmac(storedKey, signed, hash));
    const serverKey = await hmac(salted, bytesOf("Server Key"), hash);
    this.#signature = await hmac(serverKey, signed, hash);
    return bytesOf(`${withoutProof},p=${encodeBase64(proof)}`);
  }

  /** @throws ScramError when the server does not know the password either, so that it is not who it says it is. */
  verify(serverFinal: Uint8Array): void {
    const text = textOf(serverFinal);
    if (text.startsWith("e=")) throw new ScramError("the server refused the proof");
    const [signature] = attributes(text, ["v"]);
    if (this.#signature === undefined || !equalBytes(decodeBase64(signature), this.#signature)) {
      throw new ScramError("the server could not prove that it knows this user");
    }
  }
}

/** A password as a server keeps it; bytes are base64. */
export interface HashedPassword {
  readonly mechanism: ScramMechanism;
  readonly salt: string;
  readonly iterations: number;
  readonly storedKey: string;
  readonly serverKey: string;
}

/** Hashes a new password, so that whoever it is for never sees it. @param iterations fewer only in tests. */
export async function hashPassword(
  mechanism: ScramMechanism,
  password: string,
  iterations: number = PASSWORD_ITERATIONS,
): Promise<HashedPassword> {
  const hash = hashOf(mechanism);
  const salt = crypto.getRandomValues(new Uint8Array(SALT_BYTES));
  const salted = await saltedPassword(password, salt, iterations, hash);
  const clientKey = await hmac(salted, bytesOf("Client Key"), hash);
  const storedKey = new Uint8Array(await crypto.subtle.digest(hash, clientKey));
  const serverKey = await hmac(salted, bytesOf("Server Key"), hash);
  return {
    mechanism,
    salt: encodeBase64(salt),
    iterations,
    storedKey: encodeBase64(storedKey),
    serverKey: encodeBase64(serverKey),
  };
}

export function newNonce(): string {
  return encodeBase64(crypto.getRandomValues(new Uint8Array(NONCE_BYTES)));
}

/** `SHA-256` or `SHA-512`, as WebCrypto names them. */
export function hashOf(mechanism: ScramMechanism): "SHA-256" | "SHA-512" {
  return mechanism === "SCRAM-SHA-256" ? "SHA-256" : "SHA-512";
}

/**
 * The bytes of a password that are hashed: SASLprep (RFC 4013) as far as its mapping and its normalisation, so that one
 * password typed on two keyboards is the same.
 */
export function preparePassword(password: string): Uint8Array<ArrayBuffer> {
  const mapped = password
    .replace(/[\u00a0\u1680\u2000-\u200a\u202f\u205f\u3000]/g, " ")
    .replace(/\u00ad|\u034f|\u1806|[\u180b-\u180d]|[\u200b-\u200d]|\u2060|[\ufe00-\ufe0f]|\ufeff/g, "");
  return bytesOf(mapped.normalize("NFKC"));
}

/** Takes as long for a difference in the first byte as for one in the last. */
export function equalBytes(left: Uint8Array, right: Uint8Array): boolean {
  if (left.length !== right.length) return false;
  let difference = 0;
  for (let index = 0; index < left.length; index += 1) difference |= (left[index] ?? 0) ^ (right[index] ?? 0);
  return difference === 0;
}

export function exclusiveOr(left: Uint8Array, right: Uint8Array): Uint8Array<ArrayBuffer> {
  const result = new Uint8Array(left.length);
  for (let index = 0; index < left.length; index += 1) result[index] = (left[index] ?? 0) ^ (right[index] ?? 0);
  return result;
}

export function encodeBase64(bytes: Uint8Array): string {
  return btoa(String.fromCharCode(...bytes));
}

/** @throws ScramError. Only the one way of writing bytes that RFC 4648 calls canonical. */
export function decodeBase64(text: string): Uint8Array<ArrayBuffer> {
  let binary: string;
  try {
    binary = atob(text);
  } catch {
    throw new ScramError("a value is not base64");
  }
  const bytes = new Uint8Array(binary.length);
  for (let index = 0; index < binary.length; index += 1) bytes[index] = binary.charCodeAt(index);
  if (encodeBase64(bytes) !== text) throw new ScramError("a value is not base64");
  return bytes;
}

async function saltedPassword(
  password: string,
  salt: Uint8Array<ArrayBuffer>,
  iterations: number,
  hash: "SHA-256" | "SHA-512",
): Promise<Uint8Array<ArrayBuffer>> {
  const key = await crypto.subtle.importKey("raw", preparePassword(password), "PBKDF2", false, ["deriveBits"]);
  const bits = hash === "SHA-256" ? 256 : 512;
  return new Uint8Array(await crypto.subtle.deriveBits({ name: "PBKDF2", salt, iterations, hash }, key, bits));
}

async function hmac(
  key: Uint8Array<ArrayBuffer>,
  data: Uint8Array<ArrayBuffer>,
  hash: "SHA-256" | "SHA-512",
): Promise<Uint8Array<ArrayBuffer>> {
  const imported = await crypto.subtle.importKey("raw", key, { name: "HMAC", hash }, false, ["sign"]);
  return new Uint8Array(await crypto.subtle.sign("HMAC", imported, data));
}

/** The values of the attributes with these names, in this order; extensions behind them are skipped. */
function attributes<const Names extends readonly string[]>(text: string, names: Names): { [K in keyof Names]: string } {
  const parts = text.split(",");
  const values = names.map((name, index) => {
    const part = parts[index];
    if (part === undefined || !part.startsWith(`${name}=`)) throw new ScramError(`attribute ${name} is missing`);
    return part.slice(2);
  });
  for (const extension of parts.slice(names.length)) {
    // `m=` would be an extension that must be understood, and none is.
    if (!/^[A-Za-ln-z]=./u.test(extension)) throw new ScramError("an extension is not understood");
  }
  return values as { [K in keyof Names]: string };
}

function checkedNonce(nonce: string): string {
  // Printable, without the comma that ends it.
  if (!/^[\x21-\x2b\x2d-\x7e]+$/.test(nonce)) throw new ScramError("the nonce is not printable");
  return nonce;
}

function encodeName(name: string): string {
  return name.replaceAll("=", "=3D").replaceAll(",", "=2C");
}

function decodeName(name: string): string {
  if (name === "" || /=(?!2C|3D)/.test(name)) throw new ScramError("the user's name is malformed");
  return name.replaceAll("=2C", ",").replaceAll("=3D", "=");
}

function bytesOf(text: string): Uint8Array<ArrayBuffer> {
  return new TextEncoder().encode(text);
}

function textOf(message: Uint8Array): string {
  if (message.length > SCRAM_MESSAGE_BYTES_MAX) throw new ScramError("a message is too long");
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(message);
  } catch {
    throw new ScramError("a message is not UTF-8");
  }
}
