import type { Command } from "commander";
import type { QuotaOwner, QuotaRequest } from "../client/index.ts";
import { action, examples, type Runtime } from "./command.ts";
import { CliError, EXIT, usageError } from "./exit.ts";
import { countOf, durationOf, groupDigits, roundBytes, roundMs, sizeOf } from "./units.ts";

/** `millrace quota …`. */

const TITLES = ["OF", "NAME", "MESSAGES/S", "BYTES/S", "BURST", "CONNECTIONS", "STORAGE", "TOPICS", "QUEUES"];

interface OwnerWords {
  ofNamespace?: string;
  user?: string;
}

interface SetWords extends OwnerWords {
  messages?: string;
  bytes?: string;
  burst?: string;
  connections?: string;
  storage?: string;
  topics?: string;
  queues?: string;
}

export function addQuotaCommands(program: Command, runtime: Runtime): void {
  const quota = program.command("quota").description("limit what a namespace or a user may have");
  addSet(quota, runtime);
  addList(quota, runtime);
  addDelete(quota, runtime);
}

function withOwner(command: Command): Command {
  return command
    .option("--of-namespace <name>", "of all connections in this namespace together")
    .option("--user <name>", "of all connections of this user together");
}

function ownerOf({ ofNamespace, user }: OwnerWords): QuotaOwner {
  if (ofNamespace !== undefined && user === undefined) return { kind: "namespace", name: ofNamespace };
  if (user !== undefined && ofNamespace === undefined) return { kind: "user", name: user };
  throw usageError("whose quota it is must be given by --of-namespace or --user", "give one of the two");
}

function addSet(quota: Command, runtime: Runtime): void {
  const command = withOwner(quota.command("set").description("set a quota, instead of the one there was"))
    .option("--messages <count>", "messages a second")
    .option("--bytes <size>", "bytes of publishes a second, such as 10MiB")
    .option("--burst <duration>", "so much of a pause may be made up for at once; default 1s")
    .option("--connections <count>", "connections at a time")
    .option("--storage <size>", "bytes of logs, such as 10GiB; publishes beyond are refused")
    .option("--topics <count>", "topics")
    .option("--queues <count>", "queues");
  examples(command, [
    ["millrace quota set --of-namespace tenant-a --messages 5000", "5,000 messages a second for all of tenant-a"],
    ["millrace quota set --of-namespace tenant-a --storage 10GiB --topics 100", "ten GiB in at most a hundred topics"],
    ["millrace quota set --user loader --bytes 10MiB --burst 5s", "ten MiB a second, and up to fifty after a pause"],
  ]);
  action<SetWords>(command, runtime, async (context, _, words) => {
    const owner = ownerOf(words);
    const quota = { ...owner, ...limitsOf(words) };
    await context.withClient((client) => client.quotas.put(quota));
    context.result(owner, () => `set the quota of the ${owner.kind} ${owner.name}\n`);
  });
}

function limitsOf(words: SetWords): Omit<QuotaRequest, keyof QuotaOwner> {
  const { messages, bytes, burst, connections, storage, topics, queues } = words;
  return {
    ...(messages === undefined ? {} : { messagesPerSec: countOf("--messages", messages, 1) }),
    ...(bytes === undefined ? {} : { bytesPerSec: sizeOf("--bytes", bytes) }),
    ...(burst === undefined ? {} : { burstMs: durationOf("--burst", burst) }),
    ...(connections === undefined ? {} : { connectionsMax: countOf("--connections", connections, 1) }),
    ...(storage === undefined ? {} : { storageBytesMax: sizeOf("--storage", storage) }),
    ...(topics === undefined ? {} : { topicsMax: countOf("--topics", topics, 0) }),
    ...(queues === undefined ? {} : { queuesMax: countOf("--queues", queues, 0) }),
  };
}

/** `used/limit`, or a dash where there is no limit. */
function shareOf(used: number, limit: number | null, show: (value: number) => string): string {
  return limit === null ? "-" : `${show(used)}/${show(limit)}`;
}

function addList(quota: Command, runtime: Runtime): void {
  const command = quota.command("list").alias("ls").description("list the quotas of the broker");
  examples(command, [["millrace quota list", "whose, and how much"]]);
  action(command, runtime, async (context) => {
    const quotas = await context.withClient((client) => client.quotas.list());
    context.result(quotas, () => {
      const rows = quotas.map(({ kind, name, used, ...limits }) => [
        kind,
        name,
        limits.messagesPerSec === null ? "-" : groupDigits(limits.messagesPerSec),
        limits.bytesPerSec === null ? "-" : roundBytes(limits.bytesPerSec),
        roundMs(limits.burstMs),
        shareOf(used.connections, limits.connectionsMax, groupDigits),
        shareOf(used.storageBytes, limits.storageBytesMax, roundBytes),
        shareOf(used.topics, limits.topicsMax, groupDigits),
        shareOf(used.queues, limits.queuesMax, groupDigits),
      ]);
      return context.table(TITLES, rows);
    });
  });
}

function addDelete(quota: Command, runtime: Runtime): void {
  const command = withOwner(quota.command("delete").alias("rm").description("take a quota away"));
  examples(command, [["millrace quota delete --of-namespace tenant-a", "it may publish as fast as it can"]]);
  action<OwnerWords>(command, runtime, async (context, _, words) => {
    const owner = ownerOf(words);
    const deleted = await context.withClient((client) => client.quotas.delete(owner));
    if (!deleted) {
      const what = `the ${owner.kind} ${owner.name} has no quota`;
      throw new CliError("quota_not_found", what, "see millrace quota list", EXIT.notFound);
    }
    context.result(owner, () => `deleted the quota of the ${owner.kind} ${owner.name}\n`);
  });
}
