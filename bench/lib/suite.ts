import type { Command } from "commander";
import type { Figure } from "./figure.ts";

/** What a suite of measurements is, and what it is given. */

export interface SuiteContext {
  /** How often each figure is measured. */
  readonly rounds: number;
  /** Shorter and smaller than the real figures: to see that everything runs. */
  readonly quick: boolean;
  /** Names of the figures wanted; without it all. */
  readonly only?: readonly string[];
  /** A line about what is going on, for whoever waits. */
  progress(line: string): void;
  /** Where further files go (histograms, plots, flame graphs), if they are wanted. */
  readonly outDir?: string;
  /** A folder for data, removed when the suite has ended. Caches that should stay lie elsewhere. */
  readonly workDir: string;
  /** Ends the suite: what runs is to be ended, and what was made removed. */
  readonly signal: AbortSignal;
}

/** A markdown table beside the figures. */
export interface Table {
  readonly title: string;
  readonly columns: readonly string[];
  readonly rows: readonly (readonly string[])[];
}

export interface SuiteResult {
  readonly figures: readonly Figure[];
  readonly tables?: readonly Table[];
}

export interface Suite {
  readonly name: string;
  readonly about: string;
  /** Adds flags of the suite's own. */
  addOptions?(command: Command): void;
  run(context: SuiteContext, options: Record<string, unknown>): Promise<SuiteResult>;
}

/** Whether the figure is among those wanted. */
export function isWanted(context: Pick<SuiteContext, "only">, name: string): boolean {
  return context.only === undefined || context.only.includes(name);
}
