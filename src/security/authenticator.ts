/**
 * Who a peer is: by password (PLAIN, SCRAM), token, client certificate, or as a process that the broker started itself.
 * TCP, WebSocket and HTTP all come here, so that one place counts failures and says no in the same words.
 */
import { createHmac, hkdfSync, timingSafeEqual } from "node:crypto";
import { isMillraceError, MillraceError } from "../errors/index.ts";
import { hashOf, readClientFirst, ScramError, type ScramMechanism } from "../stdx/index.ts";
import { Attempts } from "./attempts.ts";
import { Passwords } from "./passwords.ts";
import type { Principal } from "./principal.ts";
import type { Salter } from "./salt.ts";
import { type Credential, decoyCredential, ScramServer } from "./scram.ts";
import { isPrincipalName, isText, PASSWORD_LENGTH_MAX } from "./text.ts";
import type { Tokens } from "./tokens.ts";

/** What is known of a peer before it says who it is. */
export interface Peer {
  /** IP address, without a port. */
  readonly address: string;
  readonly isEncrypted: boolean;
  /** What a certificate that was verified calls its holder; undefined without one. */
  readonly certificateName?: string | undefined;
}

/** A user as this folder needs it. */
export interface KnownUser {
  readonly name: string;
  readonly roles: readonly string[];
  readonly isEnabled: boolean;
  readonly credentials: readonly Credential[];
}

/** Somebody who has logged in, whatever the namespace. */
export type Identity = Omit<Principal, "namespace">;

/** A log-in that was refused, for the audit log. */
export interface Refusal {
  /** As the peer gave it; undefined where it gave none. */
  readonly user: string | undefined;
  readonly address: string;
  readonly mechanism: string;
  readonly reason: string;
}

export interface AuthenticatorOptions {
  readonly isRequired: boolean;
  readonly findUser: (name: string) => KnownUser | undefined;
  readonly tokens: Tokens;
  /** Of this process, the same on all its threads, 32 bytes. */
  readonly secret: Uint8Array;
  /** A clock that never goes back. */
  readonly monotonicMs: () => number;
  /** Salts the passwords that are shown; default the runtime's pool. */
  readonly salter?: Salter;
  readonly onRefused: (refusal: Refusal) => void;
}

/** A log-in by SCRAM between its two steps. */
export interface ScramExchange {
  /** server-first-message. */
  readonly challenge: Uint8Array;
  /** @returns who it is, and server-final-message. @throws unauthenticated, limit_exceeded. */
  finish(clientFinal: Uint8Array): { readonly identity: Identity; readonly final: Uint8Array };
}

const WRONG = "the user or the password is wrong";

export class Authenticator {
  readonly isRequired: boolean;
  readonly #options: AuthenticatorOptions;
  readonly #attempts: Attempts;
  readonly #passwords: Passwords;

  constructor(options: AuthenticatorOptions) {
    this.#options = options;
    this.isRequired = options.isRequired;
    this.#attempts = new Attempts(options.monotonicMs);
    this.#passwords = new Passwords(deriveKey(options.secret, "passwords"), options.monotonicMs, options.salter);
  }

  /** @throws unauthenticated, limit_exceeded. */
  async password(user: unknown, password: unknown, peer: Peer): Promise<Identity> {
    return this.#told("PLAIN", user, peer, async () => {
      needSecrecy(peer);
      if (!isPrincipalName(user) || !isText(password, PASSWORD_LENGTH_MAX)) throw refused(WRONG);
      this.#attempts.check(user, peer.address);
      const known = this.#options.findUser(user);
      // Somebody who does not exist takes as long to refuse.
      const credential = plainCredential(known) ?? decoyCredential(user, "SCRAM-SHA-256", this.#options.secret);
      const before = (): void => this.#attempts.check(user, peer.address);
      const isRight = await this.#passwords.isRight({ user, password, address: peer.address }, credential, before);
      return this.#passed(user, isRight ? known : undefined, peer);
    });
  }

  /**
   * @param clientFirst client-first-message.
   * @throws unauthenticated, limit_exceeded.
   */
  scram(mechanism: ScramMechanism, clientFirst: Uint8Array, peer: Peer): ScramExchange {
    const { first, server, known } = this.#toldNow(mechanism, undefined, peer, () => {
      const first = readClientFirst(clientFirst);
      if (!isPrincipalName(first.user)) throw refused(WRONG);
      this.#attempts.check(first.user, peer.address);
      const known = this.#options.findUser(first.user);
      const credential = known?.credentials.find((candidate) => candidate.mechanism === mechanism);
      const server = new ScramServer(first, credential ?? decoyCredential(first.user, mechanism, this.#options.secret));
      return { first, server, known: credential === undefined ? undefined : known };
    });
    const { user } = first;
    const finish = (clientFinal: Uint8Array) =>
      this.#toldNow(mechanism, user, peer, () => {
        this.#attempts.check(user, peer.address);
        let final: Uint8Array;
        try {
          final = server.finish(clientFinal);
        } catch (error) {
          this.#attempts.failed(user, peer.address);
          throw error instanceof ScramError ? refused(WRONG) : error;
        }
        return { identity: this.#passed(user, known, peer), final };
      });
    return { challenge: server.challenge, finish };
  }

  /** @throws unauthenticated. */
  async token(token: unknown, peer: Peer): Promise<Identity> {
    return this.#told("TOKEN", undefined, peer, async () => {
      needSecrecy(peer);
      if (typeof token !== "string") throw refused("there is no token");
      const { name, roles, expiresAtMs } = await this.#options.tokens.verify(token);
      this.#needEnabled(name);
      return { name, roles: [...roles], kind: "token", expiresAtMs };
    });
  }

  /** By the certificate that the TLS handshake has verified. @throws unauthenticated. */
  certificate(peer: Peer): Identity {
    const name = peer.certificateName;
    return this.#toldNow("EXTERNAL", name, peer, () => {
      if (!isPrincipalName(name)) throw refused("there is no client certificate with a name on this connection");
      this.#needEnabled(name);
      const roles = this.#options.findUser(name)?.roles ?? [];
      return { name, roles: [...roles], kind: "certificate" };
    });
  }

  /** What a process that the broker starts is given, so that it can log in here. */
  get internalSecret(): string {
    return Buffer.from(deriveKey(this.#options.secret, "internal")).toString("hex");
  }

  /** @throws unauthenticated. */
  internal(secret: unknown, peer: Peer): Identity {
    return this.#toldNow("INTERNAL", undefined, peer, () => {
      needSecrecy(peer);
      const given = Buffer.from(typeof secret === "string" ? secret : "");
      const expected = Buffer.from(this.internalSecret);
      if (given.length !== expected.length || !timingSafeEqual(given, expected)) throw refused("the secret is wrong");
      return { name: "millrace", roles: [], kind: "internal" };
    });
  }

  /** The user behind a web session, as it is now; undefined when it may not go on. */
  userOf(name: string, print: string): Identity | undefined {
    const known = this.#options.findUser(name);
    if (known === undefined || !known.isEnabled || this.printOf(name) !== print) return undefined;
    return identityOf(known);
  }

  /** Names a user's present credentials without revealing them. */
  printOf(name: string): string {
    const credentials = this.#options.findUser(name)?.credentials ?? [];
    const text = credentials.map(({ mechanism, storedKey }) => `${mechanism}:${storedKey}`).join();
    return createHmac("sha256", deriveKey(this.#options.secret, "print")).update(text).digest("base64url").slice(0, 22);
  }

  /** Notes a request that brought nothing to log in with. @returns what to throw. */
  nobody(peer: Peer): MillraceError {
    const reason = "log in first: the broker requires authentication";
    this.#options.onRefused({ user: undefined, address: peer.address, mechanism: "none", reason });
    return refused(reason);
  }

  #passed(user: string, known: KnownUser | undefined, peer: Peer): Identity {
    if (known === undefined || !known.isEnabled) {
      this.#attempts.failed(user, peer.address);
      throw refused(WRONG);
    }
    this.#attempts.succeeded(user, peer.address);
    return identityOf(known);
  }

  /** A user of the broker's own that was disabled is not let in by another way of the same name. */
  #needEnabled(name: string): void {
    if (this.#options.findUser(name)?.isEnabled === false) throw refused(`${name} is disabled`);
  }

  async #told<T>(mechanism: string, user: unknown, peer: Peer, logIn: () => Promise<T>): Promise<T> {
    try {
      return await logIn();
    } catch (error) {
      throw this.#refuse(mechanism, user, peer, error);
    }
  }

  #toldNow<T>(mechanism: string, user: unknown, peer: Peer, logIn: () => T): T {
    try {
      return logIn();
    } catch (error) {
      throw this.#refuse(mechanism, user, peer, error);
    }
  }

  #refuse(mechanism: string, user: unknown, { address }: Peer, error: unknown): unknown {
    const fault = error instanceof ScramError ? refused(error.message) : error;
    if (isMillraceError(fault)) {
      const named = isPrincipalName(user) ? user : undefined;
      this.#options.onRefused({ user: named, address, mechanism, reason: fault.message });
    }
    return fault;
  }
}

/** Keys for different purposes, none of which tells anything about another (RFC 5869). */
export function deriveKey(secret: Uint8Array, purpose: string): Uint8Array {
  return new Uint8Array(hkdfSync("sha256", secret, "", `millrace ${purpose}`, 32));
}

export function isLoopbackAddress(address: string): boolean {
  return address === "::1" || /^(::ffff:)?127(\.\d{1,3}){3}$/.test(address);
}

function identityOf({ name, roles }: KnownUser): Identity {
  return { name, roles: [...roles], kind: "user" };
}

/** The credential that is the cheapest to check. */
function plainCredential(known: KnownUser | undefined): Credential | undefined {
  const credentials = known?.credentials ?? [];
  return credentials.find(({ mechanism }) => hashOf(mechanism) === "SHA-256") ?? credentials[0];
}

/** Who can read along could log in. */
function needSecrecy({ isEncrypted, address }: Peer): void {
  if (isEncrypted || isLoopbackAddress(address)) return;
  throw refused("passwords and tokens are taken only inside TLS, or from this machine; SCRAM works anywhere");
}

function refused(message: string): MillraceError {
  return new MillraceError("unauthenticated", message);
}
