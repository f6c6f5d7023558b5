/** An HTTP server that answers every request alike: what a lookup costs at least. */
import { runProgram } from "../../lib/program.ts";
import { schemaOf } from "../subjects.ts";

const server = Bun.serve({
  hostname: "127.0.0.1",
  port: 0,
  fetch: async (request) => {
    await request.text();
    return Response.json({ schema: schemaOf(0) });
  },
});

await runProgram({ port: server.port }, () => Promise.resolve(null));
