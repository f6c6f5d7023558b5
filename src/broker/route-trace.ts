/** Where a message would go from an exchange, and by which way; nothing is published. */
import { DEFAULT_EXCHANGE_ID } from "../routing/index.ts";
import { type Definitions, exchangeId } from "./definitions.ts";
import type { MetadataState } from "./metadata-state.ts";

export interface Destination {
  readonly kind: "queue" | "topic" | "exchange";
  /** Empty for the default exchange. */
  readonly name: string;
}

export interface RouteTrace {
  /** Queues and topics, each once. */
  readonly destinations: readonly Destination[];
  /** Which exchange hands the message on to what, in the order in which it goes. */
  readonly path: readonly RouteStep[];
}

export interface RouteStep {
  readonly exchange: string;
  readonly to: Destination;
  /** There is no binding: nothing else took the message. */
  readonly isAlternate: boolean;
}

type Step = readonly [from: number, kind: Destination["kind"], id: number];

/** @param record one record as a batch holds it. @throws exchange_not_found. */
export function traceRoute(definitions: Definitions, namespace: string, name: string, record: Uint8Array): RouteTrace {
  const { state, spaces } = definitions;
  const id = exchangeId(state, namespace, name);
  const steps = (spaces.request(namespace, ["route", id, record]) ?? []) as readonly Step[];
  const topics = steps.some(([, kind]) => kind === "topic") ? topicNames(state) : new Map<number, string>();
  const nameOf = (kind: Destination["kind"], of: number): string => {
    if (kind === "topic") return topics.get(of) ?? "";
    if (kind === "queue") return state.routing.queueById(of)?.name ?? "";
    return state.routing.exchangeById(of)?.name ?? "";
  };
  const path = steps.map(([from, kind, to]) => ({
    exchange: nameOf("exchange", from),
    to: { kind, name: nameOf(kind, to) },
    isAlternate: kind === "exchange" && isAlternate(state, from, to),
  }));
  const reached = path.filter(({ to }) => to.kind !== "exchange").map(({ to }) => to);
  return { destinations: [...new Map(reached.map((to) => [`${to.kind} ${to.name}`, to])).values()], path };
}

function isAlternate({ routing }: MetadataState, from: number, to: number): boolean {
  if (to === DEFAULT_EXCHANGE_ID) return true;
  if (routing.exchangeById(from)?.alternateId !== to) return false;
  for (const { target } of routing.bindingsOf(from)) if (target.kind === "exchange" && target.id === to) return false;
  return true;
}

function topicNames(state: MetadataState): Map<number, string> {
  return new Map([...state.topics()].map(({ id, name }) => [id, name]));
}
