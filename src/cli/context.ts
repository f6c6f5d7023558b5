import { type Client, connect } from "../client/index.ts";
import { isMillraceError } from "../errors/index.ts";
import { CliError, EXIT, type Failure, failureLine } from "./exit.ts";
import { type CredentialOptions, credentialsOf } from "./credentials.ts";
import type { Output } from "./output.ts";
import { Progress } from "./progress.ts";
import { type Cell, fields, table } from "./table.ts";
import { durationOf } from "./units.ts";

/** What every command works with: the options that all have, the streams, and the connection. */

export interface GlobalOptions extends CredentialOptions {
  url?: string;
  namespace?: string;
  timeout?: string;
  json?: boolean;
}

export type Environment = Readonly<Record<string, string | undefined>>;

const DEFAULT_PORT = "7400";
const NAMESPACE_DEFAULT = "default";
const RED = "\x1b[31m";
const RESET = "\x1b[0m";

export class Context {
  readonly out: Output;
  readonly err: Output;
  readonly env: Environment;
  readonly options: GlobalOptions;
  private readonly hasColor: boolean;

  constructor(out: Output, err: Output, env: Environment, options: GlobalOptions) {
    this.out = out;
    this.err = err;
    this.env = env;
    this.options = options;
    this.hasColor = (env["NO_COLOR"] ?? "") === "" && env["TERM"] !== "dumb";
  }

  get isJson(): boolean {
    return this.options.json === true;
  }

  /** `--url`, MILLRACE_URL, or this machine at MILLRACE_PORT. */
  get url(): string {
    const { env, options } = this;
    return (
      options.url ??
      nonEmpty(env["MILLRACE_URL"]) ??
      `millrace://127.0.0.1:${nonEmpty(env["MILLRACE_PORT"]) ?? DEFAULT_PORT}`
    );
  }

  /** The namespace that commands work in. */
  get namespace(): string {
    return this.options.namespace ?? nonEmpty(this.env["MILLRACE_NAMESPACE"]) ?? NAMESPACE_DEFAULT;
  }

  private get clientOptions(): Parameters<typeof connect>[1] {
    const { env, options } = this;
    const namespace = options.namespace ?? nonEmpty(env["MILLRACE_NAMESPACE"]);
    const timeoutMs = durationOf("--timeout", options.timeout ?? "10s");
    return {
      ...(namespace === undefined ? {} : { namespace }),
      clientName: "millrace-cli",
      connectTimeoutMs: timeoutMs,
      requestTimeoutMs: Math.max(timeoutMs, 1000),
      // A command in a shell should end when the broker is gone, not wait for ever.
      reconnect: { attemptsMax: 8, delayMaxMs: 2000 },
    };
  }

  /** Connects, runs, and closes whatever happens. Errors: unreachable (exit code 3), and what `run` throws. */
  async withClient<T>(run: (client: Client) => Promise<T>): Promise<T> {
    const client = await this.connect();
    try {
      return await run(client);
    } finally {
      await client.close();
    }
  }

  private async connect(): Promise<Client> {
    const { url } = this;
    const credentials = await credentialsOf(this.options, this.env, url);
    try {
      return await connect(url, { ...this.clientOptions, ...credentials });
    } catch (error) {
      if (!isMillraceError(error, "connection_lost", "timeout")) throw error;
      const action = "start the broker with `millrace serve`, or give its address with --url or MILLRACE_URL";
      throw new CliError(error.codeName, error.message, action, EXIT.unreachable);
    }
  }

  progress(label: string): Progress {
    return new Progress(this.err, label);
  }

  /** The result as one line of JSON with `--json`, otherwise as `text` says. */
  result(value: unknown, text: () => string): void {
    this.out.write(this.isJson ? `${JSON.stringify(value)}\n` : text());
  }

  table(headings: readonly string[], rows: readonly (readonly Cell[])[], right: readonly string[] = []): string {
    return table(headings, rows, { color: this.hasColor && this.out.isTerminal, right });
  }

  fields(rows: readonly (readonly [string, Cell])[]): string {
    return fields(rows);
  }

  /** A remark for people, on standard error and only where somebody sits there. */
  note(text: string): void {
    if (this.err.isTerminal) this.err.line(text);
  }

  warn(text: string): void {
    this.err.line(`warning: ${text}`);
  }

  fail(failure: Failure): void {
    if (this.isJson) {
      this.err.line(JSON.stringify({ error: failure }));
      return;
    }
    const line = failureLine(failure);
    const isColored = this.hasColor && this.err.isTerminal;
    this.err.line(isColored ? line.replace(/^error:/, `${RED}error:${RESET}`) : line);
  }
}

export function nonEmpty(text: string | undefined): string | undefined {
  return text === undefined || text === "" ? undefined : text;
}

/** Calls `stop` at the first SIGINT or SIGTERM; a second one ends the process at once. Returns the undoing. */
export function onInterrupt(stop: () => void): () => void {
  let count = 0;
  const interrupted = (): void => {
    count++;
    if (count > 1) process.exit(EXIT.interrupted);
    stop();
  };
  process.on("SIGINT", interrupted);
  process.on("SIGTERM", interrupted);
  return () => {
    process.off("SIGINT", interrupted);
    process.off("SIGTERM", interrupted);
  };
}

/** Something that ends waiting. One promise waits at a time, so that a long run leaves no trail of reactions behind. */
export class Interruption {
  isSet: boolean = false;
  private wake: (() => void) | null = null;

  set(): void {
    this.isSet = true;
    this.wake?.();
  }

  /** What the promise gives, or null at the interruption if that comes first. */
  async or<T>(promise: Promise<T>): Promise<T | null> {
    // Nobody may be left to hear of a failure that comes later.
    promise.catch(() => undefined);
    if (this.isSet) return null;
    return new Promise<T | null>((resolve, reject) => {
      this.wake = () => resolve(null);
      promise.then(resolve, reject);
    });
  }
}
