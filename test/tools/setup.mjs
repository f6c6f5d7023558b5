/**
 * Brings a fresh clone to where things run: packages, Bun, the core. Plain JavaScript without packages, because nothing
 * is installed yet when it runs. Every step looks first, and does nothing when nothing is stale.
 */
import { spawn, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

export const root = fileURLToPath(new URL("../../", import.meta.url));
export const bun = join(root, "node_modules/.bin/bun");
export const addon = join(root, "native/millrace.node");

/** A reason to stop that one line explains. */
export class Missing extends Error {}

/** Runs `main`; a Missing ends it with its line and code 1. */
export async function run(main) {
  try {
    await main();
  } catch (error) {
    if (!(error instanceof Missing)) throw error;
    console.error(error.message);
    process.exit(1);
  }
}

function versionOf(command) {
  const { status, stdout } = spawnSync(command, ["--version"], { encoding: "utf8" });
  return status === 0 ? (/\d+(\.\d+)+/.exec(stdout)?.[0] ?? "0") : undefined;
}

function isOlder(version, least) {
  const parts = version.split(".").map(Number);
  const index = least.findIndex((part, position) => part !== (parts[position] ?? 0));
  return index !== -1 && (parts[index] ?? 0) < least[index];
}

/** Says what is missing of a toolchain, all in one line. */
export function needToolchains() {
  const missing = [];
  if (isOlder(process.versions.node, [20, 19])) missing.push(`node 20.19 or newer (this is ${process.versions.node})`);
  if (versionOf("npm") === undefined) missing.push("npm");
  const cargo = versionOf("cargo");
  if (cargo === undefined) missing.push("cargo (Rust 1.88 or newer)");
  else if (isOlder(cargo, [1, 88])) missing.push(`cargo of Rust 1.88 or newer (this is ${cargo})`);
  if (versionOf("cc") === undefined) missing.push("cc (the C compiler that cargo links with)");
  if (missing.length > 0) throw new Missing(`Millrace needs ${missing.join(" and ")} on the PATH.`);
}

/** Runs a command in the project's folder with our streams. Resolves to its exit code. */
export function call(command, args, options = {}) {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { cwd: root, stdio: "inherit", ...options });
    child.on("error", reject);
    child.on("close", (code) => resolve(code ?? 1));
  });
}

/** Installs the packages when package.json or the lock file has changed since, and Bun's binary when it is not there. */
export async function installPackages() {
  const mark = join(root, "node_modules/.millrace-installed");
  const hash = createHash("sha256");
  for (const name of ["package.json", "package-lock.json"]) hash.update(readFileSync(join(root, name)));
  const wanted = hash.digest("hex");
  const isFresh = existsSync(mark) && readFileSync(mark, "utf8") === wanted;
  if (!isFresh) {
    // Not `npm ci`: it refuses a lock file that lacks other platforms' optional packages, and a registry mirror may not
    // have those. --no-save leaves the lock file as it is. The output goes to stderr: stdout belongs to what runs later.
    const args = ["install", "--no-save", "--include=dev", "--no-audit", "--no-fund", "--loglevel=error"];
    const code = await call("npm", args, { stdio: ["ignore", 2, 2] });
    if (code !== 0) throw new Missing("npm could not install the packages (see above).");
  }
  if (versionOf(bun) === undefined) await linkBun();
  if (!isFresh) writeFileSync(mark, wanted);
}

/** Bun's package holds a placeholder until its install script has run, and npm may be set not to run any. */
async function linkBun() {
  await call(process.execPath, ["install.js"], { cwd: join(root, "node_modules/bun"), stdio: ["ignore", 2, 2] });
  if (versionOf(bun) === undefined) {
    throw new Missing("The bun package has no binary for this machine; Millrace needs Linux on x64 or arm64.");
  }
}

/** Builds the native core in release mode (cargo knows whether it is stale) and puts it to native/millrace.node. */
export async function buildCore() {
  // Set RUSTFLAGS (loom's, a sanitizer's) must not leak into what is served.
  const { RUSTFLAGS: _, ...env } = process.env;
  const args = ["build", "--release", "--locked", "-p", "millrace-native", "--message-format=json-render-diagnostics"];
  if (!existsSync(join(root, "Cargo.lock"))) args.splice(args.indexOf("--locked"), 1);
  const child = spawn("cargo", args, { cwd: root, env, stdio: ["ignore", "pipe", 2] });
  let output = "";
  child.stdout.setEncoding("utf8").on("data", (text) => (output += text));
  const code = await new Promise((resolve) => child.on("close", resolve));
  if (code !== 0) throw new Missing("cargo could not build the core (see above).");
  const built = output.split("\n").flatMap((line) => (line.includes('"compiler-artifact"') ? [JSON.parse(line)] : []));
  const library = built.find(({ target }) => target.name === "millrace_native")?.filenames[0];
  if (library === undefined) throw new Missing("cargo built no millrace_native library.");
  place(library, addon);
}

/** Puts the file in place by renaming: a running broker keeps the old one, a starting one never sees half a file. */
function place(from, to) {
  const { mtime, size } = statSync(from);
  if (existsSync(to)) {
    const placed = statSync(to);
    if (placed.size === size && Math.abs(placed.mtimeMs - mtime.getTime()) < 2) return;
  }
  const temporary = `${to}.${process.pid}.tmp`;
  copyFileSync(from, temporary);
  utimesSync(temporary, mtime, mtime);
  renameSync(temporary, to);
}

/** A Python with the packages of test/interop/requirements.txt, in a folder of its own. Returns its path. */
export async function installPython() {
  const folder = join(root, ".cache/python");
  const python = join(folder, "bin/python3");
  const requirements = join(root, "test/interop/requirements.txt");
  const mark = join(folder, "installed");
  const wanted = readFileSync(requirements, "utf8");
  if (existsSync(mark) && readFileSync(mark, "utf8") === wanted && versionOf(python) !== undefined) return python;
  mkdirSync(folder, { recursive: true });
  if (versionOf("python3") === undefined) await installDebian("python3");
  const create = () => call("python3", ["-m", "venv", "--clear", folder], { stdio: ["ignore", "ignore", "ignore"] });
  if ((await create()) !== 0) {
    await installDebian("python3-venv");
    if ((await create()) !== 0) throw new Missing("The interop test needs python3 with its venv module.");
  }
  const pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r", requirements];
  if ((await call(python, pip)) !== 0)
    throw new Missing("pip could not install the interop test's packages (see above).");
  writeFileSync(mark, wanted);
  return python;
}

/** A browser for the client's tests. Returns its path. */
export async function installChromium() {
  if (versionOf("chromium") === undefined) await installDebian("chromium");
  return "chromium";
}

/** Counts instructions, for the guards. */
export async function installValgrind() {
  if (versionOf("valgrind") === undefined) await installDebian("valgrind");
}

/** Reads units and judges them. The test needs no systemd that runs. */
export async function installSystemd() {
  if (versionOf("systemd-analyze") === undefined) await installDebian("systemd", { isService: true });
}

/**
 * A real Prometheus for the alerts' tests, and its promtool. Unpacked and not installed: its package would add users
 * and services to this machine. Returns the folder of the two programs.
 */
export async function installPrometheus() {
  const folder = join(root, ".cache/prometheus");
  const programs = join(folder, "usr/bin");
  if (versionOf(join(programs, "promtool")) !== undefined) return programs;
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  const options = { cwd: folder, stdio: ["ignore", 2, 2] };
  await call("apt-get", ["update", "-qq"], options).catch(() => 1);
  // Root needs no help to write to its own folder; the user that apt would become has no right to.
  const download = ["download", "-qq", "-o", "APT::Sandbox::User=root", "prometheus"];
  await call("apt-get", download, options).catch(() => 1);
  const file = readdirSync(folder).find((name) => name.endsWith(".deb"));
  if (file !== undefined) await call("dpkg-deb", ["-x", file, folder], options);
  if (versionOf(join(programs, "promtool")) === undefined) {
    throw new Missing("The tests need the Debian package prometheus, and apt-get could not download it.");
  }
  return programs;
}

/** A real PostgreSQL for the inbox's test, which starts a server of its own. */
export async function installPostgres() {
  const versions = "/usr/lib/postgresql";
  const isThere =
    existsSync(versions) && readdirSync(versions).some((name) => existsSync(join(versions, name, "bin/initdb")));
  if (isThere) return;
  await installDebian("postgresql", { isService: true });
}

const POLICY = "/usr/sbin/policy-rc.d";

/** With `isService`, what the package would start as a service of the machine stays down. */
async function installDebian(name, { isService = false } = {}) {
  const options = { stdio: ["ignore", 2, 2], env: { ...process.env, DEBIAN_FRONTEND: "noninteractive" } };
  await call("apt-get", ["update", "-qq"], options).catch(() => 1);
  const isOurs = isService && !existsSync(POLICY);
  if (isOurs) {
    try {
      writeFileSync(POLICY, "#!/bin/sh\nexit 101\n", { mode: 0o755 });
    } catch {
      // Not root: apt-get says it below.
    }
  }
  const code = await call("apt-get", ["install", "-y", "-qq", name], options).catch(() => 1);
  if (isOurs) rmSync(POLICY, { force: true });
  if (code !== 0) throw new Missing(`The tests need the Debian package ${name}, and apt-get could not install it.`);
}
