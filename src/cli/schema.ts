import { readFileSync } from "node:fs";
import type { Command } from "commander";
import type {
  Client,
  Compatibility,
  NewSchema,
  RegisteredSchema,
  SchemaMode,
  SchemaReference,
  SchemaType,
  SchemaVersion,
} from "../client/index.ts";
import { action, collect, examples, type Runtime } from "./command.ts";
import type { Context } from "./context.ts";
import { EXIT, usageError } from "./exit.ts";
import { addTypes } from "./schema-types.ts";
import { countOf } from "./units.ts";

/** `millrace schema …`: register, get, list, check, delete, config, mode, types. */

const COMPATIBILITIES: readonly Compatibility[] = [
  "NONE",
  "BACKWARD",
  "BACKWARD_TRANSITIVE",
  "FORWARD",
  "FORWARD_TRANSITIVE",
  "FULL",
  "FULL_TRANSITIVE",
];
const MODES: readonly SchemaMode[] = ["READWRITE", "READONLY", "READONLY_OVERRIDE", "IMPORT"];
const TYPES: readonly SchemaType[] = ["AVRO", "JSON"];

interface SourceWords {
  file?: string;
  type?: string;
  reference?: string[];
  normalize?: boolean;
}

export function addSchemaCommands(program: Command, runtime: Runtime): void {
  const schema = program
    .command("schema")
    .description("register, show, check and delete schemas, and write TypeScript types of them");
  addRegister(schema, runtime);
  addGet(schema, runtime);
  addList(schema, runtime);
  addCheck(schema, runtime);
  addDelete(schema, runtime);
  addConfig(schema, runtime);
  addMode(schema, runtime);
  addTypes(schema, runtime);
}

/** The options of commands that are given a schema. */
function withSource(command: Command): Command {
  return command
    .option("-f, --file <path>", "the schema; without it, standard input")
    .option("--type <type>", "AVRO or JSON", "AVRO")
    .option("--reference <name=subject:version>", "a schema that it refers to, as often as needed", collect);
}

/** The schema that the options name. */
async function sourceOf(words: SourceWords): Promise<NewSchema> {
  const { file, type = "AVRO", reference = [] } = words;
  const isInput = file === undefined || file === "-";
  const text = isInput ? await Bun.stdin.text() : readFileSync(file, "utf8");
  if (text.trim() === "") throw usageError("there is no schema", "give a file with --file, or pipe it in");
  return {
    schema: text,
    schemaType: choiceOf("--type", type.toUpperCase(), TYPES),
    references: reference.map(referenceOf),
  };
}

function choiceOf<T extends string>(name: string, text: string, choices: readonly T[]): T {
  const choice = choices.find((each) => each === text);
  if (choice === undefined) throw usageError(`${name}: "${text}" is unknown`, `use ${choices.join(", ")}`);
  return choice;
}

/** `shop.Item=items-value:3`; a subject may hold colons and equals signs itself. */
export function referenceOf(text: string): SchemaReference {
  const equals = text.indexOf("=");
  const colon = text.lastIndexOf(":");
  if (equals < 1 || colon <= equals + 1) {
    throw usageError(`--reference: "${text}" is no name=subject:version`, "write it as shop.Item=items-value:3");
  }
  const version = countOf("--reference", text.slice(colon + 1), 1);
  return { name: text.slice(0, equals), subject: text.slice(equals + 1, colon), version };
}

/** A version as people name it. */
export function versionOf(text: string | undefined): number | "latest" {
  return text === undefined || text === "latest" ? "latest" : countOf("a version", text, 1);
}

function addRegister(schema: Command, runtime: Runtime): void {
  const command = withSource(
    schema.command("register").description("register a schema under a subject").argument("<subject>"),
  ).option("--normalize", "spelling and order of attributes make no other schema");
  examples(command, [
    ["millrace schema register ticks-value --file tick.avsc", "for the values of the topic ticks"],
    ["millrace schema register orders-value -f order.avsc --reference shop.Item=items-value:1", "with another's types"],
  ]);
  action<SourceWords>(command, runtime, async (context, [subject = ""], words) => {
    const source = await sourceOf(words);
    const normalize = words.normalize === true ? { normalize: true } : {};
    const { id, version } = await context.withClient((client) => client.schemas.register(subject, source, normalize));
    context.result({ subject, id, version }, () => `${subject} version ${version} has id ${id}\n`);
  });
}

interface GetWords {
  id?: string;
  schemaVersion?: string;
  deleted?: boolean;
}

function addGet(schema: Command, runtime: Runtime): void {
  const command = schema
    .command("get")
    .description("show a schema: of a subject, or by its id")
    .argument("[subject]")
    .option("-v, --schema-version <version>", "a version, or latest", "latest")
    .option("--id <id>", "the id that records name, instead of a subject")
    .option("--deleted", "deleted versions too");
  examples(command, [
    ["millrace schema get ticks-value > tick.avsc", "the latest version"],
    ["millrace schema get ticks-value -v 2", "another one"],
    ["millrace schema get --id 17 --json", "by id, with type, references and where it is registered"],
  ]);
  action<GetWords>(command, runtime, async (context, [subject], words) => {
    const { id, schemaVersion, deleted = false } = words;
    if ((subject === undefined) === (id === undefined)) throw usageError("which schema?", "name a subject or --id");
    const found = await context.withClient((client) => getOne(client, subject, id, schemaVersion, deleted));
    context.result(found, () => `${indented(found.schema)}\n`);
  });
}

function getOne(
  client: Client,
  subject: string | undefined,
  id: string | undefined,
  version: string | undefined,
  deleted: boolean,
): Promise<RegisteredSchema | SchemaVersion> {
  if (id !== undefined) return client.schemas.get(countOf("--id", id, 1));
  return client.schemas.version(subject ?? "", versionOf(version), { deleted });
}

/** JSON as people read it; the registry keeps it on one line. */
function indented(text: string): string {
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}

function addList(schema: Command, runtime: Runtime): void {
  const command = schema
    .command("list")
    .alias("ls")
    .description("list the subjects of the namespace")
    .argument("[pattern]", "only these: * is one word, # any number, words are split at . and /")
    .option("--deleted", "deleted ones too");
  examples(command, [
    ["millrace schema list", "all, with their versions"],
    ["millrace schema list 'stock.#'", "stock and everything below it"],
  ]);
  action<{ deleted?: boolean }>(command, runtime, async (context, [pattern], { deleted = false }) => {
    const options = { deleted, ...(pattern === undefined ? {} : { pattern }) };
    const subjects = await context.withClient((client) => client.schemas.subjects(options));
    context.result(subjects, () => {
      const rows = subjects.map(({ subject, versions, latestId, compatibility }) => [
        subject,
        versions.join(","),
        latestId,
        compatibility,
      ]);
      return context.table(["SUBJECT", "VERSIONS", "LATEST ID", "COMPATIBILITY"], rows);
    });
  });
}

function addCheck(schema: Command, runtime: Runtime): void {
  const command = withSource(
    schema
      .command("check")
      .description("say whether a schema could be registered; exit code 1 where not")
      .argument("<subject>"),
  ).option(
    "-v, --schema-version <version>",
    "against this version alone, or latest; default: what the subject asks for",
  );
  examples(command, [
    ["millrace schema check ticks-value --file tick.avsc", "before it is deployed"],
    ["millrace schema check ticks-value -f tick.avsc -v latest --json | jq -r '.messages[]'", "what stands in the way"],
  ]);
  action<SourceWords & { schemaVersion?: string }>(command, runtime, async (context, [subject = ""], words) => {
    const source = await sourceOf(words);
    const version = words.schemaVersion === undefined ? {} : { version: versionOf(words.schemaVersion) };
    const result = await context.withClient((client) => client.schemas.check(subject, source, version));
    context.result({ subject, ...result }, () => checkText(subject, result));
    return result.compatible ? EXIT.ok : EXIT.failed;
  });
}

function checkText(subject: string, { compatible, messages }: { compatible: boolean; messages: string[] }): string {
  const verdict = `${compatible ? "compatible" : "not compatible"} with ${subject}\n`;
  return verdict + messages.map((message) => `  ${message}\n`).join("");
}

function addDelete(schema: Command, runtime: Runtime): void {
  const command = schema
    .command("delete")
    .alias("rm")
    .description("delete a subject or one of its versions; records that were written with it stay readable")
    .argument("<subject>")
    .option("-v, --schema-version <version>", "this version alone, or latest")
    .option("--permanent", "forget what was deleted before; records of it become unreadable");
  examples(command, [
    ["millrace schema delete ticks-value -v 3", "one version"],
    ["millrace schema delete ticks-value && millrace schema delete ticks-value --permanent", "all of it, for good"],
  ]);
  action<{ schemaVersion?: string; permanent?: boolean }>(command, runtime, async (context, [subject = ""], words) => {
    const { schemaVersion, permanent = false } = words;
    const version = schemaVersion === undefined ? {} : { version: versionOf(schemaVersion) };
    const deleted = await context.withClient((client) => client.schemas.delete(subject, { permanent, ...version }));
    const what = permanent ? "forgot" : "deleted";
    context.result({ subject, deleted, permanent }, () => `${what} version ${deleted.join(", ")} of ${subject}\n`);
  });
}

function addConfig(schema: Command, runtime: Runtime): void {
  const command = schema
    .command("config")
    .description("show or set what new versions have to be compatible with")
    .argument("[subject]", "without one, for all that have no setting of their own")
    .option("--compatibility <level>", COMPATIBILITIES.join(", "))
    .option("--unset", "no setting of its own any more");
  examples(command, [
    ["millrace schema config", "what holds for all"],
    ["millrace schema config ticks-value --compatibility FULL", "for one subject"],
  ]);
  action<{ compatibility?: string; unset?: boolean }>(command, runtime, async (context, [subject], words) => {
    const value = settingOf("--compatibility", words.compatibility, words.unset, COMPATIBILITIES);
    const compatibility = await context.withClient((client) => client.schemas.compatibility(subject ?? null, value));
    printSetting(context, subject, { compatibility });
  });
}

function addMode(schema: Command, runtime: Runtime): void {
  const command = schema
    .command("mode")
    .description("show or set whether schemas may be registered")
    .argument("[subject]", "without one, for all that have no setting of their own")
    .option("--set <mode>", MODES.join(", "))
    .option("--unset", "no setting of its own any more");
  examples(command, [
    ["millrace schema mode", "what holds for all"],
    ["millrace schema mode ticks-value --set READONLY", "no more versions of one subject"],
  ]);
  action<{ set?: string; unset?: boolean }>(command, runtime, async (context, [subject], words) => {
    const value = settingOf("--set", words.set, words.unset, MODES);
    const mode = await context.withClient((client) => client.schemas.mode(subject ?? null, value));
    printSetting(context, subject, { mode });
  });
}

/** What is to be set: a value, null for none of its own, undefined to read. */
function settingOf<T extends string>(
  name: string,
  text: string | undefined,
  unset: boolean | undefined,
  choices: readonly T[],
): T | null | undefined {
  if (text !== undefined && unset === true) throw usageError(`${name} and --unset exclude each other`, "leave one out");
  if (unset === true) return null;
  return text === undefined ? undefined : choiceOf(name, text.toUpperCase(), choices);
}

function printSetting(context: Context, subject: string | undefined, setting: { [name: string]: unknown }): void {
  const [[name, value] = ["", ""]] = Object.entries(setting);
  context.result({ subject: subject ?? null, ...setting }, () =>
    context.fields([
      ["subject", subject ?? "all"],
      [name, String(value)],
    ]),
  );
}
