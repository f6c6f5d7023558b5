/**
 * Three members of a group read the flights of the quickstart, each in a process of its own. One is killed half way;
 * the others take over. The program ends well when every record was seen and each key's records came in order.
 *
 *   bun test/scenarios/flights.ts [TOPIC] [URL]      with a topic that holds something
 */
import { connect } from "../../src/client/index.ts";
import { brokerUrl } from "./program.ts";

const SESSION_TIMEOUT_MS = 2_000;
const MEMBERS = 3;

interface Seen {
  partition: number;
  offset: number;
  key: string;
}

/** A member: prints what it reads, a line of `partition offset key` a record, until it is ended. */
async function member(url: string, topic: string, group: string): Promise<void> {
  await using client = await connect(url);
  const options = { from: "earliest", sessionTimeoutMs: SESSION_TIMEOUT_MS, autoCommitMs: 100 } as const;
  for await (const messages of client.group(group).consume([topic], options).batches()) {
    const lines = messages.map(
      ({ partition, offset, key }) => `${partition} ${offset} ${new TextDecoder().decode(key ?? undefined)}\n`,
    );
    process.stdout.write(lines.join(""));
    // A slow reader, so that there is a half way to be killed at.
    await Bun.sleep(1);
  }
}

/** Collects what members saw. A record may come again after a takeover; a new one must be the partition's next. */
class Ledger {
  readonly #next = new Map<number, number>();
  readonly #lastOfKey = new Map<string, number>();
  records = 0;
  repeats = 0;

  note({ partition, offset, key }: Seen): void {
    const next = this.#next.get(partition) ?? 0;
    if (offset < next) {
      this.repeats += 1;
      return;
    }
    if (offset > next) throw new Error(`partition ${partition}: offset ${offset} came, ${next} was next`);
    const name = `${partition} ${key}`;
    const last = this.#lastOfKey.get(name) ?? -1;
    if (offset <= last) throw new Error(`key ${key}: offset ${offset} came after ${last}`);
    this.#lastOfKey.set(name, offset);
    this.#next.set(partition, offset + 1);
    this.records += 1;
  }

  get keys(): number {
    return this.#lastOfKey.size;
  }
}

/** Feeds a member's lines to the ledger as they come. */
async function follow(output: ReadableStream<Uint8Array>, ledger: Ledger): Promise<void> {
  const decoder = new TextDecoder();
  let rest = "";
  for await (const chunk of output) {
    const lines = (rest + decoder.decode(chunk, { stream: true })).split("\n");
    // The last line is not whole yet, and a killed member never completes it.
    rest = lines.pop() ?? "";
    for (const line of lines) {
      const [partition = "", offset = "", key = ""] = line.split(" ");
      ledger.note({ partition: Number(partition), offset: Number(offset), key });
    }
  }
}

async function countRecords(url: string, topic: string): Promise<number> {
  await using client = await connect(url);
  const ends = await client.topics.offsets(topic, "latest");
  return ends.reduce((sum, { offset }) => sum + offset, 0);
}

/** Runs the scenario. Resolves to how many records, keys and repeats there were. */
export async function flights(url: string, topic: string): Promise<{ records: number; keys: number; repeats: number }> {
  const group = `flights-${Date.now()}`;
  const total = await countRecords(url, topic);
  const ledger = new Ledger();
  const command = [process.execPath, import.meta.path, "--member", url, topic, group];
  const start = () => Bun.spawn(command, { stderr: "inherit" });
  const members = Array.from({ length: MEMBERS }, start);
  const failure = Promise.all(members.map(({ stdout }) => follow(stdout, ledger))).then(() => undefined);
  let isKilled = false;
  const done = async (): Promise<void> => {
    while (ledger.records < total) {
      if (!isKilled && ledger.records > total / 2) {
        members[0]?.kill("SIGKILL");
        isKilled = true;
        console.log(`killed one of ${MEMBERS} members at record ${ledger.records} of ${total}`);
      }
      await Bun.sleep(5);
    }
  };
  try {
    await Promise.race([done(), failure.then(() => Promise.reject(new Error("every member has ended")))]);
  } finally {
    for (const { kill } of members.map((child) => ({ kill: () => child.kill() }))) kill();
    await Promise.all(members.map(({ exited }) => exited));
  }
  return { records: ledger.records, keys: ledger.keys, repeats: ledger.repeats };
}

if (import.meta.main) {
  const words = process.argv.slice(2);
  if (words[0] === "--member") {
    await member(words[1] ?? "", words[2] ?? "", words[3] ?? "");
  } else {
    const { records, keys, repeats } = await flights(brokerUrl(words[1]), words[0] ?? "flights");
    console.log(
      `every one of ${records} records was seen, ${keys} keys in order; ${repeats} came again after the takeover`,
    );
  }
}
