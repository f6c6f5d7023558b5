import { do_not_optimize, measure } from "mitata";
import { runProgram } from "../lib/program.ts";
import { codecWorks } from "./codecs.ts";
import type { Measured } from "./figures.ts";

/** Measures the codec's works in a process of its own, so that no earlier work has shaped what the JIT made of them. */

interface Request {
  /** Time that each work is repeated for, at least. */
  readonly workMs: number;
}

async function measureAll({ workMs }: Request): Promise<Measured[]> {
  const measured: Measured[] = [];
  for (const { name, item, items, bytes, run } of codecWorks()) {
    const { p50 } = await measure(() => do_not_optimize(run()), { min_cpu_time: workMs * 1e6 });
    measured.push({ name, item, items, bytes, runNs: p50 });
  }
  return measured;
}

await runProgram({ name: "codecs" }, async (message) => await measureAll(message as Request));
