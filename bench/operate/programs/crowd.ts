/** Everybody beside the well-behaved pair: idle, busy, slow and greedy connections, and strangers who guess passwords. */
import { connect } from "../../../src/client/index.ts";
import { runProgram } from "../../lib/program.ts";
import { GREEDY_QUOTA_BYTES } from "../quota.ts";
import { babble, BusyPeer, GreedyPeer, guess, hangUp, Peer, type Place, SlowPeer } from "../peers.ts";

export interface CrowdSizes {
  readonly idle: number;
  readonly busy: number;
  readonly slow: number;
  /** Strangers at a time: each guesses passwords, hangs in a handshake or babbles, again and again. */
  readonly strangers: number;
}

export type CrowdRequest =
  | { readonly op: "gather"; readonly port: number; readonly token: string; readonly sizes: CrowdSizes }
  | { readonly op: "misbehave" }
  | { readonly op: "count" };

export interface CrowdCounts {
  readonly idleOpen: number;
  readonly busyOpen: number;
  readonly busyAcked: number;
  readonly busyRefused: number;
  readonly slowOpen: number;
  readonly slowReceivedBytes: number;
  readonly greedyAckedBytes: number;
  readonly greedyOfferedBytes: number;
  /** Guesses that the broker answered by ending the connection, and those that it did not answer. */
  readonly guessesRefused: number;
  readonly guessesUnanswered: number;
  readonly babblersEnded: number;
}

const GREEDY_TIMES = 10;
const GREEDY_BATCH_BYTES = 32_000;
const GREEDY_TICK_MS = 20;

const PARTITIONS = 8;
const BUSY_MS = 100;
const BUSY_RECORDS = 5;
const BUSY_RECORD_BYTES = 200;
/** Of the busy ones, so many read as well, two to a partition. */
const READERS = 16;
const SIP_MS = 2_000;
const HANG_MS = 1_000;
/** What slow consumers do not read. */
const BACKLOG_RECORDS = 4_000;
const BACKLOG_RECORD_BYTES = 4_000;
/** Connections that are being opened at a time. */
const OPENING_MAX = 50;

const idle: Peer[] = [];
const busy: BusyPeer[] = [];
const slow: SlowPeer[] = [];
const greedy = new GreedyPeer(GREEDY_BATCH_BYTES);
let port = 0;
let strangers = 0;
let guessesRefused = 0;
let guessesUnanswered = 0;
let babblersEnded = 0;

async function openAll(peers: readonly Peer[], place: Place): Promise<void> {
  for (let at = 0; at < peers.length; at += OPENING_MAX) {
    await Promise.all(peers.slice(at, at + OPENING_MAX).map((peer) => peer.open(place)));
  }
}

async function gather({ token, sizes, ...rest }: CrowdRequest & { op: "gather" }): Promise<null> {
  port = rest.port;
  strangers = sizes.strangers;
  const url = `millrace://127.0.0.1:${port}`;
  await using client = await connect(url, { auth: { token } });
  await client.topics.create("busy", { partitions: PARTITIONS, retentionBytes: 16 << 20, segmentBytes: 4 << 20 });
  await client.topics.create("backlog", { partitions: 1 });
  const backlog = client.producer("backlog");
  const value = new Uint8Array(BACKLOG_RECORD_BYTES);
  for (let n = 0; n < BACKLOG_RECORDS; n += 1) if (!backlog.append(value)) await backlog.ready();
  await backlog.flush();
  await client.quotas.put({ kind: "namespace", name: "greedy", bytesPerSec: GREEDY_QUOTA_BYTES, burstMs: 100 });
  await using tenant = await connect(url, { auth: { token }, namespace: "greedy" });
  await tenant.topics.create("t", { retentionBytes: 16 << 20, segmentBytes: 4 << 20 });

  for (let n = 0; n < sizes.idle; n += 1) idle.push(new Peer());
  for (let n = 0; n < sizes.busy; n += 1) busy.push(new BusyPeer(n % PARTITIONS, BUSY_RECORDS, BUSY_RECORD_BYTES));
  for (let n = 0; n < sizes.slow; n += 1) slow.push(new SlowPeer());
  const place = { port, namespace: "default", token };
  await openAll([...idle, ...busy, ...slow], place);
  await greedy.open({ ...place, namespace: "greedy" });
  return null;
}

function misbehave(): null {
  for (const [n, peer] of busy.entries()) {
    peer.begin("busy", n < READERS ? n % PARTITIONS : undefined);
    // Spread over the interval, as connections of different machines are.
    setTimeout(() => setInterval(() => peer.publish(), BUSY_MS), (n * BUSY_MS) / busy.length);
  }
  for (const [n, peer] of slow.entries()) {
    peer.begin("backlog");
    setTimeout(() => setInterval(() => peer.sip(), SIP_MS), (n * SIP_MS) / slow.length);
  }
  greedy.begin("t");
  const share = (GREEDY_QUOTA_BYTES * GREEDY_TIMES * GREEDY_TICK_MS) / 1000;
  setInterval(() => greedy.offer(share), GREEDY_TICK_MS);
  for (let n = 0; n < strangers; n += 1) void estrange(n);
  return null;
}

/** Of ten strangers eight guess, one hangs in its handshake and one babbles. */
async function estrange(n: number): Promise<never> {
  for (let attempt = 0; ; attempt += 1) {
    try {
      if (n % 10 === 9) {
        if (await babble(port)) babblersEnded += 1;
        await Bun.sleep(HANG_MS);
      } else if (n % 10 === 8) await hangUp(port, HANG_MS);
      else if (await guess(port, n % 2 === 0 ? "admin" : `user-${n}-${attempt}`)) guessesRefused += 1;
      else guessesUnanswered += 1;
    } catch {
      // A connection that was refused: the next try may get in.
      await Bun.sleep(HANG_MS);
    }
  }
}

const openOf = (peers: readonly Peer[]): number => peers.filter(({ isOpen }) => isOpen).length;
const sumOf = <T>(items: readonly T[], pick: (item: T) => number): number =>
  items.reduce((sum, item) => sum + pick(item), 0);

function counts(): CrowdCounts {
  return {
    idleOpen: openOf(idle),
    busyOpen: openOf(busy),
    busyAcked: sumOf(busy, ({ acks }) => acks),
    busyRefused: sumOf(busy, ({ nacks }) => nacks),
    slowOpen: openOf(slow),
    slowReceivedBytes: sumOf(slow, ({ receivedBytes }) => receivedBytes),
    greedyAckedBytes: greedy.ackedBytes,
    greedyOfferedBytes: greedy.offeredBytes,
    guessesRefused,
    guessesUnanswered,
    babblersEnded,
  };
}

await runProgram({}, async (message) => {
  const request = message as CrowdRequest;
  if (request.op === "gather") return await gather(request);
  return request.op === "misbehave" ? misbehave() : counts();
});
