import { afterAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  CONFIG_KEYS,
  configEntries,
  configOf,
  envName,
  flagName,
  formatConfig,
  loadConfig,
} from "../../src/config/index.ts";
import { isMillraceError } from "../../src/errors/index.ts";

const folders: string[] = [];

function folder(files: Record<string, string> = {}): string {
  const path = mkdtempSync(join(tmpdir(), "millrace-config-"));
  folders.push(path);
  for (const [name, content] of Object.entries(files)) writeFileSync(join(path, name), content);
  return path;
}

afterAll(() => {
  for (const path of folders) rmSync(path, { recursive: true });
});

/** The lines of the invalid_config error that a call throws. */
function faultsOf(call: () => unknown): string[] {
  try {
    call();
  } catch (error) {
    if (isMillraceError(error, "invalid_config")) return error.message.split("\n");
    throw error;
  }
  throw new Error("nothing was thrown");
}

describe("where values come from", () => {
  test("defaults are taken when nothing else is said", () => {
    const { config, sources, file } = loadConfig({ cwd: folder() });
    expect([config.host, config.port, config.httpPort, config.threads]).toEqual(["127.0.0.1", 7400, 7480, 1]);
    expect([config.frameBytesMax, config.segmentMs, config.retentionBytes]).toEqual([16_777_216, 604_800_000, -1]);
    expect([sources.port, file]).toEqual(["default", undefined]);
  });

  test("the file loses to the environment, which loses to the flags", () => {
    const cwd = folder({ "millrace.config.json": '{"port": 1, "httpPort": 2, "threads": 3, "dataDir": "d"}' });
    const env = { MILLRACE_HTTP_PORT: "12", MILLRACE_THREADS: "13", MILLRACE_URL: "ignored", HOME: "ignored" };
    const { config, sources, file } = loadConfig({ cwd, env, flags: ["--threads", "23"] });
    expect([config.port, config.httpPort, config.threads]).toEqual([1, 12, 23]);
    expect([sources.httpPort, sources.threads]).toEqual(["environment MILLRACE_HTTP_PORT", "flag --threads"]);
    expect([sources.port, file]).toEqual([`file ${file}`, join(cwd, "millrace.config.json")]);
    expect(config.dataDir).toBe(join(cwd, "d"));
  });

  test("a TOML file and units are understood", () => {
    const cwd = folder({ "millrace.config.toml": 'frameBytesMax = "32 MiB"\nretentionMs = "2h"\n' });
    const { config } = loadConfig({ cwd, flags: ["--segment-bytes=1GiB", "--retention-bytes", "-1"] });
    expect([config.frameBytesMax, config.retentionMs]).toEqual([33_554_432, 7_200_000]);
    expect([config.segmentBytes, config.retentionBytes]).toEqual([1_073_741_824, -1]);
  });

  test("--config names a file elsewhere, and its relative paths begin beside it", () => {
    const other = folder({ "mine.json": '{"dataDir": "data"}' });
    const { config } = loadConfig({ cwd: folder(), flags: ["--config", join(other, "mine.json")] });
    expect(config.dataDir).toBe(join(other, "data"));
  });

  test("an embedded broker's options are checked in the same way", () => {
    const { config, sources } = configOf({ port: 0, storage: "memory" }, "/srv/x");
    expect([config.storage, sources.storage, config.dataDir]).toEqual(["memory", "options", "/srv/x/millrace-data"]);
    expect(faultsOf(() => configOf({ port: 70_000 }, "/srv/x"))[0]).toContain("options");
  });

  test("every key can be set by its variable and by its flag", () => {
    const given = configEntries(loadConfig({ cwd: folder() }));
    for (const { key, value } of given) {
      // An empty variable counts as not set.
      if (value === "") continue;
      const env = { [envName(key)]: String(value) };
      const flags = [flagName(key), String(value)];
      expect(loadConfig({ cwd: "/nowhere", env }).sources[key]).toBe(`environment ${envName(key)}`);
      expect(loadConfig({ cwd: "/nowhere", flags }).config[key]).toBe(value);
    }
    expect([envName("frameBytesMax"), flagName("frameBytesMax")]).toEqual([
      "MILLRACE_FRAME_BYTES_MAX",
      "--frame-bytes-max",
    ]);
  });
});

describe("what is refused", () => {
  test.each([
    ["port", "70000"],
    ["port", "tcp://10.1.2.3:7400"],
    ["port", "1.5"],
    ["host", "two words"],
    ["allowedOrigins", "app.example.com"],
    ["allowedOrigins", "https://app.example.com/path"],
    ["jwtJwksUrl", "http://id.example.com/keys"],
    ["otlpUrl", "collector:4318"],
    ["otlpUrl", "http://user:word@collector:4318"],
    ["insecure", "perhaps"],
    ["storage", "tape"],
    ["frameBytesMax", "16 MB B"],
    ["sessionTimeoutMs", "99"],
    ["sessionTimeoutMs", "301s"],
    ["retentionMs", "-2"],
  ])("%s=%s, naming key, source and range", (key, text) => {
    const [line, ...others] = faultsOf(() => loadConfig({ cwd: "/nowhere", env: { [envName(key)]: text } }));
    expect(others).toEqual([]);
    expect(line).toStartWith(`${key}: "${text}" from environment ${envName(key)} is not accepted; it takes `);
  });

  test("an unknown key, with the one that was probably meant", () => {
    const cwd = folder({ "millrace.config.json": '{"prot": 1}' });
    const call = (): unknown =>
      loadConfig({ cwd, env: { MILLRACE_DATADIR: "x" }, flags: ["--thread", "2", "--colour", "red"] });
    expect(faultsOf(call)).toEqual([
      `prot in file ${join(cwd, "millrace.config.json")} is no setting; did you mean port?`,
      "MILLRACE_DATADIR in the environment is no setting; did you mean MILLRACE_DATA_DIR?",
      "--thread is no flag; did you mean --threads?",
      "--colour is no flag",
    ]);
  });

  test("values that do not go together, naming both", () => {
    const [line] = faultsOf(() => loadConfig({ cwd: "/nowhere", flags: ["--frame-bytes-max", "1 MiB"] }));
    expect(line).toContain(
      "batchBytesMax (8388608, from default) is over frameBytesMax (1048576, from flag --frame-bytes-max)",
    );
    expect(faultsOf(() => loadConfig({ cwd: "/nowhere", flags: ["--port", "7480"] }))[0]).toContain(
      "each needs its own",
    );
  });

  test("files that are missing, broken, no object, or two at once", () => {
    const load = (files: Record<string, string>): string[] => faultsOf(() => loadConfig({ cwd: folder(files) }));
    expect(faultsOf(() => loadConfig({ cwd: "/nowhere", flags: ["--config", "no.json"] }))[0]).toContain(
      "is not there",
    );
    expect(load({ "millrace.config.json": "{" })[0]).toContain("cannot be read");
    expect(load({ "millrace.config.json": "[1]" })[0]).toContain("no object");
    expect(load({ "millrace.config.json": "{}", "millrace.config.toml": "" })[0]).toContain("keep one");
    expect(faultsOf(() => loadConfig({ cwd: "/nowhere", flags: ["--port"] }))).toEqual(["--port needs a value"]);
  });

  test("a container platform's variables only warn, and an empty one counts as not set", () => {
    const env = { MILLRACE_PORT_7400_TCP_ADDR: "10.0.0.1", MILLRACE_PORT: "" };
    const { config, warnings } = loadConfig({ cwd: "/nowhere", env });
    expect([config.port, warnings]).toEqual([7400, ["MILLRACE_PORT_7400_TCP_ADDR is no setting and is ignored"]]);
  });
});

test("millrace config prints every key with value, source and one line of documentation", () => {
  const lines = formatConfig(loadConfig({ cwd: "/nowhere", env: { MILLRACE_THREADS: "2" } })).split("\n");
  expect(lines).toHaveLength(CONFIG_KEYS.length);
  expect(lines.find((line) => line.startsWith("threads"))).toMatch(
    /^threads +2 +environment MILLRACE_THREADS +\w.*\.$/,
  );
  expect(lines.find((line) => line.startsWith("frameBytesMax"))).toContain("16 MiB");
});

test("the list in the README is the list of settings", async () => {
  const readme = await Bun.file(new URL("../../src/config/README.md", import.meta.url)).text();
  for (const { key, text, accepts, doc } of configEntries(configOf({}, "/"))) {
    const standard = text.startsWith("/") ? `.${text}` : text;
    const row = readme.split("\n").find((line) => line.startsWith(`| ${key} `)) ?? `no row for ${key}`;
    expect(row.split("|").map((cell) => cell.trim())).toEqual(["", key, standard, accepts, doc, ""]);
  }
});

describe("serving other machines", () => {
  const files = { tlsCertFile: "/c", tlsKeyFile: "/k" };
  const keys = { jwtJwksFile: "/j", jwtIssuer: "i", jwtAudience: "a" };
  test.each([
    ["an open address without log-ins", { host: "0.0.0.0" }, /nobody has to log in: set authentication to required/],
    ["an open IPv6 address", { host: "::" }, /nobody has to log in/],
    ["a certificate without its key", { tlsCertFile: "/c" }, /go together/],
    ["certificates of clients without TLS", { tlsClientAuth: "required", tlsClientCaFile: "/a" }, /needs tlsCertFile/],
    ["certificates of clients without who signs them", { ...files, tlsClientAuth: "optional" }, /tlsClientCaFile/],
    ["who signs them without asking for them", { ...files, tlsClientCaFile: "/a" }, /of no use/],
    ["tokens for anybody", { ...keys, jwtAudience: "" }, /need jwtIssuer and jwtAudience/],
    ["keys from two places", { ...keys, jwtJwksUrl: "https://id.example.com/keys" }, /exclude each other/],
    ["an issuer without keys", { jwtIssuer: "i" }, /of no use without/],
  ] as const)("%s is refused with what to do", (_, options, reason) => {
    const lines = faultsOf(() => configOf(options, "/"));
    expect(lines).toHaveLength(1);
    expect(lines[0]).toMatch(reason);
  });

  test.each([
    { host: "0.0.0.0", authentication: "required" },
    { host: "10.0.0.1", insecure: true },
    { ...files, tlsClientAuth: "optional", tlsClientCaFile: "/a" },
    keys,
  ] as const)("%j is accepted", (options) => expect(configOf(options, "/").config).toMatchObject(options));

  test("what is dangerous is accepted with a warning", () => {
    const warnings = (options: Parameters<typeof configOf>[0]): number => configOf(options, "/").warnings.length;
    expect(warnings({})).toBe(0);
    expect(warnings({ host: "0.0.0.0", insecure: true })).toBe(2);
    expect(warnings({ host: "0.0.0.0", authentication: "required" })).toBe(1);
    expect(warnings({ host: "0.0.0.0", authentication: "required", ...files })).toBe(0);
  });

  test("a switch may stand without a value, and takes no other word for one", () => {
    const { config } = loadConfig({ cwd: "/nowhere", flags: ["--insecure", "--host", "0.0.0.0"] });
    expect([config.insecure, config.host]).toEqual([true, "0.0.0.0"]);
    expect(loadConfig({ cwd: "/nowhere", flags: ["--insecure", "false"] }).config.insecure).toBe(false);
    expect(loadConfig({ cwd: "/nowhere", flags: ["--insecure=true"] }).config.insecure).toBe(true);
  });
});
