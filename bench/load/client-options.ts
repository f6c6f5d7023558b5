import type { ClientOptions } from "../../src/client/index.ts";

/** How the load connects: a broker that went away ends the run instead of being waited for. */
export function clientOptions(namespace: string | undefined): ClientOptions {
  return {
    ...(namespace === undefined ? {} : { namespace }),
    clientName: "millrace-bench",
    reconnect: { enabled: false },
  };
}
