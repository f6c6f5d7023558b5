/** Who an HTTP request comes from: Basic, Bearer, cookie; what is refused, and what foreign pages can do. */
import { beforeAll, describe, expect, test } from "bun:test";
import fc from "fast-check";
import { isMillraceError, type MillraceError } from "../../src/errors/index.ts";
import {
  Authenticator,
  COOKIE,
  type Credential,
  CSRF_HEADER,
  HttpLogins,
  isOriginAllowed,
  type KnownUser,
  newCredentials,
  type Peer,
  type Refusal,
  Tokens,
} from "../../src/security/index.ts";
import { REVOKED_MAX, WebSessions } from "../../src/security/web-sessions.ts";

const SEED = Number(process.env["MILLRACE_SEED"] ?? Date.now() % 1_000_000);
const LOCAL: Peer = { address: "127.0.0.1", isEncrypted: false };
const FAR: Peer = { address: "10.1.2.3", isEncrypted: false };
const FAR_TLS: Peer = { address: "10.1.2.3", isEncrypted: true };
const NO_TOKENS = new Tokens({
  jwtIssuer: "",
  jwtAudience: "",
  jwtJwksFile: "",
  jwtJwksUrl: "",
  jwtPrincipalClaim: "sub",
  jwtRolesClaim: "roles",
});

let credential: Credential;
beforeAll(async () => {
  credential = await newCredentials("sésame: öffne", "SCRAM-SHA-256", 4096);
});

function setUp(over: Partial<KnownUser> = {}, isRequired = true) {
  const secret = new Uint8Array(32).fill(7);
  const clock = { nowMs: 1_000_000 };
  const refusals: Refusal[] = [];
  const logouts: string[] = [];
  let user: KnownUser = { name: "ann", roles: ["monitoring"], isEnabled: true, credentials: [credential], ...over };
  const authenticator = new Authenticator({
    isRequired,
    findUser: (name) => (name === user.name ? user : undefined),
    tokens: NO_TOKENS,
    secret,
    monotonicMs: () => clock.nowMs,
    onRefused: (refusal) => refusals.push(refusal),
  });
  const logins = new HttpLogins({
    authenticator,
    secret,
    origins: { isLocalOnly: !isRequired, allowed: ["https://app.example.com"] },
    nowMs: () => clock.nowMs,
    announceLogout: (id) => logouts.push(id),
  });
  const change = (changes: Partial<KnownUser>): void => void (user = { ...user, ...changes });
  return { logins, clock, refusals, logouts, change };
}

function request(headers: Record<string, string> = {}, method = "GET"): Request {
  return new Request("http://127.0.0.1:7480/api/v1/topics", {
    method,
    headers: { host: "127.0.0.1:7480", ...headers },
  });
}

function basic(user: string, password: string): Record<string, string> {
  return { authorization: `Basic ${Buffer.from(`${user}:${password}`).toString("base64")}` };
}

async function refusalOf(promise: Promise<unknown>): Promise<MillraceError> {
  const error = await promise.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (!isMillraceError(error)) throw new Error(`it was not refused: ${String(error)}`);
  return error;
}

describe("Basic", () => {
  test("a user with the right password is that user, from this machine or inside TLS", async () => {
    const { logins } = setUp();
    for (const peer of [LOCAL, FAR_TLS]) {
      const principal = await logins.authenticate(request(basic("ann", "sésame: öffne")), peer);
      expect(principal).toMatchObject({ name: "ann", kind: "user", roles: ["monitoring"] });
    }
  });

  test.each([
    ["nothing at all", {}, LOCAL, /log in first/],
    ["a wrong password", basic("ann", "sesame"), LOCAL, /user or the password/],
    ["an unknown user", basic("bob", "sésame: öffne"), LOCAL, /user or the password/],
    ["an empty password", basic("ann", ""), LOCAL, /user or the password/],
    ["a password that others could read on the way", basic("ann", "sésame: öffne"), FAR, /inside TLS/],
    ["a scheme that is not known", { authorization: "Digest abc" }, LOCAL, /Basic and Bearer/],
    ["no colon", { authorization: "Basic YWJj" }, LOCAL, /malformed/],
    ["a token where none are taken", { authorization: "Bearer a.b.c" }, LOCAL, /takes no tokens/],
  ])("%s is refused, in words that keep the secret, and noted", async (_, headers, peer, reason) => {
    const { logins, refusals } = setUp();
    const error = await refusalOf(logins.authenticate(request(headers), peer));
    expect(error.codeName).toBe("unauthenticated");
    expect(error.message).toMatch(reason);
    expect(error.details?.["challenge"]).toMatch(/^Basic realm="millrace", charset="UTF-8", Bearer$/);
    expect(JSON.stringify([error, error.message, refusals])).not.toContain("same");
  });

  test("a browser's page is not told of Basic, so that no window asks for a password", async () => {
    const { logins } = setUp();
    const error = await refusalOf(logins.authenticate(request({ "sec-fetch-mode": "cors" }), LOCAL));
    expect(error.details?.["challenge"]).toBe('Session realm="millrace"');
  });

  test("a disabled user is refused like one that is not there", async () => {
    const { logins } = setUp({ isEnabled: false });
    const error = await refusalOf(logins.authenticate(request(basic("ann", "sésame: öffne")), LOCAL));
    expect(error.message).toMatch(/user or the password/);
  });

  test("after some wrong ones even the right password has to wait", async () => {
    const { logins, clock } = setUp();
    for (let guess = 0; guess < 3; guess += 1) {
      await refusalOf(logins.authenticate(request(basic("ann", `guess ${guess}`)), LOCAL));
    }
    const right = () => logins.authenticate(request(basic("ann", "sésame: öffne")), LOCAL);
    expect((await refusalOf(right())).codeName).toBe("limit_exceeded");
    clock.nowMs += 1001;
    expect((await right()).name).toBe("ann");
  });

  test("nobody is asked while authentication is off", async () => {
    const { logins } = setUp({}, false);
    expect(await logins.authenticate(request(), FAR)).toMatchObject({ kind: "anonymous" });
  });

  test(`whatever a header holds, it is refused in an orderly way (seed ${SEED})`, async () => {
    const { logins } = setUp();
    const header = fc.oneof(
      fc.stringMatching(/^[\x20-\x7e]{1,60}$/),
      fc.base64String({ maxLength: 60 }).map((text) => `Basic ${text}`),
      fc.stringMatching(/^[\w.-]{0,60}$/).map((text) => `Bearer ${text}`),
    );
    const property = fc.asyncProperty(header, header, async (authorization, cookie) => {
      const sent = request({ authorization, cookie: `${COOKIE}=${cookie}` });
      const { codeName } = await refusalOf(logins.authenticate(sent, LOCAL));
      expect(["unauthenticated", "limit_exceeded"]).toContain(codeName);
    });
    await fc.assert(property, { seed: SEED, numRuns: 100 });
  });
});

describe("a session by cookie", () => {
  async function loggedIn(peer = LOCAL) {
    const set = setUp();
    const { cookie, csrf } = await set.logins.login(request({}, "POST"), peer, "ann", "sésame: öffne");
    return { ...set, setCookie: cookie, cookie: cookie.split(";")[0] ?? "", csrf };
  }

  test("reads with the cookie alone, and changes with the CSRF value", async () => {
    const { logins, cookie, csrf } = await loggedIn();
    expect(await logins.authenticate(request({ cookie: `other=1; ${cookie}` }), LOCAL)).toMatchObject({ name: "ann" });
    const { csrf: told } = await logins.whoami(request({ cookie }), LOCAL);
    expect(told).toBe(csrf);
    for (const method of ["POST", "PUT", "PATCH", "DELETE"]) {
      const without = await refusalOf(logins.authenticate(request({ cookie }, method), LOCAL));
      expect(without.codeName).toBe("unauthorized");
      const wrong = { cookie, [CSRF_HEADER]: `${csrf.slice(1)}x` };
      expect((await refusalOf(logins.authenticate(request(wrong, method), LOCAL))).codeName).toBe("unauthorized");
      const right = { cookie, [CSRF_HEADER]: csrf };
      expect(await logins.authenticate(request(right, method), LOCAL)).toMatchObject({ name: "ann" });
    }
  });

  test("its cookie is out of reach of scripts and of other sites, and only for TLS where there is TLS", async () => {
    expect((await loggedIn()).setCookie).toMatch(/; Path=\/; HttpOnly; SameSite=Strict; Max-Age=43200$/);
    expect((await loggedIn(FAR_TLS)).setCookie).toMatch(/; Secure$/);
  });

  test("ends by a log-out, which the other threads hear of, and after twelve hours", async () => {
    const first = await loggedIn();
    expect(
      (await refusalOf(Promise.try(() => first.logins.logout(request({ cookie: first.cookie }), LOCAL)))).codeName,
    ).toBe("unauthorized");
    first.logins.logout(request({ cookie: first.cookie, [CSRF_HEADER]: first.csrf }), LOCAL);
    expect(first.logouts).toHaveLength(1);
    await refusalOf(first.logins.authenticate(request({ cookie: first.cookie }), LOCAL));
    const second = await loggedIn();
    second.clock.nowMs += 12 * 3600_000;
    await refusalOf(second.logins.authenticate(request({ cookie: second.cookie }), LOCAL));
  });

  test("ends when its user is disabled or has another password", async () => {
    const disabled = await loggedIn();
    disabled.change({ isEnabled: false });
    await refusalOf(disabled.logins.authenticate(request({ cookie: disabled.cookie }), LOCAL));
    const changed = await loggedIn();
    changed.change({ credentials: [await newCredentials("other", "SCRAM-SHA-256", 4096)] });
    await refusalOf(changed.logins.authenticate(request({ cookie: changed.cookie }), LOCAL));
  });

  test("a cookie in which any one character differs is nobody's", async () => {
    const { logins, cookie } = await loggedIn();
    for (let at = COOKIE.length + 1; at < cookie.length; at += 7) {
      const other = `${cookie.slice(0, at)}${cookie[at] === "A" ? "B" : "A"}${cookie.slice(at + 1)}`;
      await refusalOf(logins.authenticate(request({ cookie: other }), LOCAL));
    }
  });

  test("a table full of log-outs asks all to log in again rather than let one of them in", () => {
    const sessions = new WebSessions(new Uint8Array(32));
    const gone = sessions.open("ann", "print", 0);
    const staying = sessions.open("ann", "print", 0);
    sessions.revoke(gone.session.id, gone.session.expiresAtMs, 0);
    for (let other = 0; other < REVOKED_MAX; other += 1) sessions.revoke(`${other}`, 1000, 0);
    expect(sessions.find(gone.token, 1)).toBeUndefined();
    expect(sessions.find(staying.token, 1)).toBeUndefined();
    expect(sessions.find(sessions.open("ann", "print", 2).token, 3)?.user).toBe("ann");
  });
});

describe("origins", () => {
  const origin = (host: string, headers: Record<string, string>, isLocalOnly: boolean): boolean =>
    isOriginAllowed(new Headers({ host, ...headers }), { isLocalOnly, allowed: ["https://app.example.com"] });

  test.each([
    ["a program", "127.0.0.1:7480", {}, true, true],
    ["a page of this machine", "127.0.0.1:7480", { origin: "http://localhost:3000" }, true, true],
    ["a page of this machine, by IPv6", "[::1]:7480", { origin: "http://[::1]:7480" }, true, true],
    ["a page of a listed origin", "127.0.0.1:7480", { origin: "https://app.example.com" }, true, true],
    ["a foreign page", "127.0.0.1:7480", { origin: "https://evil.example" }, false, false],
    ["a sandboxed page", "127.0.0.1:7480", { origin: "null" }, false, false],
    ["a page that looks local", "127.0.0.1:7480", { origin: "http://127.0.0.1.evil.example" }, false, false],
    ["a page whose name was pointed here", "evil.example", { origin: "http://evil.example" }, false, true],
    ["its reads, which have no origin", "evil.example", { "sec-fetch-site": "same-origin" }, false, true],
    ["the broker's own page", "broker.example:7480", { origin: "https://broker.example:7480" }, false, true],
    ["another port of its host", "broker.example:7480", { origin: "https://broker.example" }, false, false],
    ["a local page and a far broker", "broker.example:7480", { origin: "http://localhost:3000" }, false, false],
  ])("%s", (_, host, headers, whenLocalOnly, whenRequired) => {
    expect([origin(host, headers, true), origin(host, headers, false)]).toEqual([whenLocalOnly, whenRequired]);
  });

  test("a foreign page is refused before its credentials are looked at", async () => {
    const { logins, refusals } = setUp();
    const headers = { origin: "https://evil.example", ...basic("ann", "wrong") };
    expect((await refusalOf(logins.authenticate(request(headers, "POST"), LOCAL))).codeName).toBe("unauthorized");
    expect(refusals).toEqual([]);
  });
});
