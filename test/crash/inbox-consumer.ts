import { connect } from "../../src/client/index.ts";
import { openShop, type ShopKind } from "./inbox-shops.ts";

/** `bun inbox-consumer.ts URL KIND PLACE COUNT`: books messages, and dies between the commit of message COUNT and its ack. */

const [url = "", kind = "", place = "", count = ""] = process.argv.slice(2);
const client = await connect(url);
const shop = await openShop(kind as ShopKind, place);
let left = Number(count);

client.queue("payments").consume(
  async (message) => {
    const isNew = await shop.book(message);
    // The ack is sent at the end of the loop's turn, which does not come any more.
    if (isNew && --left === 0) process.kill(process.pid, "SIGKILL");
  },
  { prefetch: 20, concurrency: 4 },
);
