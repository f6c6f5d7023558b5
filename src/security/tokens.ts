/**
 * JSON Web Tokens of an identity provider (RFC 7519, RFC 8725), by jose, which is loaded with the first token. Only
 * signatures by public keys count: `none` and shared secrets are refused whatever the token says. The keys are a JWKS
 * (RFC 7517) in a file, or at an URL; both may change while the broker runs.
 */
import { readFile, stat } from "node:fs/promises";
import type { JWTPayload, JWTVerifyGetKey } from "jose";
import { MillraceError } from "../errors/index.ts";
import { isPrincipalName } from "./text.ts";

export interface TokenSettings {
  readonly jwtIssuer: string;
  readonly jwtAudience: string;
  readonly jwtJwksFile: string;
  readonly jwtJwksUrl: string;
  readonly jwtPrincipalClaim: string;
  readonly jwtRolesClaim: string;
}

export interface TokenHolder {
  readonly name: string;
  readonly roles: readonly string[];
  readonly expiresAtMs: number;
}

const ALGORITHMS = [
  "RS256",
  "RS384",
  "RS512",
  "PS256",
  "PS384",
  "PS512",
  "ES256",
  "ES384",
  "ES512",
  "EdDSA",
  "Ed25519",
];
export const TOKEN_LENGTH_MAX = 16 * 1024;
const JWKS_BYTES_MAX = 1024 * 1024;
const ROLES_MAX = 100;
/** Clocks of two machines differ a little; for the beginning of a token, since what has ended would end its session at once. */
const CLOCK_TOLERANCE_S = 5;
const FETCH_TIMEOUT_MS = 5000;
/** A token by an unknown key asks for the keys again, but not more often than this. */
export const FETCH_COOLDOWN_MS = 10_000;
const KEYS_AGE_MS_MAX = 10 * 60_000;

type Jose = typeof import("jose");

export class Tokens {
  readonly #settings: TokenSettings;
  readonly #cooldownMs: number;
  /** Hears why a token could not be checked, which is no fault of the token: a file or an address that gives no keys. */
  onFailure: ((error: unknown) => void) | undefined;
  #jose: Promise<Jose> | undefined;
  #remoteKeys: JWTVerifyGetKey | undefined;
  #fileKeys: { readonly stamp: string; readonly keys: JWTVerifyGetKey } | undefined;

  /** @param cooldownMs less only in tests. */
  constructor(settings: TokenSettings, cooldownMs: number = FETCH_COOLDOWN_MS) {
    this.#settings = settings;
    this.#cooldownMs = cooldownMs;
  }

  get isConfigured(): boolean {
    return this.#settings.jwtJwksFile !== "" || this.#settings.jwtJwksUrl !== "";
  }

  /**
   * Reads the keys once, so that a wrong file is an error of the start. An URL is asked with the first token.
   *
   * @throws invalid_config with the file and what is wrong.
   */
  async check(): Promise<void> {
    const { jwtJwksFile } = this.#settings;
    if (jwtJwksFile === "") return;
    try {
      await this.#keysOfFile(await this.#load());
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      throw new MillraceError("invalid_config", `jwtJwksFile ${jwtJwksFile} cannot be used: ${why}`);
    }
  }

  /** @throws unauthenticated, with a reason that a caller may see. */
  async verify(token: string): Promise<TokenHolder> {
    if (!this.isConfigured) throw refused("the broker takes no tokens (jwtJwksFile, jwtJwksUrl)");
    if (token.length > TOKEN_LENGTH_MAX) throw refused("the token is too long");
    const jose = await this.#load();
    const { jwtIssuer: issuer, jwtAudience: audience } = this.#settings;
    try {
      const { payload } = await jose.jwtVerify(token, await this.#keys(jose), {
        issuer,
        audience,
        algorithms: ALGORITHMS,
        requiredClaims: ["exp"],
        clockTolerance: CLOCK_TOLERANCE_S,
      });
      return this.#holder(payload);
    } catch (error) {
      const refusal = explained(jose, error);
      if (refusal.cause !== undefined) this.onFailure?.(refusal.cause);
      throw refusal;
    }
  }

  #holder(payload: JWTPayload): TokenHolder {
    const name = claimAt(payload, this.#settings.jwtPrincipalClaim);
    if (!isPrincipalName(name)) throw refused(`the token's ${this.#settings.jwtPrincipalClaim} is no name`);
    const expiresAtMs = Number(payload.exp) * 1000;
    if (expiresAtMs <= Date.now()) throw refused("the token has expired");
    const roles = rolesIn(claimAt(payload, this.#settings.jwtRolesClaim));
    return { name, roles, expiresAtMs };
  }

  #load(): Promise<Jose> {
    this.#jose ??= import("jose");
    return this.#jose;
  }

  async #keys(jose: Jose): Promise<JWTVerifyGetKey> {
    if (this.#settings.jwtJwksFile !== "") return this.#keysOfFile(jose);
    this.#remoteKeys ??= jose.createRemoteJWKSet(new URL(this.#settings.jwtJwksUrl), {
      timeoutDuration: FETCH_TIMEOUT_MS,
      cooldownDuration: this.#cooldownMs,
      cacheMaxAge: KEYS_AGE_MS_MAX,
      [jose.customFetch]: boundedFetch,
    });
    return this.#remoteKeys;
  }

  /** A look at the file costs less than a signature, so each token sees the keys as they are now. */
  async #keysOfFile(jose: Jose): Promise<JWTVerifyGetKey> {
    const path = this.#settings.jwtJwksFile;
    const { mtimeMs, ino, size } = await stat(path);
    const stamp = `${mtimeMs} ${ino} ${size}`;
    if (this.#fileKeys?.stamp === stamp) return this.#fileKeys.keys;
    if (size > JWKS_BYTES_MAX) throw new Error(`it has more than ${JWKS_BYTES_MAX} bytes`);
    const keys = jose.createLocalJWKSet(
      JSON.parse(await readFile(path, "utf8")) as Parameters<Jose["createLocalJWKSet"]>[0],
    );
    this.#fileKeys = { stamp, keys };
    return keys;
  }
}

/** jose reads the whole body; an endless one must not fill the memory. */
async function boundedFetch(url: string, options: RequestInit): Promise<Response> {
  const response = await fetch(url, { ...options, redirect: "error" });
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of response.body ?? []) {
    bytes += chunk.length;
    if (bytes > JWKS_BYTES_MAX) throw new Error(`the keys have more than ${JWKS_BYTES_MAX} bytes`);
    chunks.push(chunk);
  }
  return new Response(Buffer.concat(chunks), { status: response.status, headers: response.headers });
}

/** A claim, also one within another: `realm_access.roles`. A name that has dots itself is tried as it is first. */
function claimAt(payload: JWTPayload, path: string): unknown {
  if (Object.hasOwn(payload, path)) return payload[path];
  let value: unknown = payload;
  for (const name of path.split(".")) {
    if (typeof value !== "object" || value === null || !Object.hasOwn(value, name)) return undefined;
    value = (value as Record<string, unknown>)[name];
  }
  return value;
}

/** A list of names, or names with spaces between, as `scope` has them. */
function rolesIn(claim: unknown): readonly string[] {
  const names: unknown[] = typeof claim === "string" ? claim.split(" ") : Array.isArray(claim) ? claim : [];
  return [...new Set(names.filter(isPrincipalName))].slice(0, ROLES_MAX);
}

function explained(jose: Jose, error: unknown): MillraceError {
  if (error instanceof MillraceError) return error;
  if (error instanceof jose.errors.JWTExpired) return refused("the token has expired");
  if (error instanceof jose.errors.JWTClaimValidationFailed)
    return refused(`the token's ${error.claim} is not accepted`);
  const isForeign =
    error instanceof jose.errors.JWSSignatureVerificationFailed || error instanceof jose.errors.JWKSNoMatchingKey;
  if (isForeign) return refused("the token is not signed by a key of the issuer");
  if (error instanceof jose.errors.JOSEAlgNotAllowed) return refused("the token's algorithm is not accepted");
  if (error instanceof jose.errors.JWTInvalid || error instanceof jose.errors.JWSInvalid) {
    return refused("the token is malformed");
  }
  return new MillraceError("unauthenticated", "the token could not be checked", { cause: error });
}

function refused(message: string): MillraceError {
  return new MillraceError("unauthenticated", message);
}
