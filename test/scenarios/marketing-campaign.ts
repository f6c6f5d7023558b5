/**
 * A campaign: personalised messages are queued in advance, and the queue gives them out only within one hour of the day
 * and no faster than the mail provider takes them. What the hour does not suffice for goes out on the next day.
 *
 *   bun test/scenarios/marketing-campaign.ts [URL] [MESSAGES]      with a window that opens with the next minute
 */
import { type Client, connect } from "../../src/client/index.ts";
import { brokerUrl, until } from "./program.ts";

const SENDERS = 2;
const PREFETCH = 1_000;

export interface CampaignOptions {
  messages: number;
  ratePerSec: number;
  /** How many may go at once after a pause. Default: a second's. */
  burst?: number;
  /** "HH:MM" in UTC. */
  from: string;
  to: string;
  /** The time of day. A test gives the clock that it has given to the broker. */
  now?: () => number;
}

interface Mail {
  customer: number;
  greeting: string;
  voucher: string;
}

export class Campaign implements AsyncDisposable {
  readonly options: CampaignOptions;
  /** How often each customer was written to. */
  readonly mails: Uint8Array;
  /** How many were sent at which ms, in the order of sending. */
  readonly sent: { atMs: number; count: number }[] = [];
  delivered = 0;
  private readonly clients: Client[];

  private constructor(options: CampaignOptions, clients: Client[]) {
    this.options = options;
    this.clients = clients;
    this.mails = new Uint8Array(options.messages);
  }

  /** Queues the messages. */
  static async prepare(
    url: string,
    { messages, ratePerSec, burst = ratePerSec, from, to }: CampaignOptions,
  ): Promise<void> {
    await using client = await connect(url);
    await client.queue("campaign").declare({ release: { ratePerSec, burst, window: { from, to } } });
    const exchange = client.exchange("");
    for (let customer = 0; customer < messages; customer += 1) {
      const mail: Mail = { customer, greeting: `Dear customer ${customer}`, voucher: (customer * 7919).toString(36) };
      // False asks for a pause: until there is room again.
      if (!exchange.append("campaign", JSON.stringify(mail))) await exchange.ready();
    }
    await exchange.flush();
  }

  /** Starts the senders, which may well be long before the window opens. */
  static async start(url: string, options: CampaignOptions): Promise<Campaign> {
    const clients = await Promise.all(Array.from({ length: SENDERS }, () => connect(url)));
    const campaign = new Campaign(options, clients);
    for (const client of clients) {
      const consumer = client
        .queue("campaign")
        .consume((message) => campaign.send(message.json<Mail>()), { prefetch: PREFETCH });
      await consumer.ready();
    }
    return campaign;
  }

  private send({ customer }: Mail): void {
    const atMs = (this.options.now ?? Date.now)();
    const last = this.sent.at(-1);
    if (last?.atMs === atMs) last.count += 1;
    else this.sent.push({ atMs, count: 1 });
    this.mails[customer] = (this.mails[customer] ?? 0) + 1;
    this.delivered += 1;
  }

  /** Settles what was sent, and ends. */
  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.clients.map((client) => client.close()));
  }
}

function timeOfDay(ms: number): string {
  return new Date(ms).toISOString().slice(11, 16);
}

if (import.meta.main) {
  const messages = Number(process.argv[3] ?? 10_000);
  const nextMinuteMs = Math.ceil(Date.now() / 60_000) * 60_000;
  const window = { from: timeOfDay(nextMinuteMs), to: timeOfDay(nextMinuteMs + 3_600_000) };
  const options = { messages, ratePerSec: messages / 10, ...window };
  await Campaign.prepare(brokerUrl(process.argv[2]), options);
  console.log(`${messages} messages wait for ${window.from} UTC`);
  await using campaign = await Campaign.start(brokerUrl(process.argv[2]), options);
  await until(() => campaign.delivered >= messages);
  const [first, last] = [campaign.sent[0]?.atMs ?? 0, campaign.sent.at(-1)?.atMs ?? 0];
  console.log(`sent from ${new Date(first).toISOString()} to ${new Date(last).toISOString()}`);
}
