import type { Command } from "commander";
import type {
  BindingDescription,
  BindingOptions,
  BindingTarget,
  ExchangeConfig,
  ExchangeType,
  HeaderCondition,
} from "../client/index.ts";
import { action, collect, examples, type Runtime } from "./command.ts";
import { CliError, EXIT, usageError } from "./exit.ts";
import { formatTime } from "./units.ts";

/** `millrace exchange …` and `millrace binding …`. */

interface CreateOptions {
  type?: string;
  alternate?: string;
  hashHeader?: string;
  internal?: boolean;
}

interface BindingWords {
  queue?: string;
  topic?: string;
  to?: string;
  key?: string;
  match?: string;
  header?: string[];
  where?: string;
}

const TYPES: readonly ExchangeType[] = ["direct", "fanout", "topic", "headers", "consistent-hash"];

export function addExchangeCommands(program: Command, runtime: Runtime): void {
  const exchange = program.command("exchange").description("create, list, describe and delete exchanges");
  addCreate(exchange, runtime);
  addList(exchange, runtime);
  addDescribe(exchange, runtime);
  addDelete(exchange, runtime);
  const binding = program.command("binding").description("add, list and remove bindings of exchanges");
  addBind(binding, runtime);
  addBindings(binding, runtime);
  addUnbind(binding, runtime);
}

function addCreate(exchange: Command, runtime: Runtime): void {
  const command = exchange
    .command("create")
    .alias("declare")
    .description("create an exchange; one that is there already, alike, is fine")
    .argument("<exchange>")
    .option("-t, --type <type>", `how it routes: ${TYPES.join(", ")}`, "topic")
    .option("--alternate <exchange>", "where messages go that no binding matches")
    .option("--hash-header <name>", "consistent-hash: hash this header instead of the routing key")
    .option("--internal", "only exchanges may publish to it");
  examples(command, [
    ["millrace exchange create orders", "a topic exchange"],
    ["millrace exchange create mail --type direct --alternate unrouted", "by the whole key, with a net below"],
    ["millrace exchange create shards --type consistent-hash", "spread by the hash of the key"],
  ]);
  action<CreateOptions>(command, runtime, async (context, [name = ""], options) => {
    const { type = "topic", alternate, hashHeader, internal } = options;
    const kind = TYPES.find((each) => each === type);
    if (kind === undefined) throw usageError(`--type: "${type}" is unknown`, `use ${TYPES.join(", ")}`);
    const config: ExchangeConfig = {
      ...(alternate === undefined ? {} : { alternate }),
      ...(hashHeader === undefined ? {} : { hashHeader }),
      ...(internal === true ? { internal } : {}),
    };
    const created = await context.withClient((client) => client.exchange(name).declare(kind, config));
    context.result({ exchange: name, type: kind, created }, () => `${madeOrThere(created, name)}\n`);
  });
}

export function madeOrThere(created: boolean, name: string): string {
  return created ? `created ${name}` : `${name} was there already`;
}

function addList(exchange: Command, runtime: Runtime): void {
  const command = exchange.command("list").alias("ls").description("list the exchanges of the namespace");
  examples(command, [
    ["millrace exchange list", "name, type and number of bindings"],
    ["millrace exchange list --json", "one JSON array"],
  ]);
  action(command, runtime, async (context) => {
    const exchanges = await context.withClient((client) => client.exchanges.list());
    context.result(exchanges, () => {
      const rows = exchanges.map(({ name, type, bindings }) => [name, type, bindings]);
      return context.table(["EXCHANGE", "TYPE", "BINDINGS"], rows);
    });
  });
}

function addDescribe(exchange: Command, runtime: Runtime): void {
  const command = exchange
    .command("describe")
    .description("show an exchange's settings and its bindings")
    .argument("<exchange>");
  examples(command, [
    ["millrace exchange describe orders", "settings, then one line a binding"],
    ["millrace exchange describe orders --json", "the same for programs"],
  ]);
  action(command, runtime, async (context, [name = ""]) => {
    const { found, bindings } = await context.withClient(async (client) => ({
      found: (await client.exchanges.list()).find((each) => each.name === name),
      bindings: await client.exchange(name).bindings(),
    }));
    if (found === undefined)
      throw new CliError(
        "exchange_not_found",
        `there is no exchange "${name}"`,
        "see millrace exchange list",
        EXIT.notFound,
      );
    context.result({ ...found, bindings }, () => {
      const settings = Object.entries(found.config).map(([key, value]) => [key, String(value)] as const);
      const head = context.fields([
        ["exchange", name],
        ["type", found.type],
        ["created", formatTime(found.createdMs)],
        ...settings,
      ]);
      return `${head}\n${bindingTable(context, bindings)}`;
    });
  });
}

function addDelete(exchange: Command, runtime: Runtime): void {
  const command = exchange
    .command("delete")
    .alias("rm")
    .description("delete exchanges with their bindings")
    .argument("<exchange...>")
    .option("--if-unused", "only those without bindings");
  examples(command, [
    ["millrace exchange delete orders", "one"],
    ["millrace exchange delete orders mail --if-unused", "several, if nothing is bound to them"],
  ]);
  action<{ ifUnused?: boolean }>(command, runtime, async (context, names, { ifUnused }) => {
    await context.withClient(async (client) => {
      for (const name of names) await client.exchange(name).delete({ ifUnused: ifUnused === true });
    });
    context.result({ deleted: names }, () => names.map((name) => `deleted ${name}\n`).join(""));
  });
}

function bindingTable(
  context: { table: (headings: readonly string[], rows: readonly (readonly (string | null)[])[]) => string },
  bindings: readonly BindingDescription[],
): string {
  const rows = bindings.map((each) => [each.exchange, targetText(each), each.key ?? "", argumentText(each)]);
  return context.table(["EXCHANGE", "TO", "KEY", "MATCHES"], rows);
}

function targetText({ queue, topic, to }: BindingDescription): string {
  if (queue !== undefined) return `queue ${queue}`;
  return topic === undefined ? `exchange ${to}` : `topic ${topic}`;
}

function argumentText({ match, headers, where }: BindingOptions): string | null {
  if (where !== undefined) return where;
  return headers === undefined ? null : `${match ?? "all"} of ${JSON.stringify(headers)}`;
}

function bindingOptions(command: Command): Command {
  return command
    .argument("<exchange>")
    .option("-q, --queue <queue>", "the queue that gets the messages")
    .option("--topic <topic>", "the topic that gets them")
    .option("--to <exchange>", "the exchange that gets them")
    .option("-k, --key <key>", "routing key; for topic exchanges * is one word and # any number; a hash's weight")
    .option(
      "-H, --header <condition>",
      "name=value, name!=v, name>v, name^=prefix or just name, as often as needed",
      collect,
    )
    .option("--match <which>", "all (the default) or any of the headers")
    .option("--where <expression>", "only messages for which this holds");
}

function addBind(binding: Command, runtime: Runtime): void {
  const command = bindingOptions(
    binding.command("add").description("bind a queue, a topic or an exchange to an exchange"),
  );
  examples(command, [
    ["millrace binding add orders --queue eu --key 'eu.#'", "keys that begin with the word eu"],
    ["millrace binding add mail --queue urgent --where '$.priority == \"urgent\"'", "by what the body says"],
    ["millrace binding add jobs --queue big -H 'pages>100' -H format=pdf", "by headers"],
  ]);
  action<BindingWords>(command, runtime, async (context, [exchange = ""], words) => {
    const target = targetOf(words);
    const created = await context.withClient((client) => client.exchange(exchange).bind(target, bindingOf(words)));
    const text = created ? "bound" : "was bound already:";
    context.result({ exchange, ...target, created }, () => `${text} ${Object.values(target)[0]} to ${exchange}\n`);
  });
}

function addUnbind(binding: Command, runtime: Runtime): void {
  const command = bindingOptions(
    binding.command("remove").alias("rm").description("remove a binding; key and conditions must be the same"),
  );
  examples(command, [["millrace binding remove orders --queue eu --key 'eu.#'", "as it was added"]]);
  action<BindingWords>(command, runtime, async (context, [exchange = ""], words) => {
    const target = targetOf(words);
    await context.withClient((client) => client.exchange(exchange).unbind(target, bindingOf(words)));
    context.result({ exchange, ...target }, () => `unbound ${Object.values(target)[0]} from ${exchange}\n`);
  });
}

function addBindings(binding: Command, runtime: Runtime): void {
  const command = binding
    .command("list")
    .alias("ls")
    .description("list bindings: all, of an exchange, or to a queue")
    .argument("[exchange]")
    .option("-q, --queue <queue>", "only those to this queue");
  examples(command, [
    ["millrace binding list", "all of the namespace"],
    ["millrace binding list orders", "those of one exchange"],
    ["millrace binding list --queue eu", "those to one queue"],
  ]);
  action<{ queue?: string }>(command, runtime, async (context, [exchange], { queue }) => {
    const found = await context.withClient((client) => {
      if (exchange !== undefined) return client.exchange(exchange).bindings();
      return queue === undefined ? client.exchanges.bindings() : client.queue(queue).bindings();
    });
    const bindings =
      exchange === undefined || queue === undefined ? found : found.filter((each) => each.queue === queue);
    context.result(bindings, () => bindingTable(context, bindings));
  });
}

function targetOf({ queue, topic, to }: BindingWords): BindingTarget {
  const given = [queue, topic, to].filter((name) => name !== undefined);
  if (given.length !== 1) throw usageError("a binding leads to one thing", "give one of --queue, --topic and --to");
  if (queue !== undefined) return { queue };
  return topic === undefined ? { to: to ?? "" } : { topic };
}

function bindingOf({ key, match, header, where }: BindingWords): BindingOptions {
  if (match !== undefined && match !== "all" && match !== "any") {
    throw usageError(`--match: "${match}" is unknown`, "use all or any");
  }
  const headers = header === undefined ? undefined : Object.fromEntries(header.map(conditionOf));
  return {
    ...(key === undefined ? {} : { key }),
    ...(match === undefined ? {} : { match }),
    ...(headers === undefined ? {} : { headers }),
    ...(where === undefined ? {} : { where }),
  };
}

const CONDITION = /^([^=!<>^]+)(?:(\^=|!=|<=|>=|=|<|>)(.*))?$/s;

/** `name>5` and the like; a value that is a JSON scalar is that, anything else is text. */
export function conditionOf(text: string): [name: string, condition: HeaderCondition] {
  const [, name, operator, value = ""] = CONDITION.exec(text) ?? [];
  if (name === undefined) throw usageError(`--header: "${text}" is no condition`, "write it as -H name=value");
  if (operator === undefined) return [name, { op: "exists" }];
  if (operator === "^=") return [name, { op: "prefix", value }];
  const scalar = scalarOf(value);
  return [name, operator === "=" ? scalar : { op: operator as "!=", value: scalar }];
}

function scalarOf(text: string): string | number | boolean | null {
  if (!/^(-?\d|true$|false$|null$)/.test(text)) return text;
  try {
    return JSON.parse(text) as number | boolean | null;
  } catch {
    return text;
  }
}
