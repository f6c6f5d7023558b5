/** What `millrace doctor` says of a machine: facts and settings in, findings out. */
import type { Config } from "../../config/index.ts";
import { roundBytes, roundMs } from "../units.ts";
import type { ListenerState } from "./listeners.ts";
import type { Folder, Machine } from "./machine.ts";
import type { SecretFile } from "./secrets.ts";

export interface Finding {
  readonly check: string;
  /** `fail`: the broker will not start, will lose data or will stop; `warn`: it will be slower or nearer to trouble. */
  readonly state: "ok" | "warn" | "fail";
  readonly found: string;
  /** What to change; null where nothing has to be. */
  readonly advice: string | null;
}

const GIB = 2 ** 30;
const MIB = 2 ** 20;
/** Descriptors beside segments and connections: listeners, libraries, pipes of transforms, the metadata's files. */
const OTHER_FILES = 256;
/** Mappings beside segments: the program, its heap, its libraries. */
const OTHER_MAPS = 4000;
/** What the runtime reserves without touching it. */
const ADDRESS_SPACE_BYTES_MIN = 128 * GIB;
/** The runtime, the core and their working memory, beside what settings name. */
const OTHER_MEMORY_BYTES = 256 * MIB;
const SWAPPINESS_MAX = 10;
const BACKLOG_MIN = 512;
const FREE_SHARE_MIN = 0.1;
const FREE_FILES_MIN = 10_000;
const SYNC_MS_MAX = 10;
/** MADV_POPULATE_READ, by which pages are fetched before the loop touches them. */
const KERNEL_MIN = [5, 14] as const;
const CLOCK_STEP_MS_MAX = 1000;
const DAY_MS = 86_400_000;
const CERTIFICATE_DAYS_MIN = 21;
const OTHERS_READ = 0o004;

const SLOW_CLOCKS: ReadonlySet<string> = new Set(["hpet", "acpi_pm", "jiffies", "refined-jiffies"]);
const MEMORY_FILE_SYSTEMS: ReadonlySet<string> = new Set(["tmpfs", "ramfs", "devtmpfs"]);
const REMOTE_FILE_SYSTEMS = /^(nfs|cifs|smb|9p|ceph|gluster|fuse|virtiofs|vboxsf|overlay|aufs)/;

/** Every check, in the order in which it is told. */
export function diagnose(machine: Machine, config: Config): Finding[] {
  return [
    openFiles(machine, config),
    maps(machine, config),
    addressSpace(machine),
    overcommit(machine),
    memory(machine, config),
    swap(machine),
    ...(config.storage === "memory" ? [] : dataFolder(machine.dataDir, config)),
    ...(config.storage === "memory" ? [] : [writeback(machine, config), filesInTheFuture(machine)]),
    temporary(machine.temporary),
    clock(machine),
    clockSource(machine),
    hugePages(machine),
    backlog(machine),
    processors(machine, config),
    kernel(machine),
    ...machine.listeners.map((each) => listener(each, config)),
    ...exposure(config),
    ...certificate(machine),
    ...machine.secrets.map(secret),
  ];
}

function ok(check: string, found: string): Finding {
  return { check, state: "ok", found, advice: null };
}

function warn(check: string, found: string, advice: string): Finding {
  return { check, state: "warn", found, advice };
}

function fail(check: string, found: string, advice: string): Finding {
  return { check, state: "fail", found, advice };
}

function unknown(check: string, where: string): Finding {
  return warn(check, "cannot be told", `see that ${where} can be read`);
}

function openFiles({ openFilesMax }: Machine, { openFilesMax: segments, connectionsMax }: Config): Finding {
  const check = "open files";
  if (openFilesMax === undefined) return unknown(check, "/proc");
  const needed = segments + connectionsMax + OTHER_FILES;
  const found = `${openFilesMax} allowed, ${needed} needed (openFilesMax, connectionsMax and ${OTHER_FILES})`;
  if (openFilesMax >= needed) return ok(check, found);
  const advice = `ulimit -n ${needed}, or LimitNOFILE=${needed} in the unit; or lower connectionsMax`;
  return openFilesMax < segments + OTHER_FILES ? fail(check, found, advice) : warn(check, found, advice);
}

function maps({ mapsMax }: Machine, { mappedSegmentsMax }: Config): Finding {
  const check = "memory maps";
  if (mapsMax === undefined) return unknown(check, "/proc/sys");
  const needed = mappedSegmentsMax + OTHER_MAPS;
  const found = `${mapsMax} allowed, ${needed} needed (mappedSegmentsMax and ${OTHER_MAPS})`;
  if (mapsMax >= needed) return ok(check, found);
  return fail(check, found, `sysctl -w vm.max_map_count=${Math.max(65_530, needed)}, or lower mappedSegmentsMax`);
}

function addressSpace({ addressSpaceBytesMax: most }: Machine): Finding {
  const check = "address space";
  if (most === undefined) return unknown(check, "/proc");
  if (most >= ADDRESS_SPACE_BYTES_MIN)
    return ok(check, most === Number.POSITIVE_INFINITY ? "no limit" : roundBytes(most));
  const advice = "ulimit -v unlimited, or no LimitAS= in the unit: the runtime and the maps reserve more than they use";
  return fail(check, `limited to ${roundBytes(most)}`, advice);
}

function overcommit({ overcommit: mode }: Machine): Finding {
  const check = "overcommit";
  if (mode === undefined) return unknown(check, "/proc/sys");
  if (mode !== 2) return ok(check, `vm.overcommit_memory is ${mode}`);
  const advice = "sysctl -w vm.overcommit_memory=0: the runtime reserves address space that it never touches";
  return warn(check, "vm.overcommit_memory is 2: reserved memory counts as used", advice);
}

function memory({ memoryBytes, memoryAvailableBytes: free }: Machine, config: Config): Finding {
  const check = "memory";
  if (memoryBytes === undefined || free === undefined) return unknown(check, "/proc/meminfo");
  const unsynced = config.storage === "memory" ? 0 : config.dirtyBytesMax;
  const needed = OTHER_MEMORY_BYTES + unsynced + config.threads * config.transactionsBytesMax;
  const found = `${roundBytes(free)} of ${roundBytes(memoryBytes)} free, up to ${roundBytes(needed)} needed`;
  if (config.memoryBytesMax > memoryBytes) {
    const most = `memoryBytesMax is ${roundBytes(config.memoryBytesMax)} of ${roundBytes(memoryBytes)}`;
    return warn(check, most, "lower memoryBytesMax: it cannot hold publishers back before the machine suffers");
  }
  if (free >= needed) return ok(check, found);
  const advice = "add memory, or lower dirtyBytesMax and transactionsBytesMax";
  return free < OTHER_MEMORY_BYTES ? fail(check, found, advice) : warn(check, found, advice);
}

function swap({ swapBytes, swappiness }: Machine): Finding {
  const check = "swap";
  if (swapBytes === undefined) return unknown(check, "/proc/meminfo");
  if (swapBytes === 0) return ok(check, "none");
  const found = `${roundBytes(swapBytes)}, vm.swappiness is ${swappiness ?? "unknown"}`;
  if (swappiness !== undefined && swappiness <= SWAPPINESS_MAX) return ok(check, found);
  return warn(check, found, "swapoff -a, or sysctl -w vm.swappiness=1: a swapped broker answers in seconds");
}

function dataFolder(folder: Folder, config: Config): Finding[] {
  return [folderRights(folder), fileSystem(folder), space(folder, config), files(folder), sync(folder)];
}

function folderRights({ path, existing, isWritable }: Folder): Finding {
  const check = "data folder";
  const isThere = path === existing;
  if (isWritable) return ok(check, isThere ? path : `${path} (not there yet; it will be made in ${existing})`);
  const advice = isThere
    ? `give it to the broker's user: chown -R millrace: ${path}`
    : `make it for the broker's user: install -d -m 0700 -o millrace -g millrace ${path}`;
  return fail(check, `${existing} may not be written`, advice);
}

function fileSystem({ fileSystem: kind, mountOptions, existing }: Folder): Finding {
  const check = "file system";
  if (kind === undefined) return unknown(check, "/proc/self/mountinfo");
  if (mountOptions.includes("ro"))
    return fail(check, `${kind}, mounted read-only`, `mount -o remount,rw for ${existing}`);
  if (MEMORY_FILE_SYSTEMS.has(kind)) {
    return fail(check, `${kind}: nothing on it survives a restart of the machine`, "set dataDir to a folder on a disk");
  }
  if (!REMOTE_FILE_SYSTEMS.test(kind)) return ok(check, kind);
  const advice = "set dataDir to a local ext4 or xfs: locks, syncs and maps of others promise less";
  return warn(check, `${kind}, which is not a local disk's own`, advice);
}

function space({ freeBytes, totalBytes }: Folder, config: Config): Finding {
  const check = "disk space";
  const found = `${roundBytes(freeBytes)} of ${roundBytes(totalBytes)} free`;
  const advice = "make room, add disk, or set retentionBytes on large topics";
  if (freeBytes < config.diskFreeBytesMin) return fail(check, `${found}, less than diskFreeBytesMin`, advice);
  const least = 2 * config.segmentBytes;
  if (freeBytes < least) return fail(check, `${found}; two segments are ${roundBytes(least)}`, advice);
  return freeBytes < totalBytes * FREE_SHARE_MIN ? warn(check, found, advice) : ok(check, found);
}

function files({ freeFiles }: Folder): Finding {
  const check = "inodes";
  if (freeFiles === Number.POSITIVE_INFINITY) return ok(check, "made as they are needed");
  if (freeFiles >= FREE_FILES_MIN) return ok(check, `${freeFiles} free`);
  return warn(check, `${freeFiles} free`, "remove small files there, or raise segmentBytes so that logs need fewer");
}

function sync({ syncMs, isWritable, existing }: Folder): Finding {
  const check = "disk sync";
  if (!isWritable) return warn(check, "not tried", "run this as the user of the broker");
  if (syncMs === undefined)
    return fail(check, `a file in ${existing} could not be written`, "make room, check the disk");
  const found = `64 KiB in ${syncMs.toFixed(2)} ms`;
  if (syncMs <= SYNC_MS_MAX) return ok(check, found);
  return warn(check, found, "every `synced` ack waits for this: a faster disk, or one with a protected write cache");
}

function writeback({ dirtyBytesMax: kernelMax }: Machine, { dirtyBytesMax }: Config): Finding {
  const check = "writeback";
  if (kernelMax === undefined) return unknown(check, "/proc/sys/vm");
  const found = `the kernel holds writers back at ${roundBytes(kernelMax)} unsynced, dirtyBytesMax is ${roundBytes(dirtyBytesMax)}`;
  if (kernelMax >= dirtyBytesMax) return ok(check, found);
  const advice = `dirtyBytesMax of at most ${roundBytes(kernelMax)}, or a larger vm.dirty_bytes: else writes stall the loop`;
  return warn(check, found, advice);
}

function filesInTheFuture({ newestMs, nowMs }: Machine): Finding {
  const check = "clock went back";
  if (newestMs === undefined) return ok(check, "no data yet");
  const aheadMs = newestMs - nowMs;
  if (aheadMs <= CLOCK_STEP_MS_MAX) return ok(check, "no file is of the future");
  const found = `a file was changed ${roundMs(aheadMs)} from now`;
  return fail(check, found, "set the clock right before the broker starts: retention, TTLs and schedules go by it");
}

function temporary({ existing, isWritable, isExecutable }: Machine["temporary"]): Finding {
  const check = "temporary folder";
  if (isWritable && isExecutable) return ok(check, existing);
  const found = isWritable ? `${existing} is mounted noexec` : `${existing} may not be written`;
  return fail(check, found, "set BUN_TMPDIR to a folder whose programs may run: the binary unpacks its core there");
}

function clock({ clock: state }: Machine): Finding {
  const check = "clock";
  if (state === "synchronized") return ok(check, "kept right by a time service");
  const advice = "run systemd-timesyncd or chrony: timestamps, tokens, TTLs and schedules go by the clock";
  return warn(check, state === "unknown" ? "no time service answers" : "not synchronized", advice);
}

function clockSource({ clockSource: source }: Machine): Finding {
  const check = "clock source";
  if (source === undefined) return unknown(check, "/sys/devices/system/clocksource");
  if (!SLOW_CLOCKS.has(source)) return ok(check, source);
  return warn(
    check,
    `${source} takes a microsecond or more to read`,
    "boot with clocksource=tsc where the processor allows",
  );
}

function hugePages({ hugePages: mode }: Machine): Finding {
  const check = "huge pages";
  if (mode !== "always") return ok(check, mode ?? "not in this kernel");
  const advice = "echo madvise > /sys/kernel/mm/transparent_hugepage/enabled: making them can hold a process up";
  return warn(check, "always", advice);
}

function backlog({ backlogMax }: Machine): Finding {
  const check = "listen backlog";
  if (backlogMax === undefined) return unknown(check, "/proc/sys/net/core");
  if (backlogMax >= BACKLOG_MIN) return ok(check, `net.core.somaxconn is ${backlogMax}`);
  return warn(
    check,
    `net.core.somaxconn is ${backlogMax}`,
    "sysctl -w net.core.somaxconn=4096: bursts of connections are refused",
  );
}

function processors({ processors: count, governor }: Machine, { threads }: Config): Finding {
  const check = "processors";
  const found = `${count}, threads is ${threads}`;
  if (threads > count) return warn(check, found, `threads of at most ${count}`);
  if (governor !== "powersave") return ok(check, found);
  return warn(check, `${found}; they save power`, "cpupower frequency-set -g performance");
}

function kernel({ kernel: version }: Machine): Finding {
  const [major = 0, minor = 0] = version.split(".").map((part) => Number.parseInt(part, 10));
  const [least, leastMinor] = KERNEL_MIN;
  if (major > least || (major === least && minor >= leastMinor)) return ok("kernel", version);
  return warn("kernel", version, `${KERNEL_MIN.join(".")} or newer: cold pages are fetched on the loop before it`);
}

const FLAGS = { port: "--port", httpPort: "--http-port", registryPort: "--registry-port" } as const;

function listener({ name, port, state }: ListenerState, { host }: Config): Finding {
  const check = name === "port" ? "port" : name === "httpPort" ? "HTTP port" : "registry port";
  const where = `${host}:${port}`;
  if (state === "free") return ok(check, port === 0 ? "any free one" : `${where} is free`);
  if (state === "broker") return ok(check, `${where} is in use by a broker that runs`);
  if (state === "EADDRINUSE")
    return fail(check, `${where} is in use`, `choose another with ${FLAGS[name]}, or stop who has it`);
  if (state === "EACCES")
    return fail(check, `${where} may not be used`, `a port from 1024 up, or the right CAP_NET_BIND_SERVICE`);
  if (state === "EADDRNOTAVAIL")
    return fail(check, `${host} is no address of this machine`, "set host to one of `ip address`");
  return fail(check, `${where}: ${state}`, "set host and port to what this machine can listen on");
}

function exposure({ insecure, authentication }: Config): Finding[] {
  if (!insecure || authentication === "required") return [];
  const advice = "authentication = required, and adminPasswordFile or another way to log in";
  return [warn("log-ins", "insecure: whoever reaches the ports may do everything", advice)];
}

function certificate({ certificate: found, nowMs }: Machine): Finding[] {
  const check = "certificate";
  if (found === undefined) return [];
  if (found.untilMs === undefined)
    return [fail(check, `${found.path} cannot be read`, "check tlsCertFile, and whose the file is")];
  const leftMs = found.untilMs - nowMs;
  const days = Math.floor(leftMs / DAY_MS);
  if (leftMs <= 0) return [fail(check, `${found.path} has expired`, "renew it: clients refuse it")];
  if (days >= CERTIFICATE_DAYS_MIN) return [ok(check, `${days} d left`)];
  return [warn(check, `${days} d left`, `renew ${found.path}; it is read again while the broker runs`)];
}

function secret({ path, mode }: SecretFile): Finding {
  const check = "secret file";
  if (mode === undefined) return fail(check, `${path} cannot be looked at`, "check the setting, and whose the file is");
  if ((mode & OTHERS_READ) === 0) return ok(check, path);
  return warn(check, `${path} may be read by everybody`, `chmod o-rwx ${path}`);
}
