import { isErrorName, MillraceError } from "../errors/index.ts";

/** Exit codes and the one line that every failure ends with. */

export const EXIT = {
  ok: 0,
  /** The broker refused or the operation failed half way. */
  failed: 1,
  /** The command line is wrong, whether the CLI or the broker found it. */
  usage: 2,
  /** No connection could be made, or it was lost and did not come back. */
  unreachable: 3,
  /** What the command names does not exist. */
  notFound: 4,
  /** SIGINT ended work that was not complete: 128 + 2, as shells count. */
  interrupted: 130,
} as const;

const EXIT_OF_ERROR: ReadonlyMap<string, number> = new Map([
  ["invalid_argument", EXIT.usage],
  ["invalid_topic_name", EXIT.usage],
  ["invalid_config", EXIT.usage],
  ["definitions_invalid", EXIT.usage],
  ["connection_lost", EXIT.unreachable],
  ["heartbeat_missed", EXIT.unreachable],
  ["topic_not_found", EXIT.notFound],
  ["partition_not_found", EXIT.notFound],
  ["group_not_found", EXIT.notFound],
  ["exchange_not_found", EXIT.notFound],
  ["binding_not_found", EXIT.notFound],
  ["queue_not_found", EXIT.notFound],
  ["subject_not_found", EXIT.notFound],
  ["version_not_found", EXIT.notFound],
  ["schema_not_found", EXIT.notFound],
  ["reader_schema_unknown", EXIT.notFound],
  ["transform_not_found", EXIT.notFound],
  ["namespace_not_found", EXIT.notFound],
  ["role_not_found", EXIT.notFound],
  ["bad_expression", EXIT.usage],
  ["tls_failed", EXIT.unreachable],
  ["schedule_never", EXIT.usage],
]);

/** A failure that the CLI itself finds, where the catalogue's text would not say what to do at a shell. */
export class CliError extends Error {
  override readonly name: string;
  /** What the person at the shell can do. */
  readonly action: string;
  readonly exit: number;

  constructor(name: string, message: string, action: string, exit: number = EXIT.failed) {
    super(message);
    this.name = name;
    this.action = action;
    this.exit = exit;
  }
}

export function usageError(message: string, action: string): CliError {
  return new CliError("usage", message, action, EXIT.usage);
}

/** A failure as it is printed, by `--json` too. */
export interface Failure {
  name: string;
  message: string;
  action: string;
  exit: number;
  code?: number;
  retryable?: boolean;
}

/** What is to be printed of anything thrown. */
export function failureOf(error: unknown): Failure {
  if (error instanceof CliError) {
    const { name, message, action, exit } = error;
    return { name, message, action, exit };
  }
  if (error instanceof MillraceError) {
    const { name, message, code, retryable } = error;
    const exit = EXIT_OF_ERROR.get(name) ?? EXIT.failed;
    return { name, message, action: actionOf(error), exit, code, retryable };
  }
  const { code, path, message } = error as NodeJS.ErrnoException;
  const file = path ?? "the file";
  if (code === "ENOENT") return fileFailure(`${file} does not exist`, "check the path");
  if (code === "EACCES") return fileFailure(`${file} may not be read`, "check its permissions");
  if (code === "EISDIR") return fileFailure(`${file} is a directory`, "name a file");
  const text = error instanceof Error ? message : String(error);
  return {
    name: "internal",
    message: text,
    action: "this is a fault of Millrace itself: report it with the lines that follow",
    exit: 1,
  };
}

function fileFailure(message: string, action: string): Failure {
  return { name: "file", message, action, exit: EXIT.failed };
}

/** The catalogue's advice, except where the command line has a nearer one. */
function actionOf(error: MillraceError): string {
  if (error.name === "topic_exists") return "use it, pick another name, or add --if-not-exists";
  if (error.name === "connection_lost")
    return "start it with `millrace serve`, or give its address with --url or MILLRACE_URL";
  return isErrorName(error.name) ? asClause(error.action) : "see the broker's documentation";
}

/** A sentence of the catalogue, as the second half of a line. */
function asClause(sentence: string): string {
  const isWord = /^[A-Z][a-z]/.test(sentence);
  const start = isWord ? sentence.charAt(0).toLowerCase() + sentence.slice(1) : sentence;
  return start.replace(/\.$/, "");
}

/** `error: name: message — what to do`, on one line whatever the message holds. */
export function failureLine(failure: Failure): string {
  const { name, message, action } = failure;
  return `error: ${name}: ${message} — ${action}`.replace(/\s*\n\s*/g, " ");
}
