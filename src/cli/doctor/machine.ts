/** What `millrace doctor` looks at: plain facts of this machine, read once. A fact that cannot be read is undefined. */
import { type Dirent, readdirSync, readFileSync, realpathSync, statfsSync, statSync } from "node:fs";
import { availableParallelism, release, tmpdir } from "node:os";
import { dirname, join } from "node:path";
import type { Config } from "../../config/index.ts";
import { clockState, type ClockState } from "./clock.ts";
import { type ListenerState, probeListeners } from "./listeners.ts";
import { type Certificate, certificateOf, type SecretFile, secretOf } from "./secrets.ts";
import { isExecutableFolder, isWritableFolder, syncMsOf } from "./probe.ts";

export interface Machine {
  /** Of the process that the limits were asked of; Infinity where there is none. */
  readonly openFilesMax: number | undefined;
  readonly addressSpaceBytesMax: number | undefined;
  readonly mapsMax: number | undefined;
  /** `vm.overcommit_memory`: 2 counts address space that nobody has touched. */
  readonly overcommit: number | undefined;
  readonly swapBytes: number | undefined;
  readonly swappiness: number | undefined;
  readonly memoryBytes: number | undefined;
  readonly memoryAvailableBytes: number | undefined;
  /** Unsynced bytes over which the kernel makes those who write wait. */
  readonly dirtyBytesMax: number | undefined;
  readonly backlogMax: number | undefined;
  /** `always`, `madvise` or `never`. */
  readonly hugePages: string | undefined;
  readonly clockSource: string | undefined;
  readonly clock: ClockState;
  /** `powersave`, `performance`, ... */
  readonly governor: string | undefined;
  readonly kernel: string;
  readonly processors: number;
  readonly dataDir: Folder;
  /** The latest change of a file of the data folder; undefined when there is none. */
  readonly newestMs: number | undefined;
  readonly temporary: Folder & { readonly isExecutable: boolean };
  readonly listeners: readonly ListenerState[];
  /** Of tlsCertFile; undefined where there is none. */
  readonly certificate: Certificate | undefined;
  /** Files of the settings that nobody else may read. */
  readonly secrets: readonly SecretFile[];
  readonly nowMs: number;
}

export interface Folder {
  readonly path: string;
  /** The folder itself, or the nearest one above it that is there. */
  readonly existing: string;
  readonly isWritable: boolean;
  readonly fileSystem: string | undefined;
  readonly mountOptions: readonly string[];
  readonly freeBytes: number;
  readonly totalBytes: number;
  /** Infinity where the file system makes them as they are needed. */
  readonly freeFiles: number;
  /** Median of a few syncs of 64 KiB; undefined where nothing could be written. */
  readonly syncMs: number | undefined;
}

/** Files that are looked at for the latest change: enough to see a clock that went back, and soon done. */
const FILES_LOOKED_AT_MAX = 10_000;

/** @param pid whose limits count: `self`, or a broker that runs. */
export async function readMachine(config: Config, pid: string): Promise<Machine> {
  const limits = readText(`/proc/${pid}/limits`);
  const memory = meminfo(readText("/proc/meminfo"));
  const cgroup = cgroupBytesMax();
  const total = memory.get("MemTotal");
  const available = memory.get("MemAvailable");
  return {
    openFilesMax: limitOf(limits, "Max open files"),
    addressSpaceBytesMax: limitOf(limits, "Max address space"),
    mapsMax: numberIn("/proc/sys/vm/max_map_count"),
    overcommit: numberIn("/proc/sys/vm/overcommit_memory"),
    swapBytes: memory.get("SwapTotal"),
    swappiness: numberIn("/proc/sys/vm/swappiness"),
    memoryBytes: total === undefined ? undefined : Math.min(total, cgroup),
    memoryAvailableBytes: available === undefined ? undefined : Math.min(available, cgroup),
    dirtyBytesMax: dirtyBytesMax(available),
    backlogMax: numberIn("/proc/sys/net/core/somaxconn"),
    hugePages: /\[(\w+)\]/.exec(readText("/sys/kernel/mm/transparent_hugepage/enabled") ?? "")?.[1],
    clockSource: readText("/sys/devices/system/clocksource/clocksource0/current_clocksource")?.trim(),
    clock: clockState(),
    governor: readText("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")?.trim(),
    kernel: release(),
    processors: availableParallelism(),
    dataDir: readFolder(config.dataDir),
    newestMs: newestMs(config.dataDir),
    temporary: temporaryFolder(),
    listeners: await probeListeners(config),
    certificate: config.tlsCertFile === "" ? undefined : certificateOf(config.tlsCertFile),
    secrets: [config.tlsKeyFile, config.adminPasswordFile].filter((path) => path !== "").map(secretOf),
    nowMs: Date.now(),
  };
}

function temporaryFolder(): Machine["temporary"] {
  // Where a compiled Bun unpacks what it loads.
  const folder = readFolder(process.env["BUN_TMPDIR"] ?? tmpdir());
  return { ...folder, isExecutable: isExecutableFolder(folder.existing) };
}

export function readFolder(path: string): Folder {
  const existing = nearestExisting(path);
  const { bavail, bsize, blocks, ffree, files } = statfsSync(existing);
  const isWritable = isWritableFolder(existing);
  const { fileSystem, options } = mountOf(existing, readText("/proc/self/mountinfo") ?? "");
  return {
    path,
    existing,
    isWritable,
    fileSystem,
    mountOptions: options,
    freeBytes: bavail * bsize,
    totalBytes: blocks * bsize,
    freeFiles: files === 0 ? Number.POSITIVE_INFINITY : ffree,
    syncMs: isWritable ? syncMsOf(existing) : undefined,
  };
}

function nearestExisting(path: string): string {
  try {
    return realpathSync(path);
  } catch {
    return path === "/" ? path : nearestExisting(dirname(path));
  }
}

/** The latest change of a file in the folder or below it. What cannot be read is passed over. */
export function newestMs(folder: string): number | undefined {
  let latestMs: number | undefined;
  let left = FILES_LOOKED_AT_MAX;
  const folders = [folder];
  for (let next = folders.pop(); next !== undefined; next = folders.pop()) {
    for (const entry of entriesOf(next)) {
      if ((left -= 1) < 0) return latestMs;
      const path = join(next, entry.name);
      if (entry.isDirectory()) folders.push(path);
      else latestMs = Math.max(latestMs ?? 0, statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0);
    }
  }
  return latestMs;
}

function entriesOf(folder: string): Dirent[] {
  try {
    return readdirSync(folder, { withFileTypes: true });
  } catch {
    return [];
  }
}

/**
 * The file system that a path lies on.
 *
 * @param mountinfo the text of /proc/self/mountinfo (proc(5)); the longest mount point wins, the later of two equal ones.
 */
export function mountOf(path: string, mountinfo: string): { fileSystem: string | undefined; options: string[] } {
  let best: { point: string; fileSystem: string; options: string[] } | undefined;
  for (const line of mountinfo.split("\n")) {
    const [left = "", right = ""] = line.split(" - ");
    const [, , , , escaped = "", options = ""] = left.split(" ");
    const [fileSystem = "", , superOptions = ""] = right.split(" ");
    // Blanks in a mount point are written in octal.
    const point = escaped.replace(/\\(\d{3})/g, (_, digits: string) => String.fromCharCode(Number.parseInt(digits, 8)));
    const isIn = point !== "" && (path === point || path.startsWith(point === "/" ? "/" : `${point}/`));
    if (!isIn || (best !== undefined && point.length < best.point.length)) continue;
    best = { point, fileSystem, options: [...options.split(","), ...superOptions.split(",")] };
  }
  return { fileSystem: best?.fileSystem, options: best?.options ?? [] };
}

/** Sizes of /proc/meminfo in bytes. */
export function meminfo(text: string | undefined): Map<string, number> {
  const rows = [...(text ?? "").matchAll(/^(\w+):\s+(\d+) kB$/gm)];
  return new Map(rows.map(([, name = "", kib]) => [name, Number(kib) * 1024]));
}

/** The soft limit of /proc/PID/limits; a process of Bun raises it to the hard one when it starts. */
export function limitOf(limits: string | undefined, name: string): number | undefined {
  const [, soft] = new RegExp(`^${name}\\s+(\\S+)\\s+\\S+`, "m").exec(limits ?? "") ?? [];
  if (soft === undefined) return undefined;
  return soft === "unlimited" ? Number.POSITIVE_INFINITY : Number(soft);
}

/** The kernel starts to hold writers back half way between the background threshold and this one. */
function dirtyBytesMax(availableBytes: number | undefined): number | undefined {
  const share = (bytesName: string, ratioName: string): number | undefined => {
    const bytes = numberIn(`/proc/sys/vm/${bytesName}`);
    if (bytes !== undefined && bytes > 0) return bytes;
    const percent = numberIn(`/proc/sys/vm/${ratioName}`);
    return percent === undefined || availableBytes === undefined ? undefined : (availableBytes * percent) / 100;
  };
  const limit = share("dirty_bytes", "dirty_ratio");
  const background = share("dirty_background_bytes", "dirty_background_ratio");
  return limit === undefined || background === undefined ? undefined : (limit + Math.min(background, limit)) / 2;
}

/** What the control group of this process may use, version 2 or 1; Infinity without a limit. */
function cgroupBytesMax(): number {
  const own = readText("/proc/self/cgroup") ?? "";
  const unified = /^0::(.*)$/m.exec(own)?.[1];
  const memory = /^\d+:memory:(.*)$/m.exec(own)?.[1];
  const files = [
    ...(unified === undefined ? [] : [`/sys/fs/cgroup${unified}/memory.max`]),
    ...(memory === undefined ? [] : [`/sys/fs/cgroup/memory${memory}/memory.limit_in_bytes`]),
  ];
  // "max" is no number, and version 1 writes a huge one.
  return files.reduce((least, file) => Math.min(least, numberIn(file) ?? least), Number.POSITIVE_INFINITY);
}

function numberIn(file: string): number | undefined {
  const text = readText(file)?.trim();
  return text !== undefined && /^\d+$/.test(text) ? Number(text) : undefined;
}

function readText(file: string): string | undefined {
  try {
    return readFileSync(file, "utf8");
  } catch {
    return undefined;
  }
}
