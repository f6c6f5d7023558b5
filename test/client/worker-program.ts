import { connect } from "../../src/client/index.ts";

/** `bun worker-program.ts URL`: a worker that says what it does, and ends when it is told to. */

const client = await connect(process.argv[2] as string);
const worker = client.worker(
  "q",
  async (message) => {
    console.log(`begins ${message.text()}`);
    await Bun.sleep(50);
    console.log(`ends ${message.text()}`);
  },
  { concurrency: 2, signals: ["SIGTERM"] },
);
await worker.done;
await client.close();
console.log(`running ${worker.running}`);
