import type { Command } from "commander";
import { action, examples, type Runtime } from "./command.ts";
import { CliError, EXIT } from "./exit.ts";
import { formatTime } from "./units.ts";

/** `millrace connection list|close`. */

interface ListOptions {
  of?: string;
  principal?: string;
}

interface CloseOptions {
  reason?: string;
}

export function addConnectionCommands(program: Command, runtime: Runtime): void {
  const connection = program.command("connection").description("who is connected to the broker");
  addList(connection, runtime);
  addClose(connection, runtime);
}

function addList(connection: Command, runtime: Runtime): void {
  const command = connection
    .command("list")
    .alias("ls")
    .description("list the connections of the broker, over all of its threads")
    .option("--of <namespace>", "only those of this namespace")
    .option("--principal <name>", "only those of this user");
  examples(command, [
    ["millrace connection list", "id, client, principal, namespace, address and age of each"],
    ["millrace connection list --principal sam", "those of one user"],
  ]);
  action<ListOptions>(command, runtime, async (context, _, { of: namespace, principal }) => {
    const filter = { ...(namespace !== undefined && { namespace }), ...(principal !== undefined && { principal }) };
    const found = await context.withClient((client) => client.connections.list(filter));
    context.result(found, () => {
      const rows = found.map((each) => [
        each.id,
        each.client,
        each.principal,
        each.namespace,
        `${each.remote} ${each.transport}`,
        formatTime(each.openedMs),
        each.publishers,
        each.subscriptions,
      ]);
      const headings = ["ID", "CLIENT", "PRINCIPAL", "NAMESPACE", "REMOTE", "OPENED", "PUBLISHERS", "SUBSCRIPTIONS"];
      return context.table(headings, rows);
    });
  });
}

function addClose(connection: Command, runtime: Runtime): void {
  const command = connection
    .command("close")
    .description("close a connection; its client is told the reason")
    .argument("<id>", "as `connection list` shows it")
    .option("--reason <text>", "at most 200 characters");
  examples(command, [
    ["millrace connection close 1.0.7", "one of them"],
    ["millrace connection close 1.0.7 --reason 'maintenance at noon'", "with a word for its client"],
  ]);
  action<CloseOptions>(command, runtime, async (context, [id = ""], { reason }) => {
    const isClosed = await context.withClient((client) => client.connections.close(id, reason));
    if (!isClosed) {
      const action = "see millrace connection list";
      throw new CliError("connection_not_found", `there is no connection "${id}"`, action, EXIT.notFound);
    }
    context.result({ closed: id }, () => `closed ${id}\n`);
  });
}
