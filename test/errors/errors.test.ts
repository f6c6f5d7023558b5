import { describe, expect, test } from "bun:test";
import {
  ERRORS,
  errorMessage,
  errorName,
  errorOf,
  isMillraceError,
  MillraceError,
  toMillraceError,
} from "../../src/errors/index.ts";

describe("MillraceError", () => {
  test("carries the code, the name and the retry advice of the catalogue", () => {
    const error = new MillraceError("disk_full");
    expect(error).toBeInstanceOf(Error);
    expect([error.code, error.codeName, error.name, error.retryable]).toEqual([140, "disk_full", "disk_full", true]);
    expect(error.httpStatus).toBe(507);
    expect(error.action).toContain("disk space");
    expect(error.details).toBeUndefined();
  });

  test("fills the catalogue's message from its details when no message is given", () => {
    expect(new MillraceError("topic_not_found", undefined, { details: { topic: "a/b" } }).message).toBe(
      "topic a/b does not exist",
    );
    expect(errorMessage("topic_not_found")).toBe("topic topic does not exist");
  });

  test("keeps a name that a newer peer sent, as an internal error", () => {
    const error = new MillraceError("of_the_future" as "internal", "what?");
    expect([error.codeName as string, error.code, error.retryable, error.httpStatus]).toEqual([
      "of_the_future",
      1,
      false,
      500,
    ]);
  });

  test("is matched by name with isMillraceError", () => {
    const error: unknown = new MillraceError("not_ready");
    expect(isMillraceError(error)).toBe(true);
    expect(isMillraceError(error, "disk_full", "not_ready")).toBe(true);
    expect(isMillraceError(error, "disk_full")).toBe(false);
    expect(isMillraceError(new Error("not_ready"), "not_ready")).toBe(false);
  });
});

describe("conversions", () => {
  test("a code becomes its error, an unknown code an internal one", () => {
    expect(errorOf(145, "no", { start: 7 })).toMatchObject({ codeName: "offset_out_of_range", details: { start: 7 } });
    expect(errorOf(65_000, "no").codeName).toBe("internal");
    expect(errorName(0)).toBeUndefined();
  });

  test("anything thrown becomes an internal error with the original as its cause", () => {
    const cause = new TypeError("x is undefined");
    expect(toMillraceError(cause)).toMatchObject({ codeName: "internal", message: "x is undefined", cause });
    expect(toMillraceError("text").message).toBe("text");
    const known = new MillraceError("closed");
    expect(toMillraceError(known)).toBe(known);
  });
});

test("every code of the catalogue leads back to its name", () => {
  for (const [name, { code }] of Object.entries(ERRORS)) expect<string | undefined>(errorName(code)).toBe(name);
});
