/** What the broker is given to do while it is looked at: words of `npm run bench -- load`, whose processes are looked at too. */

export interface Workload {
  readonly name: string;
  readonly about: string;
  /** Flags of the load, without address and duration. */
  readonly flags: readonly string[];
  /** Reads a topic that is filled before. */
  readonly isReading?: boolean;
  /** The work of core/benches that is closest, for machines where perf may not look. */
  readonly nearest: string;
}

const ENCODED = ["--payload", "pre-encoded", "--consumers", "0"];

export const WORKLOADS: readonly Workload[] = [
  {
    name: "produce-batched",
    about: "64 KiB batches that were encoded before, as fast as they are taken",
    flags: [...ENCODED, "--batch-bytes", "64KiB"],
    nearest: "publish-batches",
  },
  {
    name: "produce-single",
    about: "single records that were encoded before, as fast as they are taken",
    flags: [...ENCODED, "--batch-bytes", "0"],
    nearest: "publish-singles",
  },
  {
    name: "catch-up",
    about: "two consumers read a backlog as fast as they can",
    flags: ["--producers", "0", "--consumers", "2"],
    isReading: true,
    nearest: "catch-up",
  },
  {
    name: "both-client",
    about: "a producer and a consumer, each record through the client",
    flags: ["--payload", "client"],
    nearest: "publish-batches",
  },
  {
    name: "latency",
    about: "10,000 records a second on a schedule, each delivered at once",
    flags: ["--payload", "client", "--rate", "10000"],
    nearest: "publish-deliver-one",
  },
];

/** What fills the topic of a workload that reads. */
export const FILL_FLAGS: readonly string[] = [...ENCODED, "--warmup", "0s"];

/** A workload by its name, or `load` with flags of one's own; undefined where there is none. */
export function workloadOf(words: readonly string[]): Workload | undefined {
  const [name = "produce-batched", ...flags] = words;
  if (name === "load") return { name, about: `load ${flags.join(" ")}`, flags, nearest: "publish-batches" };
  return flags.length > 0 ? undefined : WORKLOADS.find((workload) => workload.name === name);
}
