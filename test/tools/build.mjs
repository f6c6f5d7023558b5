/**
 * `npm run build`: what is published.
 *
 *   dist/millrace     one binary with Bun, the broker, the CLI and the native core in it
 *   dist/client       the client for Node and browsers: ES modules, and their types
 *
 * `npm run build -- binary` or `-- client` builds one of them; `npm run build -- --deb` builds the binary and
 * dist/millrace_VERSION_ARCHITECTURE.deb from it.
 */
import { spawnSync } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { buildDebian } from "./package.mjs";
import { buildCore, bun, call, installPackages, Missing, needToolchains, root, run } from "./setup.mjs";

async function must(what, command, args) {
  // The tools' chatter goes to stderr, as everywhere in the set-up.
  if ((await call(command, args, { stdio: ["ignore", 2, 2] })) !== 0) throw new Missing(`${what} failed (see above).`);
}

/**
 * native/millrace.node is embedded through the literal require() in src/log/native.ts; the broker's other threads run
 * the main module again.
 */
async function buildBinary() {
  await buildCore();
  // src/dashboard/index.ts requires this file by a literal path, and so it goes into the binary.
  const dashboard = spawnSync(bun, ["src/dashboard/bundle.ts"], { cwd: root, stdio: ["ignore", "pipe", 2] });
  if (dashboard.status !== 0) throw new Missing("the bundle of the dashboard failed (see above).");
  writeFileSync(join(root, "dist/dashboard.json"), dashboard.stdout);
  // Built beside and renamed: a binary that runs can be built again. What else the build writes goes with the folder.
  const folder = join(root, `dist/build.${process.pid}.tmp`);
  const args = ["build", "--compile", "--target=bun", "--sourcemap=inline", "--keep-names"];
  // What a folder happens to hold must not change what the broker does: no .env and no bunfig.toml are read.
  const closed = ["--no-compile-autoload-dotenv", "--no-compile-autoload-bunfig"];
  // msgpackr would load an addon from where its package lay when this was built, and that may be anybody's folder.
  closed.push('--define=process.env.MSGPACKR_NATIVE_ACCELERATION_DISABLED="true"');
  try {
    await must("bun build --compile", bun, [
      ...args,
      ...closed,
      `--outfile=${join(folder, "millrace")}`,
      "src/main.ts",
    ]);
    renameSync(join(folder, "millrace"), join(root, "dist/millrace"));
    console.log("built dist/millrace");
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** What programs import: `millrace/client`, and the parts of it that not all of them need. */
const CLIENT_ENTRIES = ["index.ts", "avro/index.ts", "inbox/index.ts", "payloads/index.ts"].map(
  (name) => `src/client/${name}`,
);

const CLIENT_TYPES = {
  extends: "../tsconfig.json",
  compilerOptions: { noEmit: false, declaration: true, emitDeclarationOnly: true, rootDir: "../src", outDir: "client" },
  include: [],
  files: CLIENT_ENTRIES.map((path) => `../${path}`),
};

async function buildClient() {
  const folder = join(root, "dist/client");
  rmSync(folder, { recursive: true, force: true });
  // Split, so that all entries share one MillraceError.
  const args = [
    "build",
    "--target=browser",
    "--format=esm",
    "--packages=external",
    "--sourcemap=linked",
    "--splitting",
  ];
  await must("bun build of the client", bun, [...args, "--root=src/client", "--outdir=dist/client", ...CLIENT_ENTRIES]);
  const project = join(root, "dist/tsconfig.client.json");
  writeFileSync(project, JSON.stringify(CLIENT_TYPES));
  await must("tsc of the client's types", join(root, "node_modules/.bin/tsc"), ["--project", project]);
  rmSync(project);
  for (const name of readdirSync(folder, { recursive: true, encoding: "utf8" })) {
    if (name.endsWith(".d.ts")) nameModules(join(folder, name));
  }
  console.log("built dist/client");
}

/** Declarations keep the sources' `./x.ts`; a project that reads them may not allow that ending. */
function nameModules(path) {
  const text = readFileSync(path, "utf8");
  writeFileSync(path, text.replace(/((?:from|import\()\s*["']\.{1,2}\/[^"']+)\.ts(["'])/g, "$1.js$2"));
}

await run(async () => {
  const parts = process.argv.slice(2);
  const isPackage = parts.includes("--deb");
  const isWanted = (part) => parts.length === 0 || parts.includes(part) || (isPackage && part === "binary");
  needToolchains();
  await installPackages();
  mkdirSync(join(root, "dist"), { recursive: true });
  if (isWanted("client")) await buildClient();
  if (isWanted("binary")) await buildBinary();
  if (isPackage) await buildDebian();
});
