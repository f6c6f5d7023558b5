/** Exchanges and bindings. */
import { MillraceError } from "../../../errors/index.ts";
import { heedConditions, put, tagged } from "../entity.ts";
import { namedPageQuery, page, pageByName, pageOf, pageQuery } from "../page.ts";
import {
  Answer,
  type Ask,
  bodyOf,
  type Fields,
  flag,
  operation,
  ref,
  type Route,
  settings,
  type Shape,
  text,
} from "../route.ts";

const PATH = "/exchanges/{namespace}/{name}";
const EXCHANGE_TYPES = ["direct", "fanout", "topic", "headers", "consistent-hash"];
const tag = "exchanges";

function definitionOf({ namespace }: Ask, { name, type, config }: Fields): Fields {
  return { namespace, name, type, config };
}

async function find(ask: Ask): Promise<Fields | undefined> {
  const { exchanges } = await ask.call("EXCHANGE_LIST");
  const found = (exchanges as Fields[]).find(({ name }) => name === ask.path["name"]);
  return found && { namespace: ask.namespace, ...found };
}

async function lookup(ask: Ask): Promise<Fields | undefined> {
  const exchange = await find(ask);
  return exchange && definitionOf(ask, exchange);
}

async function describe(ask: Ask): Promise<unknown> {
  const exchange = await find(ask);
  if (exchange !== undefined) return tagged(exchange, definitionOf(ask, exchange));
  throw new MillraceError("exchange_not_found", `there is no exchange "${String(ask.path["name"]).slice(0, 249)}"`);
}

async function declare(ask: Ask): Promise<unknown> {
  await heedConditions(ask, lookup);
  const { created } = await ask.call("EXCHANGE_DECLARE", { ...ask.body, name: ask.path["name"] });
  const made = await lookup(ask);
  return put(ask, created === true, made ?? {});
}

async function remove(ask: Ask): Promise<void> {
  await heedConditions(ask, lookup);
  await ask.call("EXCHANGE_DELETE", { ...ask.query, name: ask.path["name"] });
}

// A binding has no name: what it says is what it is, and its id is that in one path word.

function idOf(binding: Fields): string {
  return Buffer.from(JSON.stringify(binding)).toString("base64url");
}

function bindingOf(id: string): Fields {
  try {
    const binding: unknown = JSON.parse(Buffer.from(id, "base64url").toString());
    if (typeof binding === "object" && binding !== null && !Array.isArray(binding)) return binding as Fields;
  } catch {
    // Said below.
  }
  throw new MillraceError("binding_not_found", "this is no id of a binding; GET /bindings has them");
}

function bindingRow(binding: Fields): Fields {
  return { id: idOf(binding), ...binding };
}

async function bindings(ask: Ask): Promise<unknown> {
  const { exchange, queue } = ask.query;
  const limit = Number(ask.query["limit"] ?? 100);
  const after = Number(ask.query["after"] ?? 0);
  if (!Number.isSafeInteger(after) || after < 0)
    throw new MillraceError("invalid_argument", "after is `next` of a page");
  const found = await ask.call("BINDING_LIST", { exchange, queue, after });
  const rows = found["bindings"] as Fields[];
  const isMore = rows.length > limit || found["next"] !== null;
  return page(rows.slice(0, limit).map(bindingRow), isMore ? after + Math.min(limit, rows.length) : null);
}

const bindingBody: Shape = bodyOf(
  {
    exchange: text,
    queue: text,
    topic: text,
    to: { type: "string", description: "an exchange; one of queue, topic and to is there" },
    key: text,
    match: { type: "string", enum: ["all", "any"] },
    headers: { type: "object", additionalProperties: true },
    where: { type: "string", description: "a rule over headers and fields, for exchanges of the type headers" },
  },
  ["exchange"],
);

export const exchangeRoutes: readonly Route[] = [
  operation({
    method: "GET",
    path: "/exchanges",
    tag,
    summary: "Lists the exchanges of a namespace by name",
    op: "EXCHANGE_LIST",
    query: namedPageQuery,
    answer: pageOf(ref("Exchange")),
    fields: () => ({}),
    shape: ({ exchanges }, ask) =>
      pageByName(
        (exchanges as Fields[]).map((exchange) => ({ namespace: ask.namespace, ...exchange })),
        ({ name }) => String(name),
        ask,
      ),
  }),
  {
    method: "GET",
    path: PATH,
    tag,
    summary: "Shows an exchange",
    ops: ["EXCHANGE_LIST"],
    answer: ref("Exchange"),
    run: describe,
  },
  {
    method: "PUT",
    path: PATH,
    tag,
    summary: "Declares an exchange, or finds that it is there alike",
    ops: ["EXCHANGE_DECLARE", "EXCHANGE_LIST"],
    body: bodyOf({ type: { type: "string", enum: EXCHANGE_TYPES }, config: settings }, ["type"]),
    answer: ref("ExchangeDefinition"),
    alsoAnswers: { 201: "it is new" },
    isConditional: true,
    run: declare,
  },
  {
    method: "DELETE",
    path: PATH,
    tag,
    summary: "Deletes an exchange with its bindings",
    ops: ["EXCHANGE_DELETE"],
    query: { ifUnused: flag },
    isConditional: true,
    run: remove,
  },
  {
    method: "GET",
    path: "/bindings",
    tag: "bindings",
    summary: "Lists the bindings of a namespace, of an exchange, or to a queue",
    ops: ["BINDING_LIST"],
    query: { namespace: namedPageQuery["namespace"] ?? {}, exchange: text, queue: text, ...pageQuery },
    answer: pageOf(ref("Binding")),
    run: bindings,
  },
  {
    method: "POST",
    path: "/bindings/{namespace}",
    tag: "bindings",
    summary: "Binds a queue, a topic or an exchange to an exchange",
    ops: ["BIND"],
    body: bindingBody,
    answer: ref("Binding"),
    alsoAnswers: { 201: "it is new" },
    run: async (ask) => {
      const { created } = await ask.call("BIND", ask.body);
      return new Answer(bindingRow(ask.body), { status: created === true ? 201 : 200 });
    },
  },
  {
    method: "DELETE",
    path: "/bindings/{namespace}/{id}",
    tag: "bindings",
    summary: "Removes a binding",
    ops: ["UNBIND"],
    run: async (ask) => {
      await ask.call("UNBIND", bindingOf(ask.path["id"] ?? ""));
    },
  },
];
