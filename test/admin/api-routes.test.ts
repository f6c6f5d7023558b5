/** The table of routes: what it says of itself, and that nothing is missing in it. */
import { expect, test } from "bun:test";
import { Validator } from "@seriousme/openapi-schema-validator";
import type { Command } from "commander";
import { routes } from "../../src/admin/api/routes/index.ts";
import { LOG_IN } from "../../src/admin/api/routes/log-in.ts";
import { openApi } from "../../src/admin/api/openapi.ts";
import { SHAPES } from "../../src/admin/api/shapes.ts";
import { build } from "../../src/cli/index.ts";
import type { Output } from "../../src/cli/output.ts";
import { Op } from "../../src/protocol/index.ts";
import { operationTable } from "../../src/session/index.ts";

const table = routes("0.0.0");
const document = openApi([...LOG_IN, ...table], SHAPES, "0.0.0");
const numbers: Readonly<Record<string, number>> = Op;
const nameOf = new Map(Object.entries(Op).map(([name, op]) => [op as number, name]));
const isThere = (route: string): boolean => table.some(({ method, path }) => `${method} ${path}` === route);

/** Operations without a route of their own, and why that is so. */
const WITHOUT_ROUTE: Readonly<Record<string, string>> = {
  PRODUCER_INIT: "begins the identity of a publisher",
  COMMIT: "commits what a member has read; POST /groups/…/reset moves a group",
  GROUP_HEARTBEAT: "keeps a member alive",
  SCHEMA_REGISTER: "/schemas",
  SCHEMA_VERSION: "/schemas",
  SCHEMA_LOOKUP: "/schemas",
  SCHEMA_CHECK: "/schemas",
  SCHEMA_SUBJECTS: "/schemas",
  SCHEMA_DELETE: "/schemas",
  SCHEMA_CONFIG: "/schemas",
  SCHEMA_MODE: "/schemas",
};

/** What each command of `millrace` is over REST. What works without a broker, or serves its own, is in no need of it. */
const COMMANDS: Readonly<Record<string, string | undefined>> = {
  explain: "GET /explain",
  "topic create": "PUT /topics/{namespace}/{name}",
  "topic list": "GET /topics",
  "topic describe": "GET /topics/{namespace}/{name}",
  "topic alter": "PATCH /topics/{namespace}/{name}",
  "topic delete": "DELETE /topics/{namespace}/{name}",
  "group list": "GET /groups",
  "group describe": "GET /groups/{namespace}/{group}",
  "group reset": "POST /groups/{namespace}/{group}/reset",
  "group delete": "DELETE /groups/{namespace}/{group}",
  "exchange create": "PUT /exchanges/{namespace}/{name}",
  "exchange list": "GET /exchanges",
  "exchange describe": "GET /exchanges/{namespace}/{name}",
  "exchange delete": "DELETE /exchanges/{namespace}/{name}",
  "binding add": "POST /bindings/{namespace}",
  "binding list": "GET /bindings",
  "binding remove": "DELETE /bindings/{namespace}/{id}",
  "queue create": "PUT /queues/{namespace}/{name}",
  "queue alter": "PATCH /queues/{namespace}/{name}",
  "queue list": "GET /queues",
  "queue describe": "GET /queues/{namespace}/{name}",
  "queue purge": "POST /queues/{namespace}/{name}/purge",
  "queue delete": "DELETE /queues/{namespace}/{name}",
  "queue peek": "GET /queues/{namespace}/{name}/messages",
  "queue redrive": "POST /queues/{namespace}/{name}/redrive",
  "queue scheduled": "GET /queues/{namespace}/{name}/scheduled",
  "namespace create": "PUT /namespaces/{name}",
  "namespace list": "GET /namespaces",
  "namespace delete": "DELETE /namespaces/{name}",
  "connection list": "GET /connections",
  "connection close": "DELETE /connections/{id}",
  "user create": "PUT /users/{name}",
  "user set": "PUT /users/{name}",
  "user list": "GET /users",
  "user delete": "DELETE /users/{name}",
  "role put": "PUT /roles/{name}",
  "role list": "GET /roles",
  "role delete": "DELETE /roles/{name}",
  "permission allow": "PUT /permissions/{id}",
  "permission deny": "PUT /permissions/{id}",
  "permission list": "GET /permissions",
  "permission delete": "DELETE /permissions/{id}",
  "permission test": "POST /permissions/test",
  "quota set": "PUT /quotas/{kind}/{name}",
  "quota list": "GET /quotas",
  "quota delete": "DELETE /quotas/{kind}/{name}",
  "backup run": "POST /backups",
  "backup list": "GET /backups",
  "definitions export": "GET /definitions",
  "definitions import": "POST /definitions",
  "schedule put": "PUT /schedules/{namespace}/{name}",
  "schedule list": "GET /schedules",
  "schedule delete": "DELETE /schedules/{namespace}/{name}",
  "transaction list": "GET /transactions",
  "transform create": "PUT /transforms/{namespace}/{name}",
  "transform list": "GET /transforms",
  "transform describe": "GET /transforms/{namespace}/{name}",
  "transform try": "POST /transforms/{namespace}/{name}/try",
  "transform delete": "DELETE /transforms/{namespace}/{name}",
  produce: "POST /topics/{namespace}/{name}/messages",
  consume: "GET /topics/{namespace}/{name}/messages",
  publish: "POST /exchanges/{namespace}/{name}/messages",
  config: "GET /config",
  top: "GET /overview",
  // The registry's own interface, below /api/v1/schemas.
  "schema register": undefined,
  "schema get": undefined,
  "schema list": undefined,
  "schema check": undefined,
  "schema delete": undefined,
  "schema config": undefined,
  "schema mode": undefined,
  "schema types": undefined,
  // Waits on a connection for the answer of a responder.
  request: undefined,
  // Of the machine, and of files.
  serve: undefined,
  bench: undefined,
  doctor: undefined,
  "log inspect": undefined,
  "backup verify": undefined,
  restore: undefined,
};

function commandsOf(command: Command, words: readonly string[] = []): string[] {
  const path = [...words, command.name()];
  const inner = command.commands.filter((each) => each.name() !== "help");
  return inner.length === 0 ? [path.join(" ")] : inner.flatMap((each) => commandsOf(each, path));
}

test("the OpenAPI document is valid OpenAPI 3.1", async () => {
  const validator = new Validator();
  const { valid, errors } = await validator.validate(structuredClone(document) as Record<string, unknown>);
  expect(errors ?? []).toEqual([]);
  expect([valid, validator.version]).toEqual([true, "3.1"]);
});

test("every shape that a route refers to is in the document", () => {
  const text = JSON.stringify(document);
  const named = [...text.matchAll(/"#\/components\/schemas\/(\w+)"/g)].map(([, name]) => name ?? "");
  expect(named.filter((name) => SHAPES[name] === undefined)).toEqual([]);
});

test("a route's operations are those of the session that need no connection", () => {
  const operations = operationTable();
  for (const { method, path, ops } of table) {
    const unfit = ops.filter((name) => operations.get(numbers[name] ?? -1)?.needsConnection !== false);
    expect([`${method} ${path}`, unfit]).toEqual([`${method} ${path}`, []]);
  }
});

test("every operation that needs no connection can be asked for over REST", () => {
  const reached = new Set(table.flatMap(({ ops }) => ops));
  const missing = [...operationTable().values()]
    .filter(({ needsConnection }) => !needsConnection)
    .map(({ op }) => nameOf.get(op) ?? String(op))
    .filter((name) => !reached.has(name) && WITHOUT_ROUTE[name] === undefined);
  expect(missing).toEqual([]);
});

test("everything that the command line does is possible over REST", () => {
  const silent = { write: () => undefined } as unknown as Output;
  const program = build({ open: () => undefined as never, exit: 0 }, silent, silent);
  const commands = program.commands.filter((each) => each.name() !== "help").flatMap((each) => commandsOf(each));
  // A new command is named above, with its route.
  expect(commands.filter((command) => !Object.hasOwn(COMMANDS, command))).toEqual([]);
  expect(Object.values(COMMANDS).filter((route) => route !== undefined && !isThere(route))).toEqual([]);
});
