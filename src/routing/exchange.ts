/** Exchanges: their kinds, their configuration, and what a redeclaration may not change. */
import { MillraceError } from "../errors/index.ts";
import { boolean, differingKey, type Fields, mismatch, readFields, type Rule } from "./rules.ts";

export const EXCHANGE_KINDS = ["direct", "fanout", "topic", "headers", "consistent-hash"] as const;
export type ExchangeKind = (typeof EXCHANGE_KINDS)[number];

/** The exchange without a name: it routes to the queue that the routing key names, and nobody binds to it. */
export const DEFAULT_EXCHANGE_ID = 0;
export const DEFAULT_EXCHANGE_NAME = "";

const NAME_BYTES_MAX = 249;

export interface ExchangeConfig {
  /** Where messages go that no binding matches: the name of another exchange. */
  readonly alternate?: string;
  /** consistent-hash: the header that is hashed, instead of the routing key. */
  readonly hashHeader?: string;
  /** Clients may not publish to it; bindings and alternates reach it. */
  readonly internal?: boolean;
}

const RULES: { readonly [K in keyof Required<ExchangeConfig>]: Rule } = {
  alternate: { kind: "text", bytesMax: NAME_BYTES_MAX },
  hashHeader: { kind: "text", bytesMax: NAME_BYTES_MAX },
  internal: boolean,
};

/** @throws invalid_argument. */
export function parseExchangeKind(type: string): ExchangeKind {
  const kind = EXCHANGE_KINDS.find((each) => each === type);
  if (kind !== undefined) return kind;
  throw new MillraceError("invalid_argument", `type must be one of ${EXCHANGE_KINDS.join(", ")}`, {
    details: { field: "type" },
  });
}

/** @throws invalid_config naming the key. */
export function parseExchangeConfig(kind: ExchangeKind, input: Fields): ExchangeConfig {
  const config = readFields(input, RULES, "config.") as ExchangeConfig;
  if (config.hashHeader !== undefined && kind !== "consistent-hash") {
    throw new MillraceError("invalid_config", "config.hashHeader is only for exchanges of type consistent-hash", {
      details: { key: "config.hashHeader" },
    });
  }
  // False is the default: it must not count as a difference.
  const { internal, ...rest } = config;
  return internal === true ? { ...rest, internal } : rest;
}

interface Declared {
  readonly kind: ExchangeKind;
  readonly config: ExchangeConfig;
}

/** @throws argument_mismatch naming the first argument that differs. */
export function checkSameExchange(name: string, before: Declared, now: Declared): void {
  const what = `the exchange "${name}"`;
  if (before.kind !== now.kind) throw mismatch(what, "type", before.kind, now.kind);
  const key = differingKey(before.config as Fields, now.config as Fields) as keyof ExchangeConfig | undefined;
  if (key !== undefined) throw mismatch(what, key, before.config[key], now.config[key]);
}
