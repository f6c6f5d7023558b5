import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { usageError } from "../../src/cli/exit.ts";

/** The broker that the load is for: its address, and its process where that is on this machine. */

const DEFAULT_PORT = 7400;
const LISTENING = "0A";

/** Host and port of a `millrace:` URL. Errors: usage for other schemes, which have no raw connection, and for no URL. */
export function addressOf(url: string): { host: string; port: number } {
  if (!URL.canParse(url)) throw usageError(`"${url}" is no URL`, "write it as millrace://127.0.0.1:7400");
  const parsed = new URL(url);
  if (parsed.protocol !== "millrace:") {
    throw usageError(
      `pre-encoded payloads need a millrace:// address, not ${parsed.protocol}//`,
      "use --payload client",
    );
  }
  const host = parsed.hostname.replace(/^\[|\]$/g, "");
  return { host, port: parsed.port === "" ? DEFAULT_PORT : Number(parsed.port) };
}

function isLocal(host: string): boolean {
  return host === "localhost" || host === "::1" || host.startsWith("127.");
}

function portOf(url: string): number | undefined {
  const parsed = new URL(url);
  if (!isLocal(parsed.hostname.replace(/^\[|\]$/g, ""))) return undefined;
  return parsed.port === "" ? DEFAULT_PORT : Number(parsed.port);
}

/** Inodes of the sockets that listen on the port. */
function listeners(port: number): Set<string> {
  const hex = port.toString(16).toUpperCase().padStart(4, "0");
  const inodes = new Set<string>();
  for (const table of ["/proc/net/tcp", "/proc/net/tcp6"]) {
    for (const line of read(table).split("\n").slice(1)) {
      const [, local = "", , state, , , , , , inode = ""] = line.trim().split(/\s+/);
      if (state === LISTENING && local.endsWith(`:${hex}`)) inodes.add(`socket:[${inode}]`);
    }
  }
  return inodes;
}

function read(path: string): string {
  try {
    return readFileSync(path, "latin1");
  } catch {
    return "";
  }
}

/** Where the descriptor leads; nothing for one that has just been closed. */
function linkOf(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    return "";
  }
}

function holds(pid: string, inodes: ReadonlySet<string>): boolean {
  try {
    return readdirSync(`/proc/${pid}/fd`).some((name) => inodes.has(linkOf(`/proc/${pid}/fd/${name}`)));
  } catch {
    // Another user's process, or one that has just ended.
    return false;
  }
}

/** The process that listens at the address; undefined when it is on another machine or out of sight. */
export function brokerPid(url: string): number | undefined {
  const port = portOf(url);
  if (port === undefined) return undefined;
  const inodes = listeners(port);
  if (inodes.size === 0) return undefined;
  const pid = readdirSync("/proc").find((name) => /^\d+$/.test(name) && holds(name, inodes));
  return pid === undefined ? undefined : Number(pid);
}
