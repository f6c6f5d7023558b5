/** Transforms, and the list of open transactions. */
import { MillraceError } from "../../../errors/index.ts";
import { contentOf, ContentReader } from "../content.ts";
import { heedConditions, tagged } from "../entity.ts";
import { namedPageQuery, pageByName, pageOf } from "../page.ts";
import {
  Answer,
  type Ask,
  bodyOf,
  type Fields,
  flag,
  listOf,
  object,
  operation,
  ref,
  type Route,
  settings,
  text,
} from "../route.ts";
import { contentFields } from "./publishing.ts";

const PATH = "/transforms/{namespace}/{name}";
const tag = "transforms";
const VALUE_BYTES_MAX = 64 * 1024;

async function rows(ask: Ask): Promise<Fields[]> {
  const { transforms } = await ask.call("TRANSFORM_LIST");
  return (transforms as Fields[]).map((row) => ({ namespace: ask.namespace, ...row }));
}

async function find(ask: Ask): Promise<Fields | undefined> {
  return (await rows(ask)).find(({ name }) => name === ask.path["name"]);
}

async function lookup(ask: Ask): Promise<Fields | undefined> {
  const found = await find(ask);
  return found && { definition: found["definition"] };
}

async function describe(ask: Ask): Promise<Answer> {
  const found = await find(ask);
  if (found !== undefined) return tagged(found, { definition: found["definition"] });
  throw new MillraceError("transform_not_found", `there is no transform "${String(ask.path["name"]).slice(0, 249)}"`);
}

async function attempt(ask: Ask): Promise<unknown> {
  const { definition, messages } = ask.body;
  const given = (messages as Fields[]).map(({ key, headers, ...message }) => ({
    key,
    headers,
    value: contentOf(message),
  }));
  const what = definition === undefined ? { name: ask.path["name"] } : { definition };
  const result = await ask.call("TRANSFORM_TRY", { ...what, messages: given });
  const reader = new ContentReader(ask, VALUE_BYTES_MAX);
  const items: Fields[] = [];
  for (const { key, value, ...message } of result["messages"] as Fields[]) {
    items.push({ ...message, key: await content(reader, key), value: await content(reader, value) });
  }
  return { items, errors: result["errors"] };
}

async function content(reader: ContentReader, value: unknown): Promise<unknown> {
  const bytes = typeof value === "string" ? new TextEncoder().encode(value) : (value as Uint8Array | null);
  return await reader.read(bytes);
}

export const transformRoutes: readonly Route[] = [
  {
    method: "GET",
    path: "/transforms",
    tag,
    summary: "Lists the transforms of a namespace by name, with their states and counters",
    ops: ["TRANSFORM_LIST"],
    query: namedPageQuery,
    answer: pageOf(ref("Transform")),
    run: async (ask) => pageByName(await rows(ask), ({ name }) => String(name), ask),
  },
  {
    method: "GET",
    path: PATH,
    tag,
    summary: "Shows a transform, its state and its counters",
    ops: ["TRANSFORM_LIST"],
    answer: ref("Transform"),
    run: describe,
  },
  {
    method: "PUT",
    path: PATH,
    tag,
    summary: "Makes a transform, or finds that it is there alike; with `replace` changes it",
    ops: ["TRANSFORM_PUT", "TRANSFORM_LIST"],
    body: bodyOf({ definition: settings, replace: flag }, ["definition"]),
    answer: ref("Transform"),
    alsoAnswers: { 201: "it is new" },
    isConditional: true,
    run: async (ask) => {
      await heedConditions(ask, lookup);
      const { created } = await ask.call("TRANSFORM_PUT", { ...ask.body, name: ask.path["name"] });
      const { body, headers } = await describe(ask);
      return new Answer(body, { status: created === true ? 201 : 200, headers });
    },
  },
  operation({
    method: "DELETE",
    path: PATH,
    tag,
    summary: "Removes a transform",
    op: "TRANSFORM_DELETE",
    shape: () => undefined,
  }),
  {
    method: "POST",
    path: `${PATH}/try`,
    tag,
    summary:
      "Has messages go through a transform, or through a definition that is not stored, and shows what comes out",
    ops: ["TRANSFORM_TRY"],
    body: bodyOf(
      { definition: settings, messages: { ...listOf(bodyOf({ key: text, ...contentFields })), maxItems: 1000 } },
      ["messages"],
    ),
    answer: object({ items: listOf(settings), errors: listOf(settings) }),
    run: attempt,
  },
  operation({
    method: "GET",
    path: "/transactions",
    tag: "transactions",
    summary: "Lists the open transactions of a namespace",
    op: "TXN_LIST",
    query: namedPageQuery,
    answer: pageOf(ref("Transaction")),
    fields: () => ({}),
    shape: ({ transactions }, ask) =>
      pageByName(
        (transactions as Fields[]).map((row) => ({ namespace: ask.namespace, ...row })),
        ({ txn }) => String(txn),
        ask,
      ),
  }),
];
