/** Guessing passwords gets slow, and neither a guesser nor many names cost memory or other people their log-in. */
import { describe, expect, test } from "bun:test";
import { isMillraceError } from "../../src/errors/index.ts";
import { Attempts, ENTRIES_MAX, FAILURES_FREE } from "../../src/security/attempts.ts";
import { Passwords } from "../../src/security/passwords.ts";
import { newCredentials } from "../../src/security/index.ts";

function clocked() {
  const clock = { nowMs: 1000 };
  return { clock, attempts: new Attempts(() => clock.nowMs) };
}

function isRefused(attempts: Attempts, user: string, address: string): boolean {
  try {
    attempts.check(user, address);
    return false;
  } catch (error) {
    if (isMillraceError(error, "limit_exceeded")) return true;
    throw error;
  }
}

describe("attempts", () => {
  test("the first failures cost nothing, each further one doubles the wait, up to a minute", () => {
    const { clock, attempts } = clocked();
    const waits: number[] = [];
    for (let failure = 1; failure <= 12; failure += 1) {
      attempts.failed("a", "10.0.0.1");
      let waitMs = 0;
      while (isRefused(attempts, "a", "10.0.0.1")) {
        clock.nowMs += 500;
        waitMs += 500;
      }
      waits.push(waitMs / 1000);
    }
    expect(FAILURES_FREE).toBe(3);
    expect(waits).toEqual([0, 0, 1, 2, 4, 8, 16, 32, 60, 60, 60, 60]);
  });

  test("others from the address, and the user from elsewhere, do not wait", () => {
    const { attempts } = clocked();
    for (let failure = 0; failure < 10; failure += 1) attempts.failed("a", "10.0.0.1");
    expect(isRefused(attempts, "a", "10.0.0.1")).toBe(true);
    expect(isRefused(attempts, "b", "10.0.0.1")).toBe(false);
    expect(isRefused(attempts, "a", "10.0.0.2")).toBe(false);
  });

  test("addresses of one IPv6 network count as one", () => {
    const { attempts } = clocked();
    for (let host = 1; host < 6; host += 1) attempts.failed("a", `2001:db8:0:7::${host}`);
    expect(isRefused(attempts, "a", "2001:db8::7:0:0:0:99")).toBe(true);
    expect(isRefused(attempts, "a", "2001:db8:0:8::1")).toBe(false);
    expect(isRefused(attempts, "a", "::1")).toBe(false);
  });

  test("a log-in that works, and ten quiet minutes, wipe the slate", () => {
    const { clock, attempts } = clocked();
    for (let failure = 0; failure < 10; failure += 1) attempts.failed("a", "10.0.0.1");
    attempts.succeeded("a", "10.0.0.1");
    expect(isRefused(attempts, "a", "10.0.0.1")).toBe(false);
    for (let failure = 0; failure < 10; failure += 1) attempts.failed("b", "10.0.0.1");
    clock.nowMs += 10 * 60_000 + 1;
    attempts.failed("b", "10.0.0.1");
    expect(isRefused(attempts, "b", "10.0.0.1")).toBe(false);
  });

  test("a table full of made-up names keeps what it counted, and goes on counting by address", () => {
    const { attempts } = clocked();
    for (let failure = 0; failure < 5; failure += 1) attempts.failed("admin", "10.0.0.1");
    for (let name = 0; name < ENTRIES_MAX + 5000; name += 1) attempts.failed(`user${name}`, "10.0.0.1");
    expect(attempts.size).toBeLessThanOrEqual(ENTRIES_MAX);
    expect(isRefused(attempts, "another", "10.0.0.1")).toBe(true);
    expect(isRefused(attempts, "another", "10.0.0.2")).toBe(false);
  });
});

describe("passwords", () => {
  const claim = (password: string, address = "10.0.0.9") => ({ user: "u", password, address });
  const fast = (password: string) => newCredentials(password, "SCRAM-SHA-256", 4096);

  test("one that was right is not hashed again, until the credential is another or time has passed", async () => {
    const clock = { nowMs: 0 };
    const passwords = new Passwords(new Uint8Array(32), () => clock.nowMs);
    let hashed = 0;
    const before = (): void => void (hashed += 1);
    const [old, other] = [await fast("a"), await fast("b")];
    expect(await passwords.isRight(claim("a"), old, before)).toBe(true);
    expect(await passwords.isRight(claim("a"), old, before)).toBe(true);
    expect(hashed).toBe(1);
    expect(await passwords.isRight(claim("a"), other, before)).toBe(false);
    clock.nowMs = 5 * 60_000;
    expect(await passwords.isRight(claim("a"), old, before)).toBe(true);
    expect(hashed).toBe(3);
  });

  test("guesses that came together are stopped by the failures of the first of them", async () => {
    const attempts = new Attempts(() => 0);
    const passwords = new Passwords(new Uint8Array(32), () => 0);
    const credential = await fast("right");
    const guess = async (password: string): Promise<string> => {
      try {
        const isRight = await passwords.isRight(claim(password), credential, () => attempts.check("u", "x"));
        if (!isRight) attempts.failed("u", "x");
        return isRight ? "right" : "wrong";
      } catch {
        return "refused";
      }
    };
    const guesses = await Promise.all(Array.from({ length: 20 }, (_, index) => guess(index === 19 ? "right" : "no")));
    expect(guesses.filter((outcome) => outcome === "wrong").length).toBeLessThanOrEqual(FAILURES_FREE + 1);
    expect(guesses.at(-1)).toBe("refused");
  });

  test("only so many wait for their turn, and of one address fewer, so that others have a place", async () => {
    const passwords = new Passwords(new Uint8Array(32), () => 0);
    const credential = await fast("right");
    const refused = async (count: number, addressOf: (index: number) => string): Promise<number> => {
      const claims = Array.from({ length: count }, (_, index) => claim(`${index}`, addressOf(index)));
      const outcomes = claims.map((each) => passwords.isRight(each, credential, () => undefined));
      return (await Promise.allSettled(outcomes)).filter(({ status }) => status === "rejected").length;
    };
    expect(await refused(100, () => "10.0.0.1")).toBe(100 - 32);
    const flood = refused(100, () => "10.0.0.1");
    expect(await passwords.isRight(claim("right", "10.0.0.2"), credential, () => undefined)).toBe(true);
    expect(await flood).toBe(100 - 32);
    expect(await refused(300, (index) => `10.0.1.${index}`)).toBe(300 - 256);
  });
});
