/** Schedules. */
import { HttpFault } from "../../http-fault.ts";
import { contentOf, ContentReader } from "../content.ts";
import { heedConditions, tagged } from "../entity.ts";
import { namedPageQuery, pageByName, pageOf } from "../page.ts";
import { type Ask, bodyOf, type Fields, operation, ref, type Route, text, without } from "../route.ts";
import { contentFields } from "./publishing.ts";

const PATH = "/schedules/{namespace}/{name}";
const tag = "schedules";
const VALUE_BYTES_MAX = 64 * 1024;

async function rows(ask: Ask): Promise<Fields[]> {
  const { schedules } = await ask.call("SCHEDULE_LIST");
  return (schedules as Fields[]).map((row) => ({ namespace: ask.namespace, ...row }));
}

async function shown(ask: Ask, { value, ...row }: Fields): Promise<Fields> {
  const bytes = typeof value === "string" ? new TextEncoder().encode(value) : (value as Uint8Array | null);
  return { ...row, value: await new ContentReader(ask, VALUE_BYTES_MAX).read(bytes) };
}

/** What the broker notes of its runs. */
const NOTES: readonly string[] = ["nextMs", "lastMs", "error"];

function definitionOf(schedule: Fields): Fields {
  return without(schedule, NOTES);
}

async function find(ask: Ask): Promise<Fields | undefined> {
  const found = (await rows(ask)).find(({ name }) => name === ask.path["name"]);
  return found && (await shown(ask, found));
}

async function lookup(ask: Ask): Promise<Fields | undefined> {
  const found = await find(ask);
  return found && definitionOf(found);
}

async function describe(ask: Ask): Promise<unknown> {
  const found = await find(ask);
  if (found === undefined) throw new HttpFault(404, `there is no schedule "${String(ask.path["name"]).slice(0, 249)}"`);
  return tagged(found, definitionOf(found));
}

export const scheduleRoutes: readonly Route[] = [
  {
    method: "GET",
    path: "/schedules",
    tag,
    summary: "Lists the schedules of a namespace by name",
    ops: ["SCHEDULE_LIST"],
    query: namedPageQuery,
    answer: pageOf(ref("Schedule")),
    run: async (ask) => {
      const { items, ...more } = pageByName(await rows(ask), ({ name }) => String(name), ask);
      return { items: await Promise.all(items.map((row) => shown(ask, row as Fields))), ...more };
    },
  },
  {
    method: "GET",
    path: PATH,
    tag,
    summary: "Shows a schedule, and when it fires next",
    ops: ["SCHEDULE_LIST"],
    answer: ref("Schedule"),
    run: describe,
  },
  {
    method: "PUT",
    path: PATH,
    tag,
    summary: "Sets a schedule, instead of the one there was",
    ops: ["SCHEDULE_PUT", "SCHEDULE_LIST"],
    body: bodyOf(
      {
        cron: { type: "string", maxLength: 256 },
        timezone: { type: "string", description: "an IANA name; UTC without" },
        exchange: text,
        key: text,
        missed: { type: "string", enum: ["once", "skip"] },
        ...contentFields,
      },
      ["cron"],
    ),
    answer: ref("Schedule"),
    isConditional: true,
    run: async (ask) => {
      await heedConditions(ask, lookup);
      const { json: _, base64: __, ...body } = ask.body;
      await ask.call("SCHEDULE_PUT", { ...body, name: ask.path["name"], value: contentOf(ask.body) });
      return await describe(ask);
    },
  },
  operation({
    method: "DELETE",
    path: PATH,
    tag,
    summary: "Takes a schedule away",
    op: "SCHEDULE_DELETE",
    shape: ({ deleted }, { path }) => {
      if (deleted !== true) throw new HttpFault(404, `there is no schedule "${String(path["name"]).slice(0, 249)}"`);
    },
  }),
];
