import type { Command } from "commander";
import { type AvroCodec, type AvroOptions, avroTopic } from "../client/avro/index.ts";
import {
  type AckLevel,
  type Client,
  isMillraceError,
  type Producer,
  type ProducerOptions,
  type ProducerRecord,
} from "../client/index.ts";
import { action, collect, examples, type Runtime } from "./command.ts";
import { type Context, Interruption, onInterrupt } from "./context.ts";
import { CliError, EXIT, usageError } from "./exit.ts";
import { formatOf, type Input, openInput, recordReader } from "./input.ts";
import { versionOf } from "./schema.ts";
import { type InputFormat, splitterOf } from "./splitters.ts";
import { countOf, durationOf, groupDigits, roundBytes, sizeOf } from "./units.ts";

/** `millrace produce TOPIC`: publishes the lines, JSON lines or array elements of a file or of standard input. */

interface ProduceOptions {
  file?: string;
  format?: string;
  key?: string;
  header?: string[];
  partition?: string;
  acks?: string;
  batchBytes?: string;
  lingerMs?: string;
  compression?: string;
  schema?: string | true;
  schemaVersion?: string;
  schemaFile?: string;
  framing?: string;
}

interface Job {
  topic: string;
  format: InputFormat;
  key: string | undefined;
  input: Input;
  /** What every record carries. */
  common: ProducerRecord;
  producer: ProducerOptions;
  /** With which schema JSON is written as Avro; null where records go out as they are. */
  avro: AvroOptions<unknown> | null;
}

const ACKS: readonly AckLevel[] = ["none", "memory", "written", "synced"];
const COMPRESSIONS = ["none", "zstd"] as const;
/** Chunks are cut to this, so that the socket gets its turn between them. */
const STEP_BYTES = 64 * 1024;

export function addProduceCommand(program: Command, runtime: Runtime): void {
  const command = program
    .command("produce")
    .description("publish lines, JSON lines or the elements of a JSON array")
    .argument("<topic>")
    .option("-f, --file <path>", "read this file instead of standard input")
    .option("--format <format>", "lines, ndjson or json-array; default: by the file's name and content")
    .option("-k, --key <field>", "the JSON field that is the record's key; a.b reaches into objects")
    .option("-H, --header <name=value>", "a header for every record, as often as needed", collect)
    .option("--partition <number>", "publish to this partition whatever the key")
    .option("--acks <level>", "what an acknowledgement means: none, memory, written or synced", "written")
    .option("--batch-bytes <size>", "send a batch when it reaches this", "64KiB")
    .option("--linger-ms <duration>", "how long a record may wait for others", "5")
    .option("--compression <codec>", "none or zstd", "none")
    .option("--schema [subject]", "write JSON as Avro, with the schema of this subject; default: TOPIC-value")
    .option("--schema-version <version>", "a version of the subject, or latest", "latest")
    .option("--schema-file <path>", "a schema that is registered under the subject where it is new")
    .option("--framing <form>", "where the schema's id goes: prefix, or header", "prefix");
  examples(command, [
    ["echo hello | millrace produce greetings", "one record a line of standard input"],
    ["millrace produce flights --file flights-200k.json --key distance", "the elements of a JSON array"],
    ["millrace produce orders --file orders.ndjson --key customer.id --acks synced", "JSON lines, safe on disk"],
    ["tail -F app.log | millrace produce logs -H host=web-1", "follow a file"],
    ["millrace produce ticks --file ticks.ndjson --key symbol --schema", "as Avro, with the schema of ticks-value"],
  ]);
  action<ProduceOptions>(command, runtime, async (context, [topic = ""], options) => {
    const job = jobOf(topic, options);
    return context.withClient((client) => produce(context, client, job));
  });
}

function jobOf(topic: string, options: ProduceOptions): Job {
  const { file, key, partition } = options;
  const avro = avroOf(options);
  const input = openInput(file);
  const headers = headersOf(options.header ?? []);
  const acks = choiceOf("--acks", options.acks ?? "written", ACKS);
  return {
    topic,
    key,
    input,
    avro,
    format: formatOf(options.format, file === "-" ? undefined : file, key !== undefined, avro !== null),
    common: {
      ...(headers === null ? {} : { headers }),
      ...(partition === undefined ? {} : { partition: countOf("--partition", partition) }),
    },
    producer: {
      acks,
      batchBytes: sizeOf("--batch-bytes", options.batchBytes ?? "64KiB"),
      lingerMs: durationOf("--linger-ms", options.lingerMs ?? "5"),
      compression: choiceOf("--compression", options.compression ?? "none", COMPRESSIONS),
    },
  };
}

/** The schema that the options name. */
function avroOf(options: ProduceOptions): AvroOptions<unknown> | null {
  const { schema, schemaVersion = "latest", schemaFile } = options;
  if (schema === undefined && schemaFile === undefined) return null;
  const framing = choiceOf("--framing", options.framing ?? "prefix", ["prefix", "header"] as const);
  const subject = typeof schema === "string" ? { subject: schema } : {};
  const which = schemaFile === undefined ? { version: versionOf(schemaVersion) } : { file: schemaFile };
  return { ...which, ...subject, framing, longs: "bigint" };
}

function choiceOf<T extends string>(name: string, text: string, choices: readonly T[]): T {
  const choice = choices.find((each) => each === text);
  if (choice === undefined) throw usageError(`${name}: "${text}" is unknown`, `use ${choices.join(", ")}`);
  return choice;
}

export function headersOf(pairs: readonly string[]): Record<string, string> | null {
  if (pairs.length === 0) return null;
  return Object.fromEntries(
    pairs.map((pair) => {
      const split = pair.indexOf("=");
      if (split < 1) throw usageError(`--header: "${pair}" is no name=value`, "write it as -H source=web");
      return [pair.slice(0, split), pair.slice(split + 1)];
    }),
  );
}

interface Tally {
  records: number;
  /** Of keys and values. */
  bytes: number;
  withoutKey: number;
  readBytes: number;
}

async function produce(context: Context, client: Client, job: Job): Promise<number> {
  const { topic, input } = job;
  const started = performance.now();
  const tally: Tally = { records: 0, bytes: 0, withoutKey: 0, readBytes: 0 };
  const interruption = new Interruption();
  let failure: unknown = null;
  const onError = (error: unknown): void => {
    failure ??= error;
    interruption.set();
  };
  const codec = job.avro === null ? null : (await avroTopic(client, topic, job.avro)).codec;
  const release = onInterrupt(() => interruption.set());
  const producer = client.producer(topic, { ...job.producer, onError });
  try {
    await producer.ready();
    if (input.isTerminal) context.note("reading from the terminal, one record a line; end with Ctrl-D");
    await context.err.flush();
    await pump(context, client, { producer, codec }, job, tally, interruption);
    if (failure === null) await producer.flush();
  } finally {
    release();
    await producer.close().catch(onError);
  }
  if (failure !== null) throw failure;
  report(context, job, tally, producer.partitions, performance.now() - started);
  return interruption.isSet ? EXIT.interrupted : EXIT.ok;
}

/** Reads to the end, or to the interruption, and hands records over as fast as the producer takes them. */
async function pump(
  context: Context,
  client: Client,
  { producer, codec }: { producer: Producer; codec: AvroCodec<unknown> | null },
  job: Job,
  tally: Tally,
  interruption: Interruption,
): Promise<void> {
  let hasRoom = true;
  const splitter = splitterOf(job.format, recordReader(job.format, job.key, take), recordLimit(client));
  const { common, input } = job;
  function take(key: string | null, value: Uint8Array): void {
    tally.records++;
    tally.bytes += value.length + (key === null ? 0 : Buffer.byteLength(key));
    if (key === null) tally.withoutKey++;
    const record = { ...common, key, value };
    hasRoom = producer.sendNoWait(codec === null ? record : avroRecord(codec, record, tally.records));
  }
  const progress = context.progress(`producing to ${job.topic}`);
  const reader = input.stream().getReader();
  try {
    for (let next = await interruption.or(reader.read()); next !== null; next = await interruption.or(reader.read())) {
      if (next.done === true) {
        splitter.end();
        return;
      }
      const chunk = next.value;
      tally.readBytes += chunk.length;
      for (let at = 0; at < chunk.length; at += STEP_BYTES) {
        splitter.push(chunk.subarray(at, at + STEP_BYTES));
        if (!hasRoom) await interruption.or(producer.ready());
        hasRoom = true;
        if (interruption.isSet) return;
      }
      progress.update({ ...tally, total: input.totalBytes, done: tally.readBytes });
    }
  } finally {
    progress.end();
    // A read that still waits would keep the process alive.
    await reader.cancel();
  }
}

/** A record of JSON as one of Avro. Errors: schema_violation, with the record's number. */
function avroRecord(
  codec: AvroCodec<unknown>,
  record: ProducerRecord & { value: Uint8Array },
  number: number,
): ProducerRecord {
  try {
    return codec.record(codec.valueOfJson(Buffer.from(record.value).toString()), record);
  } catch (error) {
    if (!isMillraceError(error, "schema_violation")) throw error;
    throw new CliError(
      error.codeName,
      `record ${number}: ${error.message}`,
      "repair it; what came before it is stored",
    );
  }
}

/** Room for the record's other fields is the broker's to judge; this only bounds what is gathered here. */
function recordLimit(client: Client): number {
  return client.server?.limits.messageBytesMax ?? 1024 * 1024;
}

function report(context: Context, job: Job, tally: Tally, partitions: number, elapsedMs: number): void {
  const seconds = elapsedMs / 1000;
  const { records, bytes, withoutKey } = tally;
  const rate = Math.round(records / Math.max(seconds, 0.001));
  const bytesRate = Math.round(bytes / Math.max(seconds, 0.001));
  const { topic, key } = job;
  const acks = job.producer.acks ?? "written";
  const summary = {
    topic,
    partitions,
    records,
    bytes,
    seconds,
    recordsPerSecond: rate,
    bytesPerSecond: bytesRate,
    acks,
  };
  context.result(key === undefined ? summary : { ...summary, recordsWithoutKey: withoutKey }, () => {
    const size = `${groupDigits(records)} record${records === 1 ? "" : "s"}, ${roundBytes(bytes)}`;
    const speed = `${groupDigits(rate)} records/s, ${roundBytes(bytesRate)}/s`;
    return `produced ${size} to ${topic} in ${seconds.toFixed(2)} s (${speed})\n`;
  });
  if (key !== undefined && withoutKey > 0)
    context.warn(`${groupDigits(withoutKey)} records have no field ${key} and went without a key`);
}
