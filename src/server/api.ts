/** What the REST interface (src/admin/api) stands on: the worker's operations by their names, and who asks. */
import { type ApiHandler, apiHandler } from "../admin/index.ts";
import { MillraceError } from "../errors/index.ts";
import { Op } from "../protocol/index.ts";
import type { Authenticate } from "./http.ts";
import type { HttpOptions } from "./http.ts";

const OPS: Readonly<Record<string, number>> = Op;

export function restApi({ phase, logger, runtime, version }: HttpOptions, authenticate: Authenticate): ApiHandler {
  return apiHandler({
    phase,
    logger,
    version,
    authenticate,
    invoke: async (by, name, fields) => {
      const worker = runtime();
      const op = OPS[name];
      if (worker === undefined) throw new MillraceError("not_ready");
      if (op === undefined) throw new MillraceError("unknown_op", undefined, { details: { op: name } });
      return await worker.invoke(by, op, fields);
    },
  });
}
