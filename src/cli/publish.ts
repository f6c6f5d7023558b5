import type { Command } from "commander";
import type { Client, PublishOptions } from "../client/index.ts";
import { action, collect, examples, type Runtime } from "./command.ts";
import type { Context } from "./context.ts";
import { usageError } from "./exit.ts";
import { headersOf } from "./produce.ts";
import { countOf, durationOf, groupDigits } from "./units.ts";

/** `millrace publish EXCHANGE KEY` and `millrace request NAME`. */

interface PublishWords {
  message?: string[];
  header?: string[];
  priority?: string;
  ttl?: string;
  delay?: string;
  at?: string;
  cron?: string;
  messageId?: string;
  group?: string;
  mandatory?: boolean;
}

interface RequestWords {
  message?: string;
  header?: string[];
  exchange?: string;
  wait?: string;
  replies?: string;
}

export function addPublishCommands(program: Command, runtime: Runtime): void {
  addPublish(program, runtime);
  addRequest(program, runtime);
}

function addPublish(program: Command, runtime: Runtime): void {
  const command = program
    .command("publish")
    .description("publish messages to an exchange: those given, or the lines of standard input")
    .argument("<exchange>", '"" is the default exchange, which routes to the queue that the key names')
    .argument("<key>", "routing key")
    .option("-m, --message <text>", "a message, as often as needed; without any, lines of standard input", collect)
    .option("-H, --header <name=value>", "a header for every message, as often as needed", collect)
    .option("--priority <level>", "0 to 31")
    .option("--ttl <duration>", "they expire after this")
    .option("--delay <duration>", "they are given out after this")
    .option("--at <time>", "they are given out from this time on, such as 2027-01-01T09:00")
    .option("--cron <schedule>", "they are given out, once, the next time that it names, such as '0 9 * * mon' (UTC)")
    .option("--message-id <id>", "for queues that drop duplicates")
    .option("--group <name>", "what an ordered queue keeps in order")
    .option("--mandatory", "fail where no queue gets a message");
  examples(command, [
    ["millrace publish orders eu.new -m '{\"total\":3}'", "one message through an exchange"],
    ["millrace publish '' reminders -m 'call back' --delay 2h", "straight to a queue, in two hours"],
    ["millrace publish mail welcome --priority 9 --mandatory < bodies.txt", "a message a line"],
  ]);
  action<PublishWords>(command, runtime, async (context, [exchange = "", key = ""], words) => {
    const options = optionsOf(words);
    const count = await context.withClient((client) => publishAll(client, exchange, key, words.message, options));
    const text = `published ${groupDigits(count)} message${count === 1 ? "" : "s"}\n`;
    context.result({ exchange, key, published: count }, () => text);
  });
}

function optionsOf(words: PublishWords): PublishOptions {
  const { header, priority, ttl, delay, at, cron, messageId, group, mandatory } = words;
  return {
    headers: headersOf(header ?? []),
    ...(priority === undefined ? {} : { priority: countOf("--priority", priority) }),
    ...(ttl === undefined ? {} : { ttlMs: durationOf("--ttl", ttl) }),
    ...(delay === undefined ? {} : { delayMs: durationOf("--delay", delay) }),
    ...(at === undefined ? {} : { deliverAt: timeOf(at) }),
    ...(cron === undefined ? {} : { deliverAt: { cron } }),
    ...(messageId === undefined ? {} : { messageId }),
    ...(group === undefined ? {} : { group }),
    ...(mandatory === true ? { mandatory } : {}),
  };
}

/** A time without a zone is UTC, as everywhere. */
function timeOf(text: string): number {
  const isZoned = /(Z|[+-]\d\d:?\d\d)$/.test(text);
  const ms = Date.parse(isZoned || !text.includes("T") ? text : `${text}Z`);
  if (Number.isNaN(ms)) throw usageError(`--at: "${text}" is no time`, "write it as 2027-01-01T09:00");
  return ms;
}

async function publishAll(
  client: Client,
  exchange: string,
  key: string,
  given: readonly string[] | undefined,
  options: PublishOptions,
): Promise<number> {
  const target = client.exchange(exchange);
  let count = 0;
  for await (const value of given ?? linesOf(Bun.stdin.stream())) {
    if (!target.publishNoWait(key, value, options)) await target.ready();
    count += 1;
  }
  await target.flush();
  return count;
}

/** Lines of text; an empty last one is none. */
async function* linesOf(stream: ReadableStream<Uint8Array>): AsyncIterableIterator<string> {
  const decoder = new TextDecoder();
  let rest = "";
  for await (const chunk of stream) {
    const lines = (rest + decoder.decode(chunk, { stream: true })).split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) yield line.replace(/\r$/, "");
  }
  if (rest !== "") yield rest;
}

function addRequest(program: Command, runtime: Runtime): void {
  const command = program
    .command("request")
    .description("send a request and print the answer")
    .argument("<name>", "the queue of the responders, or the routing key with --exchange")
    .option("-m, --message <text>", "the request's body; without it, standard input")
    .option("-H, --header <name=value>", "a header, as often as needed", collect)
    .option("--exchange <exchange>", "send it through this exchange")
    .option("--wait <duration>", "how long to wait for the answer", "30s")
    .option("--replies <count>", "wait for so many answers, one a line");
  examples(command, [
    ["millrace request pricing -m '{\"item\":7}'", "the answer's body"],
    ["millrace request who --exchange everyone --replies 10 --wait 1s", "as many as answer within a second"],
  ]);
  action<RequestWords>(command, runtime, async (context, [name = ""], words) => {
    const body = words.message ?? (await Bun.stdin.text());
    await context.withClient((client) => request(context, client, name, body, words));
  });
}

async function request(
  context: Context,
  client: Client,
  name: string,
  body: string,
  words: RequestWords,
): Promise<void> {
  const options = {
    headers: headersOf(words.header ?? []),
    timeoutMs: durationOf("--wait", words.wait ?? "30s"),
    replies: countOf("--replies", words.replies ?? "1", 1),
    ...(words.exchange === undefined ? {} : { exchange: words.exchange }),
  };
  const replies = await client.request(name, body, options);
  const shown = replies.map((reply) => ({ value: reply.text(), headers: reply.headers }));
  context.result(words.replies === undefined ? shown[0] : shown, () =>
    shown.map(({ value }) => `${value ?? ""}\n`).join(""),
  );
}
