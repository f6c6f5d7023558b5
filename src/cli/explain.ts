import type { Command } from "commander";
import type { Explained, ExplainedConnection, ExplainedLoad, ExplainRequest } from "../client/index.ts";
import { action, examples, type Runtime } from "./command.ts";
import type { Context } from "./context.ts";
import { usageError } from "./exit.ts";
import { countOf, groupDigits } from "./units.ts";

/** `millrace explain …`. */

interface Words {
  queue?: string;
  partition?: string;
}

export function addExplainCommand(program: Command, runtime: Runtime): void {
  const command = program
    .command("explain")
    .description("tell where a message came in, where it lies, whom it was delivered to, and its acks")
    .argument("<topic|number>", "a topic, or with --queue the number of a message")
    .argument("[offset]", "offset in the topic; without it the topic's load is shown")
    .option("--partition <number>", "of the topic; default 0")
    .option("--queue <queue>", "explain a message of this queue");
  examples(command, [
    ["millrace explain flights 1200 --partition 3", "a record of a topic"],
    ["millrace explain flights", "how its messages spread over partitions and keys"],
    ["millrace explain --queue orders 5381", "a message of a queue; peek and consumers show its number"],
  ]);
  action<Words>(command, runtime, async (context, [first = "", second], words) => {
    if (words.queue === undefined && second === undefined) {
      const load = await context.withClient((client) => client.explainLoad(first));
      context.result(load, () => loadText(context, load));
      return;
    }
    const request = requestOf(first, second, words);
    const explained = await context.withClient((client) => client.explain(request));
    context.result(jsonOf(explained), () => textOf(context, explained));
  });
}

function requestOf(first: string, second: string | undefined, { queue, partition }: Words): ExplainRequest {
  if (queue !== undefined) {
    if (second !== undefined || partition !== undefined) {
      throw usageError("a message of a queue has no partition and no offset", "give its number alone");
    }
    return { queue, number: countOf("the number", first, 0) };
  }
  const index = partition === undefined ? {} : { partition: countOf("--partition", partition, 0) };
  return { topic: first, ...index, offset: countOf("the offset", second ?? "", 0) };
}

function loadText(context: Context, { partitions, hotKeys }: ExplainedLoad): string {
  const all = partitions.reduce((sum, { messages }) => sum + messages, 0);
  const share = (part: number): string => (all === 0 ? "-" : `${((100 * part) / all).toFixed(1)} %`);
  const rows = partitions.map(({ partition, messages }) => [partition, groupDigits(messages), share(messages)]);
  const keys = hotKeys.map(({ key, share: part }) => [key, `${(100 * part).toFixed(1)} %`]);
  const right = ["MESSAGES", "SHARE"];
  const table = context.table(["PARTITION", "MESSAGES", "SHARE"], rows, right);
  return keys.length === 0 ? table : `${table}\n${context.table(["KEY", "SHARE"], keys, right)}`;
}

/** Bytes as text where they are text, as people read them. */
function jsonOf(explained: Explained): unknown {
  const { key, headers } = explained.message;
  const message = {
    ...explained.message,
    key: key instanceof Uint8Array ? shown(key) : key,
    headers: shownAll(headers),
  };
  return { ...explained, message };
}

function shownAll(headers: Record<string, unknown> | undefined): Record<string, unknown> {
  return Object.fromEntries(Object.entries(headers ?? {}).map(([name, value]) => [name, shownValue(value)]));
}

function shownValue(value: unknown): unknown {
  return value instanceof Uint8Array ? shown(value) : value;
}

function shown(bytes: Uint8Array): string {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    return Buffer.from(bytes).toString("base64");
  }
}

function time(ms: number): string {
  // To the microsecond, where the broker's clock tells it.
  const micros = Math.round((ms % 1) * 1000)
    .toString()
    .padStart(3, "0");
  return new Date(ms).toISOString().replace("Z", `${ms % 1 === 0 ? "" : micros}Z`);
}

function who({ connection, client, principal, remote, worker }: ExplainedConnection): string {
  if (connection === undefined) return `a connection that is not remembered (worker ${worker})`;
  const name = client === undefined || client === "" ? "a client" : client;
  const user = principal === undefined || principal === "" ? "" : ` as ${principal}`;
  return `${name}${user}, connection ${connection} from ${remote ?? "somewhere"} (worker ${worker})`;
}

function textOf(context: Context, explained: Explained): string {
  const { stored, arrived, routing, deliveries, acks, state } = explained;
  const lines: [string, string][] = [
    ["message", messageLine(explained)],
    ["stored", storedLine(stored)],
    ["on disk", `segment ${stored.segmentOffset}, byte ${stored.position}${stored.isSynced ? ", synced" : ""}`],
    ["came in", arrived === undefined ? unknownSince(explained) : `${time(arrived.receivedMs)} by ${who(arrived)}`],
  ];
  if (arrived !== undefined) lines.push(["appended", time(arrived.appendedMs)]);
  if (routing !== undefined) {
    const names = routing.destinations.map(({ type, name }) => `${type} ${name === "" ? "(deleted)" : name}`);
    const exchange = routing.exchange === "" ? "the default exchange" : `exchange ${routing.exchange ?? "(unknown)"}`;
    lines.push(["routed by", `${exchange}, key ${JSON.stringify(routing.key)}`]);
    lines.push(["routed to", names.length === 0 ? "nobody" : names.join(", ")]);
  }
  if (state !== undefined) lines.push(["state", state.replace("_", " ")]);
  for (const delivery of deliveries) {
    const again = (delivery.redeliveries ?? 0) > 0 ? ` (delivery ${(delivery.redeliveries ?? 0) + 1})` : "";
    const group = delivery.group === undefined ? "" : ` of group ${delivery.group}`;
    lines.push(["delivered", `${time(delivery.atMs)} to ${who(delivery)}${group}${again}`]);
  }
  for (const ack of acks) lines.push(ackLine(ack));
  return context.fields(lines);
}

function messageLine({ message }: Explained): string {
  if (message.isGone === true) return "compaction has taken it";
  const key = message.key instanceof Uint8Array ? `key ${JSON.stringify(shown(message.key))}` : "no key";
  const headers = Object.entries(shownAll(message.headers)).map(([name, value]) => `${name}=${String(value)}`);
  return [`${message.bytes ?? 0} bytes`, key, `timestamp ${time(message.timestampMs ?? 0)}`, ...headers].join(", ");
}

function storedLine({
  log,
  topic,
  partition,
  offset,
  batchOffset,
  batchRecords,
  batchBytes,
  compression,
}: Explained["stored"]): string {
  const place =
    log === "topic" ? `topic ${topic ?? ""}, partition ${partition}, offset ${offset}` : `journal, number ${offset}`;
  return `${place}; batch ${batchOffset} of ${batchRecords} in ${batchBytes} bytes, compression ${compression}`;
}

function unknownSince({ remembersSinceMs }: Explained): string {
  return `not remembered; the broker remembers since ${time(remembersSinceMs)}`;
}

function ackLine(ack: Explained["acks"][number]): [string, string] {
  if (ack.group !== undefined && ack.committedOffset !== undefined) {
    return ["group", `${ack.group}: ${ack.outcome} (stands at ${ack.committedOffset})`];
  }
  const by = ack.worker === undefined ? "by the broker" : `by ${who({ ...ack, worker: ack.worker })}`;
  return [ack.outcome, `${time(ack.atMs ?? 0)} ${by}`];
}
