import type { Command } from "commander";
import type { Client, GroupDescription, GroupOffset, ResetTarget } from "../client/index.ts";
import { isMillraceError, MillraceError } from "../errors/index.ts";
import { action, examples, type Runtime } from "./command.ts";
import type { Context } from "./context.ts";
import { formatTime, groupDigits, partitionsOf, positionOf, roundMs } from "./units.ts";

/** `millrace group …`: list, describe, reset, delete. */

interface ResetOptions {
  topic?: string;
  to?: string;
  partitions?: string;
  dryRun?: boolean;
}

interface Member {
  member: string;
  instance: string | null;
  client: string;
  connected: boolean;
  partitions: [topic: string, partition: number][];
}

export function addGroupCommands(program: Command, runtime: Runtime): void {
  const group = program.command("group").description("list, describe, reset and delete consumer groups");
  addList(group, runtime);
  addDescribe(group, runtime);
  addReset(group, runtime);
  addDelete(group, runtime);
}

function addList(group: Command, runtime: Runtime): void {
  const command = group.command("list").alias("ls").description("list the groups of the namespace");
  examples(command, [
    ["millrace group list", "name, state and members"],
    ["millrace group list --json", "one JSON array"],
  ]);
  action(command, runtime, async (context) => {
    const groups = await context.withClient((client) => client.groups.list());
    context.result(groups, () => {
      const rows = groups.map((each) => [each.group, String(each["state"]), Number(each["members"])]);
      return context.table(["GROUP", "STATE", "MEMBERS"], rows);
    });
  });
}

function addDescribe(group: Command, runtime: Runtime): void {
  const command = group
    .command("describe")
    .description("show a group's members, committed offsets and lag, in messages and in time")
    .argument("<group>");
  examples(command, [
    ["millrace group describe billing", "one line a partition"],
    ["millrace group describe billing --json | jq .lag", "the lag of all partitions together"],
  ]);
  action(command, runtime, async (context, [name = ""]) => {
    const standing = await context.withClient((client) => standingOf(client, name));
    const { description, rows, lag, lagMs } = standing;
    const offsets = rows.map((row) => ({ ...row, lagSeconds: secondsOf(row.lagMs) }));
    context.result({ ...description, offsets, lag, lagSeconds: secondsOf(lagMs) }, () =>
      describeText(context, standing),
    );
  });
}

function secondsOf(ms: number | null): number | null {
  return ms === null ? null : ms / 1000;
}

/** Where a group stands in one partition; without a commit it has all of it before it. */
interface Row extends Omit<GroupOffset, "offset"> {
  offset: number | null;
  end: number;
}

interface Standing {
  description: GroupDescription;
  rows: Row[];
  /** Messages of all partitions together. */
  lag: number;
  /** The longest of all partitions. */
  lagMs: number | null;
}

async function standingOf(client: Client, name: string): Promise<Standing> {
  const group = client.group(name);
  const description = await group.describe();
  const committed = await group.offsets();
  const rows: Row[] = committed.map((row) => ({ ...row, end: row.offset + row.lag }));
  const members = (description["members"] ?? []) as Member[];
  const topics = new Set(committed.map(({ topic }) => topic));
  for (const { partitions } of members) for (const [topic] of partitions) topics.add(topic);
  for (const topic of topics) rows.push(...(await uncommittedOf(client, topic, committed)));
  rows.sort((a, b) => (a.topic === b.topic ? a.partition - b.partition : a.topic < b.topic ? -1 : 1));
  const known = rows.flatMap((row) => (row.lagMs === null ? [] : [row.lagMs]));
  const lag = rows.reduce((sum, row) => sum + row.lag, 0);
  return { description, rows, lag, lagMs: known.length === 0 ? null : Math.max(...known) };
}

/** The partitions of a topic that the group has never committed; the broker's list has only those with a commit. */
async function uncommittedOf(client: Client, topic: string, committed: readonly GroupOffset[]): Promise<Row[]> {
  const done = new Set(committed.flatMap((row) => (row.topic === topic ? [row.partition] : [])));
  const starts = await client.topics.offsets(topic, "earliest");
  if (starts.every(({ partition }) => done.has(partition))) return [];
  const ends = new Map(
    (await client.topics.offsets(topic, "latest")).map(({ partition, offset }) => [partition, offset]),
  );
  const rows: Row[] = [];
  for (const { partition, offset: start, timestamp } of starts) {
    if (done.has(partition)) continue;
    const end = ends.get(partition) ?? start;
    const lagMs = end > start && timestamp !== null ? Math.max(0, Date.now() - timestamp) : null;
    rows.push({ topic, partition, offset: null, end, metadata: null, lag: end - start, lagMs });
  }
  return rows;
}

function describeText(context: Context, { description, rows: standing, lag, lagMs }: Standing): string {
  const members = (description["members"] ?? []) as Member[];
  const head = context.fields([
    ["group", description.group],
    ["state", String(description["state"])],
    ["generation", Number(description["generation"])],
    ["members", members.length],
    ["lag", `${groupDigits(lag)} messages${lagMs === null ? "" : `, ${roundMs(lagMs)}`}`],
  ]);
  const owners = new Map<string, string>();
  for (const { member, partitions } of members) {
    for (const [topic, partition] of partitions) owners.set(`${topic} ${partition}`, member);
  }
  const rows = standing.map(({ topic, partition, offset, end, lag: behind, lagMs: behindMs, metadata }) => [
    topic,
    partition,
    offset,
    end,
    behind,
    behindMs === null ? null : roundMs(behindMs),
    owners.get(`${topic} ${partition}`),
    metadata,
  ]);
  const committed = context.table(
    ["TOPIC", "PARTITION", "COMMITTED", "END", "LAG", "BEHIND", "MEMBER", "METADATA"],
    rows,
    ["BEHIND"],
  );
  return `${head}${membersText(context, members)}\n${committed}`;
}

function membersText(context: Context, members: readonly Member[]): string {
  if (members.length === 0) return "";
  const rows = members.map(({ member, instance, client, connected, partitions }) => [
    member,
    instance,
    client,
    connected ? "yes" : "no",
    partitions.length,
  ]);
  return `\n${context.table(["MEMBER", "INSTANCE", "CLIENT", "CONNECTED", "PARTITIONS"], rows)}`;
}

function addReset(group: Command, runtime: Runtime): void {
  const command = group
    .command("reset")
    .description("move a group's committed offsets; the group must have no members")
    .argument("<group>")
    .requiredOption("-t, --topic <topic>", "the topic to move in")
    .requiredOption("--to <position>", "earliest, latest, an offset or an ISO time")
    .option("--partitions <list>", "only these, such as 0,2,5-7")
    .option("--dry-run", "show what would change and change nothing");
  examples(command, [
    ["millrace group reset billing --topic orders --to earliest", "read everything again"],
    ["millrace group reset billing --topic orders --to 2026-01-31T12:00Z --dry-run", "look first"],
    ["millrace group reset billing --topic orders --to 1500 --partitions 3", "one partition"],
  ]);
  action<ResetOptions>(command, runtime, resetGroup);
}

/** What a reset does to one partition. */
interface Move {
  partition: number;
  /** The committed offset before; null where there was none. */
  from: number | null;
  to: number;
}

async function resetGroup(context: Context, args: readonly string[], options: ResetOptions): Promise<void> {
  const [group = ""] = args;
  const topic = options.topic ?? "";
  const to = positionOf("--to", options.to ?? "");
  const partitions = options.partitions === undefined ? undefined : partitionsOf("--partitions", options.partitions);
  const isDry = options.dryRun === true;
  const moves = await context.withClient(async (client) => {
    const before = await committedOf(client, group, topic);
    if (isDry) await requireEmpty(client, group);
    const targets = isDry
      ? await targetsOf(client, topic, to, partitions)
      : offsetsOf(await client.group(group).reset(topic, to, partitions === undefined ? {} : { partitions }));
    return targets.map(([partition, offset]): Move => ({ partition, from: before.get(partition) ?? null, to: offset }));
  });
  context.result({ group, topic, dryRun: isDry, partitions: moves }, () => {
    const rows = moves.map(({ partition, from, to: offset }) => [
      partition,
      from,
      offset,
      from === null ? null : offset - from,
    ]);
    const text = context.table(["PARTITION", "COMMITTED", "NEW", "CHANGE"], rows);
    const place = typeof to === "object" && "timestamp" in to ? ` (${formatTime(to.timestamp)})` : "";
    return `${text}${isDry ? "would move" : "moved"} ${group} on ${topic} to ${options.to}${place}${isDry ? "; nothing was changed" : ""}\n`;
  });
}

async function committedOf(client: Client, group: string, topic: string): Promise<Map<number, number>> {
  try {
    const rows = await client.group(group).offsets();
    return new Map(rows.filter((row) => row.topic === topic).map(({ partition, offset }) => [partition, offset]));
  } catch (error) {
    // A reset may be what makes the group.
    if (isMillraceError(error, "group_not_found")) return new Map();
    throw error;
  }
}

/** A dry run fails where the reset would. Errors: group_not_empty. */
async function requireEmpty(client: Client, group: string): Promise<void> {
  const groups = await client.groups.list();
  const members = Number(groups.find((each) => each.group === group)?.["members"] ?? 0);
  if (members > 0) throw new MillraceError("group_not_empty", undefined, { details: { group, members } });
}

type Target = [partition: number, offset: number];

/** Where the broker would move to. Errors: offset_out_of_range, as the reset itself. */
async function targetsOf(
  client: Client,
  topic: string,
  to: ResetTarget,
  partitions: number[] | undefined,
): Promise<Target[]> {
  const only = partitions === undefined ? {} : { partitions };
  if (typeof to === "string" || "timestamp" in to) {
    const found = await client.topics.offsets(topic, to, only);
    return found.map(({ partition, offset }) => [partition, offset]);
  }
  const starts = await client.topics.offsets(topic, "earliest", only);
  const ends = await client.topics.offsets(topic, "latest", only);
  const endOf = new Map(ends.map(({ partition, offset }) => [partition, offset]));
  for (const { partition, offset: start } of starts) {
    const end = endOf.get(partition) ?? start;
    if (to.offset >= start && to.offset <= end) continue;
    const message = `${topic}/${partition} holds offsets ${start} to ${end}, not ${to.offset}`;
    throw new MillraceError("offset_out_of_range", message);
  }
  return starts.map(({ partition }) => [partition, to.offset]);
}

/** The moved offsets of the broker's answer. */
function offsetsOf(answer: unknown): Target[] {
  const { offsets } = answer as { offsets: [topic: string, partition: number, offset: number][] };
  return offsets.map(([, partition, offset]) => [partition, offset]);
}

function addDelete(group: Command, runtime: Runtime): void {
  const command = group
    .command("delete")
    .alias("rm")
    .description("delete groups with their committed offsets; they must have no members")
    .argument("<group...>");
  examples(command, [["millrace group delete billing", "its next member begins anew"]]);
  action(command, runtime, async (context, names) => {
    await context.withClient(async (client) => {
      for (const name of names) await client.group(name).delete();
    });
    context.result({ deleted: names }, () => names.map((name) => `deleted ${name}\n`).join(""));
  });
}
