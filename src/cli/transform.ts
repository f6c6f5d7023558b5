import { readFileSync } from "node:fs";
import type { Command } from "commander";
import type { Client, TransformDefinition, TransformDescription, TransformPlace } from "../client/index.ts";
import { action, collect, examples, type Runtime } from "./command.ts";
import type { Context } from "./context.ts";
import { CliError, EXIT, usageError } from "./exit.ts";
import { formatTime, groupDigits } from "./units.ts";

/** `millrace transform …`: create, list, describe, try, delete. */

interface DefinitionWords {
  file?: string;
}

interface TryWords extends DefinitionWords {
  message?: string[];
  key?: string;
}

const decoder = new TextDecoder();

export function addTransformCommands(program: Command, runtime: Runtime): void {
  const transform = program
    .command("transform")
    .description(
      "create, list, describe, try and delete transforms: steps between a topic, queue or exchange and another",
    );
  addCreate(transform, runtime);
  addList(transform, runtime);
  addDescribe(transform, runtime);
  addTry(transform, runtime);
  addDelete(transform, runtime);
}

function addCreate(transform: Command, runtime: Runtime): void {
  const command = transform
    .command("create")
    .alias("put")
    .description("create a transform, which begins to run; one that is there already, alike, is fine")
    .argument("<transform>")
    .option("-f, --file <path>", "its definition as JSON; without it, standard input")
    .option("--replace", "take the place of one that is there and reads the same");
  examples(command, [
    ["millrace transform create inventory --file inventory.json", "what is in it: src/schema/transform/README.md"],
    ["millrace transform create inventory --file inventory.json --replace", "change it while it runs"],
  ]);
  action<DefinitionWords & { replace?: boolean }>(command, runtime, async (context, [name = ""], words) => {
    const definition = definitionOf(words.file);
    const options = { replace: words.replace === true };
    const outcome = await context.withClient((client) => client.transforms.put(name, definition, options));
    const text = outcome.created ? "created" : outcome.changed ? "changed" : "was there already:";
    context.result({ transform: name, ...outcome }, () => `${text} ${name}\n`);
  });
}

function addList(transform: Command, runtime: Runtime): void {
  const command = transform.command("list").alias("ls").description("list the transforms of the namespace");
  examples(command, [
    ["millrace transform list", "where each leads, how it fares and what it has done"],
    ["millrace transform list --json", "one JSON array"],
  ]);
  action(command, runtime, async (context) => {
    const found = await context.withClient((client) => client.transforms.list());
    context.result(found, () => {
      const rows = found.map(({ name, definition, state, counters }) => {
        const { messagesIn = 0, messagesOut = 0, failed = 0, restarts = 0 } = counters ?? {};
        const counts = [messagesIn, messagesOut, failed, restarts].map(groupDigits);
        return [name, placeText(definition.from), placeText(definition.to), state, ...counts];
      });
      const headings = ["TRANSFORM", "FROM", "TO", "STATE", "IN", "OUT", "FAILED", "RESTARTS"];
      return context.table(headings, rows, headings.slice(4));
    });
  });
}

function addDescribe(transform: Command, runtime: Runtime): void {
  const command = transform
    .command("describe")
    .description("show a transform: how it fares, why it does not go on, and its definition")
    .argument("<transform>");
  examples(command, [["millrace transform describe inventory", "the newest failure, too"]]);
  action(command, runtime, async (context, [name = ""]) => {
    const found = await context.withClient((client) => describe(client, name));
    context.result(found, () => `${fieldsOf(context, found)}\n${JSON.stringify(found.definition, null, 2)}\n`);
  });
}

async function describe(client: Client, name: string): Promise<TransformDescription> {
  const found = (await client.transforms.list()).find((each) => each.name === name);
  if (found !== undefined) return found;
  throw new CliError(
    "transform_not_found",
    `there is no transform "${name}"`,
    "see millrace transform list",
    EXIT.notFound,
  );
}

function fieldsOf(context: Context, found: TransformDescription): string {
  const { name, state, reason, counters, lastError, workers = [], createdMs, changedMs } = found;
  return context.fields([
    ["transform", name],
    ["state", state],
    ...(reason === null || reason === undefined ? [] : [["because", reason] as const]),
    ...Object.entries(counters ?? {}).map(([key, count]) => [key, groupDigits(count)] as const),
    ...(lastError === null || lastError === undefined ? [] : [["newest failure", lastError] as const]),
    ["processes", workers.map(({ pid, state: its }) => (pid === null ? its : `${pid} (${its})`)).join(", ")],
    ["created", formatTime(createdMs)],
    ["changed", formatTime(changedMs)],
  ]);
}

function addTry(transform: Command, runtime: Runtime): void {
  const command = transform
    .command("try")
    .description("show what the steps make of messages; nothing is stored")
    .argument("[transform]", "one that is there; without it, a definition by --file")
    .option("-f, --file <path>", "a definition as JSON")
    .option("-m, --message <text>", "a message, as often as needed; without it, the lines of standard input", collect)
    .option("-k, --key <key>", "the key of all messages");
  examples(command, [
    ['millrace transform try inventory -m \'<item id="I101" stock="50"/>\'', "a transform that is there"],
    ["millrace transform try --file inventory.json < deliveries.txt", "a definition, before it is put"],
  ]);
  action<TryWords>(command, runtime, async (context, [name], words) => {
    if ((name === undefined) === (words.file === undefined)) {
      throw usageError("a trial is of one transform", "give its name or --file");
    }
    const texts = words.message ?? linesOf(readFileSync(0, "utf8"));
    const messages = texts.map((value) => ({ value, key: words.key ?? null }));
    const what = name ?? definitionOf(words.file);
    const { messages: made, errors } = await context.withClient((client) => client.transforms.try(what, messages));
    const shown = made.map(({ value, key, ...rest }) => ({ ...rest, key: textOf(key), value: textOf(value) }));
    context.result({ messages: shown, errors }, () => {
      const lines = shown.map(({ from, value }) => `${from}: ${value}\n`);
      return [...lines, ...errors.map(({ from, reason }) => `${from}: failed: ${reason}\n`)].join("");
    });
    return errors.length === 0 ? 0 : EXIT.failed;
  });
}

function addDelete(transform: Command, runtime: Runtime): void {
  const command = transform
    .command("delete")
    .alias("rm")
    .description("delete transforms, and where they stood")
    .argument("<transform...>");
  examples(command, [["millrace transform delete inventory", "what it has taken is committed first"]]);
  action(command, runtime, async (context, names) => {
    await context.withClient(async (client) => {
      for (const name of names) await client.transforms.delete(name);
    });
    context.result({ deleted: names }, () => names.map((name) => `deleted ${name}\n`).join(""));
  });
}

function definitionOf(file: string | undefined): TransformDefinition {
  const text = readFileSync(file ?? 0, "utf8");
  try {
    return JSON.parse(text) as TransformDefinition;
  } catch (error) {
    throw usageError(`the definition is no JSON: ${(error as Error).message}`, "see src/schema/transform/README.md");
  }
}

function placeText({ topic, queue, exchange }: TransformPlace): string {
  if (topic !== undefined) return `topic ${topic}`;
  return queue === undefined ? `exchange ${exchange}` : `queue ${queue}`;
}

function linesOf(text: string): string[] {
  return text.split("\n").filter((line) => line !== "");
}

function textOf(content: string | Uint8Array | null): string | null {
  return content instanceof Uint8Array ? decoder.decode(content) : content;
}
