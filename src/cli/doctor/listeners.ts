/** Whether the broker could listen where it is told to. */
import type { Config } from "../../config/index.ts";

export interface ListenerState {
  /** The setting: `port`, `httpPort` or `registryPort`. */
  readonly name: "port" | "httpPort" | "registryPort";
  readonly port: number;
  /** `free`, `broker` when one that runs has it, else the name of the error: EADDRINUSE, EACCES, EADDRNOTAVAIL. */
  readonly state: string;
}

const HEALTH_MS_MAX = 2000;

export async function probeListeners(config: Config): Promise<ListenerState[]> {
  const names = ["port", "httpPort", "registryPort"] as const;
  const states = names.map((name) => ({ name, port: config[name], state: tryListen(config.host, config[name]) }));
  if (!states.some(({ state }) => state === "EADDRINUSE") || !(await isBrokerAt(config))) return states;
  return states.map((each) => (each.state === "EADDRINUSE" ? { ...each, state: "broker" } : each));
}

function tryListen(hostname: string, port: number): string {
  try {
    Bun.listen({ hostname, port, socket: { data: () => undefined } }).stop(true);
    return "free";
  } catch (error) {
    return (error as { code?: string }).code ?? "EUNKNOWN";
  }
}

/** A broker of these settings answers on its HTTP port, with TLS or without. */
async function isBrokerAt({ host, httpPort }: Config): Promise<boolean> {
  const name = host === "0.0.0.0" ? "127.0.0.1" : host === "::" ? "[::1]" : host.includes(":") ? `[${host}]` : host;
  for (const scheme of ["http", "https"]) {
    try {
      const response = await fetch(`${scheme}://${name}:${httpPort}/health/live`, {
        signal: AbortSignal.timeout(HEALTH_MS_MAX),
        // Nothing secret is sent; the question is only who has the port.
        tls: { rejectUnauthorized: false },
      });
      if (((await response.json()) as { status?: unknown }).status === "live") return true;
    } catch {
      // Not by this scheme.
    }
  }
  return false;
}
