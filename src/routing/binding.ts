/** Bindings: what of an exchange's messages goes where. */
import { MillraceError } from "../errors/index.ts";
import { DEFAULT_EXCHANGE_ID, type ExchangeKind } from "./exchange.ts";
import { canonical, type Fields, isFields } from "./rules.ts";

export type TargetKind = "queue" | "exchange" | "topic";

/** `id` is a queue's or an exchange's, or the log id of a topic. */
export interface Target {
  readonly kind: TargetKind;
  readonly id: number;
}

export const HEADER_OPS = ["=", "!=", "<", "<=", ">", ">=", "exists", "prefix"] as const;
export type HeaderOp = (typeof HEADER_OPS)[number];
export type HeaderScalar = string | number | boolean | null | Uint8Array;
export type HeaderCondition = readonly [name: string, op: HeaderOp, value: HeaderScalar];

/** What a message has to be, besides having the right key. */
export type BindingArguments =
  | null
  | { readonly match: "all" | "any"; readonly headers: readonly HeaderCondition[] }
  /** Set by the message's body, headers and key: README.md has the grammar. */
  | { readonly where: string };

const KEY_BYTES_MAX = 255;
const WORDS_MAX = 128;
const HEADERS_MAX = 64;
const TEXT_BYTES_MAX = 1024;
const WHERE_BYTES_MAX = 4096;
const WEIGHT_MAX = 1000;

export interface BindingRequest {
  readonly key: string;
  readonly arguments: BindingArguments;
}

function invalid(field: string, rule: string): MillraceError {
  return new MillraceError("invalid_argument", `${field} ${rule}`, { details: { field } });
}

/**
 * Reads `key`, `match`, `headers` and `where` of a request to bind to an exchange of this kind.
 *
 * @throws invalid_argument naming the field.
 */
export function parseBinding(kind: ExchangeKind, fields: Fields): BindingRequest {
  const key = fields["key"] ?? (kind === "consistent-hash" ? "1" : "");
  if (typeof key !== "string" || Buffer.byteLength(key) > KEY_BYTES_MAX) {
    throw invalid("key", `must be text of at most ${KEY_BYTES_MAX} bytes`);
  }
  if (kind === "topic") checkPattern(key);
  if (kind === "consistent-hash" && !(/^[0-9]{1,4}$/.test(key) && Number(key) >= 1 && Number(key) <= WEIGHT_MAX)) {
    throw invalid("key", `must be the binding's weight, from 1 to ${WEIGHT_MAX}`);
  }
  const args = parseArguments(fields);
  if (args !== null && kind === "consistent-hash") {
    throw invalid(
      "where" in args ? "where" : "headers",
      "are not for consistent-hash: a binding takes all of its share",
    );
  }
  if (args !== null && "headers" in args && kind !== "headers") {
    throw invalid("headers", "are only for exchanges of type headers; use where for others");
  }
  return { key, arguments: args };
}

function checkPattern(key: string): void {
  const words = key.split(".");
  if (words.length > WORDS_MAX) throw invalid("key", `must have at most ${WORDS_MAX} words`);
}

function parseArguments(fields: Fields): BindingArguments {
  const { headers, where, match } = fields;
  const hasHeaders = headers !== undefined && headers !== null;
  if (where !== undefined && where !== null) {
    if (hasHeaders) throw invalid("where", "cannot stand beside headers: header(...) in it does the same");
    if (typeof where !== "string" || where.trim() === "" || Buffer.byteLength(where) > WHERE_BYTES_MAX) {
      throw invalid("where", `must be an expression of at most ${WHERE_BYTES_MAX} bytes`);
    }
    return { where };
  }
  if (match !== undefined && match !== null && match !== "all" && match !== "any") {
    throw invalid("match", 'must be "all" or "any"');
  }
  if (!hasHeaders) return null;
  if (!isFields(headers)) throw invalid("headers", "must be a map of names to values");
  const entries = Object.entries(headers);
  if (entries.length > HEADERS_MAX) throw invalid("headers", `must be at most ${HEADERS_MAX}`);
  const conditions = entries.map(([name, entry]) => parseCondition(name, entry));
  conditions.sort(([a], [b]) => (a < b ? -1 : 1));
  return { match: match === "any" ? "any" : "all", headers: conditions };
}

/** A scalar stands for equality; `{op, value}` for the rest. */
function parseCondition(name: string, entry: unknown): HeaderCondition {
  const field = `headers.${name}`;
  if (Buffer.byteLength(name) > TEXT_BYTES_MAX)
    throw invalid("headers", `have names of at most ${TEXT_BYTES_MAX} bytes`);
  if (!isFields(entry)) return [name, "=", scalar(entry, field)];
  const op = HEADER_OPS.find((each) => each === entry["op"]);
  if (op === undefined) throw invalid(`${field}.op`, `must be one of ${HEADER_OPS.join(" ")}`);
  const value = scalar(entry["value"], `${field}.value`);
  if (op === "prefix" && typeof value !== "string") throw invalid(`${field}.value`, "must be text for prefix");
  return [name, op, value];
}

function scalar(value: unknown, field: string): HeaderScalar {
  if (value === undefined || value === null) return null;
  if (typeof value === "boolean" || typeof value === "number") return value;
  const isText = typeof value === "string" || value instanceof Uint8Array;
  if (isText && Buffer.byteLength(value) <= TEXT_BYTES_MAX) return value;
  throw invalid(field, `must be nil, a boolean, a number, or text or bytes of at most ${TEXT_BYTES_MAX} bytes`);
}

/** The error of a binding to or from the default exchange. */
export function defaultExchangeFault(): MillraceError {
  return invalid("exchange", "cannot be the default one: it routes to every queue by its name, and to nothing else");
}

/** @throws invalid_argument for the default exchange, routing_cycle for an exchange bound to itself. */
export function checkBinding(exchangeId: number, exchangeName: string, target: Target): void {
  if (target.kind !== "exchange") return;
  if (target.id === DEFAULT_EXCHANGE_ID) throw defaultExchangeFault();
  if (target.id === exchangeId) {
    throw new MillraceError("routing_cycle", `the exchange "${exchangeName}" cannot be bound to itself`);
  }
}

/** Text that two bindings of an exchange share only when they are the same. */
export function bindingIdentity(target: Target, { key, arguments: args }: BindingRequest): string {
  return canonical([target.kind, target.id, key, args]);
}
