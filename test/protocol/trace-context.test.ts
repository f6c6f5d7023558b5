import { expect, test } from "bun:test";
import fc from "fast-check";
import { childTrace, formatTraceParent, parseTraceParent, traceContextOf } from "../../src/protocol/index.ts";

const TRACE = "4bf92f3577b34da6a3ce929d0e0e4736";
const SPAN = "00f067aa0ba902b7";

test("a traceparent of the recommendation is read", () => {
  expect(parseTraceParent(`00-${TRACE}-${SPAN}-01`)).toEqual({ traceId: TRACE, spanId: SPAN, isSampled: true });
  expect(parseTraceParent(`00-${TRACE}-${SPAN}-00`)?.isSampled).toBe(false);
  // Other flags are not known, and do not make it invalid; a later version may say more at the end.
  expect(parseTraceParent(`00-${TRACE}-${SPAN}-03`)?.isSampled).toBe(true);
  expect(parseTraceParent(`cc-${TRACE}-${SPAN}-01-what-the-future-holds`)?.traceId).toBe(TRACE);
});

test.each([
  "",
  `00-${TRACE}-${SPAN}`,
  `00-${TRACE}-${SPAN}-01-more`,
  `ff-${TRACE}-${SPAN}-01`,
  `00-${"0".repeat(32)}-${SPAN}-01`,
  `00-${TRACE}-${"0".repeat(16)}-01`,
  `00-${TRACE.toUpperCase()}-${SPAN}-01`,
  `00-${TRACE.slice(1)}-${SPAN}-01`,
  ` 00-${TRACE}-${SPAN}-01`,
  `cc-${TRACE}-${SPAN}-01more`,
])("%j is no traceparent", (text) => {
  expect(parseTraceParent(text)).toBeUndefined();
});

test("nothing that a peer puts into headers makes reading them fail", () => {
  const value = fc.oneof(fc.string(), fc.uint8Array(), fc.integer(), fc.constant(null), fc.array(fc.string()));
  fc.assert(
    fc.property(value, value, (traceparent, tracestate) => {
      expect(() => traceContextOf({ traceparent, tracestate })).not.toThrow();
    }),
  );
});

test("a child keeps trace and flag, has a span of its own, and is read as it was written", () => {
  const parent = { traceId: TRACE, spanId: SPAN, isSampled: false };
  const child = childTrace(parent);
  expect(child).toMatchObject({ traceId: TRACE, isSampled: false });
  expect(child.spanId).not.toBe(SPAN);
  expect(parseTraceParent(formatTraceParent(child))).toEqual(child);
  const first = childTrace();
  expect(first.isSampled).toBe(true);
  expect(parseTraceParent(formatTraceParent(first))).toEqual(first);
});

test("headers are read as text or bytes, with the state beside them", () => {
  const traceparent = `00-${TRACE}-${SPAN}-01`;
  expect(traceContextOf({ traceparent: new TextEncoder().encode(traceparent), tracestate: "a=1" })).toEqual({
    traceparent,
    tracestate: "a=1",
    traceId: TRACE,
    spanId: SPAN,
    isSampled: true,
  });
  expect(traceContextOf({ tracestate: "a=1" })).toBeUndefined();
});
