import type { Command } from "commander";
import { configEntries, loadConfig } from "../config/index.ts";
import { action, examples, type Runtime } from "./command.ts";

/** `millrace config`: the configuration with which `serve` would start here, and where each value comes from. */

export function addConfigCommand(program: Command, runtime: Runtime): void {
  const command = program
    .command("config")
    .description("print the effective configuration of the broker: value, source and meaning of each setting")
    .usage("[--SETTING VALUE...] [options]")
    .allowUnknownOption()
    .allowExcessArguments();
  examples(command, [
    ["millrace config", "what `millrace serve` would start with here"],
    ["millrace config --port 0 --segment-bytes 16MiB", "with flags of serve"],
    ["millrace config --config broker.toml --json", "with a file, for programs"],
  ]);
  action(command, runtime, async (context, flags) => {
    const loaded = loadConfig({ flags, env: context.env, cwd: process.cwd() });
    for (const warning of loaded.warnings) context.warn(warning);
    const entries = configEntries(loaded);
    context.result(entries, () => {
      const rows = entries.map(({ key, text, source, doc }) => [key, text, source, doc]);
      return context.table(["SETTING", "VALUE", "SOURCE", "MEANING"], rows);
    });
  });
}
