/** Rules of the code base that no compiler knows: who imports whom, how long a file is, where unsafe may stand. */
import { describe, expect, test } from "bun:test";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join, normalize } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));

const BASE = ["stdx", "errors", "config"];

/** Which rooms of src/ the files of a room may import, besides their own. A room that is not here is not known. */
const ROOMS: Readonly<Record<string, readonly string[]>> = {
  stdx: [],
  errors: [],
  config: ["stdx", "errors"],
  log: BASE,
  protocol: ["stdx", "errors"],
  routing: BASE,
  schema: BASE,
  metrics: BASE,
  security: BASE,
  broker: [...BASE, "log", "routing", "schema", "metrics"],
  net: [...BASE, "metrics"],
  session: [...BASE, "protocol", "net", "broker", "security"],
  gateway: [...BASE, "broker", "net", "security"],
  admin: [...BASE, "broker", "schema", "metrics", "security"],
  client: ["protocol", "stdx", "errors"],
  cli: [...BASE, "client"],
  dashboard: [],
  transforms: [...BASE, "protocol", "schema", "client"],
  server: [
    ...BASE,
    "log",
    "protocol",
    "routing",
    "schema",
    "metrics",
    "security",
    "broker",
    "net",
    "session",
    "gateway",
    "admin",
    "dashboard",
    "transforms",
  ],
  main: ["server", "cli", "transforms"],
};

/** Rooms that run in browsers, with the packages and runtime modules that they may import where every host loads them. */
const PORTABLE: Readonly<Record<string, readonly string[]>> = {
  // croner is plain JavaScript over Date and Intl.
  stdx: ["croner"],
  errors: [],
  protocol: ["msgpackr"],
  client: ["msgpackr"],
};

/** What of stdx stands on a package, and so does whatever imports the folder's index. */
const NOT_PORTABLE: ReadonlySet<string> = new Set(["src/stdx/logger.ts", "src/stdx/index.ts"]);

/** The files that may write `unsafe`: those that map memory that stage records in it, and that show it to JavaScript. */
const UNSAFE_FILES = ["core/mmap.rs", "core/ring/buffer.rs", "native/views.rs"];

const LINES_MAX = 600;
const SOURCE = /\.(ts|tsx|mjs|rs|py)$/;
const GENERATED = ["core/error_codes.rs", "core/wire/ops.rs"];

const listing = Bun.spawnSync(["git", "ls-files", "--cached", "--others", "--exclude-standard"], { cwd: root });
const files = [...new Set(listing.stdout.toString().split("\n"))].filter(
  (path) => path !== "" && existsSync(join(root, path)),
);
const read = (path: string): string => readFileSync(join(root, path), "utf8");
const isGenerated = (path: string): boolean => path.includes(".generated.") || GENERATED.includes(path);
const sourcesOf = (folder: string, ending: string): string[] =>
  files.filter((path) => path.startsWith(`${folder}/`) && path.endsWith(ending));

/** Code without its comments. Strings stay: an import's path is one. */
function withoutComments(code: string): string {
  return code.replace(/"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'|\/\*[^]*?\*\/|\/\/[^\n]*/g, (text) =>
    text.startsWith("/") ? " " : text,
  );
}

interface Import {
  readonly path: string;
  /** `import()` and `require()` load when they run, so that a host that lacks the module can go another way. */
  readonly isDynamic: boolean;
  readonly isType: boolean;
}

function importsOf(code: string): Import[] {
  const plain = withoutComments(code);
  const fixed = [...plain.matchAll(/^(?:import|export)\s+(type\s)?(?:[^"';]*?\sfrom\s+)?["']([^"']+)["']/gm)];
  const dynamic = [...plain.matchAll(/\b(?:import|require)\(\s*["']([^"']+)["']/g)];
  return [
    ...fixed.map(([, type, path = ""]) => ({ path, isDynamic: false, isType: type !== undefined })),
    ...dynamic.map(([, path = ""]) => ({ path, isDynamic: true, isType: false })),
  ];
}

/** `src/session/a.ts` is of the room session, `src/main.ts` of main, `src/gateway/kafka/a.ts` of gateway/kafka. */
function roomOf(path: string): string {
  const [, room = "", inner = ""] = path.split("/");
  return room === "gateway" ? `${room}/${inner}` : room.replace(/\.ts$/, "");
}

function importFault(file: string, { path, isDynamic, isType }: Import): string | undefined {
  const room = roomOf(file);
  const [kind = ""] = room.split("/");
  const allowed = ROOMS[kind];
  if (allowed === undefined) return `${file}: src/${kind} is no room of the design`;
  if (!path.startsWith(".")) {
    const packages = NOT_PORTABLE.has(file) ? undefined : PORTABLE[kind];
    const isFree = packages === undefined || isDynamic || isType || packages.includes(path);
    return isFree ? undefined : `${file} imports ${path}, which not every host of src/${kind} has`;
  }
  const target = normalize(join(dirname(file), path));
  if (target.startsWith("native/")) return kind === "log" ? undefined : `${file} imports native: only src/log may`;
  if (target === "package.json") return undefined;
  // Written by test/tools/build.mjs for the binary.
  if (target === "dist/dashboard.json" && kind === "dashboard") return undefined;
  if (target.startsWith("bench/")) return kind === "main" ? undefined : `${file} imports bench: only src/main may`;
  if (!target.startsWith("src/")) return `${file} imports ${target}, outside src`;
  if (kind in PORTABLE && NOT_PORTABLE.has(target) && !NOT_PORTABLE.has(file) && !isType) {
    return `${file} imports ${target}, which browsers cannot load; import the one file of stdx that is needed`;
  }
  const other = roomOf(target);
  const [otherKind = ""] = other.split("/");
  if (other === room || (otherKind !== kind && allowed.includes(otherKind))) return undefined;
  return `${file} imports ${other}; ${room} may import ${allowed.join(", ") || "nothing of ours"}`;
}

describe("layers", () => {
  test("every file of src imports only what its room may", () => {
    const faults = sourcesOf("src", ".ts").flatMap((file) =>
      importsOf(read(file)).map((found) => importFault(file, found)),
    );
    expect(faults.filter((fault) => fault !== undefined)).toEqual([]);
  });

  test("core uses nothing of native", () => {
    expect(
      sourcesOf("core", ".rs").filter((file) => /\bnapi\b|millrace_native/.test(withoutComments(read(file)))),
    ).toEqual([]);
  });

  test("the check itself sees what it should", () => {
    const code =
      'import a from "x";\nimport type { B } from "../y.ts";\n// import "no"\nexport * from "z";\nimport(\n"d")';
    expect(importsOf(code).map(({ path }) => path)).toEqual(["x", "../y.ts", "z", "d"]);
    const at = (path: string): Import => ({ path, isDynamic: false, isType: false });
    expect(importFault("src/stdx/a.ts", at("../errors/index.ts"))).toContain("nothing of ours");
    expect(importFault("src/session/a.ts", at("../broker/index.ts"))).toBeUndefined();
    expect(importFault("src/gateway/kafka/a.ts", at("../amqp/index.ts"))).toContain("gateway/amqp");
    expect(importFault("src/broker/a.ts", at("../../native/millrace.node"))).toContain("only src/log");
    expect(importFault("src/client/a.ts", at("node:net"))).toContain("not every host");
    expect(importFault("src/client/a.ts", at("../stdx/index.ts"))).toContain("browsers cannot load");
    expect(importFault("src/client/a.ts", at("../stdx/clock.ts"))).toBeUndefined();
    expect(importFault("src/server/a.ts", at("../stdx/index.ts"))).toBeUndefined();
  });
});

describe("files", () => {
  test(`none has more than ${LINES_MAX} lines`, () => {
    const long = files
      .filter((path) => SOURCE.test(path) && !isGenerated(path))
      .map((path) => ({ path, lines: read(path).split("\n").length - 1 }));
    expect(long.filter(({ lines }) => lines > LINES_MAX)).toEqual([]);
  });

  test("unsafe stands only where memory is mapped and staged", () => {
    const unsafe = [...sourcesOf("core", ".rs"), ...sourcesOf("native", ".rs")].filter((file) =>
      /\bunsafe\s*(\{|fn|impl|extern|trait)/.test(withoutComments(read(file))),
    );
    expect(unsafe.filter((file) => !UNSAFE_FILES.includes(file))).toEqual([]);
  });

  test("no module of src keeps state of its own: workers would each have another", () => {
    const stateful = sourcesOf("src", ".ts").filter((file) =>
      /^(export )?(let|var) /m.test(withoutComments(read(file))),
    );
    expect(stateful).toEqual([]);
  });

  test("every room has a README.md", () => {
    const rooms = ["core", "src"].flatMap((folder) =>
      readdirSync(join(root, folder), { withFileTypes: true })
        .filter((entry) => entry.isDirectory() && files.some((path) => path.startsWith(`${folder}/${entry.name}/`)))
        .map((entry) => `${folder}/${entry.name}`),
    );
    const all = ["core", "native", "src", "test", ...rooms];
    expect(all.filter((folder) => !existsSync(join(root, folder, "README.md")))).toEqual([]);
  });

  test("none names a path of some machine or the host of a package registry", () => {
    const hosts = [
      "registry.npmjs.org",
      "crates.io",
      "pypi.org",
      "proxy.golang.org",
      "deb.debian.org",
      "repo1.maven.org",
    ];
    const isLock = (path: string): boolean => path.endsWith(".lock") || path === "package-lock.json";
    const faults = files
      .filter((path) => /\.(ts|mjs|rs|py|json|toml|md|sh|yml)$|\.ci\/run$/.test(path) && !isLock(path))
      .filter((path) => path !== "test/tidy.test.ts")
      .flatMap((path) => {
        const text = read(path);
        const host = hosts.find((name) => text.includes(name));
        const [machine] = /(?<![\w.$}*-])\/(?:work|root|home)\/[\w.-]+/.exec(text) ?? [];
        return [host, machine].filter((found) => found !== undefined).map((found) => `${path}: ${found}`);
      });
    expect(faults).toEqual([]);
  });
});
