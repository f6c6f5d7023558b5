/**
 * HELLO's `auth`: the mechanisms by which a peer says who it is, and the one that takes two steps.
 *
 *     {mechanism: "PLAIN", user, password}   {mechanism: "TOKEN", token}   {mechanism: "EXTERNAL"}
 *     {mechanism: "SCRAM-SHA-256" | "SCRAM-SHA-512", data: bin}            {mechanism: "INTERNAL", secret}
 *     7 AUTH_CHALLENGE [7, corr, data]    8 AUTH_RESPONSE [8, corr, data]    with HELLO's corr
 */
import { MillraceError } from "../errors/index.ts";
import type { Peer } from "../net/index.ts";
import { type Authenticator, type Identity, isScramMechanism, type ScramExchange } from "../security/index.ts";
import { asText, fieldsAt, invalid } from "./arguments.ts";

export interface LoggedIn {
  readonly identity: Identity;
  /** The broker's own proof, where the mechanism has one. */
  readonly final?: Uint8Array;
}

export class LogIn {
  readonly #authenticator: Authenticator;
  readonly #peer: Peer;
  #exchange: ScramExchange | undefined;

  constructor(authenticator: Authenticator, peer: Peer) {
    this.#authenticator = authenticator;
    this.#peer = peer;
  }

  /**
   * @param auth as HELLO brings it.
   * @returns who it is, or the challenge that `respond` takes the answer to.
   * @throws unauthenticated, limit_exceeded, invalid_argument.
   */
  async begin(auth: unknown): Promise<LoggedIn | Uint8Array> {
    const peer = this.#peer;
    if (auth === undefined || auth === null) throw this.#authenticator.nobody(peer);
    const fields = fieldsAt([auth], 0);
    const mechanism = asText(fields["mechanism"], "auth.mechanism");
    if (peer.isInternal && mechanism !== "INTERNAL") throw this.#authenticator.nobody(peer);
    if (isScramMechanism(mechanism)) {
      const data = asBytes(fields["data"], "auth.data");
      this.#exchange = this.#authenticator.scram(mechanism, data, peer);
      return this.#exchange.challenge;
    }
    switch (mechanism) {
      case "PLAIN":
        return { identity: await this.#authenticator.password(fields["user"], fields["password"], peer) };
      case "TOKEN":
        return { identity: await this.#authenticator.token(fields["token"], peer) };
      case "EXTERNAL":
        return { identity: this.#authenticator.certificate(peer) };
      case "INTERNAL":
        return { identity: this.#authenticator.internal(fields["secret"], peer) };
      default:
        throw new MillraceError("unauthenticated", `the mechanism "${mechanism.slice(0, 40)}" is not known`);
    }
  }

  /** Takes the answer to the challenge, once. @throws unauthenticated, limit_exceeded, protocol_error. */
  respond(data: unknown): LoggedIn {
    const exchange = this.#exchange;
    this.#exchange = undefined;
    if (exchange === undefined) throw new MillraceError("protocol_error", "nothing was asked that this answers");
    return exchange.finish(asBytes(data, "data"));
  }
}

function asBytes(value: unknown, field: string): Uint8Array {
  if (value instanceof Uint8Array) return value;
  throw invalid(field, "bytes");
}
