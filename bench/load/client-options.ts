import type { ClientOptions } from "../../src/client/index.ts";
import { credentialsOf } from "../../src/cli/credentials.ts";

/**
 * How the load connects: a broker that went away ends the run instead of being waited for. Credentials and certificates
 * come from the environment (MILLRACE_LOGIN and its like), which all processes of a load have.
 */
export async function clientOptions(url: string, namespace: string | undefined): Promise<ClientOptions> {
  return {
    ...(namespace === undefined ? {} : { namespace }),
    ...(await credentialsOf({}, process.env, url)),
    clientName: "millrace-bench",
    reconnect: { enabled: false },
  };
}
