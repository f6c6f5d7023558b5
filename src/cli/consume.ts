import type { Command } from "commander";
import type { Client, Consumer, ConsumerOptions, GroupConsumer, Message } from "../client/index.ts";
import { action, examples, type Runtime } from "./command.ts";
import { type Context, onInterrupt } from "./context.ts";
import { usageError } from "./exit.ts";
import { GroupEnd } from "./group-end.ts";
import type { Output } from "./output.ts";
import { RecordLines } from "./record-line.ts";
import { type SchemaValue, SchemaView } from "./schema-view.ts";
import { countOf, partitionsOf, positionOf } from "./units.ts";

/** `millrace consume TOPIC`: writes records as lines of JSON, alone or as a member of a group. */

interface ConsumeOptions {
  from?: string;
  until?: string;
  follow?: boolean;
  max?: string;
  group?: string;
  instance?: string;
  partitions?: string;
  output?: string;
  raw?: boolean;
  filter?: string;
  readerSchema?: string;
}

interface Reading {
  topic: string;
  from: ConsumerOptions["from"];
  isFollowing: boolean;
  max: number | undefined;
  group: string | undefined;
  instance: string | undefined;
  partitions: number[] | undefined;
  /** Returns true when enough has gathered to be written out. */
  write: (out: Output, message: Message, shown: SchemaValue | null) => boolean;
  /** Whether values that were written with a schema are shown as it says. */
  isDecoded: boolean;
  /** What the broker is to do with records before it sends them. */
  view: { filter?: string; readerSchema?: number | "latest" };
}

/** Messages that are rendered between two looks at the output. */
const POLL_RECORDS = 1000;

export function addConsumeCommand(program: Command, runtime: Runtime): void {
  const command = program
    .command("consume")
    .description("write records as lines of JSON: topic, partition, offset, timestamp, key, value, headers")
    .argument("<topic>")
    .option(
      "--from <position>",
      "earliest, latest, an offset or an ISO time; in a group, for partitions without a commit",
      "earliest",
    )
    .option("--follow", "go on with what is published from now on, until Ctrl-C")
    .option("--until <end>", "end: stop at the end as it is now, which is the default without --follow")
    .option("-n, --max <count>", "stop after this many records")
    .option("-g, --group <group>", "read as a member of this group, and commit")
    .option("--instance <name>", "the member's fixed name in its group, which keeps its partitions through a restart")
    .option("--partitions <list>", "only these, such as 0,2,5-7")
    .option("-o, --output <form>", "json, or value: the bare values, one a line", "json")
    .option("--filter <rule>", "only records that a rule takes, such as 'price > 190 and symbol == \"AAPL\"'")
    .option("--reader-schema <version>", "Avro records in this version of the topic's schema; latest is the newest")
    .option("--raw", "values that were written with a schema as the bytes they are, not as JSON");
  examples(command, [
    ["millrace consume flights --max 3", "the first three records"],
    ["millrace consume flights --from 2026-01-31T12:00Z --follow", "from a time on, for ever"],
    ["millrace consume orders --group billing --follow", "share the partitions with other members"],
    ["millrace consume orders --group billing", "what the group has not seen yet, then stop"],
    ["millrace consume flights --partitions 0 --from 1500 | jq .value", "one partition from an offset"],
  ]);
  action<ConsumeOptions>(command, runtime, async (context, [topic = ""], options) => {
    const reading = readingOf(topic, options);
    await context.withClient((client) => consume(context, client, reading));
  });
}

function readingOf(topic: string, options: ConsumeOptions): Reading {
  const { until, follow, max, group, instance, partitions, output = "json" } = options;
  if (until !== undefined && until !== "end") throw usageError(`--until: "${until}" is unknown`, "use --until end");
  if (until !== undefined && follow === true)
    throw usageError("--until and --follow exclude each other", "leave one out");
  if (group === undefined && instance !== undefined)
    throw usageError("--instance names a group's member", "add --group");
  if (group !== undefined && partitions !== undefined) {
    throw usageError("a group assigns partitions itself", "leave --partitions or --group out");
  }
  if (output !== "json" && output !== "value")
    throw usageError(`--output: "${output}" is unknown`, "use json or value");
  const lines = new RecordLines();
  return {
    topic,
    from: positionOf("--from", options.from ?? "earliest"),
    isFollowing: follow === true,
    max: max === undefined ? undefined : countOf("--max", max, 1),
    group,
    instance,
    partitions: partitions === undefined ? undefined : partitionsOf("--partitions", partitions),
    write: output === "json" ? (out, message, shown) => out.write(lines.of(message, shown)) : writeValue,
    isDecoded: output === "json" && options.raw !== true,
    view: {
      ...(options.filter === undefined ? {} : { filter: options.filter }),
      ...(options.readerSchema === undefined ? {} : { readerSchema: readerSchemaOf(options.readerSchema) }),
    },
  };
}

function readerSchemaOf(text: string): number | "latest" {
  return text === "latest" ? text : countOf("--reader-schema", text, 1);
}

/** The value as it was published, and a line end. */
function writeValue(out: Output, message: Message): boolean {
  const text = message.text() ?? "";
  if (!text.includes("\ufffd")) return out.write(`${text}\n`);
  out.writeBytes(message.value ?? new Uint8Array(0));
  return out.write("\n");
}

async function consume(context: Context, client: Client, reading: Reading): Promise<void> {
  const { group, topic } = reading;
  // A group may subscribe to topics that are yet to come; at a shell that is more often a slip.
  if (group !== undefined) await client.topics.describe(topic);
  const end = group === undefined || reading.isFollowing ? null : await GroupEnd.open(client, group, topic);
  const common = {
    ...reading.view,
    maxPollRecords: POLL_RECORDS,
    ...(reading.max === undefined ? {} : { maxRecords: reading.max }),
  };
  const from = reading.from ?? "earliest";
  if (group === undefined) {
    const { partitions, isFollowing } = reading;
    const bounds: ConsumerOptions = isFollowing ? {} : { until: "end" };
    const some = partitions === undefined ? {} : { partitions };
    const consumer = client.consume(topic, { ...common, ...bounds, ...some, from });
    await read(context, consumer, reading, viewOf(client, reading), null);
    return;
  }
  const { instance } = reading;
  const failures = (error: Error): void => context.warn(error.message);
  const named = instance === undefined ? {} : { instance };
  const onAssigned: NonNullable<GroupConsumer["onAssigned"]> = (added) => end?.assigned(added);
  const member = client.group(group).consume(topic, { ...common, ...named, from, onAssigned, onError: failures });
  await read(context, member, reading, viewOf(client, reading), end);
}

function viewOf(client: Client, { isDecoded }: Reading): SchemaView | null {
  return isDecoded ? new SchemaView(client.schemas) : null;
}

/** Reads until the end, the maximum, an interruption or a closed pipe; what is written out is committed. */
async function read(
  context: Context,
  consumer: Consumer | GroupConsumer,
  reading: Reading,
  view: SchemaView | null,
  end: GroupEnd | null,
): Promise<void> {
  const { out } = context;
  const { write } = reading;
  let isStopping = false;
  let isBusy = false;
  // A reader that waits is ended at once; one at work finishes its batch, so that the commit tells the truth.
  const stop = (): void => {
    isStopping = true;
    if (!isBusy) void consumer.close();
  };
  const release = onInterrupt(stop);
  const progress = out.isTerminal ? null : context.progress(`consuming ${reading.topic}`);
  const tally = { records: 0, bytes: 0 };
  end?.watch(stop);
  try {
    for await (const messages of consumer.batches()) {
      isBusy = true;
      for (const message of messages) {
        tally.bytes += message.keyBytes + message.valueBytes;
        const shown = view?.of(message) ?? null;
        if (write(out, message, shown instanceof Promise ? await shown : shown)) await out.flush();
        if (out.isBroken) break;
      }
      await out.flush();
      if (out.isBroken) break;
      tally.records += messages.length;
      progress?.update({ ...tally, total: null, done: 0 });
      end?.seen(messages);
      if (!isStopping && end?.isReached !== true) {
        isBusy = false;
        continue;
      }
      if ("commit" in consumer) await consumer.commit();
      break;
    }
  } finally {
    end?.close();
    release();
    progress?.end();
    await consumer.close();
  }
}
