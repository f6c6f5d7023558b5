import { resolve } from "node:path";
import type { Command } from "commander";
import type { BackupRun } from "../../client/index.ts";
import type { BackupManifest } from "../../stdx/index.ts";
import { action, examples, type Runtime } from "../command.ts";
import type { Context } from "../context.ts";
import { CliError, EXIT, usageError } from "../exit.ts";
import { formatTime, groupDigits, positionOf, roundBytes, roundMs } from "../units.ts";
import { manifestOf, nameOf } from "./manifest.ts";
import { restore, type Restored } from "./restore.ts";

/** `millrace backup …`, which asks the broker, and `millrace restore`, which needs none. */

const CUT_SHOWN = 20;

export function addBackupCommands(program: Command, runtime: Runtime): void {
  const backup = program
    .command("backup")
    .description("back up the broker's data directory while it runs, and look at backups");
  addRun(backup, runtime);
  addList(backup, runtime);
  addVerify(backup, runtime);
  addRestore(program, runtime);
}

function addRun(backup: Command, runtime: Runtime): void {
  const command = backup
    .command("run", { isDefault: true })
    .description("make a backup in a folder of the broker's backupDir, and wait until it is done")
    .argument("[name]", "of the folder; the time of day without it")
    .option("--no-wait", "return when it has begun");
  examples(command, [
    ["millrace backup", "named by the time of day"],
    ["millrace backup before-upgrade", "named"],
    ["millrace backup --json", "one JSON object with folder, sizes and times"],
  ]);
  action<{ wait: boolean }>(command, runtime, async (context, [name], { wait }) => {
    await context.withClient(async (client) => {
      if (!wait) {
        const begun = await client.backups.begin(name);
        context.result(begun, () => `began ${begun.folder}\n`);
        return;
      }
      const progress = context.progress("backing up");
      const onProgress = ({ filesDone, filesTotal }: BackupRun): void =>
        progress.update({ records: filesDone, bytes: 0, total: filesTotal, done: filesDone });
      const run = await client.backups.run({ ...(name === undefined ? {} : { name }), onProgress });
      progress.end();
      if (run.state === "failed") {
        throw new CliError("backup_failed", run.error ?? "the backup failed", "see the broker's log, and try again");
      }
      context.result(run, () => {
        const sizes = `${roundBytes(run.linkedBytes)} linked, ${roundBytes(run.copiedBytes)} copied`;
        return `${run.folder}: ${sizes}; appends stood still for ${roundMs(run.stoppedMs)}\n`;
      });
    });
  });
}

function addList(backup: Command, runtime: Runtime): void {
  const command = backup
    .command("list")
    .alias("ls")
    .alias("status")
    .description("list the backups in the broker's backupDir, and tell of the one that is being made");
  examples(command, [
    ["millrace backup list", "name, moment and size of each"],
    ["millrace backup list --json", "with the one that is being made, and what interrupted ones have left"],
  ]);
  action(command, runtime, async (context) => {
    const status = await context.withClient((client) => client.backups.status());
    const { run, backups, unfinished, directory } = status;
    if (run?.state === "running") {
      context.note(`${run.name} is being made: ${run.filesDone} of ${run.filesTotal} files`);
    }
    for (const name of unfinished) context.warn(`${directory}/${name} was interrupted; it may be removed`);
    context.result(status, () => {
      const rows = backups.map(({ name, atMs, bytes, partitions }) => [
        name,
        formatTime(atMs),
        roundBytes(bytes),
        groupDigits(partitions),
      ]);
      return context.table(["BACKUP", "OF", "SIZE", "PARTITIONS"], rows, ["SIZE", "PARTITIONS"]);
    });
  });
}

function addVerify(backup: Command, runtime: Runtime): void {
  const command = backup
    .command("verify")
    .description("read a backup whole, without a broker: every CRC, every offset, and what the manifest says")
    .argument("<folder>", "of the backup");
  examples(command, [
    ["millrace backup verify millrace-data/backups/before-upgrade", "exit code 1 on damage"],
    ["millrace backup verify --json /backups/2026-11-21T04-00-00Z", "with where each partition ends"],
  ]);
  action(command, runtime, (context, [folder = ""]) => {
    const manifest = manifestOf(folder);
    const { bytes } = walked(context, "verifying", { folder, manifest, target: null, untilMs: null });
    const { name, atMs, partitions } = manifest;
    const ends = partitions.map((found) => {
      const { logId, partition, kind, of, startOffset, nextOffset } = found;
      return { logId, partition, kind, of, startOffset, nextOffset };
    });
    context.result({ name, atMs, bytes, partitions: ends }, () => {
      const count = groupDigits(partitions.length);
      return `${folder} is whole: ${count} partitions, ${roundBytes(bytes)}, as of ${formatTime(atMs)}\n`;
    });
    return Promise.resolve();
  });
}

function addRestore(program: Command, runtime: Runtime): void {
  const command = program
    .command("restore")
    .description("make a data directory of a backup, without a broker; all of it is checked on the way")
    .argument("<backup>", "folder of the backup")
    .argument("<directory>", "an empty folder, or one that is not there yet")
    .option("--until <time>", "leave out what is later, such as 2026-01-31T12:00:00Z; without a zone it is UTC");
  examples(command, [
    ["millrace restore backups/before-upgrade millrace-data", "then: millrace serve --data-dir millrace-data"],
    ["millrace restore backups/nightly data --until '2026-01-31 11:59'", "as it was then, where the backup can tell"],
  ]);
  action<{ until?: string }>(command, runtime, (context, [from = "", to = ""], { until }) => {
    const manifest = manifestOf(from);
    const untilMs = until === undefined ? null : timeOf(until, manifest);
    const target = resolve(to);
    const restored = walked(context, "restoring", { folder: from, manifest, target, untilMs });
    const cut = restored.cut.map(({ partition, nextOffset }) => {
      const { logId, partition: index, kind, of } = partition;
      return { logId, partition: index, kind, of, nextOffset, left: partition.nextOffset - nextOffset };
    });
    const { bytes, partitions } = restored;
    context.result({ directory: target, atMs: manifest.atMs, untilMs, bytes, partitions, cut }, () =>
      report(target, manifest, untilMs, restored),
    );
    return Promise.resolve();
  });
}

function report(target: string, { atMs }: BackupManifest, untilMs: number | null, { cut, ...done }: Restored): string {
  const size = `${groupDigits(done.partitions)} partitions, ${roundBytes(done.bytes)}`;
  const lines = [`${target}: ${size}, as of ${formatTime(untilMs ?? atMs)}`];
  for (const { partition, nextOffset } of cut.slice(0, CUT_SHOWN)) {
    lines.push(`  ${nameOf(partition)} ends at ${nextOffset}; ${partition.nextOffset - nextOffset} later left out`);
  }
  if (cut.length > CUT_SHOWN) lines.push(`  and ${cut.length - CUT_SHOWN} more`);
  return `${lines.join("\n")}\n`;
}

function timeOf(until: string, { atMs }: BackupManifest): number {
  const position = positionOf("--until", until);
  if (typeof position !== "object" || !("timestamp" in position)) {
    throw usageError(`--until: "${until}" is no time`, "write it as 2026-01-31T12:00:00Z");
  }
  if (position.timestamp <= atMs) return position.timestamp;
  const message = `--until: the backup is of ${formatTime(atMs)} and knows nothing later`;
  throw new CliError("restore_refused", message, "leave --until out, or take a later backup", EXIT.usage);
}

function walked(context: Context, label: string, options: Omit<Parameters<typeof restore>[0], "onBytes">): Restored {
  const progress = context.progress(label);
  const total = options.manifest.bytes;
  let bytes = 0;
  const onBytes = (read: number): void => {
    bytes += read;
    progress.update({ records: 0, bytes, total, done: bytes });
  };
  try {
    return restore({ ...options, onBytes });
  } finally {
    progress.end();
  }
}
