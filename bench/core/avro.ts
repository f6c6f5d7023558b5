import { Type } from "avsc";
import type { CodecWork } from "./codecs.ts";

/** What avsc needs for the ticks that `core/benches/works/schema.rs` checks in Rust: the other way to enforce schemas. */

const TICK = {
  type: "record",
  name: "Tick",
  fields: [
    { name: "symbol", type: "string" },
    { name: "price", type: "double" },
    { name: "bid", type: "double" },
    { name: "ask", type: "double" },
    { name: "volume", type: "long" },
    { name: "time", type: "long" },
    { name: "venue", type: { type: "enum", name: "Venue", symbols: ["XNAS", "XNYS"] } },
    { name: "note", type: ["null", "string"] },
  ],
} as const;

const TICK_BYTES = 60;
const COUNT = 64;

function tick(index: number): unknown {
  const price = 150 + (index % 100);
  return {
    symbol: ["AAPL", "MSFT", "AMZN", "GOOG"][index % 4],
    price,
    bid: price - 0.1,
    ask: price + 0.1,
    volume: 1_200_300 + index * 7,
    time: 1_763_726_400_000 + index,
    venue: index % 2 === 0 ? "XNAS" : "XNYS",
    note: "regular hours only",
  };
}

export function avroWorks(): CodecWork[] {
  const type = Type.forSchema(TICK as unknown as string);
  const values = Array.from({ length: COUNT }, (_, index) => tick(index));
  const bodies = values.map((value) => type.toBuffer(value));
  const wrong = bodies.find((body) => body.length !== TICK_BYTES);
  if (wrong !== undefined) throw new Error(`a tick has ${wrong.length} bytes instead of ${TICK_BYTES}`);
  const decode = (): number => {
    let sum = 0;
    for (const body of bodies) sum += (type.fromBuffer(body) as { price: number }).price;
    return sum;
  };
  const encode = (): number => {
    let sum = 0;
    for (const value of values) sum += type.toBuffer(value).length;
    return sum;
  };
  const common = { item: "record", items: COUNT, bytes: COUNT * TICK_BYTES };
  return [
    { name: "avsc-decode", ...common, run: decode },
    { name: "avsc-encode", ...common, run: encode },
  ];
}
