import type { Command } from "commander";
import type { AvroCarrier } from "../client/avro/index.ts";
import type {
  MessageEdit,
  PeekedMessage,
  QueueConfigChange,
  QueueDescription,
  RedriveOptions,
} from "../client/index.ts";
import { action, collect, examples, type Runtime } from "./command.ts";
import type { Context } from "./context.ts";
import { madeOrThere } from "./exchange.ts";
import { headersOf } from "./produce.ts";
import { addSettingOptions, queueConfigOf, resetsOf, type SettingOptions } from "./queue-settings.ts";
import { contentJson } from "./record-line.ts";
import { type SchemaValue, SchemaView } from "./schema-view.ts";
import { countOf, formatSetting, formatTime, groupDigits } from "./units.ts";

/** `millrace queue …`: create, alter, list, describe, purge, delete, peek, redrive, scheduled. */

export function addQueueCommands(program: Command, runtime: Runtime): void {
  const queue = program
    .command("queue")
    .description("create, alter, list, describe, purge, delete, peek and redrive queues, and their scheduled messages");
  addCreate(queue, runtime);
  addAlter(queue, runtime);
  addList(queue, runtime);
  addDescribe(queue, runtime);
  addPurge(queue, runtime);
  addDelete(queue, runtime);
  addPeek(queue, runtime);
  addRedrive(queue, runtime);
  addScheduled(queue, runtime);
}

function addCreate(queue: Command, runtime: Runtime): void {
  const command = addSettingOptions(
    queue
      .command("create")
      .alias("declare")
      .description("create a queue; one that is there already, alike, is fine")
      .argument("<queue>"),
  )
    .option("--transient", "gone with a restart of the broker")
    .option("--ordered", "one unsettled message of each group at most, in order");
  examples(command, [
    ["millrace queue create orders", "durable, without limits"],
    ["millrace queue create orders --delivery-limit 5 --dead-letter :orders.dead", "five attempts, then orders.dead"],
    ["millrace queue create mail -c retry.kind=exponential -c retry.delayMs=1s", "retries further and further apart"],
    [
      "millrace queue create campaign -c release.ratePerSec=500 -c release.window.from=09:00 -c release.window.to=10:00",
      "an hour a day, so fast",
    ],
  ]);
  action<SettingOptions>(command, runtime, async (context, [name = ""], options) => {
    const config = queueConfigOf(options);
    const created = await context.withClient((client) => client.queue(name).declare(config));
    context.result({ queue: name, created, config }, () => `${madeOrThere(created, name)}\n`);
  });
}

function addAlter(queue: Command, runtime: Runtime): void {
  const command = addSettingOptions(
    queue
      .command("alter")
      .description("change settings of a queue; what is in it stays, limits apply from the next message on")
      .argument("<queue>"),
  ).option("--reset <key>", "take a setting back to its default, as often as needed", collect);
  examples(command, [
    ["millrace queue alter orders --delivery-limit 10", "the other settings stay"],
    ["millrace queue alter orders -c retry.delayMs=5s --reset messageTtlMs", "one changed, one back to its default"],
    ["millrace queue alter orders --reset deadLetter", "failed messages are dropped from now on"],
  ]);
  action<SettingOptions & { reset?: string[] }>(command, runtime, async (context, [name = ""], options) => {
    const change = queueConfigOf(options, resetsOf(options.reset ?? [])) as QueueConfigChange;
    const config = await context.withClient((client) => client.queue(name).alter(change));
    context.result({ queue: name, config }, () => `altered ${name}\n`);
  });
}

function addList(queue: Command, runtime: Runtime): void {
  const command = queue
    .command("list")
    .alias("ls")
    .description("list the queues of the namespace")
    .argument("[pattern]", "only these: * is one word, # any number, words are split at . and /");
  examples(command, [
    ["millrace queue list", "all, with what waits in them"],
    ["millrace queue list 'orders.#'", "orders and everything below it"],
    ["millrace queue list --json | jq '.[] | select(.counts.consumers == 0)'", "those that nobody consumes"],
  ]);
  action(command, runtime, async (context, [pattern]) => {
    const queues = await context.withClient((client) => client.queues.list(pattern === undefined ? {} : { pattern }));
    context.result(queues, () => {
      const headings = ["QUEUE", "READY", "IN FLIGHT", "DELAYED", "DEFERRED", "CONSUMERS"];
      const rows = queues.map(({ name, counts }) => {
        const { ready, inFlight, delayed, deferred, consumers } = counts;
        return [name, ready, inFlight, delayed, deferred, consumers];
      });
      return context.table(headings, rows);
    });
  });
}

function addDescribe(queue: Command, runtime: Runtime): void {
  const command = queue.command("describe").description("show a queue's settings and counts").argument("<queue>");
  examples(command, [
    ["millrace queue describe orders", "settings and counts"],
    ["millrace queue describe orders --json | jq .counts.ready", "how many wait"],
  ]);
  action(command, runtime, async (context, [name = ""]) => {
    const described = await context.withClient((client) => client.queue(name).describe());
    context.result(described, () => describeText(context, described));
  });
}

function describeText(context: Context, { name, config, createdMs, counts }: QueueDescription): string {
  const settings = Object.entries(config).map(([key, value]) => {
    const text = typeof value === "object" ? JSON.stringify(value) : formatSetting(key, value);
    return [key, text] as const;
  });
  const tallies = Object.entries(counts).map(([key, count]) => [key, groupDigits(count ?? 0)] as const);
  return context.fields([["queue", name], ["created", formatTime(createdMs)], ...settings, ...tallies]);
}

function addPurge(queue: Command, runtime: Runtime): void {
  const command = queue
    .command("purge")
    .description("drop the messages that wait in queues; there is no undo")
    .argument("<queue...>");
  examples(command, [["millrace queue purge orders.dead", "what is being handled stays with its consumers"]]);
  action(command, runtime, async (context, names) => {
    const purged = await context.withClient(async (client) => {
      const counts: [name: string, count: number][] = [];
      for (const name of names) counts.push([name, await client.queue(name).purge()]);
      return counts;
    });
    context.result({ purged: Object.fromEntries(purged) }, () =>
      purged.map(([name, count]) => `purged ${groupDigits(count)} messages from ${name}\n`).join(""),
    );
  });
}

function addDelete(queue: Command, runtime: Runtime): void {
  const command = queue
    .command("delete")
    .alias("rm")
    .description("delete queues with their messages and the bindings to them; there is no undo")
    .argument("<queue...>")
    .option("--if-empty", "only when they hold no messages")
    .option("--if-unused", "only when they have no consumers");
  examples(command, [
    ["millrace queue delete orders", "one"],
    ["millrace queue delete orders.eu orders.us --if-empty", "several, if nothing would be lost"],
  ]);
  action<{ ifEmpty?: boolean; ifUnused?: boolean }>(command, runtime, async (context, names, options) => {
    const conditions = { ifEmpty: options.ifEmpty === true, ifUnused: options.ifUnused === true };
    await context.withClient(async (client) => {
      for (const name of names) await client.queue(name).delete(conditions);
    });
    context.result({ deleted: names }, () => names.map((name) => `deleted ${name}\n`).join(""));
  });
}

function addPeek(queue: Command, runtime: Runtime): void {
  const command = queue
    .command("peek")
    .description("show messages as lines of JSON, without taking them")
    .argument("<queue>")
    .option("-n, --max <count>", "the most messages to show", "10")
    .option("--from <number>", "begin at this message number")
    .option("--raw", "values that were written with a schema as the bytes they are, not as JSON");
  examples(command, [
    ["millrace queue peek orders.dead", "the first ten, with why they died"],
    ["millrace queue peek orders -n 100 | jq .value", "the bodies of a hundred"],
  ]);
  action<{ max?: string; from?: string; raw?: boolean }>(command, runtime, async (context, [name = ""], options) => {
    const max = countOf("--max", options.max ?? "10", 1);
    const from = options.from === undefined ? {} : { from: countOf("--from", options.from) };
    await context.withClient(async (client) => {
      const view = options.raw === true ? null : new SchemaView(client.schemas);
      for (const message of await client.queue(name).peek(max, from)) {
        context.out.write(peekedLine(message, (await view?.of(carrierOf(message))) ?? null));
      }
    });
  });
}

/** What a value's schema is looked up by. Text has none: it is no bytes. */
function carrierOf({ value, headers }: PeekedMessage): AvroCarrier {
  return { value: value instanceof Uint8Array ? value : null, headers: (headers ?? {}) as AvroCarrier["headers"] };
}

/** A message as one line of JSON, content as `consume` shows it. */
function peekedLine({ key, value, headers, ...rest }: PeekedMessage, shown: SchemaValue | null): string {
  const decode = (content: string | Uint8Array | null | undefined): string | null =>
    content instanceof Uint8Array ? Buffer.from(content).toString() : (content ?? null);
  const bytes = (content: string | Uint8Array | null | undefined): Uint8Array | null =>
    content instanceof Uint8Array ? content : null;
  const beginning = JSON.stringify(rest).slice(0, -1);
  const content = contentJson(
    decode(key),
    () => bytes(key),
    decode(value),
    () => bytes(value),
    JSON.stringify(headers ?? {}),
    shown,
  );
  return `${beginning}${content}}\n`;
}

interface RedriveWords {
  to?: string;
  where?: string;
  max?: string;
  rate?: string;
  dryRun?: boolean;
  setKey?: string;
  setValue?: string;
  setHeader?: string[];
  removeHeader?: string[];
}

function addRedrive(queue: Command, runtime: Runtime): void {
  const command = queue
    .command("redrive")
    .description("move messages back to where they came from, or elsewhere")
    .argument("<queue>", "such as a queue of dead letters")
    .option("--to <exchange>", "publish them to this exchange instead of the one they came from")
    .option("--where <expression>", "only messages for which this holds")
    .option("-n, --max <count>", "the most messages to move")
    .option("--rate <count>", "the most messages a second")
    .option("--set-key <key>", "edit: give each this key")
    .option("--set-value <text>", "edit: give each this value")
    .option("--set-header <name=value>", "edit: set a header, as often as needed", collect)
    .option("--remove-header <name>", "edit: remove a header, as often as needed", collect)
    .option("--dry-run", "only count them, and show the first ones as they would be");
  examples(command, [
    ["millrace queue redrive orders.dead --dry-run", "how many there are"],
    ["millrace queue redrive orders.dead -n 10", "try ten of them again"],
    ['millrace queue redrive orders.dead --where \'header("x-tenant") == "a"\'', "those of one tenant"],
    ["millrace queue redrive orders.dead --set-header region=eu --remove-header trace --dry-run", "what an edit makes"],
  ]);
  action<RedriveWords>(command, runtime, async (context, [name = ""], words) => {
    const { to, where, max, rate, dryRun } = words;
    const options: RedriveOptions = {
      ...(to === undefined ? {} : { to }),
      ...(where === undefined ? {} : { where }),
      ...(max === undefined ? {} : { max: countOf("--max", max, 1) }),
      ...(rate === undefined ? {} : { ratePerSec: countOf("--rate", rate, 1) }),
      ...(dryRun === true ? { dryRun } : {}),
      ...editOf(words),
    };
    const result = await context.withClient((client) => client.queue(name).redrive(options));
    const { matched, moved } = result;
    const { messages = [], ...counts } = result;
    const shown = messages.map(({ number, queues, ...content }) => peekedLine({ number, queues, ...content }, null));
    const json = {
      queue: name,
      ...counts,
      ...(dryRun === true ? { messages: shown.map((line) => JSON.parse(line)) } : {}),
    };
    context.result(json, () =>
      dryRun === true
        ? `${shown.join("")}would move ${groupDigits(matched)} messages; nothing was changed\n`
        : `moved ${groupDigits(moved)} messages\n`,
    );
  });
}

/** The edit that the words ask for, if they do. */
function editOf({ setKey, setValue, setHeader = [], removeHeader = [] }: RedriveWords): { edit?: MessageEdit } {
  const headers = Object.fromEntries([
    ...removeHeader.map((name) => [name, null] as const),
    ...Object.entries(headersOf(setHeader) ?? {}),
  ]);
  const edit: MessageEdit = {
    ...(setKey === undefined ? {} : { key: setKey }),
    ...(setValue === undefined ? {} : { value: setValue }),
    ...(Object.keys(headers).length === 0 ? {} : { headers }),
  };
  return Object.keys(edit).length === 0 ? {} : { edit };
}

function addScheduled(queue: Command, runtime: Runtime): void {
  const command = queue
    .command("scheduled")
    .description("list messages that are not due yet, or cancel them")
    .argument("<queue>")
    .option("-n, --max <count>", "the most messages to list", "100")
    .option("--cancel <number>", "take this message back, as often as needed", collect);
  examples(command, [
    ["millrace queue scheduled reminders", "number and time of each"],
    ["millrace queue scheduled reminders --cancel 1842", "take one back"],
  ]);
  action<{ max?: string; cancel?: string[] }>(command, runtime, async (context, [name = ""], { max, cancel }) => {
    if (cancel !== undefined) {
      const numbers = cancel.map((text) => countOf("--cancel", text));
      const cancelled = await context.withClient((client) => client.queue(name).cancel(numbers));
      context.result({ queue: name, cancelled }, () => `cancelled ${groupDigits(cancelled)} messages\n`);
      return;
    }
    const most = countOf("--max", max ?? "100", 1);
    const messages = await context.withClient((client) => client.queue(name).scheduled(most));
    context.result(messages, () =>
      context.table(
        ["NUMBER", "DUE"],
        messages.map(({ number, dueMs }) => [number, formatTime(dueMs)]),
      ),
    );
  });
}
