import type { Command } from "commander";
import { action, collect, examples, type Runtime } from "./command.ts";
import { CliError, EXIT, usageError } from "./exit.ts";
import { headersOf } from "./produce.ts";
import { formatTime } from "./units.ts";

/** `millrace schedule …`. */

interface PutWords {
  cron: string;
  message?: string;
  exchange?: string;
  key?: string;
  timezone?: string;
  header?: string[];
  missed?: string;
}

const MISSED = ["once", "skip"] as const;

export function addScheduleCommands(program: Command, runtime: Runtime): void {
  const schedule = program.command("schedule").description("have messages published again and again");
  addPut(schedule, runtime);
  addList(schedule, runtime);
  addDelete(schedule, runtime);
}

function addPut(schedule: Command, runtime: Runtime): void {
  const command = schedule
    .command("put")
    .alias("set")
    .description("set a schedule, instead of one of that name")
    .argument("<schedule>")
    .requiredOption("--cron <fields>", "minute, hour, day, month and weekday, such as '0 9 * * mon-fri'")
    .option("-m, --message <text>", "the body; none without it")
    .option("--exchange <exchange>", "where it is published; default: the default exchange")
    .option("--key <key>", "the routing key; with the default exchange the name of a queue")
    .option("--timezone <name>", "whose clock is meant, such as Europe/Berlin; default UTC")
    .option("--header <name=value>", "a header, as often as needed", collect)
    .option("--missed <once|skip>", "when the broker was not there: one message for all times, or none", "once");
  examples(command, [
    ["millrace schedule put report --cron '0 6 * * *' --key reports -m daily", "to the queue reports, daily at six"],
    [
      "millrace schedule put ping --cron '*/5 * * * *' --exchange checks --key web --missed skip",
      "every five minutes, never late",
    ],
  ]);
  action<PutWords>(command, runtime, async (context, [name = ""], words) => {
    const { cron, message, exchange, key, timezone, header } = words;
    const missed = MISSED.find((word) => word === words.missed);
    if (missed === undefined) throw usageError(`--missed: "${words.missed}" is unknown`, "use once or skip");
    await context.withClient((client) =>
      client.schedules.put({
        name,
        cron,
        value: message ?? null,
        missed,
        ...(exchange === undefined ? {} : { exchange }),
        ...(key === undefined ? {} : { key }),
        ...(timezone === undefined ? {} : { timezone }),
        ...(header === undefined ? {} : { headers: headersOf(header) ?? {} }),
      }),
    );
    context.result({ schedule: name }, () => `set ${name}\n`);
  });
}

function addList(schedule: Command, runtime: Runtime): void {
  const command = schedule.command("list").alias("ls").description("list the schedules of the namespace");
  examples(command, [["millrace schedule list", "when each was published last, and will be next"]]);
  action(command, runtime, async (context) => {
    const schedules = await context.withClient((client) => client.schedules.list());
    context.result(schedules, () => {
      const time = (ms: number | null): string => (ms === null ? "-" : formatTime(ms));
      const rows = schedules.map(({ name, cron, timezone, exchange, key, nextMs, lastMs, error }) => [
        name,
        cron,
        timezone ?? "UTC",
        exchange === "" ? `queue ${key}` : `${exchange} ${key}`,
        time(lastMs),
        time(nextMs),
        error ?? "",
      ]);
      return context.table(["SCHEDULE", "CRON", "CLOCK", "TO", "LAST", "NEXT", "ERROR"], rows);
    });
  });
}

function addDelete(schedule: Command, runtime: Runtime): void {
  const command = schedule.command("delete").alias("rm").description("take a schedule away").argument("<schedule>");
  examples(command, [["millrace schedule delete report", "it is published no more"]]);
  action(command, runtime, async (context, [name = ""]) => {
    const deleted = await context.withClient((client) => client.schedules.delete(name));
    if (!deleted) {
      const what = `there is no schedule "${name}"`;
      throw new CliError("schedule_not_found", what, "see millrace schedule list", EXIT.notFound);
    }
    context.result({ schedule: name }, () => `deleted ${name}\n`);
  });
}
