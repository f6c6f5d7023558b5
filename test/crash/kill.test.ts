import { expect, test } from "bun:test";
import { type AckLevel, connect, type Producer } from "../../src/client/index.ts";
import { place, ServerProcess } from "./server-process.ts";

/**
 * The broker is killed again and again while producers publish. What was acknowledged is read back, in the order
 * of each producer, and nothing stands there twice.
 */

const ROUNDS = process.env.MILLRACE_LONG ? 50 : 4;
const SEED = Number(process.env.MILLRACE_SEED ?? Date.now() % 1_000_000);
const PARTITIONS = 4;
const IN_FLIGHT_MAX = 2_000;
const ACKS_PER_ROUND = 5_000;

/** Park and Miller's generator: a round's delay must come back with the seed. */
function random(seed: number): () => number {
  let state = (seed % 2_147_483_646) + 1;
  return () => (state = (state * 48_271) % 2_147_483_647) / 2_147_483_647;
}

interface Load {
  readonly name: string;
  sent: number;
  acked: Set<number>;
  failures: unknown[];
}

/** Publishes `name:sequence` to a partition of its own and to one that all share, until told to stop. */
async function publish(producer: Producer, load: Load, own: number, isOver: () => boolean): Promise<void> {
  let inFlight = 0;
  let wake: (() => void) | undefined;
  while (!isOver()) {
    for (let n = 0; n < 100; n += 1) {
      const sequence = load.sent++;
      inFlight += 1;
      const partition = sequence % 2 === 0 ? own : PARTITIONS - 1;
      producer
        .send({ key: load.name, value: `${load.name}:${sequence}`, partition })
        .then(
          () => load.acked.add(sequence),
          (error: unknown) => load.failures.push(error),
        )
        .finally(() => {
          inFlight -= 1;
          wake?.();
        });
    }
    while (inFlight > IN_FLIGHT_MAX) await new Promise<void>((resolve) => (wake = resolve));
    await Bun.sleep(0);
  }
  await producer.flush();
}

async function killRounds(where: Awaited<ReturnType<typeof place>>, loads: readonly Load[]): Promise<ServerProcess> {
  const next = random(SEED);
  let server = await ServerProcess.start(where);
  for (let round = 0; round < ROUNDS; round += 1) {
    const before = acked(loads);
    while (acked(loads) < before + ACKS_PER_ROUND) {
      const failed = loads.flatMap(({ failures }) => failures);
      if (failed.length > 0) throw failed[0];
      await Bun.sleep(2);
    }
    await Bun.sleep(next() * 50);
    await server.kill();
    server = await ServerProcess.start(where);
  }
  return server;
}

const acked = (loads: readonly Load[]): number => loads.reduce((sum, load) => sum + load.acked.size, 0);

/** Checks one partition as it is read: order and uniqueness per producer. Returns what was seen. */
async function readBack(url: string, seen: Map<string, Set<number>>): Promise<void> {
  await using client = await connect(url);
  for (let partition = 0; partition < PARTITIONS; partition += 1) {
    const last = new Map<string, number>();
    for await (const message of client.consume("crash", { from: "earliest", until: "end", partitions: [partition] })) {
      const [name = "", digits = ""] = message.text()?.split(":") ?? [];
      const sequence = Number(digits);
      expect(sequence, `order of ${name} in partition ${partition}`).toBeGreaterThan(last.get(name) ?? -1);
      last.set(name, sequence);
      seen.get(name)?.add(sequence);
    }
  }
}

test(
  `what was acknowledged survives ${ROUNDS} kills (seed ${SEED})`,
  async () => {
    await using where = await place();
    const url = `millrace://127.0.0.1:${where.port}`;
    const first = await ServerProcess.start(where);
    {
      await using admin = await connect(url);
      await admin.topics.create("crash", { partitions: PARTITIONS });
    }
    await first.stop();

    const kinds: { acks: AckLevel; mode: "batch" | "single" }[] = [
      { acks: "written", mode: "batch" },
      { acks: "written", mode: "single" },
      { acks: "synced", mode: "batch" },
    ];
    const loads: Load[] = kinds.map((_, n) => ({ name: `p${n}`, sent: 0, acked: new Set(), failures: [] }));
    let over = false;
    const serving = await ServerProcess.start(where);
    const clients = await Promise.all(kinds.map(() => connect(url, { reconnect: { delayMinMs: 5, delayMaxMs: 50 } })));
    await serving.kill();
    const running = kinds.map((kind, n) => publish(clients[n]!.producer("crash", kind), loads[n]!, n, () => over));
    const server = await killRounds(where, loads).finally(() => (over = true));
    await Promise.all(running);

    const seen = new Map(loads.map(({ name }) => [name, new Set<number>()]));
    await readBack(url, seen);
    for (const { name, acked, sent, failures } of loads) {
      expect(failures, `refused publishes of ${name}`).toEqual([]);
      const missing = [...acked].filter((sequence) => !seen.get(name)?.has(sequence));
      expect(missing, `acknowledged and lost, of ${name}`).toEqual([]);
      expect(acked.size).toBe(sent);
    }
    await Promise.all(clients.map((client) => client.close()));
    expect(await server.stop()).toBe(0);
  },
  ROUNDS * 10_000 + 60_000,
);
