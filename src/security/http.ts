/**
 * Who an HTTP request comes from: Basic, Bearer, or the cookie of a log-in. All HTTP interfaces ask here.
 *
 * A change that comes by cookie has to carry the session's CSRF value in `x-millrace-csrf`, because a browser sends cookies
 * along with what foreign pages ask for, too; Basic and Bearer are refused to foreign pages by their origin.
 */
import { MillraceError } from "../errors/index.ts";
import { type Authenticator, deriveKey, type Identity, type Peer } from "./authenticator.ts";
import { isOriginAllowed, type OriginRules } from "./origins.ts";
import { anonymous, type Principal } from "./principal.ts";
import { COOKIE, CSRF_HEADER, type WebSession, WebSessions } from "./web-sessions.ts";

export interface HttpLoginsOptions {
  readonly authenticator: Authenticator;
  /** Of this process, the same on all its threads. */
  readonly secret: Uint8Array;
  readonly origins: OriginRules;
  readonly nowMs: () => number;
  /** Tells the other worker threads of a log-out. */
  readonly announceLogout: (id: string, expiresAtMs: number) => void;
}

/** A log-in that worked. */
export interface LoggedIn {
  readonly principal: Principal;
  readonly csrf: string;
  readonly expiresAtMs: number;
  /** Value of `set-cookie`. */
  readonly cookie: string;
}

/** What `whoami` tells. */
export interface WhoAmI {
  readonly principal: Principal;
  /** Of a session by cookie. */
  readonly csrf?: string;
  readonly expiresAtMs?: number;
}

/** Where requests name no namespace. */
const NAMESPACE = "default";
const SAFE_METHODS: ReadonlySet<string> = new Set(["GET", "HEAD", "OPTIONS"]);

export class HttpLogins {
  readonly #options: HttpLoginsOptions;
  readonly #sessions: WebSessions;

  constructor(options: HttpLoginsOptions) {
    this.#options = options;
    this.#sessions = new WebSessions(deriveKey(options.secret, "web sessions"));
  }

  /**
   * @throws unauthenticated with `challenge` in its details, for `www-authenticate`; unauthorized for a foreign page or a
   * change without the CSRF value; limit_exceeded.
   */
  async authenticate(request: Request, peer: Peer): Promise<Principal> {
    const { principal } = await this.whoami(request, peer);
    return principal;
  }

  /** As `authenticate`, with what a page has to know of its session. */
  async whoami(request: Request, peer: Peer): Promise<WhoAmI> {
    this.needOrigin(request);
    const { authenticator } = this.#options;
    if (!authenticator.isRequired) return { principal: anonymous(NAMESPACE) };
    try {
      const given = request.headers.get("authorization");
      if (given !== null) {
        const identity = await this.#byHeader(given, peer);
        return { principal: { ...identity, namespace: NAMESPACE } };
      }
      return this.#byCookie(request, peer);
    } catch (error) {
      throw challenged(error, request);
    }
  }

  /** @throws unauthorized when a page of a foreign origin sends the request. */
  needOrigin(request: Request): void {
    if (isOriginAllowed(request.headers, this.#options.origins)) return;
    throw new MillraceError("unauthorized", "pages of other origins may not use this broker (allowedOrigins)");
  }

  /** Opens a session. @throws unauthenticated, limit_exceeded, unauthorized. */
  async login(request: Request, peer: Peer, user: unknown, password: unknown): Promise<LoggedIn> {
    this.needOrigin(request);
    const { authenticator, nowMs } = this.#options;
    if (!authenticator.isRequired) {
      throw new MillraceError("invalid_argument", "nobody has to log in here: authentication is off");
    }
    const identity = await authenticator.password(user, password, peer);
    const { token, session } = this.#sessions.open(identity.name, authenticator.printOf(identity.name), nowMs());
    return {
      principal: { ...identity, namespace: NAMESPACE },
      csrf: this.#sessions.csrfOf(session),
      expiresAtMs: session.expiresAtMs,
      cookie: cookieOf(token, Math.floor((session.expiresAtMs - nowMs()) / 1000), peer),
    };
  }

  /** Ends the request's session, if it has one. @returns the value of `set-cookie`. @throws unauthorized. */
  logout(request: Request, peer: Peer): string {
    this.needOrigin(request);
    const session = this.#sessionOf(request);
    if (session !== undefined) {
      this.#needCsrf(request, session);
      this.forget(session.id, session.expiresAtMs);
      this.#options.announceLogout(session.id, session.expiresAtMs);
    }
    return cookieOf("", 0, peer);
  }

  /** Ends a session here. */
  forget(id: string, expiresAtMs: number): void {
    this.#sessions.revoke(id, expiresAtMs, this.#options.nowMs());
  }

  async #byHeader(given: string, peer: Peer): Promise<Identity> {
    const [, scheme = "", value = ""] = /^(\S+) +(\S+) *$/.exec(given) ?? [];
    if (scheme.toLowerCase() === "bearer") return this.#options.authenticator.token(value, peer);
    if (scheme.toLowerCase() !== "basic") {
      throw new MillraceError("unauthenticated", "authorization takes Basic and Bearer");
    }
    // RFC 7617: UTF-8, and the first colon ends the user.
    const text = Buffer.from(value, "base64").toString();
    const colon = text.indexOf(":");
    if (colon < 0) throw new MillraceError("unauthenticated", "authorization is malformed");
    return this.#options.authenticator.password(text.slice(0, colon), text.slice(colon + 1), peer);
  }

  #byCookie(request: Request, peer: Peer): WhoAmI {
    const session = this.#sessionOf(request);
    if (session === undefined) throw this.#options.authenticator.nobody(peer);
    const identity = this.#options.authenticator.userOf(session.user, session.print);
    if (identity === undefined) throw new MillraceError("unauthenticated", "the session is over: log in again");
    if (!SAFE_METHODS.has(request.method)) this.#needCsrf(request, session);
    const { expiresAtMs } = session;
    return {
      principal: { ...identity, namespace: NAMESPACE, expiresAtMs },
      csrf: this.#sessions.csrfOf(session),
      expiresAtMs,
    };
  }

  #sessionOf(request: Request): WebSession | undefined {
    const cookies = request.headers.get("cookie") ?? "";
    const [, token] = new RegExp(`(?:^|;\\s*)${COOKIE}=([^;\\s]+)`).exec(cookies) ?? [];
    return token === undefined ? undefined : this.#sessions.find(token, this.#options.nowMs());
  }

  #needCsrf(request: Request, session: WebSession): void {
    if (this.#sessions.isCsrf(session, request.headers.get(CSRF_HEADER))) return;
    throw new MillraceError(
      "unauthorized",
      `a change needs the header ${CSRF_HEADER}, whose value /api/v1/whoami tells`,
    );
  }
}

function cookieOf(token: string, seconds: number, { isEncrypted }: Peer): string {
  const secure = isEncrypted ? "; Secure" : "";
  return `${COOKIE}=${token}; Path=/; HttpOnly; SameSite=Strict; Max-Age=${seconds}${secure}`;
}

/** Browsers would ask for a password in a window of their own if they were told of Basic, so a page is not. */
function challenged(error: unknown, request: Request): unknown {
  if (!(error instanceof MillraceError) || error.codeName !== "unauthenticated") return error;
  const isPage = request.headers.has("sec-fetch-mode");
  const challenge = isPage ? 'Session realm="millrace"' : 'Basic realm="millrace", charset="UTF-8", Bearer';
  return new MillraceError("unauthenticated", error.message, { details: { challenge }, cause: error.cause });
}
