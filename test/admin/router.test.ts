import { expect, test } from "bun:test";
import { namedWords, Router, wordsOf } from "../../src/admin/router.ts";

const router = new Router([
  { method: "GET", path: "/rules/{id}" },
  { method: "PUT", path: "/rules/{id}" },
  { method: "POST", path: "/rules/test" },
  { method: "GET", path: "/things/{namespace}/{name}/all" },
  { method: "GET", path: "/things/*/fixed" },
]);
const find = (method: string, path: string): unknown => router.find(method, wordsOf(path));

test("a fixed word goes before a variable one, and leaves it the methods that it has not", () => {
  expect(find("POST", "/rules/test")).toMatchObject({ route: { path: "/rules/test" }, variables: [] });
  expect(find("PUT", "/rules/test")).toMatchObject({ route: { path: "/rules/{id}" }, variables: ["test"] });
  expect(find("DELETE", "/rules/test")).toEqual({ methods: ["POST", "GET", "PUT"] });
  expect(find("POST", "/rules/one")).toEqual({ methods: ["GET", "PUT"] });
});

test("a path that leads nowhere, or not to its end, has no route", () => {
  expect(find("GET", "/")).toBeUndefined();
  expect(find("GET", "/things/a")).toBeUndefined();
  expect(find("GET", "/things/a/b/none")).toBeUndefined();
  expect(find("GET", "/things/a/fixed")).toMatchObject({ variables: ["a"] });
});

test("variable words have the names that the path gives them, also where they look like a variable", () => {
  const found = router.find("GET", ["things", "*", "{name}", "all"]);
  expect(found).toMatchObject({ variables: ["*", "{name}"] });
  expect(namedWords("/things/{namespace}/{name}/all", ["*", "{name}"])).toEqual({ namespace: "*", name: "{name}" });
});
