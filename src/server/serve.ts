/** `millrace serve`: a broker as a process of its own. */
import { configEntries, loadConfig } from "../config/index.ts";
import { createLogger } from "../stdx/index.ts";
import { Broker } from "./broker.ts";
import { isJournal, journalLine, Supervisor } from "./supervisor.ts";

const EXIT_OK = 0;
const EXIT_FAILED = 1;
/** What a shell reports of a process that a signal ended. */
const EXIT_SIGNAL = 130;

/**
 * Serves until SIGTERM or SIGINT; a second one ends the process at once.
 *
 * @param words the command line behind `serve`: settings as flags.
 * @returns the exit code.
 * @throws what the broker could not start or stop with; the caller says it in one line.
 */
export async function serve(words: readonly string[]): Promise<number> {
  if (words.includes("--help") || words.includes("-h")) {
    process.stdout.write(help());
    return EXIT_OK;
  }
  const stopped = firstSignal();
  const write = isJournal(process.env)
    ? (line: string) => process.stderr.write(journalLine(line))
    : (line: string) => process.stderr.write(line);
  const logger = createLogger("info", write);
  const supervisor = new Supervisor(process.env, process.pid, (line) => logger.warn(line));
  try {
    const { config, warnings, file } = loadConfig({ flags: words, env: process.env, cwd: process.cwd() });
    for (const warning of warnings) logger.warn(warning);
    if (file !== undefined) logger.info("settings of a file", { file });
    const broker = await Broker.start({
      ...config,
      log: write,
      workerEntry: workerEntry(),
      ...(isCompiled() ? { transformCommand: [process.execPath, "transform-worker"] } : {}),
    });
    supervisor.ready(`serving ${config.host}:${broker.port}, HTTP ${broker.httpPort}`);
    process.on("SIGHUP", () => reloadCertificates(broker));
    await Promise.race([stopped, broker.closed]);
    supervisor.stopping();
    await broker.stop();
    return EXIT_OK;
  } catch (error) {
    return explain(error);
  }
}

/** In a compiled binary the main module is the only one there is a path to; main.ts knows when it runs as a thread. */
function workerEntry(): string | URL {
  return isCompiled() ? Bun.main : new URL("./worker.ts", import.meta.url);
}

function isCompiled(): boolean {
  return import.meta.url.includes("/$bunfs/");
}

function firstSignal(): Promise<void> {
  return new Promise((resolve) => {
    let signals = 0;
    const take = (): void => {
      signals += 1;
      if (signals > 1) process.exit(EXIT_SIGNAL);
      resolve();
    };
    process.on("SIGTERM", take);
    process.on("SIGINT", take);
  });
}

/** What is wrong with new certificates is no reason to end. */
function reloadCertificates(broker: Broker): void {
  try {
    broker.reloadCertificates();
  } catch (error) {
    process.stderr.write(`millrace: ${(error as Error).message}\n`);
  }
}

/** What the command line's own words for failures do not cover. @throws everything else. */
function explain(error: unknown): number {
  if ((error as { code?: unknown }).code !== "EADDRINUSE") throw error;
  // Bun's TCP listener says which port in a field, its HTTP server in the message alone.
  const { message, port = /port (\d+)/.exec(message)?.[1] } = error as Error & { port?: number };
  const action = "choose another with --port, --http-port and --registry-port, or 0 for a free one";
  const what = port === undefined ? message : `port ${port} is in use`;
  process.stderr.write(`error: address_in_use: ${what} — ${action}\n`);
  return EXIT_FAILED;
}

function help(): string {
  const defaults = configEntries(loadConfig({ flags: [], env: {}, cwd: process.cwd() }));
  const rows = defaults.map(({ flag, text, doc }) => `  ${flag.padEnd(34)} ${doc} [${text}]`);
  return [
    "Usage: millrace serve [--SETTING VALUE ...]",
    "",
    "Runs the broker until SIGTERM or SIGINT; a second signal ends it at once.",
    "Settings come from millrace.config.json or .toml (--config FILE), then the environment",
    "(MILLRACE_PORT, MILLRACE_DATA_DIR, ...), then flags; the later wins. `millrace config` prints them.",
    "",
    "Examples:",
    "  millrace serve",
    "  millrace serve --data-dir /var/lib/millrace --threads 4",
    "  millrace serve --storage memory --port 0 --http-port 0",
    "",
    "Settings [default]:",
    ...rows,
    "",
  ].join("\n");
}
