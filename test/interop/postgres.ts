import { SQL } from "bun";
import { chown, mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** A PostgreSQL of a test's own: Debian's, on a socket in a folder that goes with it. */

const root = join(import.meta.dir, "../..");
const VERSIONS = "/usr/lib/postgresql";
const READY_MS = 30_000;

export interface Postgres extends AsyncDisposable {
  /** The folder of the socket. */
  readonly path: string;
  connect(connections?: number): SQL;
}

/** A pool to a server whose socket is in the folder. */
export function connectTo(folder: string, connections = 10): SQL {
  const path = join(folder, ".s.PGSQL.5432");
  return new SQL({ adapter: "postgres", path, username: "postgres", database: "postgres", max: connections });
}

/** The folder of the newest server's programs. Installs one where there is none. */
async function programs(): Promise<string> {
  const find = async (): Promise<string | undefined> => {
    const names = await readdir(VERSIONS).catch(() => []);
    const newest = names.toSorted((a, b) => Number(b) - Number(a))[0];
    return newest === undefined ? undefined : join(VERSIONS, newest, "bin");
  };
  const found = await find();
  if (found !== undefined) return found;
  const install = 'import("./test/tools/setup.mjs").then((setup) => setup.installPostgres())';
  const child = Bun.spawn(["node", "-e", install], { cwd: root, stdout: "inherit", stderr: "inherit" });
  const installed = (await child.exited) === 0 ? await find() : undefined;
  if (installed === undefined) throw new Error("no PostgreSQL for this test");
  return installed;
}

/** PostgreSQL refuses to run as root: then it runs as the user of its package. */
async function ownerOf(folder: string): Promise<string[]> {
  if (process.getuid?.() !== 0) return [];
  const idOf = async (what: string): Promise<string> =>
    (await new Response(Bun.spawn(["id", what, "postgres"]).stdout).text()).trim();
  const [user, group] = [await idOf("-u"), await idOf("-g")];
  await chown(folder, Number(user), Number(group));
  return ["setpriv", `--reuid=${user}`, `--regid=${group}`, "--clear-groups"];
}

export async function startPostgres(): Promise<Postgres> {
  const bin = await programs();
  const path = await mkdtemp(join(tmpdir(), "millrace-pg-"));
  const as = await ownerOf(path);
  const data = join(path, "data");
  const init = [...as, join(bin, "initdb"), "-D", data, "-A", "trust", "-U", "postgres", "-N", "--locale=C.UTF-8"];
  const made = Bun.spawn(init, { cwd: "/", stdout: "ignore", stderr: "pipe" });
  if ((await made.exited) !== 0) throw new Error(`initdb: ${await new Response(made.stderr).text()}`);
  const command = [...as, join(bin, "postgres"), "-D", data, "-k", path, "-c", "listen_addresses="];
  const server = Bun.spawn(command, { cwd: "/", stdout: "ignore", stderr: "ignore" });
  const pools: SQL[] = [];
  const dispose = async (): Promise<void> => {
    await Promise.allSettled(pools.map((pool) => pool.close({ timeout: 0 })));
    // At once: nobody needs what it has.
    server.kill("SIGQUIT");
    await server.exited;
    await rm(path, { recursive: true, force: true });
  };
  const connect = (connections?: number): SQL => {
    const pool = connectTo(path, connections);
    pools.push(pool);
    return pool;
  };
  const deadline = performance.now() + READY_MS;
  for (;;) {
    const probe = connectTo(path, 1);
    const isReady = await probe`select 1`.then(
      () => true,
      () => false,
    );
    await probe.close({ timeout: 0 });
    if (isReady) return { path, connect, [Symbol.asyncDispose]: dispose };
    if (server.exitCode !== null || performance.now() > deadline) {
      await dispose();
      throw new Error("PostgreSQL did not start");
    }
    await Bun.sleep(20);
  }
}
