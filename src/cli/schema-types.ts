import { readFileSync, writeFileSync } from "node:fs";
import type { Command } from "commander";
import type { Client } from "../client/index.ts";
import { declarationsOf, type Declared, type LongForm } from "../client/avro/index.ts";
import { action, collect, examples, type Runtime } from "./command.ts";
import { CliError, usageError } from "./exit.ts";

/** `millrace schema types`: TypeScript of schemas. */

interface TypesWords {
  file?: string[];
  out?: string;
  longs?: string;
  constants?: boolean;
}

export function addTypes(schema: Command, runtime: Runtime): void {
  const command = schema
    .command("types")
    .description("write TypeScript types of the values, and constants that avroTopic takes")
    .argument("[subject...]", "subjects, each as itself (the latest version) or with a version: ticks-value@3")
    .option("-f, --file <path>", "a schema in a file, as often as needed; then no broker is needed", collect)
    .option("-o, --out <path>", "write to this file instead of standard output")
    .option("--longs <form>", "number, or bigint: the option `longs` of avroTopic must say the same", "number")
    .option("--no-constants", "types alone");
  examples(command, [
    ["millrace schema types ticks-value --out src/ticks.ts", "of the topic ticks"],
    ["millrace schema types ticks-value@3 orders-value", "a certain version, and another subject"],
    ["millrace schema types --file tick.avsc", "of a file"],
  ]);
  action<TypesWords>(command, runtime, async (context, subjects, words) => {
    const { file = [], out, constants = true } = words;
    if (subjects.length === 0 && file.length === 0) throw usageError("types of what?", "name a subject, or a --file");
    const schemas: Declared[] = file.map(declaredInFile);
    if (subjects.length > 0)
      schemas.push(...(await context.withClient((client) => declaredSubjects(client, subjects))));
    const text = await declarationsOf(schemas, { longs: longsOf(words.longs), constants });
    if (out === undefined) {
      context.out.write(text);
      return;
    }
    writeFileSync(out, text);
    context.result({ file: out, schemas: schemas.map(({ from }) => from) }, () => `wrote ${out}\n`);
  });
}

function longsOf(text: string = "number"): LongForm {
  if (text === "number" || text === "bigint") return text;
  throw usageError(`--longs: "${text}" is unknown`, "use number or bigint");
}

function declaredInFile(path: string): Declared {
  return { from: path, schema: readFileSync(path, "utf8") };
}

async function declaredSubjects(client: Client, subjects: readonly string[]): Promise<Declared[]> {
  const declared: Declared[] = [];
  for (const named of subjects) {
    const [, subject = named, number] = /^(.+)@(\d+)$/.exec(named) ?? [];
    const found = await client.schemas.version(subject, number === undefined ? "latest" : Number(number));
    const { id, schema, schemaType, references } = found;
    if (schemaType !== "AVRO") {
      throw new CliError("schema_unsupported", `${subject} is ${schemaType}`, "types are written of Avro schemas only");
    }
    const { schema: resolved } = await client.schemas.get(id, { resolved: true });
    declared.push({ from: `${subject}, version ${found.version}`, schema, resolved, references });
  }
  return declared;
}
