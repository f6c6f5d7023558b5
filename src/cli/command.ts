import { Command } from "commander";
import type { Context, GlobalOptions } from "./context.ts";

/** How commands are declared: help with examples, and an action that gets the context and returns the exit code. */

/** Makes the context of a run, once the options are known. */
export type Open = (options: GlobalOptions) => Context;

/** Where a command leaves its exit code. */
export interface Runtime {
  readonly open: Open;
  exit: number;
}

export type Example = readonly [command: string, what: string];

/** Adds examples at the end of a command's help. */
export function examples(command: Command, list: readonly Example[]): Command {
  const width = Math.max(...list.map(([line]) => line.length));
  const isNarrow = width <= 56;
  const lines = list.map(([line, what]) =>
    isNarrow ? `  ${line.padEnd(width)}  # ${what}` : `  # ${what}\n  ${line}`,
  );
  return command.addHelpText("after", `\nExamples:\n${lines.join("\n")}\n`);
}

/** Runs with the context, the command's arguments and its options; the result is the exit code, 0 for nothing. */
export type Action<O> = (
  context: Context,
  args: readonly string[],
  options: O & GlobalOptions,
) => Promise<number | void>;

/** Sets what the command does. Variadic arguments come flattened. */
export function action<O extends object>(command: Command, runtime: Runtime, run: Action<O>): Command {
  return command.action(async () => {
    const options = command.optsWithGlobals<O & GlobalOptions>();
    runtime.exit = (await run(runtime.open(options), command.args, options)) ?? 0;
  });
}

/** For options that may be given several times. */
export function collect(value: string, before: string[] | undefined): string[] {
  return [...(before ?? []), value];
}
