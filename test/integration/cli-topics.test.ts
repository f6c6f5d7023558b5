import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { join } from "node:path";
import { Broker } from "../../src/server/index.ts";
import { connect } from "../../src/client/index.ts";
import { commands, jsonLines, runCli } from "../cli/run-cli.ts";

/** The command line against a real broker: topics, groups, addresses, exit codes, help. */

const threads = Number(process.env["MILLRACE_TEST_THREADS"] ?? 1);
let broker: Broker;
let env: Record<string, string>;

beforeAll(async () => {
  broker = await Broker.start({ storage: "memory", port: 0, httpPort: 0, threads });
  env = { MILLRACE_URL: `millrace://127.0.0.1:${broker.port}` };
});

afterAll(() => broker.stop());

const { ok, refused } = commands(() => env);

describe("topics", () => {
  test("are created, listed, described, altered and deleted", async () => {
    expect(
      await ok("topic", "create", "orders.eu", "--partitions", "3", "--retention", "2d", "-c", "segmentBytes=1MiB"),
    ).toBe("created orders.eu with 3 partitions\n");
    await ok("topic", "create", "orders.us");
    await ok("topic", "create", "other");
    expect(await ok("topic", "list", "orders.*")).toBe(
      "TOPIC      PARTITIONS\norders.eu           3\norders.us           1\n",
    );
    const text = await ok("topic", "describe", "orders.eu");
    expect(text).toMatch(/retentionMs +2 d\n/);
    expect(text).toMatch(/segmentBytes +1 MiB\n/);
    expect(text).toMatch(/PARTITION +START +END +RECORDS +SIZE +SEGMENTS +LAST RECORD\n +0 +0 +0 +0 /);
    await ok("topic", "alter", "orders.eu", "--partitions", "5", "--unset", "retentionMs", "--durability", "synced");
    const [described] = jsonLines(await ok("topic", "describe", "orders.eu", "--json"));
    expect(described).toMatchObject({
      name: "orders.eu",
      partitions: 5,
      config: { durability: "synced", retentionMs: 7 * 86_400_000 },
    });
    expect(await ok("topic", "delete", "orders.eu", "orders.us")).toBe("deleted orders.eu\ndeleted orders.us\n");
    const [rest] = jsonLines<unknown>(await ok("topic", "list", "--json"));
    expect(rest).toMatchObject([{ name: "other" }]);
  });

  test("that exist, are missing or have a wrong name or setting are refused with a code and an advice", async () => {
    await ok("topic", "create", "once");
    expect(await refused(1, "topic", "create", "once")).toContain("topic_exists");
    await ok("topic", "create", "once", "--if-not-exists");
    for (const command of ["describe", "delete"])
      expect(await refused(4, "topic", command, "nowhere")).toContain("topic_not_found");
    expect(await refused(4, "topic", "alter", "nowhere", "--compact")).toContain("millrace topic create");
    expect(await refused(2, "topic", "create", "//")).toContain("invalid_topic_name");
    expect(await refused(2, "topic", "create", "x", "-c", "segmentBytes=1B")).toContain("invalid_config");
    expect(await refused(2, "topic", "create", "x", "-c", "segmentBites=1")).toContain("did you mean segmentBytes?");
    expect(await refused(2, "topic", "create", "x", "--partitions", "0")).toContain("--partitions");
    expect(await refused(2, "topic", "alter", "once")).toContain("nothing to change");
  });

  test("live in their namespace", async () => {
    await ok("topic", "create", "here", "--namespace", "tenant");
    expect(await ok("topic", "list", "--namespace", "tenant")).toContain("here");
    expect(await ok("topic", "list")).not.toContain("here");
  });
});

describe("groups", () => {
  test("are described with lag in messages and seconds, reset and deleted", async () => {
    const topic = "watched";
    await using client = await connect(env["MILLRACE_URL"] as string);
    await client.topics.create(topic, { partitions: 2 });
    const producer = client.producer(topic);
    const past = Date.now() - 60_000;
    for (let index = 0; index < 20; index++) {
      await producer.send({ value: `${index}`, partition: index % 2, timestamp: past + index * 1000 });
    }
    await client.group("watchers").commit([{ topic, partition: 0, offset: 4, metadata: "half" }]);
    expect(await ok("group", "list")).toMatch(/GROUP +STATE +MEMBERS\nwatchers +empty +0\n/);
    const text = await ok("group", "describe", "watchers");
    expect(text).toMatch(/lag +16 messages, (5\d\.\d|6\d\.\d) s\n/);
    expect(text).toMatch(/watched +0 +4 +10 +6 +5\d\.\d s +- +half\nwatched +1 +- +10 +10 /);
    const [group] = jsonLines<{ lag: number; lagSeconds: number }>(await ok("group", "describe", "watchers", "--json"));
    expect(group).toMatchObject({ group: "watchers", lag: 16 });
    expect(group?.lagSeconds).toBeGreaterThan(50);

    const dry = await ok("group", "reset", "watchers", "--topic", topic, "--to", "latest", "--dry-run");
    expect(dry).toMatch(/ +0 +4 +10 +6\n +1 +- +10 +-\nwould move .*nothing was changed\n$/);
    expect(await client.group("watchers").offsets()).toMatchObject([{ partition: 0, offset: 4 }]);
    for (const to of ["earliest", "latest", "7", new Date(past + 4500).toISOString()]) {
      const at = ["group", "reset", "watchers", "--topic", topic, "--to", to, "--json"];
      const [planned] = jsonLines<{ partitions: unknown }>(await ok(...at, "--dry-run"));
      const [done] = jsonLines<{ partitions: unknown }>(await ok(...at));
      expect({ to, partitions: done?.partitions }).toEqual({ to, partitions: planned?.partitions });
    }
    const offsets = await client.group("watchers").offsets();
    expect(offsets.map(({ offset }) => offset)).toEqual([3, 2]);
    const outside = ["group", "reset", "watchers", "--topic", topic, "--to", "99"];
    for (const how of [[], ["--dry-run"]])
      expect(await refused(1, ...outside, ...how)).toContain("offset_out_of_range");
    await ok("group", "delete", "watchers");
    expect(await refused(4, "group", "describe", "watchers")).toContain("group_not_found");
    expect(await refused(4, "group", "reset", "watchers", "--topic", "nowhere", "--to", "latest")).toContain(
      "topic_not_found",
    );
  });

  test("with members cannot be reset or deleted, and a dry run says so", async () => {
    await using client = await connect(env["MILLRACE_URL"] as string);
    await client.topics.create("busy");
    const { promise, resolve } = Promise.withResolvers<void>();
    await using member = client.group("busy-group").consume("busy", { onAssigned: () => resolve() });
    const reading = member.next();
    await promise;
    const text = await ok("group", "describe", "busy-group");
    expect(text).toMatch(/MEMBER +INSTANCE +CLIENT +CONNECTED +PARTITIONS\n.+ yes +1\n/);
    const reset = ["group", "reset", "busy-group", "--topic", "busy", "--to", "latest"];
    expect(await refused(1, ...reset)).toContain("group_not_empty");
    expect(await refused(1, ...reset, "--dry-run")).toContain("group_not_empty");
    expect(await refused(1, "group", "delete", "busy-group")).toContain("group_not_empty");
    await member.close();
    await reading;
  });
});

describe("the command line", () => {
  test("reaches the broker over WebSocket and by its port alone", async () => {
    const url = `ws://127.0.0.1:${broker.httpPort}/ws`;
    expect((await runCli(["topic", "list", "--url", url])).exit).toBe(0);
    expect((await runCli(["topic", "list"], { env: { MILLRACE_PORT: String(broker.port) } })).exit).toBe(0);
  });

  test("ends with 3 where no broker is, and with 2 for an address that is none", async () => {
    expect(await refused(3, "topic", "list", "--url", "millrace://127.0.0.1:1")).toContain("millrace serve");
    expect(await refused(2, "topic", "list", "--url", "http://127.0.0.1")).toContain("invalid_argument");
    const silent = Bun.listen({ hostname: "127.0.0.1", port: 0, socket: { data: () => undefined } });
    expect(
      await refused(3, "topic", "list", "--url", `millrace://127.0.0.1:${silent.port}`, "--timeout", "200ms"),
    ).toContain("timeout");
    silent.stop(true);
  });

  test("prints errors as JSON with --json", async () => {
    const { exit, err } = await runCli(["topic", "describe", "nowhere", "--json"], { env });
    expect(exit).toBe(4);
    expect(jsonLines(err)).toMatchObject([
      { error: { name: "topic_not_found", code: 100, retryable: false, exit: 4 } },
    ]);
  });

  test("colours what a terminal shows, unless NO_COLOR is set", async () => {
    const shown = async (own: Record<string, string>): Promise<string> => {
      let text = "";
      const terminal = { data: (_: unknown, bytes: Uint8Array) => void (text += Buffer.from(bytes).toString()) };
      const main = join(import.meta.dir, "../../src/main.ts");
      const child = Bun.spawn([process.execPath, main, "topic", "describe", "nowhere"], {
        env: { PATH: process.env["PATH"] ?? "", TERM: "xterm", ...env, ...own },
        terminal,
      });
      expect(await child.exited).toBe(4);
      return text;
    };
    expect(await shown({})).toStartWith("\x1b[31merror:\x1b[0m topic_not_found");
    expect(await shown({ NO_COLOR: "1" })).toStartWith("error: topic_not_found");
  });

  test("tells usage from failure", async () => {
    for (const args of [
      ["topic"],
      ["nonsense"],
      ["topic", "create"],
      ["topic", "list", "--nonsense"],
      ["group", "reset", "g"],
      [],
    ]) {
      const { exit, out, err } = await runCli(args, { env });
      expect({ args, exit, out }).toEqual({ args, exit: 2, out: "" });
      expect(err.length).toBeGreaterThan(20);
    }
    expect(await refused(2, "topic", "crate", "x")).toContain("Did you mean create?");
  });

  test("has help with examples for every command", async () => {
    const commands = [
      "topic create",
      "topic list",
      "topic describe",
      "topic alter",
      "topic delete",
      "produce",
      "consume",
    ];
    const more = ["group list", "group describe", "group reset", "group delete", "log inspect", "config"];
    for (const command of [...commands, ...more]) {
      const { exit, out } = await runCli([...command.split(" "), "--help"]);
      expect({ command, exit }).toEqual({ command, exit: 0 });
      expect(out).toContain(`Usage: millrace ${command}`);
      expect(out).toContain("Examples:");
      expect(out).toContain("--json");
    }
    expect((await runCli(["--help"])).out).toContain("Exit codes:");
    expect((await runCli(["--version"])).out).toMatch(/^\d+\.\d+\.\d+\n$/);
  });

  test("prints the configuration with sources, from flags, environment and defaults", async () => {
    const { exit, out } = await runCli(["config", "--threads", "2"], { env: { MILLRACE_SEGMENT_BYTES: "16MiB" } });
    expect(exit).toBe(0);
    expect(out).toMatch(/threads +2 +flag --threads +/);
    expect(out).toMatch(/segmentBytes +16 MiB +environment MILLRACE_SEGMENT_BYTES +/);
    expect(out).toMatch(/port +7400 +default +/);
    const [entries] = jsonLines<unknown>((await runCli(["config", "--json"])).out);
    expect(entries).toContainEqual(
      expect.objectContaining({ key: "port", value: 7400, source: "default", env: "MILLRACE_PORT" }),
    );
    expect(await refused(2, "config", "--treads", "2")).toContain("did you mean --threads?");
  });
});
