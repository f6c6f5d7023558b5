/**
 * Dead-letter loops that can be seen in the definitions: messages that would go round for ever, because in each queue of
 * the loop they expire by themselves. A loop with a queue in which a consumer decides has a way out, and retries are
 * built like that. Loops that depend on headers, bodies or the message's own key show only when a message takes them;
 * the core stops those.
 */
import { MillraceError } from "../errors/index.ts";
import { DEFAULT_EXCHANGE_ID, type ExchangeKind } from "./exchange.ts";
import type { BindingArguments, Target } from "./binding.ts";
import type { QueueConfig } from "./queue-config.ts";

/** What the search asks of the definitions. */
export interface DeadLetterGraph {
  queue(
    id: number,
  ): { readonly name: string; readonly config: QueueConfig; readonly deadLetterExchange: number | null } | undefined;
  queueIdByName(name: string): number | undefined;
  exchangeKind(id: number): ExchangeKind | undefined;
  bindingsOf(
    exchangeId: number,
  ): Iterable<{ readonly target: Target; readonly key: string; readonly arguments: BindingArguments }>;
}

/** A search that looks at more than this finds nothing and costs nothing more. */
const STEPS_MAX = 10_000;

/** @throws dead_letter_loop when dead letters of this queue come back to it with nobody's doing. */
export function checkDeadLetterLoop(graph: DeadLetterGraph, queueId: number): void {
  const start = graph.queue(queueId);
  if (start === undefined) return;
  const seen = new Set<number>();
  const next = [queueId];
  for (let steps = 0; next.length > 0 && steps < STEPS_MAX; steps += 1) {
    const id = next.pop() as number;
    for (const target of nextQueues(graph, id)) {
      const isLoop = target === queueId && (id === queueId || expires(graph, queueId));
      if (isLoop) throw loop(start.name);
      if (seen.has(target) || !expires(graph, target)) continue;
      seen.add(target);
      next.push(target);
    }
  }
}

function loop(queue: string): MillraceError {
  return new MillraceError("dead_letter_loop", undefined, { details: { queue } });
}

function expires(graph: DeadLetterGraph, id: number): boolean {
  return graph.queue(id)?.config.messageTtlMs !== undefined;
}

/** The queues that dead letters of a queue surely reach. */
function nextQueues(graph: DeadLetterGraph, id: number): number[] {
  const queue = graph.queue(id);
  if (queue === undefined || queue.deadLetterExchange === null) return [];
  return reached(graph, queue.deadLetterExchange, queue.config.deadLetter?.routingKey, new Set());
}

function reached(graph: DeadLetterGraph, exchangeId: number, key: string | undefined, seen: Set<number>): number[] {
  if (exchangeId === DEFAULT_EXCHANGE_ID) {
    const id = key === undefined ? undefined : graph.queueIdByName(key);
    return id === undefined ? [] : [id];
  }
  const kind = graph.exchangeKind(exchangeId);
  if (kind === undefined || seen.has(exchangeId)) return [];
  seen.add(exchangeId);
  const found: number[] = [];
  for (const { target, key: pattern, arguments: args } of graph.bindingsOf(exchangeId)) {
    if (args !== null || !matches(kind, pattern, key)) continue;
    if (target.kind === "queue") found.push(target.id);
    else if (target.kind === "exchange") found.push(...reached(graph, target.id, key, seen));
  }
  return found;
}

function matches(kind: ExchangeKind, pattern: string, key: string | undefined): boolean {
  if (kind === "fanout") return true;
  if (kind === "topic" && pattern === "#") return true;
  if (key === undefined) return false;
  if (kind === "direct") return pattern === key;
  return kind === "topic" && matchesWords(pattern.split("."), key.split("."));
}

/** `*` is one word, `#` any number of them. */
export function matchesWords(pattern: readonly string[], words: readonly string[]): boolean {
  let reachable = new Set([0]);
  for (const part of pattern) {
    const after = new Set<number>();
    for (const at of reachable) {
      if (part === "#") for (let index = at; index <= words.length; index += 1) after.add(index);
      else if (at < words.length && (part === "*" || part === words[at])) after.add(at + 1);
    }
    reachable = after;
  }
  return reachable.has(words.length);
}
