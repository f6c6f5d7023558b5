/**
 * E-mails go by their `priority` header: urgent ones to a queue that is worked on five at a time, newsletters to one
 * that is worked on one by one. An urgent mail takes no longer when a million newsletters wait.
 *
 *   bun test/scenarios/email-routing.ts [URL] [NEWSLETTERS]
 */
import { type Client, connect } from "../../src/client/index.ts";
import { brokerUrl, quantile, until } from "./program.ts";

const URGENT_MAILS = 500;
const URGENT_EVERY_MS = 2;
const NEWSLETTER_MS = 1;

export interface EmailReport {
  /** From publish to the handler of an urgent mail, 99 of 100, before there is a newsletter and beside them. */
  aloneP99Ms: number;
  besideP99Ms: number;
  /** Newsletters that waited when the last urgent mail had come. */
  waiting: number;
  newslettersSent: number;
}

async function declare(client: Client): Promise<void> {
  const exchange = client.exchange("email-exchange");
  await exchange.declare("headers");
  for (const priority of ["urgent", "bulk"]) {
    await client.queue(priority).declare();
    await exchange.bind({ queue: priority }, { headers: { priority } });
  }
}

/** Sends urgent mails one after another. Returns how long 99 of 100 took at most. */
async function sendUrgent(client: Client, latenciesMs: number[]): Promise<number> {
  latenciesMs.length = 0;
  for (let n = 0; n < URGENT_MAILS; n += 1) {
    const value = JSON.stringify({ subject: "your code", sentMs: performance.now() });
    client.exchange("email-exchange").publishNoWait("", value, { headers: { priority: "urgent" } });
    await Bun.sleep(URGENT_EVERY_MS);
  }
  await until(() => latenciesMs.length >= URGENT_MAILS);
  return quantile(latenciesMs, 0.99);
}

async function queueNewsletters(client: Client, count: number): Promise<void> {
  const exchange = client.exchange("email-exchange");
  const options = { headers: { priority: "bulk" } };
  for (let n = 0; n < count; n += 1) {
    // False asks for a pause: until there is room again.
    if (!exchange.publishNoWait("", `Dear reader ${n}, this week we have ...`, options)) await exchange.ready();
  }
  await exchange.flush();
}

export async function routeEmail(url: string, newsletters: number = 1_000_000): Promise<EmailReport> {
  await using client = await connect(url);
  await using mailer = await connect(url);
  await declare(client);

  const latenciesMs: number[] = [];
  const urgent = mailer.queue("urgent").consume(
    (message) => {
      latenciesMs.push(performance.now() - message.json<{ sentMs: number }>().sentMs);
    },
    { prefetch: 5 },
  );
  await urgent.ready();
  // The first ones pay for what is made once: connections, compiled code.
  await sendUrgent(client, latenciesMs);
  const aloneP99Ms = await sendUrgent(client, latenciesMs);

  await queueNewsletters(client, newsletters);
  let newslettersSent = 0;
  const bulk = mailer.queue("bulk").consume(
    async () => {
      await Bun.sleep(NEWSLETTER_MS);
      newslettersSent += 1;
    },
    { prefetch: 1 },
  );
  await bulk.ready();
  const besideP99Ms = await sendUrgent(client, latenciesMs);
  await bulk.close();
  const { counts } = await client.queue("bulk").describe();
  return { aloneP99Ms, besideP99Ms, waiting: counts.ready ?? 0, newslettersSent };
}

if (import.meta.main) {
  const report = await routeEmail(brokerUrl(process.argv[2]), Number(process.argv[3] ?? 1_000_000));
  console.log(`an urgent mail takes ${report.aloneP99Ms.toFixed(2)} ms at most, 99 times of 100`);
  console.log(`beside ${report.waiting} newsletters ${report.besideP99Ms.toFixed(2)} ms`);
}
