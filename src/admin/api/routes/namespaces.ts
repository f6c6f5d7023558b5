/** Namespaces. */
import { HttpFault } from "../../http-fault.ts";
import { put, tagged } from "../entity.ts";
import { page, pageFields, pageOf, pageQuery } from "../page.ts";
import { type Ask, bodyOf, type Fields, flag, operation, ref, type Route, text } from "../route.ts";

const PATH = "/namespaces/{name}";
const tag = "namespaces";

/** What somebody set, beside what is counted. */
function definitionOf({ name, description = null }: Fields): Fields {
  return { name, description };
}

/** The list begins behind a name, so the one wanted is asked for by the end of the page before it. */
async function find(ask: Ask): Promise<Fields> {
  const name = String(ask.path["name"]);
  for (let after: unknown = ""; after !== null;) {
    const { namespaces, next } = await ask.call("NAMESPACE_LIST", { after });
    const found = (namespaces as Fields[]).find((each) => each["name"] === name);
    if (found !== undefined) return found;
    after = next;
  }
  throw new HttpFault(404, `there is no namespace "${name.slice(0, 249)}"`);
}

export const namespaceRoutes: readonly Route[] = [
  operation({
    method: "GET",
    path: "/namespaces",
    tag,
    summary: "Lists namespaces and what they hold",
    op: "NAMESPACE_LIST",
    query: pageQuery,
    answer: pageOf(ref("Namespace")),
    fields: pageFields,
    shape: ({ namespaces, next }) => page(namespaces as Fields[], next),
  }),
  {
    method: "GET",
    path: PATH,
    tag,
    summary: "Shows a namespace",
    ops: ["NAMESPACE_LIST"],
    answer: ref("Namespace"),
    run: async (ask) => {
      const found = await find(ask);
      return tagged(found, definitionOf(found));
    },
  },
  operation({
    method: "PUT",
    path: PATH,
    tag,
    summary: "Declares a namespace, or changes its description",
    op: "NAMESPACE_PUT",
    body: bodyOf({ description: text }),
    answer: { type: "object" },
    alsoAnswers: { 201: "it is new" },
    shape: ({ created }, ask) => put(ask, created === true, definitionOf({ ...ask.path, ...ask.body })),
  }),
  operation({
    method: "DELETE",
    path: PATH,
    tag,
    summary: "Takes a namespace away, with force also what is in it",
    op: "NAMESPACE_DELETE",
    query: { force: flag },
    shape: () => undefined,
  }),
];
