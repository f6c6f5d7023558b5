/**
 * Long jobs. A worker holds its job by a lease, which the client renews for as long as the handler runs. One worker is
 * killed in the middle of a job and another one hangs: exactly their two jobs go to others, one at once and one when its
 * lease has run out. The worker that hung learns that its result came too late.
 *
 *   bun test/scenarios/video-encoding.ts [URL]
 */
import { connect } from "../../src/client/index.ts";
import { brokerUrl, until } from "./program.ts";

const VIDEOS = 7;
const WORKERS = 3;
/** Longer than a lease, so that each job needs renewals. */
const ENCODING_MS = 2_200;
const LEASE_MS = 2_000;
/** How long before its end a lease is renewed: a worker that a busy machine keeps waiting for less keeps its job. */
const LEASE_WARNING_MS = 1_500;

export interface Event {
  worker: number;
  /** A job begins, its result is stored, or its result is refused: the job is another worker's by now. */
  kind: "started" | "encoded" | "refused";
  video: string;
  deliveries: number;
}

export interface VideoReport {
  videos: string[];
  events: Event[];
  /** The job of the worker that was killed, and that of the one that hung. */
  killed: string;
  hung: string;
}

/** A worker, in a process of its own. Prints its events, a line of JSON each, until it is ended. */
async function encode(url: string, worker: number): Promise<void> {
  await using client = await connect(url);
  const print = (event: Omit<Event, "worker">): void => console.log(JSON.stringify({ worker, ...event }));
  const consumer = client.queue("video-jobs").consume(
    async (message) => {
      const video = message.text() ?? "";
      const { deliveries } = message;
      print({ kind: "started", video, deliveries });
      await Bun.sleep(ENCODING_MS);
      message.ack();
      // The answer says whether the job was still this worker's.
      const kind = await consumer.flush().then(
        () => "encoded" as const,
        () => "refused" as const,
      );
      print({ kind, video, deliveries });
    },
    { prefetch: 1, autoRenew: true },
  );
  await consumer.done;
}

/** Hands on what a worker prints, as it comes. */
async function follow(output: ReadableStream<Uint8Array>, events: Event[]): Promise<void> {
  const decoder = new TextDecoder();
  let rest = "";
  for await (const chunk of output) {
    const lines = (rest + decoder.decode(chunk, { stream: true })).split("\n");
    rest = lines.pop() ?? "";
    events.push(...lines.map((line) => JSON.parse(line) as Event));
  }
}

function startWorkers(url: string, events: Event[]): { kill(signal: NodeJS.Signals): void; exited: Promise<number> }[] {
  return Array.from({ length: WORKERS }, (_, worker) => {
    const command = [process.execPath, import.meta.path, url, "--worker", String(worker)];
    const child = Bun.spawn(command, { stderr: "inherit" });
    void follow(child.stdout, events);
    return { kill: (signal) => child.kill(signal), exited: child.exited };
  });
}

export async function encodeVideos(url: string): Promise<VideoReport> {
  await using client = await connect(url);
  const queue = client.queue("video-jobs");
  await queue.declare({ leaseMs: LEASE_MS, leaseWarningMs: LEASE_WARNING_MS });
  const videos = Array.from({ length: VIDEOS }, (_, n) => `video-${n}`);
  for (const video of videos) await queue.publish(video);

  const events: Event[] = [];
  const workers = startWorkers(url, events);
  const jobsOf = (worker: number): Event[] => events.filter((event) => event.worker === worker);
  const isEncoding = (worker: number): boolean => jobsOf(worker).at(-1)?.kind === "started";
  const wasEncoded = (video: string): boolean =>
    events.some((event) => event.kind === "encoded" && event.video === video);
  try {
    await until(() => isEncoding(0) && isEncoding(1));
    const killed = jobsOf(0).at(-1)?.video ?? "";
    workers[0]?.kill("SIGKILL");
    const hung = jobsOf(1).at(-1)?.video ?? "";
    workers[1]?.kill("SIGSTOP");
    await until(() => wasEncoded(killed) && wasEncoded(hung));
    workers[1]?.kill("SIGCONT");
    await until(() => jobsOf(1).some(({ kind, video }) => kind === "refused" && video === hung));
    await until(() => videos.every(wasEncoded));
    return { videos, events, killed, hung };
  } finally {
    for (const worker of workers) worker.kill("SIGKILL");
    await Promise.all(workers.map(({ exited }) => exited));
  }
}

if (import.meta.main) {
  const [url, flag, worker] = process.argv.slice(2);
  if (flag === "--worker") {
    await encode(brokerUrl(url), Number(worker));
  } else {
    const { videos, events, killed, hung } = await encodeVideos(brokerUrl(url));
    const twice = videos.filter((video) => events.filter((e) => e.kind === "started" && e.video === video).length > 1);
    console.log(
      `${videos.length} videos encoded; killed at ${killed}, hung at ${hung}; begun twice: ${twice.join(", ")}`,
    );
  }
}
