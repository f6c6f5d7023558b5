/** Backups of the broker's data directory. Making one takes its time: POST begins it, GET tells how it goes. */
import { bodyOf, listOf, nullable, object, operation, type Route, settings, text, timeMs, whole } from "../route.ts";

const tag = "backups";
const summary = object({ name: text, folder: text, atMs: timeMs, bytes: whole, partitions: whole });

export const backupRoutes: readonly Route[] = [
  operation({
    method: "GET",
    path: "/backups",
    tag,
    summary: "Lists the backups, and tells of the one that is being made or was made last",
    op: "BACKUP_STATUS",
    answer: object({
      directory: text,
      run: nullable(settings),
      backups: listOf(summary),
      unfinished: listOf(text),
    }),
  }),
  operation({
    method: "POST",
    path: "/backups",
    tag,
    summary: "Begins a backup",
    op: "BACKUP_RUN",
    body: bodyOf({ name: text }),
    status: 202,
    answer: object({ name: text, folder: text }),
  }),
];
