/** The registry's decisions over a state that replays them: ids, versions, deletion, modes, settings, references. */
import { beforeEach, describe, expect, test } from "bun:test";
import { type ErrorName, isMillraceError } from "../../src/errors/index.ts";
import {
  conflictsOf,
  deleteSubject,
  deleteVersion,
  GLOBAL,
  type Reference,
  register,
  type Registered,
  SchemaReader,
  SchemaState,
  setConfig,
  setMode,
  splitSubject,
  unsetConfig,
  unsetMode,
} from "../../src/schema/index.ts";
import type { SchemaRecord } from "../../src/schema/types.ts";

const LIMITS = { schemasMax: 100, schemasBytesMax: 10_000, schemaVersionsMax: 5 };

/** A state with the log that made it. */
class Registry {
  readonly log: SchemaRecord[] = [];
  readonly state = new SchemaState();
  readonly reader = new SchemaReader(this.state);

  apply(records: readonly SchemaRecord[]): void {
    for (const record of records) {
      this.log.push(record);
      // What a log holds is a copy.
      expect(this.state.apply(structuredClone(record))).toBeDefined();
    }
  }

  register(
    subject: string,
    schema: unknown,
    more: { references?: Reference[]; normalize?: boolean; id?: number; version?: number } = {},
  ): Registered {
    const { references = [], normalize = false, ...imported } = more;
    const source = { schemaType: "AVRO" as const, schema: JSON.stringify(schema), references };
    const parsed = this.reader.read(source, splitSubject(subject).namespace, normalize);
    const { records, registered } = register(this.state, this.reader, { subject, parsed, ...imported }, LIMITS);
    this.apply(records);
    return registered;
  }

  /** The state that a restart finds, when compaction kept the last record of each key. */
  restarted(): SchemaState {
    const last = new Map(this.log.map((record) => [record.key, record]));
    const state = new SchemaState();
    for (const record of last.values()) state.apply(structuredClone(record));
    return state;
  }
}

let registry: Registry;
beforeEach(() => {
  registry = new Registry();
});

const record = (fields: unknown[], name = "R"): object => ({ type: "record", name, fields });
const A = { name: "a", type: "int" };
const B = { name: "b", type: "int", default: 0 };

function codeOf(call: () => unknown): [ErrorName, unknown] {
  try {
    call();
  } catch (error) {
    if (isMillraceError(error)) return [error.codeName, error.details?.["registryCode"]];
    throw error;
  }
  throw new Error("nothing was thrown");
}

describe("ids and versions", () => {
  test("a schema has one id under all subjects, and a version under each", () => {
    expect(registry.register("s", record([A]))).toEqual({ id: 1, version: 1 });
    expect(registry.register("s", record([A, B]))).toEqual({ id: 2, version: 2 });
    expect(registry.register("t", record([A, B]))).toEqual({ id: 2, version: 1 });
    expect(registry.register(":.other:s", record([A]))).toEqual({ id: 1, version: 1 });
    expect(registry.state.versionsOf(2).map(({ subject, version }) => [subject, version])).toEqual([
      ["s", 2],
      ["t", 1],
    ]);
  });

  test("registering again changes nothing", () => {
    registry.register("s", record([A]));
    const before = registry.log.length;
    expect(registry.register("s", { ...record([A]), namespace: "" })).toEqual({ id: 1, version: 1 });
    expect(registry.log.length).toBe(before);
  });

  test("normalised schemas that mean the same are the same", () => {
    registry.register("s", { ...record([A]), x: { b: 1, a: 1 } }, { normalize: true });
    expect(registry.register("s", { ...record([A]), x: { a: 1, b: 1 } }, { normalize: true }).version).toBe(1);
    expect(registry.register("s", { ...record([A]), x: { b: 1, a: 1 } }).version).toBe(2);
  });

  test("an id is not given twice, also when its schema is gone and the log was compacted", () => {
    registry.register("s", record([A]));
    registry.apply(deleteSubject(registry.state, "s", false).records);
    registry.apply(deleteSubject(registry.state, "s", true).records);
    expect(registry.state.schema(1)).toBeUndefined();
    expect(registry.restarted().nextId).toBe(2);
    expect(registry.register("s", record([A]))).toEqual({ id: 2, version: 1 });
  });

  test("a restart finds the same state", () => {
    registry.register("s", record([A]));
    registry.register("s", record([A, B]));
    registry.register("odd name/ü:x", record([A]), {});
    registry.apply(setConfig(registry.state, "s", { compatibility: "FULL", normalize: true }));
    registry.apply(setMode(registry.state, GLOBAL, "READONLY", false));
    registry.apply(setMode(registry.state, GLOBAL, "READWRITE", false));
    registry.apply(deleteVersion(registry.state, "s", 1, false).records);
    const again = registry.restarted();
    expect([...again.subjects()].sort()).toEqual(["odd name/ü:x", "s"]);
    expect(again.versions("s")).toEqual(registry.state.versions("s"));
    expect(again.compatibilityOf("s")).toBe("FULL");
    expect(again.schemaByGuid(registry.state.schema(2)?.guid ?? "")?.id).toBe(2);
  });

  test("limits are kept", () => {
    registry.apply(setConfig(registry.state, GLOBAL, { compatibility: "NONE" }));
    for (const name of ["A", "B", "C", "D", "E"]) registry.register("s", record([], name));
    expect(codeOf(() => registry.register("s", record([], "F")))[0]).toBe("limit_exceeded");
    const large = { ...record([], "G"), doc: "x".repeat(9_000) };
    expect(registry.register("t", large).version).toBe(1);
    expect(() => registry.register("u", { ...large, name: "H" })).toThrow("schemasBytesMax");
    registry.apply(deleteSubject(registry.state, "t", false).records);
    registry.apply(deleteSubject(registry.state, "t", true).records);
    expect(registry.register("u", { ...large, name: "H" }).version).toBe(1);
  });
});

describe("compatibility", () => {
  test("is BACKWARD with the last version unless something else is said", () => {
    registry.register("s", record([A]));
    expect(codeOf(() => registry.register("s", record([A, { name: "c", type: "int" }])))).toEqual([
      "schema_incompatible",
      409,
    ]);
    expect(registry.register("s", record([A, B])).version).toBe(2);
  });

  test("names the version, the path and the repair when it refuses", () => {
    registry.register("s", record([A]));
    expect(() => registry.register("s", record([A, { name: "c", type: "int" }]))).toThrow(
      /READER_FIELD_MISSING_DEFAULT_VALUE: at \/fields\/1 of the new schema: .*"c".*give it a default.*version 1/,
    );
  });

  test("of a subject goes before that of its namespace, and that before all", () => {
    const { state } = registry;
    registry.apply(setConfig(state, GLOBAL, { compatibility: "NONE" }));
    registry.apply(setConfig(state, ":.ns:", { compatibility: "FORWARD" }));
    registry.apply(setConfig(state, ":.ns:s", { compatibility: "FULL" }));
    expect([":.ns:s", ":.ns:t", "s"].map((subject) => state.compatibilityOf(subject))).toEqual([
      "FULL",
      "FORWARD",
      "NONE",
    ]);
    registry.apply(unsetConfig(state, ":.ns:s").records);
    expect(state.compatibilityOf(":.ns:s")).toBe("FORWARD");
  });

  test("transitive levels compare with every live version", () => {
    registry.apply(setConfig(registry.state, "s", { compatibility: "NONE" }));
    registry.register("s", record([{ name: "a", type: "string" }]));
    registry.register("s", record([A]));
    const source = { schemaType: "AVRO" as const, schema: JSON.stringify(record([A, B])), references: [] };
    const parsed = registry.reader.read(source, "default", false);
    const versions = registry.state.liveVersions("s");
    const count = (level: "BACKWARD" | "BACKWARD_TRANSITIVE" | "NONE"): number =>
      conflictsOf(registry.state, registry.reader, { subject: "s", parsed, versions, level }).length;
    expect([count("NONE"), count("BACKWARD"), count("BACKWARD_TRANSITIVE")]).toEqual([0, 0, 1]);
  });
});

describe("deleting", () => {
  test("is soft first: the schema stays readable by its id, and its version is not given again", () => {
    registry.register("s", record([A]));
    const { records, versions } = deleteSubject(registry.state, "s", false);
    registry.apply(records);
    expect(versions).toEqual([1]);
    expect(registry.state.schema(1)).toBeDefined();
    expect(registry.state.liveVersions("s")).toEqual([]);
    expect(codeOf(() => deleteSubject(registry.state, "s", false))).toEqual(["subject_not_found", 40404]);
    expect(registry.register("s", record([A]))).toEqual({ id: 1, version: 2 });
  });

  test("for good needs the soft one first", () => {
    registry.register("s", record([A]));
    expect(codeOf(() => deleteSubject(registry.state, "s", true))).toEqual(["subject_not_found", 40405]);
    expect(codeOf(() => deleteVersion(registry.state, "s", 1, true))).toEqual(["version_not_found", 40407]);
    registry.apply(deleteVersion(registry.state, "s", 1, false).records);
    expect(codeOf(() => deleteVersion(registry.state, "s", 1, false))).toEqual(["version_not_found", 40406]);
    registry.apply(deleteVersion(registry.state, "s", 1, true).records);
    expect([registry.state.schemaCount, registry.state.subjectCount]).toEqual([0, 0]);
  });

  test("keeps a schema that another subject has", () => {
    registry.register("s", record([A]));
    registry.register("t", record([A]));
    registry.apply(deleteSubject(registry.state, "s", false).records);
    registry.apply(deleteSubject(registry.state, "s", true).records);
    expect(registry.state.schema(1)).toBeDefined();
  });

  test("takes the subject's settings and mode with it", () => {
    registry.register("s", record([A]));
    registry.apply(setConfig(registry.state, "s", { compatibility: "NONE" }));
    registry.apply(deleteSubject(registry.state, "s", false).records);
    expect(registry.state.configAt("s")).toBeUndefined();
  });

  test("of what is not there says what is missing", () => {
    expect(codeOf(() => deleteSubject(registry.state, "s", false))).toEqual(["subject_not_found", 40401]);
    registry.register("s", record([A]));
    expect(codeOf(() => deleteVersion(registry.state, "s", 7, false))).toEqual(["version_not_found", 40402]);
  });
});

describe("references", () => {
  const other = { type: "enum", name: "n.E", symbols: ["X"] };
  const user = record([{ name: "e", type: "n.E" }]);
  const references = [{ name: "n.E", subject: "e", version: 1 }];

  test("bring the types that they name, also through others", () => {
    registry.register("e", other);
    registry.register("s", user, { references });
    const top = record([{ name: "r", type: "R" }], "Top");
    registry.register("top", top, { references: [{ name: "R", subject: "s", version: -1 }] });
    const schema = registry.state.schema(3);
    expect(schema?.references).toEqual([{ name: "R", subject: "s", version: 1 }]);
    expect(schema === undefined ? "" : registry.reader.resolved(schema)).toContain('"symbols":["X"]');
  });

  test("that are not there are refused, naming them", () => {
    expect(codeOf(() => registry.register("s", user, { references }))).toEqual(["schema_invalid", 42201]);
    expect(() => registry.register("s", user, { references })).toThrow(/subject "e" and version 1/);
  });

  test("keep what they lead to from being deleted", () => {
    registry.register("e", other);
    registry.register("s", user, { references });
    expect(codeOf(() => deleteSubject(registry.state, "e", false))).toEqual(["schema_in_use", 42206]);
    registry.apply(deleteSubject(registry.state, "s", false).records);
    registry.apply(deleteSubject(registry.state, "s", true).records);
    expect(deleteSubject(registry.state, "e", false).versions).toEqual([1]);
  });

  test("of a namespace are looked for there", () => {
    registry.register(":.ns:e", other);
    expect(registry.register(":.ns:s", user, { references }).id).toBe(2);
    expect(registry.state.schema(2)?.references[0]?.subject).toBe(":.ns:e");
  });
});

describe("modes", () => {
  test("read-only refuses every change", () => {
    registry.register("s", record([A]));
    registry.apply(setMode(registry.state, "s", "READONLY", false));
    expect(codeOf(() => registry.register("s", record([A, B])))).toEqual(["schema_mode", 42205]);
    expect(codeOf(() => deleteSubject(registry.state, "s", false))).toEqual(["schema_mode", 42205]);
    registry.apply(unsetMode(registry.state, "s").records);
    expect(registry.register("s", record([A, B])).version).toBe(2);
  });

  test("import takes ids and versions as they are given, and never another schema under a known id", () => {
    registry.apply(setMode(registry.state, "s", "IMPORT", false));
    expect(registry.register("s", record([A]), { id: 50, version: 7 })).toEqual({ id: 50, version: 7 });
    expect(codeOf(() => registry.register("s", record([A, B]), { id: 50, version: 8 }))).toEqual([
      "schema_mode",
      42205,
    ]);
    expect(codeOf(() => registry.register("s", record([A]), { id: 51, version: 8 }))).toEqual(["schema_mode", 42207]);
    expect(registry.register("t", record([B])).id).toBe(51);
    expect(codeOf(() => registry.register("t", record([A]), { id: 60 }))).toEqual(["schema_mode", 42205]);
  });

  test("import needs force where there are schemas", () => {
    registry.register("s", record([A]));
    expect(codeOf(() => setMode(registry.state, GLOBAL, "IMPORT", false))).toEqual(["schema_mode", 42205]);
    registry.apply(setMode(registry.state, GLOBAL, "IMPORT", true));
    expect(registry.state.modeOf("s")).toBe("IMPORT");
  });
});

test("the ids that a topic's values may carry follow from its strategy", () => {
  registry.register("ticks-value", record([A], "n.Tick"));
  registry.register("n.Tick", record([A, B], "n.Tick"));
  registry.register("ticks-n.Tick", record([B], "n.Tick"));
  registry.register("ticks-n.Other", record([B], "n.Another"));
  registry.register(":.ns:ticks-value", record([], "n.Tick"));
  const { state } = registry;
  expect(state.allowedIds("default", "ticks", "topic")).toEqual([1]);
  expect(state.allowedIds("default", "ticks", "record")).toEqual([2]);
  expect(state.allowedIds("default", "ticks", "topic_record")).toEqual([3]);
  expect(state.allowedIds("ns", "ticks", "topic")).toEqual([5]);
});
