import type { Command } from "commander";
import { action, examples, type Runtime } from "./command.ts";
import { groupDigits, roundBytes } from "./units.ts";

/** `millrace namespace …`. */

const TITLES = ["NAME", "TOPICS", "QUEUES", "EXCHANGES", "SUBJECTS", "STORAGE", "DESCRIPTION"];

export function addNamespaceCommands(program: Command, runtime: Runtime): void {
  const namespace = program.command("namespace").description("declare, list and delete namespaces");
  addCreate(namespace, runtime);
  addList(namespace, runtime);
  addDelete(namespace, runtime);
}

function addCreate(namespace: Command, runtime: Runtime): void {
  const command = namespace
    .command("create")
    .description("declare a namespace; one that is there gets the description")
    .argument("<namespace>")
    .option("--description <text>", "what it is for");
  examples(command, [['millrace namespace create tenant-a --description "shop of tenant A"', "a tenant's own names"]]);
  action<{ description?: string }>(command, runtime, async (context, [name = ""], options) => {
    const created = await context.withClient((client) => client.namespaces.put(name, options));
    context.result({ name, created }, () => `${created ? "created" : "changed"} the namespace ${name}\n`);
  });
}

function addList(namespace: Command, runtime: Runtime): void {
  const command = namespace.command("list").alias("ls").description("list namespaces and what they hold");
  examples(command, [["millrace namespace list", "topics, queues and bytes of each"]]);
  action(command, runtime, async (context) => {
    const namespaces = await context.withClient((client) => client.namespaces.list());
    context.result(namespaces, () => {
      const rows = namespaces.map(({ name, topics, queues, exchanges, subjects, storageBytes, description }) => [
        name,
        groupDigits(topics),
        groupDigits(queues),
        groupDigits(exchanges),
        groupDigits(subjects),
        roundBytes(storageBytes),
        description ?? "",
      ]);
      return context.table(TITLES, rows);
    });
  });
}

function addDelete(namespace: Command, runtime: Runtime): void {
  const command = namespace
    .command("delete")
    .alias("rm")
    .description("take a namespace away")
    .argument("<namespace>")
    .option("--force", "with its topics, exchanges, queues, schedules and transforms");
  examples(command, [["millrace namespace delete tenant-a --force", "with all that is in it"]]);
  action<{ force?: boolean }>(command, runtime, async (context, [name = ""], options) => {
    await context.withClient((client) => client.namespaces.delete(name, options));
    context.result({ name }, () => `deleted the namespace ${name}\n`);
  });
}
