/** Settings that can be changed while a broker runs: limits that are looked at each time that something is asked for. */
import { MillraceError } from "../errors/index.ts";
import type { Field } from "./field.ts";
import { type Config, CONFIG_KEYS, type ConfigKey, crossFaults, FIELDS } from "./fields.ts";

/** All others are given to the core, to listeners or to buffers at the start. */
export const LIVE_KEYS: readonly ConfigKey[] = [
  "logLevel",
  "connectionsMax",
  "requestsInFlightMax",
  "handshakeTimeoutMs",
  "handshakesMax",
  "drainTimeoutMs",
  "topicsMax",
  "partitionsPerTopicMax",
  "partitionsMax",
  "exchangesMax",
  "queuesMax",
  "bindingsMax",
  "namespacesMax",
  "quotasMax",
  "schedulesMax",
  "diskFreeBytesMin",
  "memoryBytesMax",
];

type Value = string | number;

/**
 * Reads changes of the configuration.
 *
 * @param start the configuration that the broker started with, which null goes back to.
 * @returns the new values by key.
 * @throws invalid_config for a key or a value that is none; config_fixed for a key that only the start reads.
 */
export function readChanges(
  changes: Readonly<Record<string, unknown>>,
  start: Config,
  current: Config,
): Partial<Config> {
  const values: Record<string, Value> = {};
  for (const [name, input] of Object.entries(changes)) {
    const key = CONFIG_KEYS.find((candidate) => candidate === name);
    if (key === undefined) throw new MillraceError("invalid_config", `there is no setting "${name.slice(0, 100)}"`);
    if (!LIVE_KEYS.includes(key)) throw new MillraceError("config_fixed", undefined, { details: { key } });
    const field = FIELDS[key] as unknown as Field<Value>;
    const value = input === null ? start[key] : field.parse(input);
    if (value === undefined) throw new MillraceError("invalid_config", `${key} takes ${field.accepts}`);
    values[key] = value as Value;
  }
  const faults = crossFaults({ ...current, ...values } as Config, () => "this request");
  if (faults.length > 0) throw new MillraceError("invalid_config", faults.join("\n"), { details: { faults } });
  return values as Partial<Config>;
}
