import { expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { diagnose, type Finding } from "../../src/cli/doctor/checks.ts";
import {
  limitOf,
  type Machine,
  meminfo,
  mountOf,
  newestMs,
  readFolder,
  readMachine,
} from "../../src/cli/doctor/machine.ts";
import { type Config, configOf } from "../../src/config/index.ts";
import { runCli } from "./run-cli.ts";

const GIB = 2 ** 30;
const DAY_MS = 86_400_000;
const CONFIG = configOf({ dataDir: "/data", transformsDir: "/transforms" }, "/").config;
const FOLDER: Machine["dataDir"] = {
  path: "/data",
  existing: "/data",
  isWritable: true,
  fileSystem: "ext4",
  mountOptions: ["rw", "relatime"],
  freeBytes: 500 * GIB,
  totalBytes: 1000 * GIB,
  freeFiles: 1_000_000,
  syncMs: 0.5,
};
/** A machine with nothing to change. */
const GOOD: Machine = {
  openFilesMax: 65_536,
  addressSpaceBytesMax: Number.POSITIVE_INFINITY,
  mapsMax: 65_530,
  overcommit: 0,
  swapBytes: 0,
  swappiness: 60,
  memoryBytes: 16 * GIB,
  memoryAvailableBytes: 12 * GIB,
  dirtyBytesMax: 2 * GIB,
  backlogMax: 4096,
  hugePages: "madvise",
  clockSource: "tsc",
  clock: "synchronized",
  governor: "performance",
  kernel: "6.1.0-44-amd64",
  processors: 8,
  dataDir: FOLDER,
  newestMs: 1_000_000,
  temporary: { ...FOLDER, path: "/tmp", existing: "/tmp", isExecutable: true },
  listeners: [{ name: "port", port: 7400, state: "free" }],
  certificate: undefined,
  secrets: [],
  nowMs: 1_000_000,
};

/** What is told beside "ok". */
function told(machine: Partial<Machine>, config: Partial<Config> = {}): [check: string, state: string][] {
  const findings = diagnose({ ...GOOD, ...machine }, { ...CONFIG, ...config });
  for (const { state, advice } of findings) expect(advice === null).toBe(state === "ok");
  return findings.filter(({ state }) => state !== "ok").map(({ check, state }) => [check, state]);
}

function folder(changes: Partial<Machine["dataDir"]>): Partial<Machine> {
  return { dataDir: { ...FOLDER, ...changes } };
}

test("a machine that suits the broker is told nothing", () => {
  expect(told({})).toEqual([]);
});

test.each<[what: string, machine: Partial<Machine>, expected: [string, string][]]>([
  ["too few files for connections", { openFilesMax: 10_000 }, [["open files", "warn"]]],
  ["too few files for segments", { openFilesMax: 1024 }, [["open files", "fail"]]],
  ["too few maps", { mapsMax: 4096 }, [["memory maps", "fail"]]],
  ["a limit on address space", { addressSpaceBytesMax: 8 * GIB }, [["address space", "fail"]]],
  ["strict overcommit", { overcommit: 2 }, [["overcommit", "warn"]]],
  ["little memory", { memoryAvailableBytes: GIB }, [["memory", "warn"]]],
  ["next to no memory", { memoryAvailableBytes: GIB / 8 }, [["memory", "fail"]]],
  ["swap that is used", { swapBytes: GIB, swappiness: 60 }, [["swap", "warn"]]],
  ["swap for emergencies", { swapBytes: GIB, swappiness: 1 }, []],
  ["an early writeback", { dirtyBytesMax: GIB / 4 }, [["writeback", "warn"]]],
  ["a short backlog", { backlogMax: 128 }, [["listen backlog", "warn"]]],
  ["huge pages everywhere", { hugePages: "always" }, [["huge pages", "warn"]]],
  ["a slow clock", { clockSource: "hpet" }, [["clock source", "warn"]]],
  ["a clock on its own", { clock: "not synchronized" }, [["clock", "warn"]]],
  ["no time service", { clock: "unknown" }, [["clock", "warn"]]],
  ["a processor that saves power", { governor: "powersave" }, [["processors", "warn"]]],
  ["an old kernel", { kernel: "5.10.0-28-amd64" }, [["kernel", "warn"]]],
  ["a kernel that just suits", { kernel: "5.14.0" }, []],
  ["a port that others have", { listeners: [{ name: "port", port: 7400, state: "EADDRINUSE" }] }, [["port", "fail"]]],
  ["a port of a broker", { listeners: [{ name: "port", port: 7400, state: "broker" }] }, []],
  ["a low port", { listeners: [{ name: "httpPort", port: 80, state: "EACCES" }] }, [["HTTP port", "fail"]]],
  [
    "a folder that is not ours",
    folder({ isWritable: false }),
    [
      ["data folder", "fail"],
      ["disk sync", "warn"],
    ],
  ],
  ["a folder in memory", folder({ fileSystem: "tmpfs" }), [["file system", "fail"]]],
  ["a folder over the network", folder({ fileSystem: "nfs4" }), [["file system", "warn"]]],
  ["a mount that is read only", folder({ mountOptions: ["ro"] }), [["file system", "fail"]]],
  ["a disk that is getting full", folder({ freeBytes: 50 * GIB }), [["disk space", "warn"]]],
  ["a full disk", folder({ freeBytes: 1000 }), [["disk space", "fail"]]],
  ["few inodes", folder({ freeFiles: 50 }), [["inodes", "warn"]]],
  ["a slow disk", folder({ syncMs: 40 }), [["disk sync", "warn"]]],
  ["a disk that takes nothing", folder({ syncMs: undefined }), [["disk sync", "fail"]]],
  ["a certificate that is gone", { certificate: { path: "/c", untilMs: undefined } }, [["certificate", "fail"]]],
  ["a certificate that has expired", { certificate: { path: "/c", untilMs: 999_999 } }, [["certificate", "fail"]]],
  ["a certificate that soon expires", { certificate: { path: "/c", untilMs: 5 * DAY_MS } }, [["certificate", "warn"]]],
  ["a certificate that is good for long", { certificate: { path: "/c", untilMs: 90 * DAY_MS } }, []],
  ["a key that is gone", { secrets: [{ path: "/k", mode: undefined }] }, [["secret file", "fail"]]],
  ["a key that everybody may read", { secrets: [{ path: "/k", mode: 0o644 }] }, [["secret file", "warn"]]],
  ["a key that the group may read", { secrets: [{ path: "/k", mode: 0o640 }] }, []],
  ["files of the future", { newestMs: 2_000_000 }, [["clock went back", "fail"]]],
  [
    "programs that may not run",
    { temporary: { ...GOOD.temporary, isExecutable: false } },
    [["temporary folder", "fail"]],
  ],
])("it tells of %s", (_, machine, expected) => {
  expect(told(machine)).toEqual(expected);
});

test("a folder that is missing is not made by giving the one above away", () => {
  const advice = (changes: Partial<Machine["dataDir"]>): string | null | undefined =>
    diagnose({ ...GOOD, ...folder({ isWritable: false, ...changes }) }, CONFIG).find(
      ({ check }) => check === "data folder",
    )?.advice;
  expect(advice({})).toContain("chown -R millrace: /data");
  expect(advice({ path: "/srv/data", existing: "/srv" })).toContain(
    "install -d -m 0700 -o millrace -g millrace /srv/data",
  );
});

test("limits of the settings are held against the machine", () => {
  expect(told({}, { diskFreeBytesMin: 600 * GIB })).toEqual([["disk space", "fail"]]);
  expect(told({}, { memoryBytesMax: 20 * GIB })).toEqual([["memory", "warn"]]);
  expect(told({}, { memoryBytesMax: 4 * GIB })).toEqual([]);
});

test("a broker in memory has no disk to look at, and more threads than processors are told", () => {
  expect(told(folder({ fileSystem: "tmpfs", freeBytes: 0 }), { storage: "memory" })).toEqual([]);
  expect(told({ processors: 2 }, { threads: 4 })).toEqual([["processors", "warn"]]);
});

test("a broker that serves everybody without log-ins is told", () => {
  expect(told({}, { insecure: true })).toEqual([["log-ins", "warn"]]);
  expect(told({}, { insecure: true, authentication: "required" })).toEqual([]);
});

test("what cannot be read is told, and ends nothing", () => {
  const nothing = { openFilesMax: undefined, mapsMax: undefined, memoryBytes: undefined, dirtyBytesMax: undefined };
  expect(told(nothing).map(([, state]) => state)).toEqual(["warn", "warn", "warn", "warn"]);
});

test("a path lies on the deepest mount above it, the later of two at one place, blanks in its name included", () => {
  const mounts = [
    "22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw",
    "30 22 0:26 / /srv rw shared:2 - xfs /dev/sdb1 rw",
    "31 22 0:27 / /srv/two\\040words rw,noexec - tmpfs tmpfs rw,size=8k",
    "32 22 0:28 / /srv ro - nfs4 box:/ rw",
  ].join("\n");
  expect(mountOf("/var/lib", mounts).fileSystem).toBe("ext4");
  expect(mountOf("/srv/x", mounts)).toEqual({ fileSystem: "nfs4", options: ["ro", "rw"] });
  expect(mountOf("/srv/two words/deep", mounts).options).toContain("noexec");
  expect(mountOf("/srvx", mounts).fileSystem).toBe("ext4");
  expect(mountOf("/", "").fileSystem).toBeUndefined();
});

test("limits and sizes are read as the kernel writes them", () => {
  const limits =
    "Max open files            1024                 524288               files     \nMax address space         unlimited            unlimited            bytes     \n";
  expect(limitOf(limits, "Max open files")).toBe(1024);
  expect(limitOf(limits, "Max address space")).toBe(Number.POSITIVE_INFINITY);
  expect(limitOf(undefined, "Max open files")).toBeUndefined();
  expect(meminfo("MemTotal:       24659968 kB\nHugePages_Total:       0\n").get("MemTotal")).toBe(24_659_968 * 1024);
});

test("this machine has all facts, a folder its own, and no file of the probe is left", async () => {
  const path = mkdtempSync(join(tmpdir(), "millrace-doctor-"));
  try {
    const config = configOf({ dataDir: path, port: 0, httpPort: 0 }, path).config;
    const machine = await readMachine(config, "self");
    expect(machine.listeners.map(({ state }) => state)).toEqual(["free", "free", "free"]);
    expect(machine.openFilesMax).toBeGreaterThan(0);
    expect(machine.memoryBytes).toBeGreaterThan(0);
    expect(machine.dataDir).toMatchObject({ path, existing: path, isWritable: true });
    expect(machine.newestMs).toBeUndefined();
    expect(machine.dataDir.syncMs).toBeGreaterThanOrEqual(0);
    expect(machine.temporary.isExecutable).toBe(true);
    const deep = join(path, "not/there");
    expect(readFolder(deep)).toMatchObject({ path: deep, existing: path });
    mkdirSync(deep, { recursive: true });
    writeFileSync(join(deep, "segment"), "x");
    utimesSync(join(deep, "segment"), 4_000_000_000, 4_000_000_000);
    expect(newestMs(path)).toBe(4_000_000_000_000);
  } finally {
    rmSync(path, { recursive: true });
  }
});

test("the command ends with 1 when a check fails, tells where a broker runs, and refuses a wrong setting", async () => {
  using taken = Bun.listen({ hostname: "127.0.0.1", port: 0, socket: { data: () => undefined } });
  const path = mkdtempSync(join(tmpdir(), "millrace-doctor-"));
  const alive = Bun.serve({ port: 0, hostname: "127.0.0.1", fetch: () => Response.json({ status: "live" }) });
  try {
    const settings = ["--data-dir", path, "--port", String(taken.port), "--registry-port", "0"];
    const states = async (...more: string[]): Promise<[number, unknown]> => {
      const { exit, out } = await runCli(["doctor", "--json", ...settings, ...more]);
      const findings = JSON.parse(out) as Finding[];
      return [exit, findings.filter(({ check }) => check === "port" || check === "data folder")];
    };
    const dataFolder = { check: "data folder", state: "ok", found: path, advice: null };
    expect(await states("--http-port", "0")).toMatchObject([1, [dataFolder, { check: "port", state: "fail" }]]);
    const [, [, port]] = (await states("--http-port", String(alive.port))) as [number, [unknown, Finding]];
    expect(port.found).toContain("in use by a broker that runs");
    const text = await runCli(["doctor", ...settings, "--http-port", "0"]);
    expect(text.out).toContain("to change:");
    expect(text.out).toContain("choose another with --port");
    expect(await runCli(["doctor", "--prot", "1"])).toMatchObject({ exit: 2, out: "" });
    expect(await runCli(["doctor", "--pid", "x"])).toMatchObject({ exit: 2, out: "" });
  } finally {
    await alive.stop(true);
    rmSync(path, { recursive: true });
  }
});
