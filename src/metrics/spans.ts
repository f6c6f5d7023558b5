/**
 * Spans for a collector of OpenTelemetry: OTLP/HTTP 1.x, JSON (opentelemetry.io/docs/specs/otlp, "JSON Protobuf Encoding"),
 * sent in the background. What a collector does not take in time is dropped and counted; nothing waits for it.
 */
import type { Logger } from "../stdx/index.ts";

export interface Span {
  /** 32 hex. */
  readonly traceId: string;
  /** 16 hex. */
  readonly spanId: string;
  readonly parentSpanId: string;
  readonly name: string;
  readonly kind: SpanKind;
  readonly startMs: number;
  readonly endMs: number;
  readonly attributes: Readonly<Record<string, string | number>>;
}

export type SpanKind = "internal" | "server";

/** SpanKind of OTLP's trace.proto. */
const KINDS: Readonly<Record<SpanKind, number>> = { internal: 1, server: 2 };

const WAITING_MAX = 4_096;
const SPANS_PER_REQUEST = 512;
const REQUEST_TIMEOUT_MS = 5_000;
const FLUSH_MS = 500;
/** A collector that is away is told of so often. */
const WARN_MS = 60_000;
const SCOPE = "millrace";
const PATH = "/v1/traces";

/** A request's body. @param resource says who sends: `service.name` and the like. */
export function otlpBody(spans: readonly Span[], resource: Span["attributes"]): string {
  const scopeSpans = [{ scope: { name: SCOPE }, spans: spans.map(spanJson) }];
  return JSON.stringify({ resourceSpans: [{ resource: { attributes: attributesJson(resource) }, scopeSpans }] });
}

function spanJson({ traceId, spanId, parentSpanId, name, kind, startMs, endMs, attributes }: Span): object {
  return {
    traceId,
    spanId,
    parentSpanId,
    name,
    kind: KINDS[kind],
    startTimeUnixNano: nanos(startMs),
    endTimeUnixNano: nanos(Math.max(startMs, endMs)),
    attributes: attributesJson(attributes),
  };
}

/** fixed64 stands in JSON as decimal text; ms have fractions, and ns of this century do not fit a double. */
function nanos(ms: number): string {
  const whole = Math.floor(ms);
  return String(BigInt(whole) * 1_000_000n + BigInt(Math.round((ms - whole) * 1e6)));
}

function attributesJson(attributes: Span["attributes"]): object[] {
  return Object.entries(attributes).map(([key, value]) => ({
    key,
    value: typeof value === "number" ? { intValue: String(value) } : { stringValue: value },
  }));
}

export interface SpanSenderOptions {
  /** Where the collector listens: `http://127.0.0.1:4318`; the path `/v1/traces` is added. */
  readonly url: string;
  readonly resource: Span["attributes"];
  readonly logger: Logger;
}

export class SpanSender {
  readonly #options: SpanSenderOptions;
  readonly #timer: Timer;
  #waiting: Span[] = [];
  #sending: Promise<void> | undefined;
  #warnedMs = Number.NEGATIVE_INFINITY;
  #dropped = 0;

  constructor(options: SpanSenderOptions) {
    this.#options = options;
    this.#timer = setInterval(() => void this.flush(), FLUSH_MS);
    this.#timer.unref();
  }

  /** Spans that no collector got. */
  get dropped(): number {
    return this.#dropped;
  }

  get room(): number {
    return WAITING_MAX - this.#waiting.length;
  }

  add(span: Span): void {
    if (this.room > 0) this.#waiting.push(span);
    else this.#dropped += 1;
  }

  /** Sends what waits, one request after the other. */
  flush(): Promise<void> {
    this.#sending ??= this.#send().finally(() => {
      this.#sending = undefined;
    });
    return this.#sending;
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  /** Sends what waits, once. */
  async close(): Promise<void> {
    clearInterval(this.#timer);
    await this.flush();
  }

  async #send(): Promise<void> {
    while (this.#waiting.length > 0) {
      const spans = this.#waiting.splice(0, SPANS_PER_REQUEST);
      try {
        await this.#post(spans);
      } catch (error) {
        this.#dropped += spans.length;
        this.#warn(error);
        return;
      }
    }
  }

  async #post(spans: readonly Span[]): Promise<void> {
    const { url, resource } = this.#options;
    const response = await fetch(`${url.replace(/\/+$/, "")}${PATH}`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: otlpBody(spans, resource),
      signal: AbortSignal.timeout(REQUEST_TIMEOUT_MS),
      redirect: "error",
    });
    await response.body?.cancel();
    if (!response.ok) throw new Error(`the collector answered ${response.status}`);
  }

  #warn(error: unknown): void {
    const nowMs = performance.now();
    if (nowMs - this.#warnedMs < WARN_MS) return;
    this.#warnedMs = nowMs;
    this.#options.logger.warn("spans could not be sent", { error, dropped: this.#dropped });
  }
}
