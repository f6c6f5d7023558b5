/** Live figures by themselves: readers that do not read, that lose a right, that are too many. */
import { expect, test } from "bun:test";
import { Events, sourcesOf } from "../../src/admin/api/events.ts";
import type { Ask } from "../../src/admin/api/route.ts";
import { MillraceError } from "../../src/errors/index.ts";
import { anonymous } from "../../src/security/index.ts";
import { until } from "../until.ts";

function asked(given: { topics?: string; expiresAtMs?: number; call?: Ask["call"]; signal?: AbortSignal } = {}): Ask {
  const { topics = "overview", expiresAtMs, call = () => Promise.resolve({ counts: {} }), signal } = given;
  return {
    principal: { ...anonymous("default"), ...(expiresAtMs !== undefined && { expiresAtMs }) },
    namespace: "default",
    path: {},
    query: { topics },
    body: {},
    request: new Request("http://localhost/events", signal === undefined ? {} : { signal }),
    call,
  };
}

test("a reader that takes nothing is dropped, and its place is free", async () => {
  const events = new Events({ intervalMs: 1 });
  const { body } = events.open(asked());
  expect(events.readers).toBe(1);
  await until("it is dropped", () => events.readers === 0);
  // What was sent before that is still there, and then the stream ends.
  let chunks = 0;
  for await (const _ of body ?? []) chunks += 1;
  expect(chunks).toBeGreaterThan(0);
  expect(chunks).toBeLessThanOrEqual(33);
});

test("a reader whose log-in has ended gets nothing more", async () => {
  const events = new Events({ intervalMs: 1 });
  const { body } = events.open(asked({ expiresAtMs: Date.now() - 1 }));
  let text = "";
  for await (const chunk of body ?? []) text += new TextDecoder().decode(chunk as Uint8Array);
  expect(text.match(/^event: /gm)).toHaveLength(1);
  expect(events.readers).toBe(0);
});

test("a right that is taken away turns figures into a problem, without a word about what there is", async () => {
  const events = new Events({ intervalMs: 1 });
  let calls = 0;
  const call: Ask["call"] = () => {
    calls += 1;
    if (calls === 1) return Promise.resolve({ counts: { ready: 3 } });
    return Promise.reject(new MillraceError("unauthorized", "no right to describe"));
  };
  const stop = new AbortController();
  const { body } = events.open(asked({ topics: "queue:default/q", call, signal: stop.signal }));
  let text = "";
  for await (const chunk of body ?? []) {
    text += new TextDecoder().decode(chunk as Uint8Array);
    if (text.includes("event: problem")) break;
  }
  stop.abort();
  expect(text).toContain('event: queue:default/q\ndata: {"ready":3,"rates":null}');
  expect(text).toContain('"name":"unauthorized"');
  await until("it is gone", () => events.readers === 0);
});

test("readers past the limit are refused, and a fault of ours does not show in the stream", async () => {
  const events = new Events({ intervalMs: 1, readersMax: 1 });
  const stop = new AbortController();
  const call: Ask["call"] = () => Promise.reject(new TypeError("a fault of ours"));
  const { body } = events.open(asked({ call, signal: stop.signal }));
  expect(() => events.open(asked())).toThrow("1 readers");
  for await (const chunk of body ?? []) {
    expect(new TextDecoder().decode(chunk as Uint8Array)).not.toContain("ours");
    break;
  }
  stop.abort();
  await until("there is room", () => events.readers === 0);
});

test("topics of events are checked one by one", () => {
  expect(sourcesOf("overview,topic:a/b/c,overview").map(({ event }) => event)).toEqual(["overview", "topic:a/b/c"]);
  for (const wrong of ["", "topic:a", "topic:a/b\n", "planet:a/b", "queue:/b", Array(21).fill("overview").join(",")]) {
    expect(() => sourcesOf(wrong)).toThrow(MillraceError);
  }
});
