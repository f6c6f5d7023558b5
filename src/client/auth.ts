import { type ScramMechanism, ScramClient, ScramError } from "../stdx/scram.ts";
import { clientError, isMillraceError } from "./errors.ts";

/** How a client says who it is, and how it goes on from there. */

/** A text, or what gives it anew for each connection: a token that was fetched once has expired at the next. */
export type Secret = string | (() => string | Promise<string>);

export type Auth =
  /**
   * A password. SCRAM, the default, never shows it to the server and has the server prove that it knows it too. PLAIN shows
   * it, which the server takes only inside TLS or on one machine; it spares a browser without WebCrypto and the client's work.
   */
  | { user: string; password: Secret; mechanism?: ScramMechanism | "PLAIN" }
  /** A JSON Web Token of the server's identity provider. */
  | { token: Secret }
  /** The certificate of `tls`. Default where there is one, and nothing else is given. */
  | { mechanism: "EXTERNAL" }
  /** Of the processes that a broker starts. */
  | { mechanism: "INTERNAL"; secret: string };

/** One log-in: what HELLO carries, the answer to a challenge, and what the server has to prove. */
export class LogIn {
  private readonly auth: Auth | null;
  private scram: ScramClient | null = null;
  private hasAnswered = false;

  constructor(auth: Auth | null) {
    this.auth = auth;
  }

  /** HELLO's `auth`. Errors: what a secret's function throws. */
  async hello(): Promise<Record<string, unknown> | null> {
    const { auth } = this;
    if (auth === null) return null;
    if ("token" in auth) return { mechanism: "TOKEN", token: await reveal(auth.token) };
    if (!("user" in auth)) return { ...auth };
    const { user, mechanism = "SCRAM-SHA-256" } = auth;
    const password = await reveal(auth.password);
    if (mechanism === "PLAIN") return { mechanism, user, password };
    this.scram = new ScramClient(mechanism, user, password);
    return { mechanism, data: this.scram.first() };
  }

  /** The answer to the server's challenge. Errors: unauthenticated. */
  async answer(challenge: unknown): Promise<Uint8Array> {
    const { scram } = this;
    if (scram === null || this.hasAnswered || !(challenge instanceof Uint8Array)) {
      throw clientError("unauthenticated", "the server sent a challenge that nothing asked for");
    }
    this.hasAnswered = true;
    return guarded(() => scram.answer(challenge));
  }

  /** Takes the server's own proof. Errors: unauthenticated. */
  async welcomed(proof: unknown): Promise<void> {
    const { scram } = this;
    if (scram === null) return;
    if (!(proof instanceof Uint8Array)) {
      // Whoever let us in without asking might be anybody.
      const what = "the server did not prove that it knows this user";
      throw clientError("unauthenticated", `${what}: where authentication is off, connect without a password`);
    }
    await guarded(() => Promise.resolve(scram.verify(proof)));
  }
}

async function reveal(secret: Secret): Promise<string> {
  return typeof secret === "string" ? secret : await secret();
}

async function guarded<T>(step: () => Promise<T>): Promise<T> {
  try {
    return await step();
  } catch (error) {
    if (isMillraceError(error)) throw error;
    const why =
      error instanceof ScramError ? error.message : "this runtime has no WebCrypto here: use PLAIN inside TLS";
    throw clientError("unauthenticated", why);
  }
}
