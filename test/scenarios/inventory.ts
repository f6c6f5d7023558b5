/**
 * Deliveries arrive from shops old and new: some as XML, some as JSON, some broken. A transform makes one stream of JSON
 * of them, in the words of the inventory; what cannot be read is put aside with the reason.
 *
 *   bun test/scenarios/inventory.ts [URL]
 */
import { connect, type TransformDefinition } from "../../src/client/index.ts";
import { brokerUrl } from "./program.ts";

/** `<item id="I101" stock="50"/>` becomes `{"item_id":"I101","stock":50}`; JSON is in these words already. */
const TRANSFORM: TransformDefinition = {
  from: { queue: "deliveries" },
  to: { topic: "inventory" },
  steps: [
    {
      choose: {
        xml: [{ xml_to_json: { root: "drop" } }, { map: { rename: { id: "item_id" } } }],
        json: [{ map: { pick: ["item_id", "stock"] } }],
      },
    },
    { map: { convert: { stock: "integer" }, require: ["item_id", "stock"] } },
  ],
  deadLetter: { queue: "deliveries.unread" },
};

const ITEMS = 300;

export interface Item {
  item_id: string;
  stock: number;
}

export interface InventoryReport {
  /** What was sent in either form. */
  sent: Item[];
  /** What was sent and cannot be read. */
  broken: string[];
  /** What the inventory got. */
  received: Item[];
  /** What was put aside, with why. */
  unread: { text: string; reason: string }[];
}

const BROKEN = [
  '<item id="I1" stock="5"',
  '<item id="I2" stock="many"/>',
  "<item></itm>",
  '{"item_id": "I3", ',
  "50 pieces",
];

export async function takeInventory(url: string): Promise<InventoryReport> {
  await using client = await connect(url);
  await client.queue("deliveries").declare();
  await client.queue("deliveries.unread").declare();
  await client.topics.create("inventory", { partitions: 2, ifNotExists: true });
  await client.transforms.put("inventory", TRANSFORM);

  const sent = Array.from({ length: ITEMS }, (_, index) => ({ item_id: `I${101 + index}`, stock: (index * 37) % 90 }));
  const exchange = client.exchange("");
  for (const [index, { item_id, stock }] of sent.entries()) {
    const xml = `<item id="${item_id}" stock="${stock}"/>`;
    const json = JSON.stringify({ item_id, stock, shop: "new" });
    await exchange.publish("deliveries", index % 2 === 0 ? xml : json);
    const broken = BROKEN[index / 50];
    if (broken !== undefined) await exchange.publish("deliveries", broken);
  }

  const received: Item[] = [];
  for await (const message of client.consume("inventory", { from: "earliest", maxRecords: ITEMS })) {
    received.push(message.json<Item>());
  }
  const unread: InventoryReport["unread"] = [];
  for await (const message of client.queue("deliveries.unread").consume()) {
    unread.push({ text: message.text() ?? "", reason: String(message.headers["x-transform-error"]) });
    if (unread.length === BROKEN.length) break;
  }
  await client.transforms.delete("inventory");
  return { sent, broken: BROKEN, received, unread };
}

if (import.meta.main) {
  const { received, unread } = await takeInventory(brokerUrl(process.argv[2]));
  console.log(`the inventory has ${received.length} items, the first ${JSON.stringify(received[0])}`);
  for (const { text, reason } of unread) console.log(`unread: ${text}\n  ${reason}`);
}
