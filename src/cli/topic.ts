import type { Command } from "commander";
import type { CreateTopicOptions, TopicConfig, TopicDescription } from "../client/index.ts";
import { nearestName } from "../stdx/index.ts";
import { action, collect, examples, type Runtime } from "./command.ts";
import type { Context } from "./context.ts";
import { usageError } from "./exit.ts";
import { countOf, durationOf, formatSetting, formatTime, groupDigits, roundBytes, sizeOf } from "./units.ts";

/** `millrace topic …`: create, list, describe, alter, delete. */

interface SettingOptions {
  config?: string[];
  retention?: string;
  retentionBytes?: string;
  compact?: boolean;
  durability?: string;
  schemaEnforce?: string;
  schemaStrategy?: string;
}

interface CreateOptions extends SettingOptions {
  partitions?: string;
  ifNotExists?: boolean;
  storage?: string;
}

interface AlterOptions extends SettingOptions {
  partitions?: string;
  unset?: string[];
}

type Kind = "bytes" | "ms" | "boolean" | "text";

/** How the value of each topic setting is written; the broker checks its range. */
const SETTINGS: Readonly<Record<keyof TopicConfig, Kind>> = {
  retentionMs: "ms",
  retentionBytes: "bytes",
  compact: "boolean",
  tombstoneRetentionMs: "ms",
  segmentBytes: "bytes",
  segmentMs: "ms",
  durability: "text",
  messageBytesMax: "bytes",
  storage: "text",
  memoryBytesMax: "bytes",
  timestampType: "text",
  deliveryPriority: "text",
  schemaEnforce: "text",
  schemaStrategy: "text",
};

function settingName(name: string): keyof TopicConfig {
  if (Object.hasOwn(SETTINGS, name)) return name as keyof TopicConfig;
  const near = nearestName(name, Object.keys(SETTINGS));
  const action = near === undefined ? `use ${Object.keys(SETTINGS).join(", ")}` : `did you mean ${near}?`;
  throw usageError(`"${name}" is no topic setting`, action);
}

function settingValue(name: keyof TopicConfig, text: string): number | boolean | string {
  const kind = SETTINGS[name];
  if (kind === "bytes") return sizeOf(name, text);
  if (kind === "ms") return durationOf(name, text);
  if (kind === "text") return text;
  if (text !== "true" && text !== "false")
    throw usageError(`${name}: "${text}" is neither true nor false`, "write true or false");
  return text === "true";
}

/** The settings of `--config key=value` and of the options that stand for the usual ones. */
export function topicConfigOf(options: SettingOptions & { storage?: string }): TopicConfig {
  const config: Record<string, number | boolean | string> = {};
  for (const pair of options.config ?? []) {
    const split = pair.indexOf("=");
    if (split < 1) throw usageError(`--config: "${pair}" is no key=value`, "write it as retentionMs=7d");
    const name = settingName(pair.slice(0, split));
    config[name] = settingValue(name, pair.slice(split + 1));
  }
  if (options.retention !== undefined) config["retentionMs"] = durationOf("--retention", options.retention);
  if (options.retentionBytes !== undefined)
    config["retentionBytes"] = sizeOf("--retention-bytes", options.retentionBytes);
  if (options.compact !== undefined) config["compact"] = options.compact;
  if (options.durability !== undefined) config["durability"] = options.durability;
  if (options.storage !== undefined) config["storage"] = options.storage;
  if (options.schemaEnforce !== undefined) config["schemaEnforce"] = options.schemaEnforce;
  if (options.schemaStrategy !== undefined) config["schemaStrategy"] = options.schemaStrategy;
  return config as TopicConfig;
}

export function addTopicCommands(program: Command, runtime: Runtime): void {
  const topic = program.command("topic").description("create, list, describe, alter and delete topics");
  addCreate(topic, runtime);
  addList(topic, runtime);
  addDescribe(topic, runtime);
  addAlter(topic, runtime);
  addDelete(topic, runtime);
}

function settingOptions(command: Command): Command {
  return command
    .option("-c, --config <key=value>", `a setting, as often as needed: ${Object.keys(SETTINGS).join(", ")}`, collect)
    .option("--retention <duration>", "delete records older than this (retentionMs); -1 keeps them")
    .option("--retention-bytes <size>", "delete the oldest records of a partition past this; -1 keeps them")
    .option("--compact", "keep only the last record of each key")
    .option("--durability <level>", "when records become visible: memory, written or synced")
    .option("--schema-enforce <mode>", "what records must have: none, id (of a schema) or full (a body that decodes)")
    .option("--schema-strategy <strategy>", "whose schemas: topic (TOPIC-value), record or topic_record");
}

function addCreate(topic: Command, runtime: Runtime): void {
  const command = settingOptions(
    topic
      .command("create")
      .description("create a topic")
      .argument("<topic>", "its name, such as orders or stock/AAPL")
      .option("-p, --partitions <count>", "how many partitions it has", "1")
      .option("--if-not-exists", "succeed when it exists already"),
  ).option("--storage <class>", "log (on disk) or memory");
  examples(command, [
    ["millrace topic create flights --partitions 8", "eight partitions, the broker's defaults"],
    ["millrace topic create users --compact", "keep the last record of each key"],
    ["millrace topic create audit --durability synced --retention 30d", "survive power loss, keep a month"],
    ["millrace topic create orders -c segmentBytes=16MiB", "any setting by its name"],
  ]);
  action<CreateOptions>(command, runtime, createTopic);
}

async function createTopic(context: Context, args: readonly string[], options: CreateOptions): Promise<void> {
  const [name = ""] = args;
  const partitions = countOf("--partitions", options.partitions ?? "1", 1);
  const create: CreateTopicOptions = {
    ...topicConfigOf(options),
    partitions,
    ifNotExists: options.ifNotExists === true,
  };
  const created = await context.withClient((client) => client.topics.create(name, create));
  context.result({ ...created, topic: name, partitions: created.partitions ?? partitions }, () => {
    const count = created.partitions ?? partitions;
    return `created ${name} with ${count} partition${count === 1 ? "" : "s"}\n`;
  });
}

function addList(topic: Command, runtime: Runtime): void {
  const command = topic
    .command("list")
    .alias("ls")
    .description("list the topics of the namespace")
    .argument("[pattern]", "only these: * is one word, # any number, words are split at . and /");
  examples(command, [
    ["millrace topic list", "all topics"],
    ["millrace topic list 'orders.#'", "orders and everything below it"],
    ["millrace topic list --json", "one JSON array"],
  ]);
  action(command, runtime, async (context, [pattern]) => {
    const topics = await context.withClient((client) => client.topics.list(pattern === undefined ? {} : { pattern }));
    topics.sort((a, b) => (a.name < b.name ? -1 : 1));
    context.result(topics, () =>
      context.table(
        ["TOPIC", "PARTITIONS"],
        topics.map((each) => [each.name, each.partitions]),
      ),
    );
  });
}

/** One partition as the broker describes it. */
interface PartitionRow {
  partition: number;
  startOffset: number;
  nextOffset: number;
  highWatermark: number;
  bytes: number;
  segments: number;
  lastTimestamp: number;
}

function addDescribe(topic: Command, runtime: Runtime): void {
  const command = topic
    .command("describe")
    .description("show a topic's settings and the state of its partitions")
    .argument("<topic>");
  examples(command, [
    ["millrace topic describe flights", "settings, then one line a partition"],
    ["millrace topic describe flights --json", "the same for programs"],
  ]);
  action(command, runtime, async (context, [name = ""]) => {
    const topic = await context.withClient((client) => client.topics.describe(name));
    context.result(topic, () => describeText(context, topic));
  });
}

function describeText(context: Context, topic: TopicDescription): string {
  const partitions = (topic["offsets"] ?? []) as PartitionRow[];
  const records = partitions.reduce((sum, row) => sum + row.highWatermark - row.startOffset, 0);
  const bytes = partitions.reduce((sum, row) => sum + row.bytes, 0);
  const settings = Object.entries(topic.config).map(([name, value]) => [name, formatSetting(name, value)] as const);
  const head = context.fields([
    ["topic", topic.name],
    ["partitions", topic.partitions],
    ["records", groupDigits(records)],
    ["size", roundBytes(bytes)],
    ["created", formatTime(topic["createdMs"] as number | undefined)],
    ...settings,
  ]);
  const headings = ["PARTITION", "START", "END", "RECORDS", "SIZE", "SEGMENTS", "LAST RECORD"];
  const rows = partitions.map((row) => [
    row.partition,
    row.startOffset,
    row.highWatermark,
    row.highWatermark - row.startOffset,
    roundBytes(row.bytes),
    row.segments,
    row.highWatermark > row.startOffset ? formatTime(row.lastTimestamp) : null,
  ]);
  return `${head}\n${context.table(headings, rows, ["SIZE"])}`;
}

function addAlter(topic: Command, runtime: Runtime): void {
  const command = settingOptions(
    topic
      .command("alter")
      .description("change settings, or add partitions")
      .argument("<topic>")
      .option("-p, --partitions <count>", "the new count, which cannot be lower; keys move to other partitions"),
  )
    .option("--no-compact", "keep all records again")
    .option("-u, --unset <key>", "go back to the broker's default, as often as needed", collect);
  examples(command, [
    ["millrace topic alter flights --partitions 16", "grow from 8 to 16"],
    ["millrace topic alter flights --retention 1d", "keep a day"],
    ["millrace topic alter flights --unset retentionMs", "back to the broker's default"],
  ]);
  action<AlterOptions>(command, runtime, alterTopic);
}

async function alterTopic(context: Context, args: readonly string[], options: AlterOptions): Promise<void> {
  const [name = ""] = args;
  const unset = (options.unset ?? []).map((key) => [settingName(key), null] as const);
  // The broker takes null for "your default", which the client's types leave out.
  const config = { ...topicConfigOf(options), ...Object.fromEntries(unset) } as TopicConfig;
  const { partitions } = options;
  const growth = partitions === undefined ? {} : { partitions: countOf("--partitions", partitions, 1) };
  if (Object.keys(config).length === 0 && partitions === undefined) {
    throw usageError("nothing to change", "give --partitions, --config key=value or --unset key");
  }
  const altered = await context.withClient((client) => client.topics.alter(name, { ...config, ...growth }));
  context.result({ ...altered, topic: name }, () => `altered ${name}\n`);
}

function addDelete(topic: Command, runtime: Runtime): void {
  const command = topic
    .command("delete")
    .alias("rm")
    .description("delete topics with all their records; there is no undo")
    .argument("<topic...>");
  examples(command, [
    ["millrace topic delete flights", "one"],
    ["millrace topic delete orders.eu orders.us", "several"],
  ]);
  action(command, runtime, async (context, names) => {
    await context.withClient(async (client) => {
      for (const name of names) await client.topics.delete(name);
    });
    context.result({ deleted: names }, () => names.map((name) => `deleted ${name}\n`).join(""));
  });
}
