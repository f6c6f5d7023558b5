/** All definitions of the broker as one file. */
import { API_BODY_BYTES_MAX } from "../request.ts";
import { listOf, object, operation, type Route, settings, text, whole } from "../route.ts";

const tag = "definitions";

export const definitionsRoutes: readonly Route[] = [
  operation({
    method: "GET",
    path: "/definitions",
    tag,
    summary: "Exports all definitions; hashes of passwords are among them",
    op: "DEFINITIONS_EXPORT",
    answer: settings,
    fields: () => ({}),
    shape: ({ definitions }) => definitions,
  }),
  operation({
    method: "POST",
    path: "/definitions",
    tag,
    summary: "Imports definitions, whole or not at all; RabbitMQ's file is read too",
    op: "DEFINITIONS_IMPORT",
    query: { dryRun: { type: "boolean", default: false, description: "check everything, and change nothing" } },
    body: settings,
    bodyBytesMax: API_BODY_BYTES_MAX,
    answer: object({
      dryRun: { type: "boolean" },
      format: text,
      counts: settings,
      notes: listOf(object({ line: whole, path: text, text })),
    }),
    fields: ({ query, body }) => ({ definitions: body, dryRun: query["dryRun"] ?? false }),
  }),
];
