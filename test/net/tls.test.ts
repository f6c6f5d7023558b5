/** What a certificate calls its holder, and how many handshakes may be under way. */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { Handshakes, HANDSHAKES_MAX } from "../../src/net/handshakes.ts";
import { certificateName } from "../../src/net/tls.ts";
import { until } from "../until.ts";

const SEED = Number(process.env["MILLRACE_SEED"] ?? Date.now() % 1_000_000);

describe("the name of a certificate's holder", () => {
  test.each([
    ["the common name", { subject: { CN: "ann" }, subjectaltname: "URI:spiffe://x/bob" }, "ann"],
    [
      "else the first URI",
      { subject: {}, subjectaltname: "DNS:host, URI:spiffe://x/bob, email:a@x" },
      "spiffe://x/bob",
    ],
    ["or e-mail address", { subject: { CN: "" }, subjectaltname: "DNS:host, email:a@x, URI:spiffe://x/bob" }, "a@x"],
    ["and no host's", { subject: {}, subjectaltname: "DNS:host, IP Address:127.0.0.1" }, undefined],
    ["nor one of several common names", { subject: { CN: ["ann", "root"] } }, undefined],
    ["nor one that hides another in quotes", { subjectaltname: 'URI:"http://a/, email:root@x"' }, undefined],
    ["nor nothing", {}, undefined],
  ] as const)("is %s", (_, certificate, name) => expect(certificateName(certificate)).toBe(name));

  test(`is a text or none, whatever a certificate says (seed ${SEED})`, () => {
    const any = fc.anything({ maxDepth: 2 });
    const certificate = fc.record({ subject: fc.record({ CN: any }), subjectaltname: fc.string() });
    fc.assert(
      fc.property(certificate, (shown) => {
        const name = certificateName(shown);
        expect(name === undefined || (typeof name === "string" && name !== "")).toBe(true);
      }),
      { seed: SEED, numRuns: 300 },
    );
  });
});

describe("handshakes", () => {
  const peer = () => ({
    isOpen: true,
    terminate() {
      this.isOpen = false;
    },
  });

  test("that take too long are ended, and those that are done are not", async () => {
    const handshakes = new Handshakes<ReturnType<typeof peer>>(10);
    const [silent, done] = [peer(), peer()];
    handshakes.begin(silent);
    handshakes.begin(done);
    handshakes.end(done);
    await until("the silent one is ended", () => !silent.isOpen);
    expect(done.isOpen).toBe(true);
  });

  test("are bounded: the oldest gives way", () => {
    const handshakes = new Handshakes<ReturnType<typeof peer>>(60_000);
    const peers = Array.from({ length: HANDSHAKES_MAX + 3 }, peer);
    for (const each of peers) handshakes.begin(each);
    expect(peers.filter(({ isOpen }) => isOpen)).toHaveLength(HANDSHAKES_MAX);
    expect(peers.slice(0, 4).map(({ isOpen }) => isOpen)).toEqual([false, false, false, true]);
    for (const each of peers) handshakes.end(each);
  });
});
