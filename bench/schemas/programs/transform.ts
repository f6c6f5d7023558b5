/** Fills a topic or a queue, puts a transform over it, and takes the time from there to the last record that came out. */
import { type Client, connect, type TransformDefinition } from "../../../src/client/index.ts";
import { compileSteps, messagesOf, type StepSources, TransformMessage } from "../../../src/schema/transform/index.ts";
import { nowUs } from "../../lib/clock.ts";
import { runProgram } from "../../lib/program.ts";

export interface TransformRequest {
  /** "steps": the mapping alone, in a loop, without a broker. */
  readonly op: "topic" | "queue" | "steps";
  readonly port: number;
  readonly records: number;
}

export interface TransformResult {
  readonly perSecond: number;
}

const STEPS = [
  {
    map: {
      pick: ["order_id", "customer", "price"],
      rename: { order_id: "id" },
      convert: { price: "number" },
      set: { source: "web" },
    },
  },
] as const;
const PARTITIONS = 4;
const LOOK_MS = 10;
const KEYS = 1_000;
/** Nobody supplies steps from elsewhere here. */
const NO_SOURCES = {} as StepSources;

function orderOf(id: number): string {
  return JSON.stringify({
    order_id: id,
    customer: `c${id % KEYS}`,
    price: `${id % 90}.50`,
    items: 3,
    note: "as usual",
  });
}

async function fill(client: Client, { op, records }: TransformRequest): Promise<void> {
  await client.topics.create("out", { partitions: PARTITIONS });
  if (op === "topic") {
    await client.topics.create("in", { partitions: PARTITIONS });
    const producer = client.producer("in");
    for (let id = 0; id < records; id += 1) if (!producer.append(orderOf(id), `k${id % KEYS}`)) await producer.ready();
    await producer.flush();
    return;
  }
  await client.queue("in").declare();
  const exchange = client.exchange("");
  for (let id = 0; id < records; id += 1) if (!exchange.append("in", orderOf(id))) await exchange.ready();
  await exchange.flush();
}

async function outputs(client: Client): Promise<number> {
  const { offsets } = await client.topics.describe("out");
  return offsets.reduce((sum, { highWatermark }) => sum + highWatermark, 0);
}

/** What came out is what went in, each once. */
async function check(client: Client, records: number): Promise<void> {
  const seen = new Uint8Array(records);
  for await (const message of client.consume("out", { from: "earliest", until: "end" })) {
    const { id, customer, price, source } = message.json<{
      id: number;
      customer: string;
      price: number;
      source: string;
    }>();
    const isRight = customer === `c${id % KEYS}` && price === (id % 90) + 0.5 && source === "web" && seen[id] === 0;
    if (!isRight) throw new Error(`out came ${message.text()}`);
    seen[id] = 1;
  }
}

async function transform(request: TransformRequest): Promise<TransformResult> {
  const { op, port, records } = request;
  await using client = await connect(`millrace://127.0.0.1:${port}`);
  await fill(client, request);
  const definition: TransformDefinition = { from: { [op]: "in" }, to: { topic: "out" }, steps: STEPS };
  const startUs = nowUs();
  await client.transforms.put("orders", definition);
  while ((await outputs(client)) < records) await Bun.sleep(LOOK_MS);
  const perSecond = (records / (nowUs() - startUs)) * 1e6;
  await check(client, records);
  return { perSecond };
}

/** From bytes to what a batch takes. */
async function steps({ records }: TransformRequest): Promise<TransformResult> {
  const bytes = new TextEncoder().encode(orderOf(1));
  const run = await compileSteps(STEPS, NO_SOURCES);
  const startUs = nowUs();
  let length = 0;
  for (let index = 0; index < records; index += 1) {
    const [message] = messagesOf(run(new TransformMessage(bytes)) as TransformMessage);
    length += message?.content?.length ?? 0;
  }
  if (length === 0) throw new Error("nothing came out");
  return { perSecond: (records / (nowUs() - startUs)) * 1e6 };
}

await runProgram({}, (message) => {
  const request = message as TransformRequest;
  return request.op === "steps" ? steps(request) : transform(request);
});
