import type { Command } from "commander";
import { isMillraceError } from "../errors/index.ts";
import { action, examples, type Runtime } from "./command.ts";
import { type Context, Interruption, onInterrupt } from "./context.ts";
import { EXIT, usageError } from "./exit.ts";
import { screenOf } from "./top-view.ts";
import { countOf, durationOf } from "./units.ts";

/** `millrace top`: the broker at a glance, again and again. */

interface TopOptions {
  interval: string;
  count?: string;
  limit: string;
}

/** The broker tells rates of at least 900 ms, and timers may be early. */
const INTERVAL_MS_MIN = 1000;
const LIMIT_MAX = 1000;
/** Where a terminal does not say how high it is. */
const ROWS = 24;

/** q, Q, and what Ctrl-C and Ctrl-D are while a terminal hands on every key. */
const END_KEYS: ReadonlySet<number> = new Set([0x71, 0x51, 0x03, 0x04]);

/** From the top left corner, over what was there; the rest of each line, and what is below, goes. */
const HOME = "\x1b[H";
const END_OF_LINE = "\x1b[K\n";
const BELOW = "\x1b[J";
const HIDE_CURSOR = "\x1b[?25l";
const SHOW_CURSOR = "\x1b[?25h";
const OTHER_SCREEN = "\x1b[?1049h";
const FIRST_SCREEN = "\x1b[?1049l";

export function addTopCommand(program: Command, runtime: Runtime): void {
  const command = program
    .command("top")
    .description("watch the broker: rates, workers, the busiest topics and queues, the groups that are most behind")
    .option("--interval <duration>", "time between two looks", "2s")
    .option("--count <count>", "end after so many looks; 0 is never. Default: never on a terminal, else 1")
    .option("--limit <count>", "rows of each list", "10");
  examples(command, [
    ["millrace top", "until q or Ctrl-C"],
    ["millrace top --count 1", "one look, rates included"],
    ["millrace top --json --count 0 --interval 10s", "a line of JSON every ten seconds, for programs"],
  ]);
  action<TopOptions>(command, runtime, (context, _, options) => watch(context, options));
}

async function watch(context: Context, options: TopOptions): Promise<number> {
  const intervalMs = durationOf("--interval", options.interval);
  if (intervalMs < INTERVAL_MS_MIN) throw usageError(`--interval: at least ${INTERVAL_MS_MIN} ms`, "give a longer one");
  const limit = countOf("--limit", options.limit, 1);
  if (limit > LIMIT_MAX) throw usageError(`--limit: at most ${LIMIT_MAX}`, "give fewer");
  const isScreen = context.out.isTerminal && !context.isJson;
  const looks = countOf("--count", options.count ?? (isScreen ? "0" : "1")) || Number.POSITIVE_INFINITY;
  const interruption = new Interruption();
  const undo = [onInterrupt(() => interruption.set())];
  if (isScreen) undo.push(takeScreen(context, () => interruption.set()));
  try {
    await context.withClient(async (client) => {
      // Rates need a look before.
      await client.overview({ busiest: limit });
      for (let look = 0; look < looks && !interruption.isSet && !context.out.isBroken; look += 1) {
        if ((await interruption.or(Bun.sleep(intervalMs).then(() => true))) === null) return;
        const overview = await client.overview({ busiest: limit });
        const text = screenOf(overview, context);
        if (context.isJson) context.out.write(`${JSON.stringify(overview)}\n`);
        else context.out.write(isScreen ? fitted(text, context) : look === 0 ? text : `\n${text}`);
        await context.out.flush();
      }
    });
    return EXIT.ok;
  } catch (error) {
    // Somebody who has seen enough need not hear that the connection ended with it.
    if (interruption.isSet && isMillraceError(error, "connection_lost", "closed")) return EXIT.ok;
    throw error;
  } finally {
    for (const step of undo.toReversed()) step();
    await context.out.flush();
  }
}

/** The other screen of the terminal, without a cursor; `q` calls `stop`. Returns the undoing. */
function takeScreen({ out }: Context, stop: () => void): () => void {
  out.write(OTHER_SCREEN + HIDE_CURSOR);
  const { stdin } = process;
  const heard = (keys: Buffer): void => {
    if (keys.some((key) => END_KEYS.has(key))) stop();
  };
  if (stdin.isTTY) stdin.setRawMode(true).on("data", heard).resume();
  return () => {
    if (stdin.isTTY) stdin.off("data", heard).setRawMode(false).pause();
    out.write(SHOW_CURSOR + FIRST_SCREEN);
  };
}

/** As much of the text as the terminal shows, written over what it shows. */
function fitted(text: string, { out }: Context): string {
  const rows = (process.stdout.rows ?? ROWS) - 1;
  const lines = text.trimEnd().split("\n").slice(0, rows);
  return `${HOME}${lines.map((line) => cut(line, out.columns) + END_OF_LINE).join("")}${BELOW}`;
}

/** A line that would wrap loses its end, and its colours, which may end there. */
function cut(line: string, columns: number): string {
  return Bun.stringWidth(line) <= columns ? line : Bun.stripANSI(line).slice(0, columns);
}
