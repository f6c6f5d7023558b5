/**
 * Requests and their answers. Responders of one name share the requests; where nobody responds the caller hears of it
 * at once instead of waiting for its timeout; and one request can go to many responders, whose answers are gathered.
 *
 *   bun test/scenarios/remote-calls.ts [URL]
 */
import { connect, isMillraceError } from "../../src/client/index.ts";
import { brokerUrl } from "./program.ts";

const CALLS = 300;
const WAREHOUSES = ["Hamburg", "Lyon", "Porto"];

export interface CallReport {
  /** The answers to CALLS requests, in the order of asking. */
  prices: number[];
  /** How many of them each responder gave. */
  shares: number[];
  /** What came of asking for something nobody offers, and after how long. */
  unanswered: { error: string; afterMs: number };
  /** What the caller hears when the responder's handler throws. */
  thrown: string;
  /** One request's answers from every warehouse. */
  stock: string[];
}

async function errorOf(answer: Promise<unknown>): Promise<string> {
  return answer.then(
    () => "answered",
    (error: unknown) => (isMillraceError(error) ? `${error.codeName}: ${error.message}` : String(error)),
  );
}

export async function callAround(url: string): Promise<CallReport> {
  await using responder = await connect(url);
  await using caller = await connect(url);

  const shares = [0, 0];
  for (const index of shares.keys()) {
    const pricing = responder.reply("pricing", (message) => {
      const { quantity } = message.json<{ quantity: number }>();
      if (quantity < 0) throw new Error("a negative quantity has no price");
      shares[index] = (shares[index] ?? 0) + 1;
      return JSON.stringify({ total: 3 * quantity });
    });
    await pricing.ready();
  }
  const price = async (quantity: number): Promise<number> => {
    const reply = await caller.request("pricing", JSON.stringify({ quantity }), { timeoutMs: 5_000 });
    return reply.json<{ total: number }>().total;
  };
  const prices = await Promise.all(Array.from({ length: CALLS }, (_, quantity) => price(quantity)));
  const thrown = await errorOf(price(-1));

  const startMs = performance.now();
  const error = await errorOf(caller.request("weather", "tomorrow?", { timeoutMs: 30_000 }));
  const unanswered = { error, afterMs: performance.now() - startMs };

  // One request to many: every warehouse has a queue of its own behind a fanout exchange.
  await caller.exchange("stock").declare("fanout");
  for (const city of WAREHOUSES) {
    await responder.reply(`stock-${city}`, (message) => `${city} has ${message.text()}`).ready();
    await responder.queue(`stock-${city}`).bind("stock");
  }
  const replies = await caller.request("", "cranks", {
    exchange: "stock",
    replies: WAREHOUSES.length,
    timeoutMs: 5_000,
  });
  const stock = replies.map((reply) => reply.text() ?? "").sort();
  return { prices, shares, unanswered, thrown, stock };
}

if (import.meta.main) {
  const { prices, shares, unanswered, thrown, stock } = await callAround(brokerUrl(process.argv[2]));
  console.log(`${prices.length} prices, shared as ${shares.join(" and ")}`);
  console.log(`nobody there: ${unanswered.error} (${unanswered.afterMs.toFixed(1)} ms)`);
  console.log(`handler threw: ${thrown}`);
  console.log(stock.join("; "));
}
