import type { Command } from "commander";
import { action, examples, type Runtime } from "./command.ts";
import { groupDigits, roundBytes, roundMs } from "./units.ts";

/** `millrace transaction list`. */

export function addTransactionCommands(program: Command, runtime: Runtime): void {
  const transaction = program.command("transaction").description("look at open transactions");
  const command = transaction
    .command("list")
    .alias("ls")
    .description("list the transactions of the namespace that are open, oldest first");
  examples(command, [
    ["millrace transaction list", "name, id, age, size and parts of each"],
    ["millrace transaction list --json", "one JSON array"],
  ]);
  action(command, runtime, async (context) => {
    const open = await context.withClient((client) => client.transactions.list());
    context.result(open, () => {
      const rows = open.map(({ txn, id, ageMs, timeoutMs, bytes, parts }) => {
        const age = `${roundMs(ageMs)} of ${roundMs(timeoutMs)}`;
        return [txn, id, age, roundBytes(bytes), groupDigits(parts)];
      });
      return context.table(["TRANSACTION", "ID", "AGE", "SIZE", "PARTS"], rows);
    });
  });
}
