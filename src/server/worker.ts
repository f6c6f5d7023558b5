/** Entry of every thread but the first: serves as worker N of a core that the first has opened. */
import { toMillraceError } from "../errors/index.ts";
import { attachEngine } from "../log/native.ts";
import { createLogger } from "../stdx/index.ts";
import { ConnectionCount } from "../net/index.ts";
import { type HttpListener, listenHttp } from "./http.ts";
import { Runtime } from "./runtime.ts";
import type { FromThread, ToThread } from "./threads.ts";

declare const self: Worker;

interface Serving {
  readonly runtime: Runtime;
  readonly http: HttpListener;
}

function post(message: FromThread): void {
  self.postMessage(message);
}

function serve(message: Extract<ToThread, { type: "serve" }>): Serving {
  const { config, version, serverName, manualClock, secret } = message;
  const logger = createLogger(
    () => config.logLevel,
    (line) => post({ type: "log", line }),
    { worker: message.worker },
  );
  const engine = attachEngine(message.engineId, message.worker);
  const connectionCount = new ConnectionCount(message.connections);
  const runtime = new Runtime({ engine, config, logger, serverName, manualClock, connectionCount, secret });
  runtime.listen(message.port, message.tls);
  let isStopping = false;
  const http = listenHttp({
    config,
    port: message.httpPort,
    registryPort: message.registryPort,
    logger,
    version,
    tls: message.tls,
    phase: () => (isStopping ? "stopping" : "ready"),
    runtime: () => runtime,
  });
  const stop = (): Promise<void> => {
    isStopping = true;
    return http.stop();
  };
  return { runtime, http: { ...http, stop } };
}

async function end(serving: Serving | undefined): Promise<void> {
  if (serving !== undefined) {
    await serving.http.stop();
    serving.runtime.close();
    await serving.runtime.engine.close();
  }
  // Ends this thread only.
  process.exit(0);
}

/** Listens to the first worker. */
export function runThread(): void {
  let serving: Serving | undefined;
  const handle = async (message: ToThread): Promise<void> => {
    switch (message.type) {
      case "serve":
        serving = serve(message);
        return post({ type: "serving" });
      case "certificates":
        serving?.runtime.replaceTls(message.tls);
        serving?.http.replaceTls(message.tls);
        return;
      case "drain":
        await serving?.runtime.drain(message.timeoutMs);
        return post({ type: "drained" });
      case "end":
        return end(serving);
    }
  };
  self.onmessage = (event: MessageEvent<ToThread>) => {
    handle(event.data).catch((error: unknown) => {
      const { codeName, message } = toMillraceError(error);
      post({ type: "failed", name: codeName, message });
    });
  };
}

if (!Bun.isMainThread) runThread();
