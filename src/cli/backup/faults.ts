import { CliError } from "../exit.ts";

/** What is wrong with a backup, or with where it is to go. */

export function damaged(message: string): CliError {
  return new CliError("backup_damaged", message, "take another backup, and look at the disk that this one lies on");
}

export function refused(message: string, action: string): CliError {
  return new CliError("restore_refused", message, action);
}
