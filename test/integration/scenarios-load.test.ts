/** Scenarios of test/scenarios that need many messages, a broker that dies, or a clock of their own. */
import { expect, test } from "bun:test";
import { place, ServerProcess } from "../crash/server-process.ts";
import { routeEmail } from "../scenarios/email-routing.ts";
import { ship, Shipments } from "../scenarios/logistics.ts";
import { Campaign, type CampaignOptions } from "../scenarios/marketing-campaign.ts";
import { startBroker, temporaryFolder, until } from "./harness.ts";
import { random, SEED } from "./kit.ts";

const IS_LONG = process.env["MILLRACE_LONG"] !== undefined;

/** An urgent mail beside the backlog may take so much longer than without it: what a busy machine does to either. */
const FLAT_FACTOR = 3;
const FLAT_MS = 10;
const EMAIL_ROUNDS = 3;

test("e-mail: an urgent mail takes no longer when newsletters wait by the million", async () => {
  const newsletters = IS_LONG ? 1_000_000 : 100_000;
  const rounds: string[] = [];
  // A neighbour on the machine may spoil a round for either side; it does not spoil all of them.
  for (let round = 0; round < EMAIL_ROUNDS; round += 1) {
    await using folder = await temporaryFolder();
    await using broker = await startBroker({ dataDir: folder.path });
    const report = await routeEmail(`millrace://127.0.0.1:${broker.port}`, newsletters);
    expect(report.waiting + report.newslettersSent).toBe(newsletters);
    expect(report.newslettersSent).toBeGreaterThan(0);
    const { aloneP99Ms, besideP99Ms } = report;
    if (besideP99Ms <= FLAT_FACTOR * aloneP99Ms + FLAT_MS) return;
    rounds.push(`${aloneP99Ms.toFixed(1)} ms alone, ${besideP99Ms.toFixed(1)} ms beside ${report.waiting}`);
  }
  expect(rounds).toEqual([]);
}, 180_000);

test(`logistics: no shipment is lost though the broker is killed again and again (seed ${SEED})`, async () => {
  const next = random(SEED);
  const kills = IS_LONG ? 20 : 3;
  const shipments = new Shipments(kills * 2_000);
  await using where = await place();
  let server = await ServerProcess.start(where);
  const done = ship(`millrace://127.0.0.1:${where.port}`, shipments);
  // Rejections of a run that fails meanwhile are its own to report.
  done.catch(() => undefined);
  for (let kill = 0; kill < kills; kill += 1) {
    const target = Math.floor((kill + next()) * 1_800);
    await Promise.race([done, until(`${target} deliveries`, () => shipments.delivered.size >= target, 60_000)]);
    await server.kill();
    server = await ServerProcess.start(where);
  }
  await done;
  expect(shipments.booked.size).toBe(shipments.total);
  expect(shipments.again).toEqual([]);
  // Everything came; of an ack whose answer was lost only the broker knows.
  expect(shipments.delivered.size + shipments.repeats).toBeGreaterThanOrEqual(shipments.total - kills * 40);
  expect(await server.stop()).toBe(0);
}, 600_000);

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
const MIDNIGHT_MS = Date.UTC(2026, 10, 27);
const OPENS_MS = MIDNIGHT_MS + 9 * HOUR_MS;
/** A step of the clock; a bucket holds what the rate gives in one. The short form takes longer steps, and fewer. */
const STEP_MS = IS_LONG ? 1_000 : 10_000;
const STEP_WAIT_MS = 10_000;
/** Long enough for messages that come when they must not. */
const QUIET_MS = 50;

/** Waits for messages closely, since there are thousands of steps. */
async function delivered(campaign: Campaign, count: number, what: () => string): Promise<void> {
  const deadlineMs = performance.now() + STEP_WAIT_MS;
  while (campaign.delivered < count) {
    if (performance.now() > deadlineMs) throw new Error(`${campaign.delivered} of ${count} came at ${what()}`);
    await Bun.sleep(0);
  }
}

/**
 * Moves the clock on, step by step while the window is open, and waits each time for what the rate allows. Returns
 * when everything was delivered, with the time.
 */
async function runClock(
  campaign: Campaign,
  setClock: (ms: number) => void,
  { messages, ratePerSec, burst = ratePerSec }: CampaignOptions,
): Promise<number> {
  for (let day = 0; ; day += 1) {
    const opensMs = OPENS_MS + day * DAY_MS;
    setClock(opensMs - 1);
    await Bun.sleep(QUIET_MS);
    const before = campaign.delivered;
    for (let nowMs = opensMs; nowMs < opensMs + HOUR_MS; nowMs += STEP_MS) {
      setClock(nowMs);
      // The bucket is full when the window opens.
      const allowed = before + burst + (ratePerSec * (nowMs - opensMs)) / 1_000;
      await delivered(campaign, Math.min(messages, Math.floor(allowed)), () => new Date(nowMs).toISOString());
      if (campaign.delivered >= messages) return nowMs;
    }
    // The window has closed; whatever comes now is counted as sent outside of it.
    setClock(opensMs + HOUR_MS);
    await Bun.sleep(QUIET_MS);
  }
}

/** Sends beyond what the rate and the bucket give. */
function overRate(sent: Campaign["sent"], ratePerSec: number, burst: number): number {
  let [tokens, lastMs, over] = [burst, sent[0]?.atMs ?? 0, 0];
  for (const { atMs, count } of sent) {
    tokens = Math.min(burst, tokens + (ratePerSec * (atMs - lastMs)) / 1_000) - count;
    lastMs = atMs;
    if (tokens >= 0) continue;
    over -= tokens;
    tokens = 0;
  }
  return over;
}

async function campaign(options: CampaignOptions, daysWanted: number): Promise<void> {
  await using folder = await temporaryFolder();
  let nowMs = OPENS_MS - 13 * HOUR_MS;
  const start = () => startBroker({ dataDir: folder.path, manualClockMs: nowMs });
  // Queued in the evening; the broker is started anew in the night, and the window opens in the morning.
  let broker = await start();
  await Campaign.prepare(`millrace://127.0.0.1:${broker.port}`, options);
  await broker.stop();
  nowMs += HOUR_MS;
  broker = await start();
  await using stopped = { [Symbol.asyncDispose]: () => broker.stop() };
  void stopped;
  const setClock = (ms: number): void => broker.setClock((nowMs = ms));
  await using campaign = await Campaign.start(`millrace://127.0.0.1:${broker.port}`, { ...options, now: () => nowMs });
  const endMs = await runClock(campaign, setClock, options);
  const isInside = (ms: number): boolean => ms % DAY_MS >= 9 * HOUR_MS && ms % DAY_MS < 10 * HOUR_MS;
  expect(campaign.sent.filter(({ atMs }) => !isInside(atMs))).toEqual([]);
  expect(overRate(campaign.sent, options.ratePerSec, options.burst ?? options.ratePerSec)).toBe(0);
  expect(campaign.delivered).toBe(options.messages);
  expect(campaign.mails.filter((count) => count !== 1).length).toBe(0);
  expect(Math.floor((endMs - OPENS_MS) / DAY_MS) + 1).toBe(daysWanted);
}

/** Options of a campaign within the hour, whose bucket holds a step's worth. */
function withinHour(messages: number, ratePerSec: number): CampaignOptions {
  return { messages, ratePerSec, burst: (ratePerSec * STEP_MS) / 1_000, from: "09:00", to: "10:00" };
}

test("campaign: queued the evening before, sent once each within the hour and no faster than the rate", async () => {
  const messages = IS_LONG ? 1_000_000 : 60_000;
  // So that it takes 50 of the 60 minutes.
  await campaign(withinHour(messages, Math.ceil(messages / 3_000)), 1);
}, 600_000);

test("campaign: what the hour does not suffice for is sent in the next day's", async () => {
  await campaign(withinHour(10_000, 2), 2);
}, 180_000);
