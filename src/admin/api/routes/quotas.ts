/** Quotas. */
import { HttpFault } from "../../http-fault.ts";
import { put, tagged } from "../entity.ts";
import { pageByName, pageOf, pageQuery } from "../page.ts";
import { bodyOf, type Fields, operation, ref, type Route, type Shape } from "../route.ts";

const PATH = "/quotas/{kind}/{name}";
const tag = "quotas";
const rate: Shape = { type: ["integer", "null"], minimum: 1 };
const count: Shape = { type: ["integer", "null"], minimum: 0 };
const quotaBody: Readonly<Record<string, Shape>> = {
  messagesPerSec: rate,
  bytesPerSec: rate,
  burstMs: { type: "integer", minimum: 0 },
  connectionsMax: rate,
  storageBytesMax: count,
  topicsMax: count,
  queuesMax: count,
};

function nameOf({ kind, name }: Fields): string {
  return `${String(kind)} ${String(name)}`;
}

export const quotaRoutes: readonly Route[] = [
  operation({
    method: "GET",
    path: "/quotas",
    tag,
    summary: "Lists the quotas of namespaces and users",
    op: "QUOTA_LIST",
    query: pageQuery,
    answer: pageOf(ref("Quota")),
    fields: () => ({}),
    shape: ({ quotas }, ask) => pageByName(quotas as Fields[], nameOf, ask),
  }),
  operation({
    method: "GET",
    path: PATH,
    tag,
    summary: "Shows a quota",
    op: "QUOTA_LIST",
    answer: ref("Quota"),
    fields: () => ({}),
    shape: ({ quotas }, { path }) => {
      const found = (quotas as Fields[]).find((quota) => nameOf(quota) === nameOf(path));
      if (found === undefined) throw new HttpFault(404, `there is no quota of the ${nameOf(path).slice(0, 300)}`);
      // What is used changes without anybody changing the quota.
      return tagged(found, { ...found, used: undefined });
    },
  }),
  operation({
    method: "PUT",
    path: PATH,
    tag,
    summary: "Sets a quota, instead of the one there was",
    op: "QUOTA_PUT",
    body: bodyOf(quotaBody),
    answer: { type: "object" },
    shape: (_, ask) => put(ask, false, { ...ask.path, ...ask.body }),
  }),
  operation({
    method: "DELETE",
    path: PATH,
    tag,
    summary: "Takes a quota away",
    op: "QUOTA_DELETE",
    shape: ({ deleted }, { path }) => {
      if (deleted !== true) throw new HttpFault(404, `there is no quota of the ${nameOf(path).slice(0, 300)}`);
    },
  }),
];
