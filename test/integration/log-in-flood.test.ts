/** A flood of log-ins that are refused or never end does not keep those out who may come in. */
import { expect, test } from "bun:test";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { guess } from "../../bench/operate/peers.ts";
import { connect } from "../../src/client/index.ts";
import { encodeFrame, Op } from "../../src/protocol/index.ts";
import { startBroker, temporaryFolder, until } from "./harness.ts";

const PASSWORD = "a password of the tests";
const GUESSES = 60;

test("while guesses are refused one after another, who knows the password comes in", async () => {
  await using folder = await temporaryFolder();
  const adminPasswordFile = join(folder.path, "password");
  await writeFile(adminPasswordFile, PASSWORD);
  await using broker = await startBroker({ authentication: "required", adminPasswordFile, threads: 1 });
  let answered = 0;
  const guesses = Array.from({ length: GUESSES }, async (_, n) => {
    expect(await guess(broker.port, `user-${n}`)).toBe(true);
    answered += 1;
  });
  await until("the first guesses are answered", () => answered > 0);
  await using client = await connect(`millrace://127.0.0.1:${broker.port}`, {
    auth: { user: "admin", password: PASSWORD },
  });
  expect(await client.topics.list()).toEqual([]);
  await Promise.all(guesses);
}, 60_000);

test("connections that never finish their handshake make room for those that do", async () => {
  await using broker = await startBroker({ handshakesMax: 10, handshakeTimeoutMs: 60_000, threads: 1 });
  let ended = 0;
  const hello = encodeFrame(Op.HELLO, 1, {});
  const sockets = await Promise.all(
    Array.from({ length: 40 }, async () => {
      const socket = await Bun.connect({
        hostname: "127.0.0.1",
        port: broker.port,
        socket: { data: () => undefined, close: () => void (ended += 1) },
      });
      socket.write(hello.subarray(0, 5));
      return socket;
    }),
  );
  await until("the oldest are ended", () => ended >= 30);
  await using client = await connect(`millrace://127.0.0.1:${broker.port}`);
  await client.topics.create("t");
  expect(ended).toBeLessThan(sockets.length);
  for (const socket of sockets) socket.terminate();
});
