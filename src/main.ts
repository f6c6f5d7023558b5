#!/usr/bin/env bun
/**
 * Entry of the program: `serve` runs the broker, every other word is for the CLI.
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
    process.exitCode = await serve(words.slice(1));
    return;
  }
  const { run } = await import("./cli/index.ts");
  process.exitCode = await run(words);
}

await main(process.argv.slice(2));
