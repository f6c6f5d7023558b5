/** Values from one place each, before they are checked: the file, the environment, the command line. */
import { readFileSync } from "node:fs";
import { dirname, extname, isAbsolute, join, resolve } from "node:path";
import { nearestName } from "../stdx/index.ts";
import { CONFIG_KEYS, type ConfigKey, envName, FIELDS, flagName } from "./fields.ts";

/** One value as it was written, and where, in words for errors and for `millrace config`. */
export interface RawValue {
  readonly key: ConfigKey;
  readonly input: unknown;
  readonly source: string;
}

/** Values of one place; later layers win over earlier ones. */
export interface Layer {
  readonly values: readonly RawValue[];
  /** Lines that name what cannot be a setting. */
  readonly faults: readonly string[];
  /** Lines for the log: suspicious, but not wrong. */
  readonly warnings: readonly string[];
}

export const CONFIG_FILES = ["millrace.config.json", "millrace.config.toml"];
export const CONFIG_FLAG = "--config";

/** Variables that other parts of Millrace read: clients, tools and tests. */
const FOREIGN_VARIABLES: ReadonlySet<string> = new Set([
  "MILLRACE_URL",
  "MILLRACE_NAMESPACE",
  "MILLRACE_LOGIN",
  "MILLRACE_LOGIN_PASSWORD_FILE",
  "MILLRACE_TOKEN_FILE",
  "MILLRACE_TLS_CA",
  "MILLRACE_TLS_CERT",
  "MILLRACE_TLS_KEY",
  "MILLRACE_LONG",
  "MILLRACE_SEED",
]);
const FOREIGN_PREFIX = "MILLRACE_TEST_";

const KEYS: ReadonlySet<string> = new Set(CONFIG_KEYS);
const KEY_OF_VARIABLE = new Map(CONFIG_KEYS.map((key) => [envName(key), key]));
const KEY_OF_FLAG = new Map(CONFIG_KEYS.map((key) => [flagName(key), key]));

function hint(name: string, names: Iterable<string>): string {
  const nearest = nearestName(name, names);
  return nearest === undefined ? "" : `; did you mean ${nearest}?`;
}

/** The settings of an object: a parsed file, or the options of an embedded broker. Relative paths start at `folder`. */
export function objectLayer(object: Readonly<Record<string, unknown>>, source: string, folder: string): Layer {
  const values: RawValue[] = [];
  const faults: string[] = [];
  for (const [key, input] of Object.entries(object)) {
    if (input === undefined) continue;
    if (!KEYS.has(key)) faults.push(`${key} in ${source} is no setting${hint(key, KEYS)}`);
    else values.push({ key: key as ConfigKey, input: placed(key, input, folder), source });
  }
  return { values, faults, warnings: [] };
}

/** The settings that are paths. */
export const PATHS: readonly ConfigKey[] = [
  "dataDir",
  "backupDir",
  "transformsDir",
  "auditFile",
  "adminPasswordFile",
  "tlsCertFile",
  "tlsKeyFile",
  "tlsClientCaFile",
  "jwtJwksFile",
];

function placed(key: string, input: unknown, folder: string): unknown {
  if (!(PATHS as readonly string[]).includes(key) || typeof input !== "string" || input === "") return input;
  return isAbsolute(input) ? input : resolve(folder, input);
}

/**
 * The settings of the environment. An empty variable counts as not set. An unknown MILLRACE_ name is a fault when it is
 * near to a setting's, and else a warning, since container platforms add variables of their own beside a service's name.
 */
export function envLayer(env: Readonly<Record<string, string | undefined>>, cwd: string): Layer {
  const values: RawValue[] = [];
  const faults: string[] = [];
  const warnings: string[] = [];
  for (const [name, input] of Object.entries(env)) {
    if (!name.startsWith("MILLRACE_") || input === undefined || input === "") continue;
    const key = KEY_OF_VARIABLE.get(name);
    if (key !== undefined) values.push({ key, input: placed(key, input, cwd), source: `environment ${name}` });
    else if (FOREIGN_VARIABLES.has(name) || name.startsWith(FOREIGN_PREFIX)) continue;
    else if (nearestName(name, KEY_OF_VARIABLE.keys()) === undefined)
      warnings.push(`${name} is no setting and is ignored`);
    else faults.push(`${name} in the environment is no setting${hint(name, KEY_OF_VARIABLE.keys())}`);
  }
  return { values, faults, warnings };
}

export interface FlagLayer extends Layer {
  /** What --config named. */
  readonly file: string | undefined;
}

/** The settings of command-line words: `--frame-bytes-max 16MiB` or `--frame-bytes-max=16MiB`. */
export function flagLayer(words: readonly string[], cwd: string): FlagLayer {
  const values: RawValue[] = [];
  const faults: string[] = [];
  let file: string | undefined;
  for (let index = 0; index < words.length; index++) {
    const word = words[index] ?? "";
    const [, flag = word, inline] = /^(--[^=]+)=([^]*)$/.exec(word) ?? [];
    const key = KEY_OF_FLAG.get(flag);
    // A value may begin with one dash (-1 for no limit), never with two.
    const next = words[index + 1];
    const isSwitch = key !== undefined && "isSwitch" in FIELDS[key];
    const canBeValue = next !== undefined && (isSwitch ? /^(true|false)$/.test(next) : !next.startsWith("--"));
    const hasNext = flag.startsWith("--") && inline === undefined && canBeValue;
    const input = hasNext ? next : (inline ?? (isSwitch ? "true" : undefined));
    if (hasNext) index++;
    if (key === undefined && flag !== CONFIG_FLAG) {
      faults.push(`${flag} is no flag${hint(flag, [...KEY_OF_FLAG.keys(), CONFIG_FLAG])}`);
    } else if (input === undefined) faults.push(`${flag} needs a value`);
    else if (key === undefined) file = input;
    else values.push({ key, input: placed(key, input, cwd), source: `flag ${flag}` });
  }
  return { values, faults, warnings: [], file };
}

export interface FileLayer extends Layer {
  /** The file that was read; undefined when there is none. */
  readonly path: string | undefined;
}

/** The settings of the named file, or of the one in `cwd` that has a default name; none is fine. */
export function fileLayer(named: string | undefined, cwd: string): FileLayer {
  const found = (named === undefined ? CONFIG_FILES : [named]).flatMap((name) => {
    const path = resolve(cwd, name);
    const content = read(path);
    return content === undefined ? [] : [{ path, content }];
  });
  const [file, other] = found;
  const empty = { values: [], warnings: [] };
  if (file === undefined) {
    const faults = named === undefined ? [] : [`${CONFIG_FLAG} names ${join(named)}, which is not there`];
    return { ...empty, faults, path: undefined };
  }
  if (other !== undefined)
    return { ...empty, faults: [`both ${file.path} and ${other.path} are there: keep one`], path: file.path };
  const parsed = parseFile(file.path, file.content);
  if (typeof parsed === "string") return { ...empty, faults: [parsed], path: file.path };
  return { ...objectLayer(parsed, `file ${file.path}`, dirname(file.path)), path: file.path };
}

function read(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    if ((error as { code?: string }).code === "ENOENT") return undefined;
    throw error;
  }
}

/** The file's object, or a line that says what is wrong. */
function parseFile(path: string, content: string): Record<string, unknown> | string {
  try {
    const parsed: unknown = extname(path) === ".toml" ? Bun.TOML.parse(content) : JSON.parse(content);
    if (typeof parsed === "object" && parsed !== null && !Array.isArray(parsed))
      return parsed as Record<string, unknown>;
    return `file ${path} holds no object of settings`;
  } catch (error) {
    return `file ${path} cannot be read: ${error instanceof Error ? error.message : String(error)}`;
  }
}
