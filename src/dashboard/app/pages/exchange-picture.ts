/** Where an exchange leads, as a picture: which things stand in which column, and the lines between them. */
import { apiPath, get } from "../core/api.ts";
import type { Binding } from "../core/types.ts";

export type NodeKind = "exchange" | "queue" | "topic" | "more";

export interface PictureNode {
  readonly id: string;
  readonly kind: NodeKind;
  readonly name: string;
  readonly column: number;
  readonly row: number;
}

export interface PictureEdge {
  readonly from: PictureNode;
  readonly to: PictureNode;
  /** What messages must have to go this way; empty where all do. */
  readonly labels: readonly string[];
}

export interface Picture {
  readonly nodes: readonly PictureNode[];
  readonly edges: readonly PictureEdge[];
  readonly columns: number;
  readonly rows: number;
}

const COLUMNS_MAX = 5;
const EXCHANGES_MAX = 30;
/** Things that one exchange leads to; the rest is one node that says how many. */
const TARGETS_MAX = 24;
const BINDINGS_MAX = 1000;

/** Bindings of an exchange and of those it leads to. */
export async function bindingsFrom(
  space: string,
  exchange: string,
  signal: AbortSignal,
): Promise<ReadonlyMap<string, readonly Binding[]>> {
  const found = new Map<string, readonly Binding[]>();
  let names = [exchange];
  for (let depth = 0; depth < COLUMNS_MAX - 1 && names.length > 0 && found.size < EXCHANGES_MAX; depth++) {
    const lists = await Promise.all(names.map((name) => bindingsOf(space, name, signal)));
    lists.forEach((list, index) => found.set(names[index] ?? "", list));
    const next = lists.flat().flatMap(({ to }) => (to === undefined || found.has(to) ? [] : [to]));
    names = [...new Set(next)].slice(0, EXCHANGES_MAX - found.size);
  }
  return found;
}

async function bindingsOf(space: string, exchange: string, signal: AbortSignal): Promise<readonly Binding[]> {
  const path = apiPath(["bindings"], { namespace: space, exchange, limit: BINDINGS_MAX });
  return (await get<{ items: Binding[] }>(path, signal)).items;
}

/** Each thing stands in the first column that it can be reached in. */
export function pictureOf(exchange: string, bindings: ReadonlyMap<string, readonly Binding[]>): Picture {
  const nodes = new Map<string, PictureNode>();
  const edges: PictureEdge[] = [];
  const rowsUsed: number[] = [];
  const place = (kind: NodeKind, name: string, column: number): PictureNode => {
    const id = nodeId(kind, name);
    const there = nodes.get(id);
    if (there !== undefined) return there;
    const row = rowsUsed[column] ?? 0;
    rowsUsed[column] = row + 1;
    const node = { id, kind, name, column, row };
    nodes.set(id, node);
    return node;
  };
  const waiting = [place("exchange", exchange, 0)];
  const drawn = new Set<string>();
  for (let from = waiting.shift(); from !== undefined; from = waiting.shift()) {
    if (drawn.has(from.id)) continue;
    drawn.add(from.id);
    const targets = targetsOf(bindings.get(from.name) ?? []);
    for (const { kind, name, labels } of targets.slice(0, TARGETS_MAX)) {
      const to = place(kind, name, from.column + 1);
      edges.push({ from, to, labels });
      if (kind === "exchange") waiting.push(to);
    }
    const rest = targets.length - TARGETS_MAX;
    if (rest > 0) edges.push({ from, to: place("more", `${rest} more of ${from.name}`, from.column + 1), labels: [] });
  }
  return { nodes: [...nodes.values()], edges, columns: rowsUsed.length, rows: Math.max(...rowsUsed) };
}

export function nodeId(kind: string, name: string): string {
  return `${kind}:${name}`;
}

interface Target {
  readonly kind: "exchange" | "queue" | "topic";
  readonly name: string;
  readonly labels: string[];
}

/** Bindings to one thing are one line. */
function targetsOf(bindings: readonly Binding[]): Target[] {
  const targets = new Map<string, Target>();
  for (const binding of bindings) {
    const { kind, name } = targetOf(binding);
    const target = targets.get(nodeId(kind, name)) ?? { kind, name, labels: [] };
    targets.set(nodeId(kind, name), target);
    const label = conditionOf(binding);
    if (label !== "") target.labels.push(label);
  }
  return [...targets.values()];
}

export function targetOf({ queue, topic, to }: Binding): { kind: "exchange" | "queue" | "topic"; name: string } {
  if (queue !== undefined) return { kind: "queue", name: queue };
  return topic === undefined ? { kind: "exchange", name: to ?? "" } : { kind: "topic", name: topic };
}

/** What a message must have: its key, its headers, a rule. */
export function conditionOf({ key, match, headers, where }: Binding): string {
  if (where !== undefined) return where;
  const entries = Object.entries(headers ?? {});
  if (entries.length === 0) return key ?? "";
  const words = entries.map(
    ([name, value]) => `${name} ${typeof value === "object" ? conditionText(value) : `= ${String(value)}`}`,
  );
  return words.join(match === "any" ? " or " : " and ");
}

function conditionText(value: unknown): string {
  const { op = "=", value: wanted = "" } = (value ?? {}) as { op?: string; value?: unknown };
  return `${op} ${String(wanted)}`.trim();
}
