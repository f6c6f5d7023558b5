/**
 * The broker's configuration: defaults, then a file, then the environment, then flags; the later wins.
 * README.md beside this file has the whole list of settings.
 */
import { MillraceError } from "../errors/index.ts";
import { exposureWarnings } from "./exposure.ts";
import type { Field } from "./field.ts";
import { type Config, CONFIG_KEYS, type ConfigKey, crossFaults, envName, FIELDS, flagName } from "./fields.ts";
import { envLayer, fileLayer, flagLayer, type Layer, objectLayer, PATHS } from "./layers.ts";

export { type Config, CONFIG_KEYS, type ConfigKey, envName, flagName, isLoopback, originsOf } from "./fields.ts";
export { LIVE_KEYS, readChanges } from "./live.ts";
export { CONFIG_FILES, CONFIG_FLAG } from "./layers.ts";

/** A checked configuration and where each value came from. */
export interface LoadedConfig {
  readonly config: Config;
  /** `default`, `file PATH`, `environment NAME`, `flag --name` or `options`. */
  readonly sources: Readonly<Record<ConfigKey, string>>;
  /** Lines for the log. */
  readonly warnings: readonly string[];
  /** The configuration file that was read, if any. */
  readonly file: string | undefined;
}

export interface ConfigInput {
  /** Command-line words that are settings: `["--port", "0"]`. */
  readonly flags?: readonly string[];
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** The folder in which a configuration file is looked for and relative paths begin. */
  readonly cwd: string;
}

/** What `millrace config` prints of one setting. */
export interface ConfigEntry {
  readonly key: ConfigKey;
  readonly value: string | number | boolean;
  /** The value as a person reads it: `16 MiB`. */
  readonly text: string;
  readonly source: string;
  readonly unit: string;
  readonly default: string | number | boolean;
  readonly accepts: string;
  readonly doc: string;
  readonly env: string;
  readonly flag: string;
}

type AnyField = Field<string | number | boolean>;

function field(key: ConfigKey): AnyField {
  return FIELDS[key] as unknown as AnyField;
}

/**
 * The configuration of a broker process.
 *
 * @throws MillraceError invalid_config that names every wrong key, its source and what is accepted; one line each.
 */
export function loadConfig({ flags = [], env = {}, cwd }: ConfigInput): LoadedConfig {
  const fromFlags = flagLayer(flags, cwd);
  const fromFile = fileLayer(fromFlags.file, cwd);
  const layers = [defaultPaths(cwd), fromFile, envLayer(env, cwd), fromFlags];
  return { ...merge(layers), file: fromFile.path };
}

/**
 * The configuration of an embedded broker, from an object alone.
 *
 * @param cwd where a relative dataDir begins.
 * @throws MillraceError invalid_config, as loadConfig.
 */
export function configOf(options: Readonly<Partial<Config>>, cwd: string): LoadedConfig {
  const layers = [defaultPaths(cwd), objectLayer(options as Record<string, unknown>, "options", cwd)];
  const merged = merge(layers);
  // `serve` comes by here too, so each is said once.
  const warnings = [...merged.warnings, ...exposureWarnings(merged.config)];
  return { ...merged, warnings, file: undefined };
}

/** Defaults that are paths begin at the working directory too. */
function defaultPaths(cwd: string): Layer {
  return objectLayer(Object.fromEntries(PATHS.map((key) => [key, field(key).default])), "default", cwd);
}

function merge(layers: readonly Layer[]): Omit<LoadedConfig, "file"> {
  const values = Object.fromEntries(CONFIG_KEYS.map((key) => [key, field(key).default]));
  const sources = Object.fromEntries(CONFIG_KEYS.map((key) => [key, "default"])) as Record<ConfigKey, string>;
  const faults = layers.flatMap((layer) => layer.faults);
  for (const { key, input, source } of layers.flatMap((layer) => layer.values)) {
    const value = field(key).parse(input);
    if (value === undefined) {
      faults.push(`${key}: ${quoted(input)} from ${source} is not accepted; it takes ${field(key).accepts}`);
      continue;
    }
    values[key] = value;
    sources[key] = source;
  }
  // Who asks for free ports means all of them: two brokers of one machine would meet at a fixed one.
  if (values["httpPort"] === 0 && sources.registryPort === "default") values["registryPort"] = 0;
  const config = values as unknown as Config;
  if (faults.length === 0) faults.push(...crossFaults(config, (key) => sources[key]));
  if (faults.length > 0) throw new MillraceError("invalid_config", faults.join("\n"), { details: { faults } });
  return { config, sources, warnings: layers.flatMap((layer) => layer.warnings) };
}

function quoted(input: unknown): string {
  const text = JSON.stringify(input) ?? String(input);
  return text.length > 80 ? `${text.slice(0, 77)}...` : text;
}

/** Every setting with its value, source and documentation, in the catalogue's order. */
export function configEntries({ config, sources }: Pick<LoadedConfig, "config" | "sources">): ConfigEntry[] {
  return CONFIG_KEYS.map((key) => {
    const { unit, accepts, doc, format, default: standard } = field(key);
    const value = config[key];
    const entry = { key, value, text: format(value), source: sources[key], unit, default: standard };
    return { ...entry, accepts, doc, env: envName(key), flag: flagName(key) };
  });
}

/** The text of `millrace config`: per setting one line with value, source and documentation, in columns. */
export function formatConfig(loaded: Pick<LoadedConfig, "config" | "sources">): string {
  const rows = configEntries(loaded).map(({ key, text, source, doc }) => [key, text, source, doc]);
  const widths = [0, 1, 2].map((column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  return rows
    .map((row) =>
      row
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join("  ")
        .trimEnd(),
    )
    .join("\n");
}
