/**
 * What systemd wants to hear of a service (sd_notify(3)) and how it wants its log lines. Without systemd, or with a unit
 * of another type, there is nobody to tell, and nothing is told.
 */
import { fstatSync } from "node:fs";
import { notifySupervisor } from "../log/native.ts";

type Environment = Record<string, string | undefined>;

const STDERR = 2;

export class Supervisor {
  readonly #address: string | undefined;
  readonly #watchdogMs: number | undefined;
  readonly #complain: (line: string) => void;
  #watchdog: ReturnType<typeof setInterval> | undefined;

  /**
   * Takes what systemd left in the environment out of it: processes that the broker starts must not speak for it.
   *
   * @param complain hears, in one line, that something could not be told. It is no reason to end.
   */
  constructor(env: Environment, pid: number, complain: (line: string) => void) {
    this.#address = nonEmpty(env["NOTIFY_SOCKET"]);
    this.#watchdogMs = watchdogMs(env, pid);
    this.#complain = complain;
    for (const name of ["NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"]) delete env[name];
  }

  /** The service works; from now on the loop has to show that it runs, where the unit says so (WatchdogSec). */
  ready(status: string): void {
    this.#tell(`READY=1\nSTATUS=${status}`);
    if (this.#address === undefined || this.#watchdogMs === undefined) return;
    // Twice as often as it has to be, as sd_watchdog_enabled(3) advises.
    this.#watchdog = setInterval(() => this.#tell("WATCHDOG=1"), this.#watchdogMs / 2);
    this.#watchdog.unref();
  }

  /** A stop is under way. The loop goes on showing that it runs, since it does until the end. */
  stopping(): void {
    this.#tell("STOPPING=1\nSTATUS=stopping");
  }

  #tell(state: string): void {
    if (this.#address === undefined) return;
    try {
      notifySupervisor(this.#address, state);
    } catch (error) {
      this.#complain(`the supervisor could not be told ${state.split("\n")[0]}: ${(error as Error).message}`);
      // Once is enough; it will act on the silence as it sees fit.
      clearInterval(this.#watchdog);
    }
  }
}

/** How long the loop may be silent; undefined when nobody minds, or when it is meant for another process. */
function watchdogMs(env: Environment, pid: number): number | undefined {
  const microseconds = Number(env["WATCHDOG_USEC"] ?? "");
  const isOurs = env["WATCHDOG_PID"] === undefined || env["WATCHDOG_PID"] === String(pid);
  return isOurs && Number.isSafeInteger(microseconds) && microseconds > 0 ? microseconds / 1000 : undefined;
}

function nonEmpty(text: string | undefined): string | undefined {
  return text === "" ? undefined : text;
}

/** Syslog's numbers of the levels. */
const PRIORITIES: ReadonlyMap<string, number> = new Map([
  ["debug", 7],
  ["info", 6],
  ["warn", 4],
  ["error", 3],
]);

/**
 * A line of the log as the journal likes it: with its level in front, as sd-daemon(3) says. The journal takes that off
 * again, so that `journalctl -o cat` shows plain JSON and `journalctl -p warning` finds what matters.
 */
export function journalLine(line: string): string {
  const level = /^\{"level":"(\w+)"/.exec(line)?.[1] ?? "";
  return `<${PRIORITIES.get(level) ?? 6}>${line}`;
}

/** Whether standard error goes to the journal itself, and not to a file or terminal that was put in its place. */
export function isJournal(env: Environment): boolean {
  const stream = env["JOURNAL_STREAM"];
  if (stream === undefined) return false;
  const { dev, ino } = fstatSync(STDERR);
  return stream === `${dev}:${ino}`;
}
