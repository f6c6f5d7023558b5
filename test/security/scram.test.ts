/** SCRAM against the RFCs' examples, and against everything that a peer may send instead. */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { decoyCredential, isPassword, newCredentials, ScramServer } from "../../src/security/index.ts";
import {
  encodeBase64,
  preparePassword,
  readClientFinal,
  readClientFirst,
  readServerFirst,
  SCRAM_ITERATIONS_MIN,
  SCRAM_MECHANISMS,
  ScramClient,
  ScramError,
} from "../../src/stdx/index.ts";

const SEED = Number(process.env["MILLRACE_SEED"] ?? Date.now() % 1_000_000);
const options = { seed: SEED, numRuns: 500 };
const text = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);
const bytes = (content: string): Uint8Array => new TextEncoder().encode(content);

const CLIENT_NONCE = "rOprNGfwEbeRWgbNEkqO";
const SERVER_NONCE = "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";

/** SHA-256: RFC 7677, section 3. SHA-512: the same exchange, computed with Python's hashlib and hmac. */
const EXAMPLES = [
  {
    mechanism: "SCRAM-SHA-256",
    salt: "W22ZaJ0SNY7soEsUEjb6gQ==",
    storedKey: "WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=",
    serverKey: "wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=",
    proof: "dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
    signature: "6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=",
  },
  {
    mechanism: "SCRAM-SHA-512",
    salt: "Yin2FuHTt/M0kJWb0t9OI32n2VmOGi3m+JfjOvuDF88=",
    storedKey: "ERxGuwQnAHA2amc01Vb1Qb9WPqMb68u8swldhuOn4MR7udux+oQ/DNrgcAy5c0/SEZybLeGYZ5jFkWH5ELNOXA==",
    serverKey: "gFCGdO8qeAVvqKCfFpqPXI2n2596CVtax0k6IH3gzt94xA9+DgAD6NwrELJ0AjguZNc0dWJxduOe037HEcD1UA==",
    proof: "/3obeUE1tHCJjbQttd+ChF5ox2IU1rNjj2wVDnbQ5LdNT126oy4QgLz2tHw/Uj7Gwb6PRuHOS3HC+45exxT58A==",
    signature: "5AwW78p+EVPirB3A5lrHcvrN8pVKRlR3opLuRoxXrN9ubKokkPzVPzWNNNuBbrtZrv5mpfKZ7+QCDSZWeZQEqw==",
  },
] as const;

describe.each(EXAMPLES)("$mechanism", ({ mechanism, salt, storedKey, serverKey, proof, signature }) => {
  const credential = { mechanism, salt, iterations: 4096, storedKey, serverKey };
  const first = `n,,n=user,r=${CLIENT_NONCE}`;
  const challenge = `r=${CLIENT_NONCE}${SERVER_NONCE},s=${salt},i=4096`;
  const final = `c=biws,r=${CLIENT_NONCE}${SERVER_NONCE},p=${proof}`;

  test("the client writes the example's messages", async () => {
    const client = new ScramClient(mechanism, "user", "pencil", CLIENT_NONCE);
    expect(text(client.first())).toBe(first);
    expect(text(await client.answer(bytes(challenge)))).toBe(final);
    client.verify(bytes(`v=${signature}`));
    expect(() => client.verify(bytes(`v=${proof}`))).toThrow(ScramError);
    expect(() => client.verify(bytes("e=invalid-proof"))).toThrow(ScramError);
  });

  test("the server writes the example's messages", () => {
    const server = new ScramServer(readClientFirst(bytes(first)), credential, SERVER_NONCE);
    expect(text(server.challenge)).toBe(challenge);
    expect(text(server.finish(bytes(final)))).toBe(`v=${signature}`);
  });

  test("the server refuses an answer in which any one byte differs", () => {
    for (let at = 0; at < final.length; at += 1) {
      const other = bytes(final);
      other[at] = (other[at] ?? 0) ^ 1;
      const server = new ScramServer(readClientFirst(bytes(first)), credential, SERVER_NONCE);
      expect(() => server.finish(other)).toThrow(ScramError);
    }
  });

  test("what is kept of a password checks it and no other, and nobody is let in by a decoy", async () => {
    const kept = await newCredentials("p4ss wörd", mechanism, SCRAM_ITERATIONS_MIN);
    expect(kept.mechanism).toBe(mechanism);
    expect(JSON.stringify(kept)).not.toContain("p4ss");
    expect(await isPassword("p4ss wörd", kept)).toBe(true);
    expect(await isPassword("p4ss word", kept)).toBe(false);
    const decoy = decoyCredential("nobody", mechanism, new Uint8Array(32));
    expect(decoyCredential("nobody", mechanism, new Uint8Array(32))).toEqual(decoy);
    expect(decoyCredential("nobody", mechanism, new Uint8Array(32).fill(1)).salt).not.toBe(decoy.salt);
    expect(decoyCredential("somebody", mechanism, new Uint8Array(32)).salt).not.toBe(decoy.salt);
    expect(decoy.storedKey.length).toBe(kept.storedKey.length);
    expect(decoy.salt.length).toBe(kept.salt.length);
  });
});

describe(`both sides together (seed ${SEED})`, () => {
  test("log in with the same password and with no other, whatever name and password hold", async () => {
    const name = fc.string({ minLength: 1, maxLength: 40, unit: "grapheme" });
    const property = fc.asyncProperty(
      fc.constantFrom(...SCRAM_MECHANISMS),
      name,
      name,
      async (mechanism, user, password) => {
        const credential = await newCredentials(password, mechanism, SCRAM_ITERATIONS_MIN);
        const client = new ScramClient(mechanism, user, password);
        const first = readClientFirst(client.first());
        expect(first.user).toBe(user);
        const server = new ScramServer(first, credential);
        client.verify(server.finish(await client.answer(server.challenge)));
        const stranger = new ScramClient(mechanism, user, `${password}.`);
        const other = new ScramServer(readClientFirst(stranger.first()), credential);
        const answer = await stranger.answer(other.challenge);
        expect(() => other.finish(answer)).toThrow(ScramError);
      },
    );
    await fc.assert(property, { seed: SEED, numRuns: 25 });
  });

  test("a message that is none is a ScramError and nothing else", () => {
    const readers = [readClientFirst, readServerFirst, readClientFinal];
    const piece = fc.constantFrom(
      "n,,",
      "y,,",
      "p=tls,,",
      "n=",
      "r=",
      "c=",
      "p=",
      "s=",
      "i=",
      "m=",
      ",",
      "=2C",
      "biws",
    );
    const grammar = fc.array(fc.oneof(piece, fc.string({ maxLength: 8 })), { maxLength: 12 });
    const message = fc.oneof(
      fc.uint8Array({ maxLength: 5000 }),
      grammar.map((parts) => bytes(parts.join(""))),
    );
    fc.assert(
      fc.property(message, (sent) => {
        for (const read of readers) {
          try {
            read(sent);
          } catch (error) {
            expect(error).toBeInstanceOf(ScramError);
          }
        }
      }),
      options,
    );
  });
});

describe("the client refuses", () => {
  const salt = encodeBase64(new Uint8Array(16));
  test.each([
    ["the challenge of another client", `r=other${SERVER_NONCE},s=${salt},i=4096`],
    ["its own nonce alone", `r=${CLIENT_NONCE},s=${salt},i=4096`],
    ["too few iterations", `r=${CLIENT_NONCE}x,s=${salt},i=4095`],
    ["more iterations than it would finish", `r=${CLIENT_NONCE}x,s=${salt},i=4000000000`],
    ["iterations that are no number", `r=${CLIENT_NONCE}x,s=${salt},i=1e5`],
    ["an empty salt", `r=${CLIENT_NONCE}x,s=,i=4096`],
    ["a salt that is no base64", `r=${CLIENT_NONCE}x,s=*,i=4096`],
    ["an extension that must be understood", `m=x,r=${CLIENT_NONCE}x,s=${salt},i=4096`],
  ])("%s", async (_, challenge) => {
    const client = new ScramClient("SCRAM-SHA-256", "user", "pencil", CLIENT_NONCE);
    expect(await client.answer(bytes(challenge)).catch((error: unknown) => error)).toBeInstanceOf(ScramError);
  });
});

describe("the server refuses", () => {
  test.each([
    ["a channel binding, which it does not do", "p=tls-exporter,,n=user,r=abc"],
    ["to let a user act for another", "n,a=root,n=user,r=abc"],
    ["a name with a broken escape", "n,,n=us=2Der,r=abc"],
    ["an empty name", "n,,n=,r=abc"],
    ["a nonce that cannot be printed", "n,,n=user,r=a b"],
    ["an empty nonce", "n,,n=user,r="],
    ["attributes in another order", "n,,r=abc,n=user"],
    ["a message longer than any log-in", `n,,n=user,r=${"a".repeat(5000)}`],
  ])("%s", (_, message) => expect(() => readClientFirst(bytes(message))).toThrow(ScramError));

  test("a header in the last message that is not the first one's", async () => {
    const credential = await newCredentials("pencil", "SCRAM-SHA-256", SCRAM_ITERATIONS_MIN);
    const client = new ScramClient("SCRAM-SHA-256", "user", "pencil", CLIENT_NONCE);
    const server = new ScramServer(readClientFirst(bytes(`y,,n=user,r=${CLIENT_NONCE}`)), credential);
    const answer = await client.answer(server.challenge);
    expect(() => server.finish(answer)).toThrow(/header/);
  });
});

test("a password is the same however its characters are composed and its spaces typed", () => {
  expect(preparePassword("I\u00adX")).toEqual(preparePassword("IX"));
  expect(preparePassword("\u00aa")).toEqual(preparePassword("a"));
  expect(preparePassword("\u2168")).toEqual(preparePassword("IX"));
  expect(preparePassword("a\u00a0b")).toEqual(preparePassword("a b"));
  expect(preparePassword("user")).not.toEqual(preparePassword("USER"));
});
