import { expect, test } from "bun:test";
import { Gate } from "../../src/broker/groups/gate.ts";

/** Lets everything run that can. */
const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

test("a change runs at once when nothing is held", () => {
  expect(new Gate().change(() => 7)).toBe(7);
});

test("a change waits for all holds, and holds that come behind it wait for the change", async () => {
  const gate = new Gate();
  const done: string[] = [];
  await gate.hold("a", ["p0"], () => done.push("a"));
  await gate.hold("b", ["p1"], () => done.push("b"));
  void gate.change(() => done.push("change"));
  void gate.hold("c", ["p2"], () => done.push("c"));
  gate.release("a");
  await settle();
  expect(done).toEqual(["a", "b"]);
  gate.release("b");
  await settle();
  expect(done).toEqual(["a", "b", "change", "c"]);
  gate.release("c");
  expect(gate.isIdle).toBe(true);
});

test("two holds of one partition follow each other", async () => {
  const gate = new Gate();
  const done: string[] = [];
  void gate.hold("a", ["p0", "p1"], () => done.push("a"));
  void gate.hold("b", ["p1"], () => done.push("b"));
  await settle();
  expect(done).toEqual(["a"]);
  gate.release("a");
  await settle();
  expect(done).toEqual(["a", "b"]);
});

test("a hold whose check throws is over, and one that waits can be taken back", async () => {
  const gate = new Gate();
  const refused = gate.hold("a", ["p0"], () => {
    throw new Error("stale");
  });
  await expect(refused).rejects.toThrow("stale");
  expect(gate.isIdle).toBe(true);
  await gate.hold("b", ["p0"], () => undefined);
  void gate.hold("c", ["p0"], () => undefined);
  gate.release("c");
  gate.release("b");
  expect(gate.isIdle).toBe(true);
});
