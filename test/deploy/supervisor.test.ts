import { expect, test } from "bun:test";
import { closeSync, fstatSync, mkdtempSync, openSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { isJournal, journalLine, Supervisor } from "../../src/server/supervisor.ts";
import { until } from "../until.ts";
import { NotifyListener } from "./notify-listener.ts";

const MAIN = join(import.meta.dir, "../../src/main.ts");
const SERVE = ["serve", "--port", "0", "--http-port", "0", "--storage", "memory"];
const PATIENCE_MS = 60_000;

function start(env: Record<string, string>, stderr: "pipe" | number): Bun.Subprocess {
  const plain = Object.entries(process.env).filter(([name]) => !name.startsWith("MILLRACE_"));
  return Bun.spawn([process.execPath, MAIN, ...SERVE], {
    env: { ...(Object.fromEntries(plain) as Record<string, string>), ...env },
    stdin: "ignore",
    stdout: "ignore",
    stderr,
  });
}

test("a supervisor hears that the broker is ready, that its loop runs, and that it stops", async () => {
  await using listener = await NotifyListener.open();
  const folder = mkdtempSync(join(tmpdir(), "millrace-supervisor-"));
  const log = openSync(join(folder, "log"), "w");
  const child = start({ NOTIFY_SOCKET: listener.path, WATCHDOG_USEC: "200000" }, log);
  try {
    await until("it is ready", () => listener.states.length > 0, PATIENCE_MS);
    expect(listener.states[0]).toMatch(/^READY=1\nSTATUS=serving 127\.0\.0\.1:\d+, HTTP \d+$/);
    const beats = (): number => listener.states.filter((state) => state === "WATCHDOG=1").length;
    await until("the loop shows that it runs", () => beats() >= 3, PATIENCE_MS);
    child.kill("SIGTERM");
    expect(await child.exited).toBe(0);
    await until("it has told of its stop", () => listener.states.some((state) => state.startsWith("STOPPING=1")));
    expect(readFileSync(join(folder, "log"), "utf8")).not.toContain("supervisor");
  } finally {
    child.kill("SIGKILL");
    closeSync(log);
    rmSync(folder, { recursive: true });
  }
});

test.each([
  ["for the journal carry their level in front of the JSON", 0, /^<[46]>\{"level":"(?:info|warn)",.*\}$/],
  ["for a file are JSON alone", 1, /^\{"level":"(?:info|warn)",.*\}$/],
])("lines %s", async (_, offBy, pattern) => {
  const folder = mkdtempSync(join(tmpdir(), "millrace-journal-"));
  const path = join(folder, "log");
  const log = openSync(path, "w");
  // The journal is known by the file that standard error is.
  const { dev, ino } = fstatSync(log);
  const child = start({ JOURNAL_STREAM: `${dev}:${ino + offBy}` }, log);
  try {
    await until("it serves", () => readFileSync(path, "utf8").includes('"serving"}\n'), PATIENCE_MS);
    for (const line of readFileSync(path, "utf8").trim().split("\n")) expect(line).toMatch(pattern);
  } finally {
    child.kill("SIGKILL");
    closeSync(log);
    rmSync(folder, { recursive: true });
  }
});

test("levels have syslog's numbers, and what is no JSON of ours is information", () => {
  expect(journalLine('{"level":"error","message":"x"}\n')).toBe('<3>{"level":"error","message":"x"}\n');
  expect(journalLine('{"level":"warn"}\n')).toStartWith("<4>");
  expect(journalLine('{"level":"debug"}\n')).toStartWith("<7>");
  expect(journalLine("plain\n")).toBe("<6>plain\n");
  expect(isJournal({})).toBe(false);
});

test("what systemd left in the environment is for the broker alone, and a watchdog of another process is not ours", () => {
  const said: string[] = [];
  const env = { NOTIFY_SOCKET: "/nowhere/at/all", WATCHDOG_USEC: "1000", WATCHDOG_PID: "1", HOME: "/x" };
  const supervisor = new Supervisor(env, 2, (line) => said.push(line));
  expect(env as Record<string, string>).toEqual({ HOME: "/x" });
  supervisor.ready("serving");
  supervisor.stopping();
  expect(said.map((line) => line.replace(/:.*/, ""))).toEqual([
    "the supervisor could not be told READY=1",
    "the supervisor could not be told STOPPING=1",
  ]);
});

test("without a supervisor nothing is told and nothing fails", () => {
  const supervisor = new Supervisor({ NOTIFY_SOCKET: "" }, 1, (line) => expect(line).toBeUndefined());
  supervisor.ready("serving");
  supervisor.stopping();
});
