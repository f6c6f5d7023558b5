import type { Busiest, Overview } from "../client/index.ts";
import type { Context } from "./context.ts";
import type { Cell } from "./table.ts";
import { groupDigits, roundBytes, roundMs } from "./units.ts";

/** What `millrace top` shows of one look. */

type Tables = Pick<Context, "table">;

/** @param tables makes tables, with colours or without. */
export function screenOf(overview: Overview, tables: Tables): string {
  const { busiest } = overview;
  const parts = [headOf(overview), workersOf(overview, tables), stagesOf(overview, tables)];
  if (busiest !== undefined)
    parts.push(topicsOf(busiest, tables), queuesOf(busiest, tables), groupsOf(busiest, tables));
  return parts.filter((part) => part !== "").join("\n");
}

function headOf(overview: Overview): string {
  const { version, startedMs, nowMs, threads, counts, rates, queues, storage, residentBytes } = overview;
  const { diskFreeBytes, diskBytes, failedPartitions } = storage;
  const disk =
    diskFreeBytes === undefined || diskBytes === undefined
      ? "in memory"
      : `disk ${roundBytes(diskFreeBytes)} free of ${roundBytes(diskBytes)}`;
  const lines = [
    `millrace ${version}  up ${roundMs(Math.max(0, nowMs - startedMs))}  threads ${threads}  memory ${roundBytes(residentBytes)}`,
    ...flowLines(rates),
    `topics ${counts.topics}  partitions ${counts.partitions}  exchanges ${counts.exchanges}  queues ${counts.queues}  connections ${counts.connections}`,
    `in queues ${groupDigits(queues.ready)} ready  ${groupDigits(queues.inFlight)} unacked  ${groupDigits(queues.delayed)} delayed  dead letters so far ${groupDigits(queues.deadLettered)}`,
    `logs ${roundBytes(storage.logBytes)}  not synced ${roundBytes(storage.dirtyBytes)}  ${disk}`,
  ];
  if (failedPartitions > 0) lines.push(`FAILED PARTITIONS ${failedPartitions}: a sync failed, see the broker's log`);
  return `${lines.join("\n")}\n`;
}

function flowLines(rates: Overview["rates"]): string[] {
  if (rates === null) return ["rates come with the next look"];
  const { recordsInPerSec, bytesInPerSec, recordsOutPerSec, bytesOutPerSec } = rates;
  const bytes = (count: number): string => `${roundBytes(count)}/s`;
  return [
    `topics  in ${perSec(recordsInPerSec)}/s, ${bytes(bytesInPerSec)}  out ${perSec(recordsOutPerSec)}/s, ${bytes(bytesOutPerSec)}`,
    `queues  in ${perSec(rates.enqueuedPerSec)}/s  out ${perSec(rates.deliveredPerSec)}/s  acked ${perSec(rates.ackedPerSec)}/s`,
  ];
}

function workersOf({ workers }: Overview, tables: Tables): string {
  const rows = workers.map(({ worker, connections, requestsInFlight, delay }) => [
    worker,
    connections,
    requestsInFlight,
    late(delay.p50Ms),
    late(delay.p99Ms),
    late(delay.maxMs),
  ]);
  return tables.table(["WORKER", "CONNECTIONS", "REQUESTS", "LATE p50", "p99", "MAX"], rows, [
    "LATE p50",
    "p99",
    "MAX",
  ]);
}

function stagesOf({ stages }: Overview, tables: Tables): string {
  const rows = Object.entries(stages)
    .filter(([, { count }]) => count > 0)
    .map(([stage, { count, p50Ms, p99Ms, p999Ms }]) => [
      stage,
      groupDigits(count),
      late(p50Ms),
      late(p99Ms),
      late(p999Ms),
    ]);
  return tableOf(tables, ["STAGE", "COUNT", "p50", "p99", "p99.9"], rows);
}

function topicsOf({ topics }: Busiest, tables: Tables): string {
  const rows = topics.map((topic) => [
    nameOf(topic.namespace, topic.topic),
    perSec(topic.messagesInPerSec),
    `${roundBytes(topic.bytesInPerSec)}/s`,
    perSec(topic.messagesOutPerSec),
    `${roundBytes(topic.bytesOutPerSec)}/s`,
    roundBytes(topic.logBytes),
  ]);
  return tableOf(tables, ["TOPIC", "IN/S", "BYTES IN", "OUT/S", "BYTES OUT", "LOG"], rows);
}

function queuesOf({ queues }: Busiest, tables: Tables): string {
  const rows = queues.map((queue) => [
    nameOf(queue.namespace, queue.queue),
    groupDigits(queue.ready),
    groupDigits(queue.unacked),
    perSec(queue.publishedPerSec),
    perSec(queue.deliveredPerSec),
    perSec(queue.ackedPerSec),
    perSec(queue.deadLetteredPerSec),
    String(queue.consumers),
  ]);
  return tableOf(tables, ["QUEUE", "READY", "UNACKED", "IN/S", "OUT/S", "ACKS/S", "DEAD/S", "CONSUMERS"], rows);
}

function groupsOf({ groups }: Busiest, tables: Tables): string {
  const rows = groups.map(({ namespace, group, topic, lag, lagMs }) => [
    nameOf(namespace, group),
    topic,
    groupDigits(lag),
    roundMs(lagMs),
  ]);
  return tableOf(tables, ["GROUP", "TOPIC", "LAG", "BEHIND"], rows, ["LAG", "BEHIND"]);
}

/** Nothing where there is nothing to list; all but the name to the right, unless told. */
function tableOf(
  tables: Tables,
  titles: readonly string[],
  rows: readonly (readonly Cell[])[],
  right: readonly string[] = titles.slice(1),
): string {
  return rows.length === 0 ? "" : tables.table(titles, rows, right);
}

/** The default namespace goes without saying. */
function nameOf(namespace: string, name: string): string {
  return namespace === "default" ? name : `${namespace}:${name}`;
}

function perSec(rate: number): string {
  return rate > 0 && rate < 10 ? rate.toFixed(1) : groupDigits(Math.round(rate));
}

function late(ms: number): string {
  return `${ms.toFixed(1)} ms`;
}
