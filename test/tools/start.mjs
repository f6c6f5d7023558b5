/**
 * `npm start`: installs what is missing, builds the core when it is stale, and serves; words behind `--` are the
 * broker's flags. `npm run -s millrace -- …` is this file with `--cli`: any command of the CLI. `npm run bench -- …` is
 * this file with `--bench`.
 */
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { constants } from "node:os";
import { addon, buildCore, bun, installPackages, needToolchains, root, run } from "./setup.mjs";

/** A terminal's Ctrl-C reaches npm and this process at once, and npm passes it on as well: that is one signal, not two. */
const SIGNAL_ECHO_MS = 100;

/** Passes signals on, once each, and ends as the child ends. */
function become(command, args, isGroupOfItsOwn) {
  const child = spawn(command, args, { stdio: "inherit", detached: isGroupOfItsOwn });
  const seenMs = new Map();
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) {
    process.on(signal, () => {
      const nowMs = performance.now();
      if (isGroupOfItsOwn && nowMs - (seenMs.get(signal) ?? -Infinity) > SIGNAL_ECHO_MS) child.kill(signal);
      seenMs.set(signal, nowMs);
    });
  }
  child.on("error", (error) => {
    console.error(`cannot run ${command}: ${error.message}`);
    process.exit(1);
  });
  child.on("close", (code, signal) => process.exit(code ?? 128 + (constants.signals[signal] ?? 0)));
}

await run(async () => {
  const words = process.argv.slice(2);
  const isCli = words[0] === "--cli";
  const isBench = words[0] === "--bench";
  const args = isCli || isBench ? words.slice(1) : ["serve", ...words];
  const isServer = args[0] === "serve" && !isBench;
  // What is measured must be what the sources say; load on a broker that runs elsewhere needs no core.
  const isFresh = isServer || (isBench && !["load", "compare"].includes(args[0]));
  // A command of the CLI should answer at once: it builds only what is not there at all.
  if (isFresh || !existsSync(bun)) {
    needToolchains();
    await installPackages();
  }
  if (isFresh || (!isBench && !existsSync(addon))) await buildCore();
  // The server gets a process group of its own, so that only this process is told of Ctrl-C and passes it on exactly
  // once: a second signal ends the server at once. Other commands read from the terminal and stay in its group.
  become(bun, [`${root}${isBench ? "bench" : "src"}/main.ts`, ...args], isServer);
});
