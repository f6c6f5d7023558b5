/** Entry of a worker's process: it is told what to do by the broker that started it, and ends with it. */
import { SchemaStore } from "../client/avro/index.ts";
import { type Client, connect } from "../client/index.ts";
import { compileSteps, reasonOf, type StepSources, type Transform } from "../schema/transform/index.ts";
import { avroToJson, jsonToAvro } from "./avro.ts";
import { loadFunction } from "./functions.ts";
import { openIntake } from "./intake.ts";
import { EXIT_ALONE } from "./limits.ts";
import type { Assignment, FromWorker, Place, ToWorker } from "./messages.ts";
import { ProgressWriter } from "./progress.ts";
import { type RunEnd, Runner } from "./runner.ts";
import { tryMessages } from "./trial.ts";

const EXIT_OK = 0;
const EXIT_UNFIT = 3;
/** The place in the source is uncertain: the next worker begins where the broker says. */
const EXIT_ANEW = 4;
const HEARTBEAT_MS = 10_000;

interface Loaded {
  readonly assignment: Assignment;
  readonly client: Client;
  readonly transform: Transform;
  readonly progress: ProgressWriter;
}

function tell(message: FromWorker): void {
  process.send?.(message);
}

async function load(assignment: Assignment): Promise<Loaded> {
  const { definition, name, namespace, url, secret, folder, progressFile } = assignment;
  const progress = new ProgressWriter(progressFile);
  // A step that does not yield keeps the connection silent for its time.
  const heartbeatMs = Math.max(HEARTBEAT_MS, definition.timeoutMs ?? 0);
  // A lost connection is the end: the next process begins at what is committed.
  const reconnect = { enabled: false };
  const auth = secret === null ? {} : { auth: { mechanism: "INTERNAL", secret } as const };
  const client = await connect(url, { namespace, clientName: `transform/${name}`, heartbeatMs, reconnect, ...auth });
  const sources: StepSources = {
    function: (step) => loadFunction(folder, step, name),
    jsonToAvro: async (step) => jsonToAvro(client, new SchemaStore(client.schemas), step),
    avroToJson: async (step) => avroToJson(client, new SchemaStore(client.schemas), step),
  };
  return { assignment, client, transform: await compileSteps(definition.steps, sources), progress };
}

/** Runs until it is told to stop. */
async function serve(loaded: Loaded, start: Extract<ToWorker, { type: "run" }>, runner: Runner): Promise<RunEnd> {
  const { client, assignment } = loaded;
  for (const condemned of start.condemned) runner.condemn(condemned);
  const intake = openIntake({ client, ...assignment, ...start });
  const end = await runner.run(intake);
  if (end === "stopped") await client.close();
  return end;
}

function newRunner({ assignment, client, transform, progress }: Loaded, suspect: Place | null): Runner {
  const { name, definition } = assignment;
  return new Runner({
    name,
    definition,
    client,
    transform,
    progress,
    suspect,
    onFailure: (reason) => tell({ type: "failure", reason }),
    onHeld: (reason) => tell({ type: "held", reason }),
  });
}

/** Listens to the broker. */
export function runTransformWorker(): void {
  let loaded: Loaded | undefined;
  let runner: Runner | undefined;
  const handle = async (message: ToWorker): Promise<void> => {
    switch (message.type) {
      case "load":
        loaded = await load(message).catch((error: unknown) => {
          tell({ type: "unfit", reason: reasonOf(error) });
          return end(EXIT_UNFIT);
        });
        return tell({ type: "ready" });
      case "run":
        runner = newRunner(loaded as Loaded, message.suspect);
        return end((await serve(loaded as Loaded, message, runner)) === "alone" ? EXIT_ALONE : EXIT_OK);
      case "try":
        tell({
          type: "tried",
          result: await tryMessages((loaded as Loaded).transform, message.messages, (loaded as Loaded).progress),
        });
        return end(EXIT_OK);
      case "condemn":
        return runner?.condemn(message.condemned);
      case "stop":
        if (runner === undefined) return end(EXIT_OK);
        return runner.stop();
    }
  };
  process.on("message", (message) => {
    handle(message as ToWorker).catch((error: unknown) => {
      console.error(reasonOf(error));
      return end(EXIT_ANEW);
    });
  });
  process.on("disconnect", () => process.exit(EXIT_OK));
}

/** Ends the process once what it said is on its way. */
async function end(code: number): Promise<never> {
  await new Promise((resolve) => setImmediate(resolve));
  process.exit(code);
}

if (import.meta.main) runTransformWorker();
