/**
 * Backups of the broker's data directory.
 *
 *     150 BACKUP_RUN    [150, corr, {name?: str}] -> {name, folder}
 *     151 BACKUP_STATUS [151, corr, {}] -> {directory, run: RUN|nil, backups: [{name, folder, atMs, bytes, partitions}], unfinished: [str]}
 *
 * `name` is that of a folder of the broker's `backupDir`, of one word. RUN is `{name, state: "running"|"done"|"failed",
 * filesDone, filesTotal, error: str|nil, linkedBytes, copiedBytes, stoppedMs, heldMs}`.
 */
import { Op } from "../protocol/index.ts";
import { asText, fieldsAt, optional } from "./arguments.ts";
import { type AnyOperation, define } from "./operation.ts";
import { brokerResource } from "./resources.ts";

export const backupOps: readonly AnyOperation[] = [
  define({
    op: Op.BACKUP_RUN,
    permission: "backup.run",
    parse: (args) => ({ name: optional(fieldsAt(args, 0)["name"], "name", asText) ?? null }),
    resources: () => [brokerResource],
    run: ({ services }, { name }) => services.backups.run(name),
  }),
  define({
    op: Op.BACKUP_STATUS,
    permission: "backup.status",
    parse: (args) => fieldsAt(args, 0),
    resources: () => [brokerResource],
    run: ({ services }) => services.backups.status(),
  }),
];
