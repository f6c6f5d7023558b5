import { afterAll, beforeAll, expect, test } from "bun:test";
import {
  appendFileSync,
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import packageJson from "../../package.json" with { type: "json" };
import { until } from "../until.ts";
import { NotifyListener } from "./notify-listener.ts";

/**
 * The Debian package, installed into a folder that dpkg takes for a machine: the one that the test runs on stays as it
 * is. Needs root, as dpkg does. The scripts of the package run with DPKG_ROOT, as dpkg(1) says of --force-script-chrootless.
 */

const repository = join(import.meta.dir, "../..");
const BUILD_MS = 600_000;
const PATIENCE_MS = 60_000;
const UNIT = "usr/lib/systemd/system/millrace.service";

const root = mkdtempSync(join(tmpdir(), "millrace-package-"));
const architecture = process.arch === "arm64" ? "arm64" : "amd64";
const file = join(repository, `dist/millrace_${packageJson.version}_${architecture}.deb`);

const at = (path: string): string => join(root, path);

function run(command: string, ...args: string[]): { exit: number; out: string; err: string } {
  const { exitCode, stdout, stderr } = Bun.spawnSync([command, ...args], { stdin: "ignore" });
  return { exit: exitCode, out: stdout.toString(), err: stderr.toString() };
}

/** The C library of the folder is the machine's own, which dpkg knows nothing of. */
function dpkg(...args: string[]): void {
  const { exit, out, err } = run("dpkg", `--root=${root}`, "--force-script-chrootless", "--force-depends", ...args);
  if (exit !== 0) throw new Error(`dpkg ${args.join(" ")}: ${out}${err}`);
}

function modeOf(path: string): string {
  const { mode, uid, gid } = statSync(at(path));
  return `${(mode & 0o777).toString(8)} ${uid}:${gid}`;
}

/** A setting of the unit, where each is given once. */
function unitValue(name: string): string {
  const value = new RegExp(`^${name}=(.*)$`, "m").exec(readFileSync(at(UNIT), "utf8"))?.[1];
  if (value === undefined) throw new Error(`the unit has no ${name}`);
  return value;
}

/** Number of the user and group that the package made. */
function owner(): { uid: number; gid: number } {
  const [, uid, gid] = /^millrace:x:(\d+):(\d+):/m.exec(readFileSync(at("etc/passwd"), "utf8")) ?? [];
  return { uid: Number(uid), gid: Number(gid) };
}

beforeAll(async () => {
  const build = Bun.spawn(["node", "test/tools/build.mjs", "--deb"], {
    cwd: repository,
    stdout: "ignore",
    stderr: "pipe",
  });
  const said = await new Response(build.stderr).text();
  if ((await build.exited) !== 0) throw new Error(`the build failed:\n${said}`);
  // Its files are read by the broker's user, too.
  chmodSync(root, 0o755);
  for (const folder of ["var/lib/dpkg/info", "var/lib/dpkg/updates", "etc"]) mkdirSync(at(folder), { recursive: true });
  writeFileSync(at("var/lib/dpkg/status"), "");
  writeFileSync(at("etc/passwd"), "root:x:0:0:root:/root:/bin/sh\n");
  writeFileSync(at("etc/group"), "root:x:0:\n");
  writeFileSync(at("etc/shadow"), "root:*:1::::::\n");
  writeFileSync(at("etc/gshadow"), "root:*::\n");
  dpkg("--install", file);
}, BUILD_MS);

afterAll(() => rmSync(root, { recursive: true, force: true }));

test("the package depends on what its binary asks for, and has the version of the repository", () => {
  const { out } = run("dpkg-deb", "--field", file);
  expect(out).toContain(`Version: ${packageJson.version}\n`);
  expect(out).toMatch(/^Depends: libc6 \(>= 2\.\d+\), passwd$/m);
  const { out: version } = run(at("usr/bin/millrace"), "--version");
  expect(version).toBe(`${packageJson.version}\n`);
});

test("a user without a password or shell is made, and the folders are its own or closed to others", () => {
  const { uid, gid } = owner();
  expect(readFileSync(at("etc/passwd"), "utf8")).toMatch(/^millrace:x:.*:\/var\/lib\/millrace:\/usr\/sbin\/nologin$/m);
  expect(readFileSync(at("etc/shadow"), "utf8")).toMatch(/^millrace:!/m);
  expect(modeOf("var/lib/millrace")).toBe(`700 ${uid}:${gid}`);
  expect(modeOf("etc/millrace")).toBe(`750 0:${gid}`);
  expect(modeOf("etc/millrace/transforms")).toBe(`750 0:${gid}`);
  expect(modeOf("etc/millrace/millrace.toml")).toBe(`640 0:${gid}`);
  expect(modeOf("usr/bin/millrace")).toBe("755 0:0");
});

test("systemd knows every line of the unit and calls it safe, and the files that it names are there", () => {
  const judged = run(
    "systemd-analyze",
    "security",
    "--offline=yes",
    `--root=${root}`,
    "--threshold=20",
    "millrace.service",
  );
  expect([judged.exit, judged.err]).toEqual([0, ""]);
  const [program = "", , flag, settings = ""] = unitValue("ExecStart").split(" ");
  expect([flag, existsSync(at(program)), existsSync(at(settings))]).toEqual(["--config", true, true]);
  expect(unitValue("Type")).toBe("notify");
  expect(unitValue("Environment")).toBe(`BUN_TMPDIR=/run/${unitValue("RuntimeDirectory")}`);
});

test("what the unit runs serves as the broker's user, tells systemd, and keeps its core in its own folder", async () => {
  await using listener = await NotifyListener.open();
  // Root may connect to anything; the user of the broker needs the right to.
  chmodSync(join(listener.path, ".."), 0o755);
  chmodSync(listener.path, 0o777);
  const { uid, gid } = owner();
  const runtime = at("run/millrace");
  run("install", "-d", "-m", "0700", "-o", String(uid), "-g", String(gid), runtime);
  const [program = "", serve = "", , settings = ""] = unitValue("ExecStart").split(" ");
  const data = at("var/lib/millrace/data");
  const flags = [serve, "--config", at(settings), "--data-dir", data, "--port", "0", "--http-port", "0"];
  const as = ["setpriv", `--reuid=${uid}`, `--regid=${gid}`, "--clear-groups", "--no-new-privs", at(program), ...flags];
  const child = Bun.spawn(as, {
    cwd: at("var/lib/millrace"),
    env: { PATH: "/nowhere:/usr/bin:/bin", BUN_TMPDIR: runtime, NOTIFY_SOCKET: listener.path },
    stdin: "ignore",
    stdout: "ignore",
    stderr: "inherit",
  });
  try {
    await until("it is ready", () => listener.states.some((state) => state.startsWith("READY=1")), PATIENCE_MS);
    expect(statSync(data).uid).toBe(uid);
    expect(readdirSync(runtime).filter((name) => name.endsWith(".node"))).toHaveLength(1);
    // The dashboard is in the binary: its sources are nowhere.
    const [, httpPort] = /HTTP (\d+)/.exec(listener.states.join("\n")) ?? [];
    const page = await (await fetch(`http://127.0.0.1:${httpPort}/`)).text();
    const [script = "/"] = /\/assets\/main-\w+\.js/.exec(page) ?? [];
    expect((await fetch(`http://127.0.0.1:${httpPort}${script}`)).headers.get("content-type")).toContain("javascript");
    child.kill("SIGTERM");
    expect(await child.exited).toBe(0);
    await until("it has told of its stop", () => listener.states.some((state) => state.startsWith("STOPPING=1")));
  } finally {
    child.kill("SIGKILL");
  }
});

test("an upgrade keeps settings and rights that were changed; removing keeps settings and messages; purging takes them", () => {
  appendFileSync(at("etc/millrace/millrace.toml"), "threads = 2\n");
  writeFileSync(at("var/lib/millrace/kept"), "a message");
  chmodSync(at("etc/millrace"), 0o700);
  dpkg("--force-confold", "--install", file);
  expect(modeOf("etc/millrace")).toStartWith("700 ");
  // Settings may come from elsewhere: a file that is gone stays so, and stops nothing.
  const settings = readFileSync(at("etc/millrace/millrace.toml"));
  rmSync(at("etc/millrace/millrace.toml"));
  dpkg("--install", file);
  expect(existsSync(at("etc/millrace/millrace.toml"))).toBe(false);
  writeFileSync(at("etc/millrace/millrace.toml"), settings);
  dpkg("--remove", "millrace");
  expect(existsSync(at("usr/bin/millrace"))).toBe(false);
  expect(readFileSync(at("etc/millrace/millrace.toml"), "utf8")).toContain("threads = 2\n");
  expect(readFileSync(at("var/lib/millrace/kept"), "utf8")).toBe("a message");
  dpkg("--purge", "millrace");
  const left = readdirSync(root, { recursive: true, encoding: "utf8" }).filter((name) => name.includes("millrace"));
  expect(left.filter((name) => name !== "run/millrace" && !name.startsWith("run/millrace/"))).toEqual([]);
});
