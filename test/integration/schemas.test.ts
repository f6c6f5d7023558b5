/** The registry over the native protocol: its requests, namespaces, other workers, and what a restart keeps. */
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { Op } from "../../src/protocol/index.ts";
import type { Broker } from "../../src/server/index.ts";
import { RawConnection, startBroker, temporaryFolder } from "./harness.ts";

type Fields = Record<string, unknown>;

let broker: Broker;
let raw: RawConnection;

beforeEach(async () => {
  broker = await startBroker();
  raw = await open(broker);
});

afterEach(async () => {
  raw[Symbol.dispose]();
  await broker.stop();
});

async function open(to: Broker, namespace = "default"): Promise<RawConnection> {
  const raw = await RawConnection.open(to.port);
  await raw.hello({ namespace });
  return raw;
}

const ask = async (op: number, fields: Fields, on = raw): Promise<Fields> => (await on.ask(op, fields)) as Fields;

/** The name of the error that answers a request. */
function errorOf(op: number, fields: Fields): Promise<string> {
  const answered = (): never => {
    throw new Error("the request was carried out");
  };
  return raw.ask(op, fields).then(answered, (error: Error) => error.message.slice(0, error.message.indexOf(":")));
}

const tick = (...more: object[]): string =>
  JSON.stringify({ type: "record", name: "Tick", fields: [{ name: "price", type: "double" }, ...more] });
const V1 = tick();
const V2 = tick({ name: "symbol", type: "string", default: "" });
const BAD = tick({ name: "symbol", type: "string" });

describe("a schema", () => {
  test("is registered, read by id and version, found, checked and listed", async () => {
    expect(await ask(Op.SCHEMA_REGISTER, { subject: "ticks-value", schema: V1 })).toEqual({ id: 1, version: 1 });
    expect(await ask(Op.SCHEMA_REGISTER, { subject: "ticks-value", schema: V2 })).toEqual({ id: 2, version: 2 });
    const got = await ask(Op.SCHEMA_GET, { id: 2 });
    expect(got).toMatchObject({
      id: 2,
      schemaType: "AVRO",
      schema: V2,
      references: [],
      subjects: [["ticks-value", 2]],
    });
    const latest = await ask(Op.SCHEMA_VERSION, { subject: "ticks-value", version: "latest" });
    expect(latest).toMatchObject({ subject: "ticks-value", version: 2, id: 2, schema: V2 });
    expect(await ask(Op.SCHEMA_LOOKUP, { subject: "ticks-value", schema: V1 })).toEqual({
      subject: "ticks-value",
      version: 1,
      id: 1,
    });
    expect(await ask(Op.SCHEMA_CHECK, { subject: "ticks-value", schema: BAD, version: 1 })).toMatchObject({
      compatible: false,
      messages: [expect.stringContaining('"symbol"')],
    });
    expect(await ask(Op.SCHEMA_CHECK, { subject: "ticks-value", schema: BAD })).toMatchObject({ compatible: true });
    expect(await ask(Op.SCHEMA_SUBJECTS, {})).toEqual({
      subjects: [{ subject: "ticks-value", versions: [1, 2], latestId: 2, compatibility: "BACKWARD" }],
      next: null,
    });
  });

  test("that is refused says why, and the connection lives", async () => {
    await ask(Op.SCHEMA_REGISTER, { subject: "s", schema: V1 });
    expect(await errorOf(Op.SCHEMA_REGISTER, { subject: "s", schema: BAD })).toBe("schema_incompatible");
    expect(await errorOf(Op.SCHEMA_REGISTER, { subject: "s", schema: "{" })).toBe("schema_invalid");
    expect(await errorOf(Op.SCHEMA_REGISTER, { subject: "s", schema: V1, schemaType: "PROTOBUF" })).toBe(
      "schema_unsupported",
    );
    expect(await errorOf(Op.SCHEMA_REGISTER, { subject: ":.other:s", schema: V1 })).toBe("invalid_argument");
    expect(await errorOf(Op.SCHEMA_REGISTER, { subject: "", schema: V1 })).toBe("invalid_argument");
    expect(await errorOf(Op.SCHEMA_REGISTER, { subject: "t", schema: JSON.stringify("x".repeat(600_000)) })).toBe(
      "schema_invalid",
    );
    expect(await errorOf(Op.SCHEMA_GET, { id: 9 })).toBe("schema_not_found");
    expect(await errorOf(Op.SCHEMA_VERSION, { subject: "none", version: 1 })).toBe("subject_not_found");
    expect(await errorOf(Op.SCHEMA_VERSION, { subject: "s", version: 9 })).toBe("version_not_found");
    expect(await errorOf(Op.SCHEMA_LOOKUP, { subject: "s", schema: V2 })).toBe("schema_not_found");
    expect(await ask(Op.SCHEMA_VERSION, { subject: "s", version: 1 })).toMatchObject({ id: 1 });
  });

  test("is deleted softly, then for good", async () => {
    await ask(Op.SCHEMA_REGISTER, { subject: "s", schema: V1 });
    await ask(Op.SCHEMA_REGISTER, { subject: "s", schema: V2 });
    expect(await ask(Op.SCHEMA_DELETE, { subject: "s", version: 1 })).toEqual({ versions: [1] });
    expect(await ask(Op.SCHEMA_DELETE, { subject: "s" })).toEqual({ versions: [2] });
    expect(await ask(Op.SCHEMA_SUBJECTS, {})).toEqual({ subjects: [], next: null });
    expect(await ask(Op.SCHEMA_SUBJECTS, { deleted: true })).toMatchObject({ subjects: [{ versions: [1, 2] }] });
    expect(await ask(Op.SCHEMA_GET, { id: 1 })).toMatchObject({ schema: V1, subjects: [] });
    expect(await ask(Op.SCHEMA_DELETE, { subject: "s", permanent: true })).toEqual({ versions: [1, 2] });
    expect(await errorOf(Op.SCHEMA_GET, { id: 1 })).toBe("schema_not_found");
  });

  test("with references is given back whole when it is asked for resolved", async () => {
    await ask(Op.SCHEMA_REGISTER, { subject: "tick", schema: V1 });
    const schema = JSON.stringify({ type: "array", items: "Tick" });
    const references = [{ name: "Tick", subject: "tick", version: 1 }];
    await ask(Op.SCHEMA_REGISTER, { subject: "ticks", schema, references });
    expect(await ask(Op.SCHEMA_GET, { id: 2 })).toMatchObject({ schema, references });
    const resolved = await ask(Op.SCHEMA_GET, { id: 2, resolved: true });
    expect(resolved).toMatchObject({ schema: `{"type":"array","items":${V1}}`, references: [] });
    expect(await errorOf(Op.SCHEMA_DELETE, { subject: "tick" })).toBe("schema_in_use");
  });
});

test("settings and modes are set, read and taken away", async () => {
  expect(await ask(Op.SCHEMA_CONFIG, {})).toEqual({ compatibility: "BACKWARD", own: null });
  expect(await ask(Op.SCHEMA_CONFIG, { compatibility: "FULL" })).toEqual({ compatibility: "FULL", own: "FULL" });
  expect(await ask(Op.SCHEMA_CONFIG, { subject: "s", compatibility: "NONE" })).toEqual({
    compatibility: "NONE",
    own: "NONE",
  });
  expect(await ask(Op.SCHEMA_CONFIG, { subject: "s", unset: true })).toEqual({ compatibility: "FULL", own: null });
  expect(await ask(Op.SCHEMA_MODE, { subject: "s", mode: "READONLY" })).toEqual({ mode: "READONLY", own: "READONLY" });
  expect(await errorOf(Op.SCHEMA_REGISTER, { subject: "s", schema: V1 })).toBe("schema_mode");
  expect(await ask(Op.SCHEMA_MODE, { subject: "s", unset: true })).toEqual({ mode: "READWRITE", own: null });
  expect(await errorOf(Op.SCHEMA_CONFIG, { compatibility: "SIDEWAYS" })).toBe("invalid_argument");
});

test("subjects come in pages, and by pattern", async () => {
  for (const name of ["c", "a.x", "b", "a.y"]) await ask(Op.SCHEMA_REGISTER, { subject: name, schema: V1 });
  const first = await ask(Op.SCHEMA_SUBJECTS, { limit: 3 });
  expect([(first["subjects"] as Fields[]).map(({ subject }) => subject), first["next"]]).toEqual([
    ["a.x", "a.y", "b"],
    "b",
  ]);
  expect(await ask(Op.SCHEMA_SUBJECTS, { limit: 3, after: "b" })).toMatchObject({ subjects: [{ subject: "c" }] });
  expect(await ask(Op.SCHEMA_SUBJECTS, { pattern: "a.*" })).toMatchObject({
    subjects: [{ subject: "a.x" }, { subject: "a.y" }],
  });
});

test("a namespace sees its own subjects and schemas only", async () => {
  using other = await open(broker, "tenant");
  await ask(Op.SCHEMA_REGISTER, { subject: "s", schema: V1 });
  expect(await ask(Op.SCHEMA_REGISTER, { subject: "t", schema: V2 }, other)).toEqual({ id: 2, version: 1 });
  expect(await ask(Op.SCHEMA_SUBJECTS, {}, other)).toMatchObject({ subjects: [{ subject: "t" }] });
  expect(await ask(Op.SCHEMA_SUBJECTS, {})).toMatchObject({ subjects: [{ subject: "s" }] });
  await expect(other.ask(Op.SCHEMA_GET, { id: 1 })).rejects.toThrow("Schema 1 not found");
  expect(await ask(Op.SCHEMA_GET, { id: 2 }, other)).toMatchObject({ subjects: [["t", 1]] });
});

test("what is acknowledged is there after a restart, and on every worker", async () => {
  await using folder = await temporaryFolder();
  const first = await startBroker({ dataDir: folder.path, threads: 2 });
  const connections = await Promise.all([1, 2, 3, 4, 5, 6].map(() => open(first)));
  const answers = await Promise.all(
    connections.map((connection, n) => ask(Op.SCHEMA_REGISTER, { subject: `s${n % 3}`, schema: V1 }, connection)),
  );
  // Whoever is first, all of them agree.
  expect(answers).toEqual(answers.map(() => ({ id: 1, version: 1 })));
  for (const connection of connections) {
    expect(await ask(Op.SCHEMA_GET, { id: 1 }, connection)).toMatchObject({ schema: V1 });
    connection[Symbol.dispose]();
  }
  await first.stop();
  const second = await startBroker({ dataDir: folder.path });
  try {
    using connection = await open(second);
    const { subjects } = await ask(Op.SCHEMA_SUBJECTS, {}, connection);
    expect((subjects as Fields[]).map(({ subject }) => subject)).toEqual(["s0", "s1", "s2"]);
    expect(await ask(Op.SCHEMA_REGISTER, { subject: "s0", schema: V2 }, connection)).toEqual({ id: 2, version: 2 });
  } finally {
    await second.stop();
  }
});
