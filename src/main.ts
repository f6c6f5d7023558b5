#!/usr/bin/env bun
/**
 * Entry of the program: `serve` runs the broker, `bench` puts load on one, every other word is for the CLI.
 * `transform-worker` is what a compiled broker starts itself as.
 *
 * Other threads of a broker run this module too where it is all there is (a compiled binary), so what is not needed by
 * both is imported when it is.
 */
async function main(words: string[]): Promise<void> {
  if (!Bun.isMainThread) {
    const { runThread } = await import("./server/worker.ts");
    runThread();
    return;
  }
  if (words[0] === "serve") {
    const { serve } = await import("./server/serve.ts");
    process.exitCode = await serve(words.slice(1)).catch(explain);
    return;
  }
  if (words[0] === "bench") {
    const { runBench } = await import("../bench/load/index.ts");
    process.exitCode = await runBench(words.slice(1), "millrace bench");
    return;
  }
  if (words[0] === "bench-program") {
    const { runNamedProgram } = await import("../bench/load/programs.ts");
    await runNamedProgram(words[1] ?? "");
    return;
  }
  if (words[0] === "transform-worker") {
    const { runTransformWorker } = await import("./transforms/worker.ts");
    runTransformWorker();
    return;
  }
  const { run } = await import("./cli/index.ts");
  process.exitCode = await run(words);
}

/** Says in one line why the broker ended, as every command does, and returns the exit code. */
async function explain(error: unknown): Promise<number> {
  const { failureLine, failureOf } = await import("./cli/exit.ts");
  const failure = failureOf(error);
  process.stderr.write(`${failureLine(failure)}\n`);
  if (failure.name === "internal") process.stderr.write(`${(error as Error).stack ?? ""}\n`);
  return failure.exit;
}

await main(process.argv.slice(2));
