/**
 * Live figures as server-sent events (https://html.spec.whatwg.org/multipage/server-sent-events.html). Each second the
 * operations that a reader asked for run again, for its principal: what it may not see any more ends.
 */
import { isMillraceError, MillraceError, toMillraceError } from "../../errors/index.ts";
import { type Ask, type Fields, without } from "./route.ts";

const INTERVAL_MS = 1000;
/** Of one reader. */
const TOPICS_MAX = 20;
/** Of one worker thread. */
const READERS_MAX = 200;
/** A reader that has not taken so many events is gone. */
const UNREAD_MAX = 32;

const encoder = new TextEncoder();

/** What one name of `topics` shows. */
interface Source {
  readonly event: string;
  readonly op: string;
  readonly fields: Fields;
  readonly namespace: string | undefined;
  /** Counters by name, from which rates are made. */
  readonly counters: (figures: Fields) => Fields;
}

/** @throws invalid_argument. */
export function sourcesOf(topics: string): Source[] {
  const names = topics.split(",");
  if (names.length > TOPICS_MAX) throw new MillraceError("invalid_argument", `topics: at most ${TOPICS_MAX}`);
  return [...new Set(names)].map(sourceOf);
}

function sourceOf(event: string): Source {
  if (event === "overview") {
    return { event, op: "OVERVIEW", fields: {}, namespace: undefined, counters: () => ({}) };
  }
  const [, kind, namespace, name] = /^(topic|queue):([^/]+)\/(.+)$/.exec(event) ?? [];
  if (name === undefined || /[\r\n]/.test(event)) {
    throw new MillraceError("invalid_argument", "topics are overview, topic:NAMESPACE/NAME and queue:NAMESPACE/NAME");
  }
  const isTopic = kind === "topic";
  return {
    event,
    op: isTopic ? "TOPIC_DESCRIBE" : "QUEUE_DESCRIBE",
    fields: { name },
    namespace,
    counters: isTopic ? topicCounters : ({ counts }) => counts as Fields,
  };
}

const TOPIC_SUMS = ["recordsIn", "bytesIn", "recordsOut", "bytesOut", "bytes"] as const;

function topicCounters({ offsets }: Fields): Fields {
  const rows = offsets as readonly Record<string, number>[];
  return Object.fromEntries(TOPIC_SUMS.map((sum) => [sum, rows.reduce((total, row) => total + (row[sum] ?? 0), 0)]));
}

interface Looked {
  readonly atMs: number;
  readonly counters: Fields;
}

/** Of counters that rise; what does not is shown as it is. */
function ratesOf(now: Looked, before: Looked | undefined): Fields | null {
  if (before === undefined) return null;
  const seconds = (now.atMs - before.atMs) / 1000;
  if (seconds <= 0) return null;
  const rates = Object.entries(now.counters).map(([name, value]) => {
    const change = Number(value) - Number(before.counters[name] ?? value);
    return [`${name}PerSec`, change / seconds] as const;
  });
  return Object.fromEntries(rates);
}

/** All readers of one worker thread. */
export class Events {
  readonly #intervalMs: number;
  readonly #readersMax: number;
  #readers = 0;

  constructor({
    intervalMs = INTERVAL_MS,
    readersMax = READERS_MAX,
  }: { intervalMs?: number; readersMax?: number } = {}) {
    this.#intervalMs = intervalMs;
    this.#readersMax = readersMax;
  }

  get readers(): number {
    return this.#readers;
  }

  /** @throws limit_exceeded; invalid_argument (topics). */
  open(ask: Ask): Response {
    const sources = sourcesOf(String(ask.query["topics"] ?? "overview"));
    if (this.#readers >= this.#readersMax) {
      throw new MillraceError("limit_exceeded", `${this.#readersMax} readers of events are there on this thread`);
    }
    this.#readers += 1;
    const reader = new Reader(ask, sources, this.#intervalMs, () => {
      this.#readers -= 1;
    });
    return new Response(reader.stream(), {
      headers: {
        "content-type": "text/event-stream",
        "cache-control": "no-store",
        "x-content-type-options": "nosniff",
        // Proxies would gather events otherwise.
        "x-accel-buffering": "no",
      },
    });
  }
}

class Reader {
  readonly #ask: Ask;
  readonly #sources: readonly Source[];
  readonly #intervalMs: number;
  readonly #onEnd: () => void;
  readonly #before = new Map<string, Looked>();
  #controller: ReadableStreamDefaultController<Uint8Array> | undefined;
  #timer: Timer | undefined;
  #isOver = false;

  constructor(ask: Ask, sources: readonly Source[], intervalMs: number, onEnd: () => void) {
    this.#ask = ask;
    this.#sources = sources;
    this.#intervalMs = intervalMs;
    this.#onEnd = onEnd;
  }

  stream(): ReadableStream<Uint8Array> {
    return new ReadableStream<Uint8Array>(
      {
        start: (controller) => {
          this.#controller = controller;
          this.#ask.request.signal.addEventListener("abort", () => this.#end());
          void this.#look();
        },
        cancel: () => this.#end(),
      },
      { highWaterMark: UNREAD_MAX },
    );
  }

  /** One look after another: a slow one puts the next off. */
  async #look(): Promise<void> {
    const startedMs = performance.now();
    for (const source of this.#sources) {
      if (this.#isOver) return;
      await this.#show(source);
    }
    const { expiresAtMs } = this.#ask.principal;
    if (expiresAtMs !== undefined && Date.now() >= expiresAtMs) this.#end();
    if (this.#isOver) return;
    this.#timer = setTimeout(() => void this.#look(), Math.max(0, this.#intervalMs - (performance.now() - startedMs)));
  }

  async #show(source: Source): Promise<void> {
    const { event, op, fields, namespace, counters } = source;
    try {
      const figures = await this.#ask.call(op, fields, namespace);
      const looked = { atMs: performance.now(), counters: counters(figures) };
      const rates = ratesOf(looked, this.#before.get(event));
      this.#before.set(event, looked);
      this.#send(event, event === "overview" ? figures : { ...shown(figures), ...looked.counters, rates });
    } catch (error) {
      const { codeName, message } = toMillraceError(error);
      const isKnown = isMillraceError(error) && codeName !== "internal";
      this.#send("problem", { topic: event, error: { name: codeName, message: isKnown ? message : "internal error" } });
    }
  }

  #send(event: string, data: unknown): void {
    const controller = this.#controller;
    if (controller === undefined || this.#isOver) return;
    if ((controller.desiredSize ?? 0) <= 0) {
      this.#end();
      return;
    }
    controller.enqueue(encoder.encode(`event: ${event}\ndata: ${JSON.stringify(data)}\n\n`));
  }

  #end(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    clearTimeout(this.#timer);
    this.#onEnd();
    try {
      this.#controller?.close();
    } catch {
      // The reader has closed it.
    }
  }
}

/** Without the settings, which GET of the entity shows, and without the counts, which stand there one by one. */
function shown(figures: Fields): Fields {
  return without(figures, ["config", "counts"]);
}
