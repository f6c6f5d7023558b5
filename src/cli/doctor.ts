import type { Command } from "commander";
import { loadConfig } from "../config/index.ts";
import { action, examples, type Runtime } from "./command.ts";
import type { Context } from "./context.ts";
import { diagnose, type Finding } from "./doctor/checks.ts";
import { readMachine } from "./doctor/machine.ts";
import { EXIT, usageError } from "./exit.ts";

/** `millrace doctor`: whether this machine suits the broker that `serve` would start here, and what to change. */

interface DoctorOptions {
  pid?: string;
}

export function addDoctorCommand(program: Command, runtime: Runtime): void {
  const command = program
    .command("doctor")
    .description(
      "check this machine for a broker: limits, memory, disk, clock, kernel settings, ports; say what to change",
    )
    .usage("[--SETTING VALUE...] [options]")
    .option("--pid <pid>", "judge the limits of this process, such as a broker that runs, and not one's own")
    .allowUnknownOption()
    .allowExcessArguments();
  examples(command, [
    ["millrace doctor", "for the broker that `millrace serve` would start here"],
    ["sudo -u millrace millrace doctor --config /etc/millrace/millrace.toml", "for the one of the Debian package"],
    ["millrace doctor --json --pid $(pidof millrace)", "with the limits of one that runs, for programs"],
  ]);
  command.addHelpText("after", "\nThe exit code is 1 when a check fails; warnings alone leave it 0.\n");
  action<DoctorOptions>(command, runtime, async (context, flags, { pid = "self" }) => {
    if (!/^(self|\d+)$/.test(pid)) throw usageError(`--pid: "${pid}" is no process id`, "give a number");
    const { config, warnings } = loadConfig({ flags, env: context.env, cwd: process.cwd() });
    for (const warning of warnings) context.warn(warning);
    const findings = diagnose(await readMachine(config, pid), config);
    context.result(findings, () => report(context, findings));
    return findings.some(({ state }) => state === "fail") ? EXIT.failed : EXIT.ok;
  });
}

function report(context: Context, findings: readonly Finding[]): string {
  const rows = findings.map(({ check, state, found }) => [check, state.toUpperCase(), found]);
  const todo = findings.filter(({ advice }) => advice !== null);
  const table = context.table(["CHECK", "STATE", "FOUND"], rows);
  if (todo.length === 0) return `${table}\nnothing to change\n`;
  const lines = todo.map(({ check, advice }) => `  ${check}: ${advice}`);
  return `${table}\nto change:\n${lines.join("\n")}\n`;
}
