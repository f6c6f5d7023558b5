import { chmod, readFile, writeFile } from "node:fs/promises";
import type { Command } from "commander";
import type { DefinitionsImport } from "../client/index.ts";
import { action, examples, type Runtime } from "./command.ts";
import type { Context } from "./context.ts";
import { groupDigits } from "./units.ts";

/** `millrace definitions export|import`. */

const OWNER_ONLY = 0o600;

export function addDefinitionsCommands(program: Command, runtime: Runtime): void {
  const definitions = program
    .command("definitions")
    .description(
      "all definitions of the broker as one file: topics, exchanges, queues, users, rules, schemas and more",
    );
  addExport(definitions, runtime);
  addImport(definitions, runtime);
}

function addExport(definitions: Command, runtime: Runtime): void {
  const command = definitions
    .command("export")
    .description("write all definitions as JSON; hashes of passwords are in it, messages are not")
    .argument("[file]", "without it standard output");
  examples(command, [
    ["millrace definitions export definitions.json", "readable by its owner alone"],
    ["millrace definitions export | jq .queues", "to look at"],
  ]);
  action(command, runtime, async (context, [file]) => {
    const found = await context.withClient((client) => client.definitions.export());
    if (file === undefined) {
      context.out.write(`${JSON.stringify(found, null, context.isJson ? 0 : 2)}\n`);
      return;
    }
    await writeFile(file, `${JSON.stringify(found, null, 2)}\n`, { mode: OWNER_ONLY });
    // The mode above is for a file that is new.
    await chmod(file, OWNER_ONLY);
    const lists = Object.entries(found).flatMap(([name, list]) => (Array.isArray(list) ? [[name, list.length]] : []));
    context.result({ file, counts: Object.fromEntries(lists) as unknown }, () => `wrote ${file}\n`);
  });
}

function addImport(definitions: Command, runtime: Runtime): void {
  const command = definitions
    .command("import")
    .description("make what a file of definitions holds and is not there yet: all of it or nothing")
    .argument("<file>", "of ours, or of rabbitmqctl export_definitions; - is standard input")
    .option("--dry-run", "check everything, and change nothing");
  examples(command, [
    ["millrace definitions import definitions.json --dry-run", "what would be made"],
    ["millrace definitions import rabbitmq.json", "virtual hosts become namespaces"],
  ]);
  action<{ dryRun?: boolean }>(command, runtime, async (context, [file = ""], { dryRun = false }) => {
    const text = file === "-" ? await Bun.stdin.text() : await readFile(file, "utf8");
    const result = await context.withClient((client) => client.definitions.import(text, { dryRun }));
    if (!context.isJson) for (const { line, text: note } of result.notes) context.warn(`line ${line}: ${note}`);
    context.result(result, () => report(context, result));
  });
}

function report(context: Context, { dryRun, counts }: DefinitionsImport): string {
  const rows = Object.entries(counts).map(([list, { created, unchanged }]) => [
    list,
    groupDigits(created),
    groupDigits(unchanged),
  ]);
  const made = dryRun ? "WOULD BE MADE" : "MADE";
  const table = context.table(["DEFINITIONS", made, "THERE BEFORE"], rows, [made, "THERE BEFORE"]);
  return dryRun ? `${table}nothing was changed\n` : table;
}
