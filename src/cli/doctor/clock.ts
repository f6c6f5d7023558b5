/** Whether something keeps this machine's clock right. */
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";

/** `unknown`: no time service that answers was found. */
export type ClockState = "synchronized" | "not synchronized" | "unknown";

/** systemd-timesyncd leaves this file once it has heard from a server. */
const TIMESYNC_MARK = "/run/systemd/timesync/synchronized";
const ASK_MS_MAX = 2000;

export function clockState(): ClockState {
  if (existsSync(TIMESYNC_MARK)) return "synchronized";
  const chrony = said("chronyc", "-n", "tracking");
  if (chrony !== undefined) return /Leap status\s*:\s*Normal/.test(chrony) ? "synchronized" : "not synchronized";
  // It asks the kernel, whichever service sets the clock.
  const systemd = said("timedatectl", "show", "--property=NTPSynchronized", "--value");
  if (systemd !== undefined) return systemd.trim() === "yes" ? "synchronized" : "not synchronized";
  return "unknown";
}

/** What a program says; undefined where it is missing or fails. */
function said(command: string, ...args: string[]): string | undefined {
  const { status, stdout } = spawnSync(command, args, { encoding: "utf8", timeout: ASK_MS_MAX });
  return status === 0 ? stdout : undefined;
}
