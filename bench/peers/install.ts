import { copyFile, mkdir, readdir, rm, writeFile, chmod } from "node:fs/promises";
import { homedir } from "node:os";
import { dirname, join } from "node:path";
import { DRIVER_SOURCE, Driver } from "./driver.ts";
import { kafkaPeer } from "./kafka.ts";
import { mosquittoPeer } from "./mosquitto.ts";
import { natsPeer } from "./nats.ts";
import { type Peer, UnavailableError } from "./peer.ts";
import { rabbitPeer } from "./rabbitmq.ts";
import { redisPeer } from "./redis.ts";
import type { Bench } from "./serving.ts";
import { run, type RunOptions } from "./shell.ts";

/** Installs peers and load tools from their registries. What is there already is taken as it is. */

const NATS_MODULE = "github.com/nats-io/nats-server/v2";
const NATS_VERSION = "v2.15.2";
const MAVEN = join(import.meta.dir, "maven");

export const PEER_NAMES = ["kafka", "nats", "rabbitmq", "redis", "mosquitto"] as const;
export type PeerName = (typeof PEER_NAMES)[number];

/** Where peers are kept unless a flag says otherwise. */
export function defaultCache(env: Readonly<Record<string, string | undefined>> = process.env): string {
  return join(env["XDG_CACHE_HOME"] ?? join(homedir(), ".cache"), "millrace-peers");
}

/** Where a program is, by the search path as it is now. */
function find(tool: string): string | null {
  return Bun.which(tool, { PATH: process.env["PATH"] ?? "" });
}

function need(tool: string, what: string): void {
  if (find(tool) === null) throw new UnavailableError(`${what} needs ${tool}, which is not here`);
}

/** The one-line reason of what could not be had. */
async function orUnavailable<T>(what: string, get: () => Promise<T>): Promise<T> {
  try {
    return await get();
  } catch (error) {
    if (error instanceof UnavailableError) throw error;
    throw new UnavailableError(`${what}: ${(error as Error).message}`);
  }
}

/** Builds the load driver, which everything else needs. Errors: UnavailableError. */
export async function installDriver(cache: string, options: RunOptions, isQuick: boolean = false): Promise<Driver> {
  need("go", "the load driver");
  const path = join(cache, "bin", "driver");
  await mkdir(dirname(path), { recursive: true });
  await orUnavailable("the load driver", () =>
    run(["go", "build", "-o", path, "."], { ...options, cwd: DRIVER_SOURCE }),
  );
  return new Driver(path, options, isQuick);
}

/** A class path with the jars of a pom. */
async function jars(cache: string, name: string, options: RunOptions): Promise<string> {
  need("java", name);
  need("mvn", name);
  const folder = join(cache, name);
  const pom = join(folder, "pom.xml");
  const wanted = join(MAVEN, name, "pom.xml");
  const done = join(folder, "jars", ".done");
  const isThere = (await Bun.file(done).exists()) && (await Bun.file(pom).text()) === (await Bun.file(wanted).text());
  if (!isThere) {
    await rm(folder, { recursive: true, force: true });
    await mkdir(folder, { recursive: true });
    await copyFile(wanted, pom);
    const goal = ["dependency:copy-dependencies", "-DoutputDirectory=jars", "-DincludeScope=runtime"];
    await orUnavailable(name, () => run(["mvn", "-q", "-B", "-ntp", ...goal], { ...options, cwd: folder }));
    await writeFile(done, "");
  }
  return join(folder, "jars", "*");
}

/** The version in the name of a jar such as `kafka_2.13-4.4.0.jar`. */
async function jarVersion(classPath: string, artifact: string): Promise<string> {
  const names = await readdir(dirname(classPath));
  const prefix = `${artifact}-`;
  const name = names.find((name) => name.startsWith(prefix) && /^\d/.test(name.slice(prefix.length)));
  return name?.slice(prefix.length, -".jar".length) ?? "unknown";
}

/** Installs Debian packages, without their services starting by themselves. */
async function debian(packages: readonly string[], options: RunOptions): Promise<void> {
  const missing: string[] = [];
  for (const name of packages) if ((await debianVersion(name, options)) === null) missing.push(name);
  if (missing.length === 0) return;
  const [first] = missing;
  if (find("apt-get") === null) throw new UnavailableError(`${first} needs apt-get, which is not here`);
  if (process.getuid?.() !== 0) throw new UnavailableError(`apt-get install ${missing.join(" ")} needs root`);
  const invoker = find("invoke-rc.d");
  const policy = invoker === null ? null : join(dirname(invoker), "policy-rc.d");
  const isOurs = policy !== null && !(await Bun.file(policy).exists());
  if (isOurs) {
    await writeFile(policy, "#!/bin/sh\nexit 101\n");
    await chmod(policy, 0o755);
  }
  try {
    const install = ["apt-get", "install", "-y", "--no-install-recommends", ...missing];
    const env = { DEBIAN_FRONTEND: "noninteractive" };
    await orUnavailable(String(first), () => run(install, { ...options, env }));
  } finally {
    if (isOurs) await rm(policy, { force: true });
  }
}

/** The version of an installed package, or null. */
async function debianVersion(name: string, options: RunOptions): Promise<string | null> {
  if (find("dpkg-query") === null) return null;
  const query = ["dpkg-query", "--show", "--showformat", "${db:Status-Status} ${Version}", name];
  const [status, version] = (await run(query, options).catch(() => "")).split(" ");
  options.signal.throwIfAborted();
  return status === "installed" && version !== undefined ? version : null;
}

/** A file of a package whose path ends so. */
async function debianFile(name: string, ending: RegExp, options: RunOptions): Promise<string> {
  const files = (await run(["dpkg", "-L", name], options)).split("\n");
  const file = files.find((file) => ending.test(file));
  if (file === undefined) throw new UnavailableError(`${name} has no file ${ending}`);
  return file;
}

async function installKafka(cache: string, bench: Bench): Promise<Peer> {
  const server = await jars(cache, "kafka-server", bench.options);
  const tools = await jars(cache, "kafka-tools", bench.options);
  const versions = [await jarVersion(server, "kafka_2.13"), await jarVersion(tools, "kafka-tools")];
  return kafkaPeer({ server, tools, version: `${versions[0]}, tools ${versions[1]}` }, bench);
}

async function installNats(cache: string, bench: Bench): Promise<Peer> {
  need("go", "nats-server");
  const binary = join(cache, "bin", "nats-server");
  const wanted = `nats-server: ${NATS_VERSION}`;
  const found = (await Bun.file(binary).exists()) ? (await run([binary, "--version"], bench.options)).trim() : "";
  if (found !== wanted) {
    const install = ["go", "install", `${NATS_MODULE}@${NATS_VERSION}`];
    const env = { GOBIN: dirname(binary) };
    await orUnavailable("nats-server", () => run(install, { ...bench.options, env }));
  }
  return natsPeer(binary, NATS_VERSION.slice(1), bench);
}

async function installRabbit(cache: string, bench: Bench): Promise<Peer> {
  const { options } = bench;
  await debian(["rabbitmq-server"], options);
  const perfTestJars = await jars(cache, "perf-test", options);
  const server = await debianFile("rabbitmq-server", /lib\/rabbitmq_server-[^/]*\/sbin\/rabbitmq-server$/, options);
  const versions = [await debianVersion("rabbitmq-server", options), await jarVersion(perfTestJars, "perf-test")];
  return rabbitPeer({ server, perfTestJars, version: `${versions[0]}, PerfTest ${versions[1]}` }, bench);
}

async function installRedis(bench: Bench): Promise<Peer> {
  await debian(["redis-server", "redis-tools"], bench.options);
  return redisPeer((await debianVersion("redis-server", bench.options)) ?? "unknown", bench);
}

async function installMosquitto(bench: Bench): Promise<Peer> {
  const { options } = bench;
  await debian(["mosquitto"], options);
  const binary = await debianFile("mosquitto", /bin\/mosquitto$/, options);
  return mosquittoPeer(binary, (await debianVersion("mosquitto", options)) ?? "unknown", bench);
}

/** Installs one peer. Errors: UnavailableError with the line that says why it cannot be had. */
export async function installPeer(name: PeerName, cache: string, bench: Bench): Promise<Peer> {
  const install: Record<PeerName, () => Promise<Peer>> = {
    kafka: () => installKafka(cache, bench),
    nats: () => installNats(cache, bench),
    rabbitmq: () => installRabbit(cache, bench),
    redis: () => installRedis(bench),
    mosquitto: () => installMosquitto(bench),
  };
  return await orUnavailable(name, install[name]);
}
