/** Tokens of an identity provider: which are taken, and all the ways in which one can be wrong. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { exportJWK, generateKeyPair, type JWK, type JWTPayload, SignJWT, UnsecuredJWT } from "jose";
import { isMillraceError } from "../../src/errors/index.ts";
import { type TokenSettings, Tokens } from "../../src/security/index.ts";

interface Signer {
  readonly key: CryptoKey;
  readonly jwk: JWK;
  readonly kid: string;
}

const ISSUER = "https://id.example.com";
const AUDIENCE = "millrace";
let folder: string;
let ours: Signer;
let next: Signer;

async function signer(kid: string): Promise<Signer> {
  const { publicKey, privateKey } = await generateKeyPair("ES256", { extractable: true });
  return { key: privateKey, jwk: { ...(await exportJWK(publicKey)), kid, alg: "ES256" }, kid };
}

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "millrace-test-"));
  [ours, next] = await Promise.all([signer("one"), signer("two")]);
});

afterAll(() => rm(folder, { recursive: true, force: true }));

function settings(over: Partial<TokenSettings>): TokenSettings {
  return {
    jwtIssuer: ISSUER,
    jwtAudience: AUDIENCE,
    jwtJwksFile: "",
    jwtJwksUrl: "",
    jwtPrincipalClaim: "sub",
    jwtRolesClaim: "roles",
    ...over,
  };
}

/** Reads the public key of `ours` from a file of its own. */
async function fromFile(name: string, over: Partial<TokenSettings> = {}): Promise<Tokens> {
  const path = join(folder, name);
  await writeFile(path, JSON.stringify({ keys: [ours.jwk] }));
  return new Tokens(settings({ jwtJwksFile: path, ...over }));
}

function token(claims: JWTPayload = {}, by: Signer = ours): Promise<string> {
  const inAMinute = Math.floor(Date.now() / 1000) + 60;
  const all = { iss: ISSUER, aud: AUDIENCE, sub: "ann", exp: inAMinute, roles: ["editors"], ...claims };
  return new SignJWT(all).setProtectedHeader({ alg: "ES256", kid: by.kid }).sign(by.key);
}

async function reasonOf(promise: Promise<unknown>): Promise<string> {
  const error = await promise.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (isMillraceError(error, "unauthenticated")) return error.message;
  throw new Error(`it was not refused: ${String(error)}`);
}

const seconds = (): number => Math.floor(Date.now() / 1000);

describe("a token", () => {
  test("names its holder, its roles and its end", async () => {
    const tokens = await fromFile("holder.json");
    const exp = seconds() + 100;
    expect(await tokens.verify(await token({ exp }))).toEqual({
      name: "ann",
      roles: ["editors"],
      expiresAtMs: exp * 1000,
    });
  });

  test("may have both in other claims, also within one, and roles as words", async () => {
    const over = { jwtPrincipalClaim: "https://example.com/name", jwtRolesClaim: "realm_access.roles" };
    const tokens = await fromFile("claims.json", over);
    const claims = { "https://example.com/name": "bob", realm_access: { roles: ["a", "b", 3, "a"] } };
    expect(await tokens.verify(await token(claims))).toMatchObject({ name: "bob", roles: ["a", "b"] });
    const words = await fromFile("words.json", { jwtRolesClaim: "scope" });
    expect((await words.verify(await token({ scope: "read write" }))).roles).toEqual(["read", "write"]);
    expect((await words.verify(await token({ scope: 7 }))).roles).toEqual([]);
  });

  test.each([
    ["has expired", { exp: seconds() - 60 }, /expired/],
    ["never expires", { exp: undefined }, /exp is not accepted/],
    ["is not valid yet", { nbf: seconds() + 600 }, /nbf is not accepted/],
    ["is from another issuer", { iss: "https://evil.example" }, /iss is not accepted/],
    ["is for somebody else", { aud: "other" }, /aud is not accepted/],
    ["has no name in it", { sub: undefined }, /sub is no name/],
    ["has a name that breaks lines", { sub: "ann\nroot" }, /sub is no name/],
  ])("that %s is refused", async (_, claims, reason) => {
    const tokens = await fromFile("refused.json");
    expect(await reasonOf(tokens.verify(await token(claims as JWTPayload)))).toMatch(reason);
  });

  test("that is unsigned, signed by a foreign key or by a shared secret is refused", async () => {
    const tokens = await fromFile("foreign.json");
    const claims = { iss: ISSUER, aud: AUDIENCE, sub: "ann", exp: seconds() + 60 };
    expect(await reasonOf(tokens.verify(new UnsecuredJWT(claims).encode()))).toMatch(/algorithm|malformed/);
    const stranger = await signer("one");
    expect(await reasonOf(tokens.verify(await token({}, stranger)))).toMatch(/not signed by a key/);
    expect(await reasonOf(tokens.verify(await token({}, next)))).toMatch(/not signed by a key/);
    // The public key as the secret of an HMAC: what a library that trusts the token's algorithm falls for.
    const secret = new TextEncoder().encode(JSON.stringify(ours.jwk));
    const confused = await new SignJWT(claims).setProtectedHeader({ alg: "HS256", kid: "one" }).sign(secret);
    expect(await reasonOf(tokens.verify(confused))).toMatch(/algorithm is not accepted/);
  });

  test("that is no token at all is refused", async () => {
    const tokens = await fromFile("none.json");
    const real = await token();
    const wrong = ["", "a", "a.b.c", "..", real.slice(0, -9), `${real}x`, "x".repeat(20_000), real.replace(".", "..")];
    for (const text of wrong) expect(await reasonOf(tokens.verify(text))).toMatch(/token/);
  });
});

describe("keys", () => {
  test("of a file are read again when the file has changed", async () => {
    const tokens = await fromFile("rotated.json");
    expect((await tokens.verify(await token())).name).toBe("ann");
    await writeFile(join(folder, "rotated.json"), JSON.stringify({ keys: [{ ...next.jwk, use: "sig" }] }));
    expect((await tokens.verify(await token({}, next))).name).toBe("ann");
    expect(await reasonOf(tokens.verify(await token()))).toMatch(/not signed by a key/);
  });

  test("of an URL are asked for again when a token has a new one, and an endless answer is not read to its end", async () => {
    let keys: readonly JWK[] = [ours.jwk];
    let isEndless = false;
    using server = Bun.serve({
      port: 0,
      hostname: "127.0.0.1",
      fetch: () => (isEndless ? new Response("x".repeat(2 * 1024 * 1024)) : Response.json({ keys })),
    });
    const url = `http://127.0.0.1:${server.port}/jwks`;
    const tokens = new Tokens(settings({ jwtJwksUrl: url }), 0);
    expect((await tokens.verify(await token())).name).toBe("ann");
    keys = [next.jwk];
    expect((await tokens.verify(await token({}, next))).name).toBe("ann");
    expect(await reasonOf(tokens.verify(await token()))).toMatch(/not signed by a key/);
    isEndless = true;
    const flooded = new Tokens(settings({ jwtJwksUrl: url }));
    const failures: unknown[] = [];
    flooded.onFailure = (error) => failures.push(error);
    expect(await reasonOf(flooded.verify(await token()))).toMatch(/could not be/);
    expect(String(failures)).toMatch(/more than \d+ bytes/);
  });

  test.each([
    ["is not there", undefined],
    ["is no JSON", "{"],
    ["holds no keys", '{"keys": 7}'],
  ])("in a file that %s are an error of the start", async (name, content) => {
    const path = join(folder, `bad ${name}.json`);
    if (content !== undefined) await writeFile(path, content);
    const checked = new Tokens(settings({ jwtJwksFile: path })).check();
    const error = await checked.catch((reason: unknown) => reason);
    expect(isMillraceError(error, "invalid_config") && error.message).toContain(path);
  });
});
