/**
 * Looks schemas up, one after another or at a fixed rate, and takes the time from when each was sent, or due, to its
 * answer. Every answer is checked.
 */
import { Op } from "../../../src/protocol/index.ts";
import { nowUs } from "../../lib/clock.ts";
import { Histogram } from "../../lib/histogram.ts";
import { Link } from "../../lib/link.ts";
import { Pace, Schedule } from "../../lib/pace.ts";
import { runProgram } from "../../lib/program.ts";
import { schemaOf, subjectOf } from "../subjects.ts";

export interface FillRequest {
  readonly op: "fill";
  readonly port: number;
  readonly subjects: number;
}

export interface LookupRequest {
  readonly op: "http" | "bare" | "native";
  /** Of the registry's HTTP interface, of a server that answers all alike, or of the native protocol. */
  readonly port: number;
  readonly subjects: number;
  /** Lookups a second, whatever becomes of those before; 0 makes one after another. */
  readonly rate: number;
  readonly seconds: number;
  /** Not counted, at the start. */
  readonly warmSeconds: number;
}

export interface LookupResult {
  /** A histogram as text, in µs. */
  readonly latency: string;
  /** How late the requests were sent, which is part of it. */
  readonly lateness: string;
}

const IN_FLIGHT = 64;
const LEAD_US = 50_000;
/** Steps through the subjects so that neighbours in time are none in the registry. */
const STRIDE = 7_919;
const JSON_TYPE = { "content-type": "application/vnd.schemaregistry.v1+json" };

async function fill({ port, subjects }: FillRequest): Promise<{ perSecond: number }> {
  const link = await Link.open(port);
  const startUs = nowUs();
  let next = 0;
  const lane = async (): Promise<void> => {
    for (let index = next++; index < subjects; index = next++) {
      await link.request(Op.SCHEMA_REGISTER, { subject: subjectOf(index), schema: schemaOf(index) });
    }
  };
  await Promise.all(Array.from({ length: IN_FLIGHT }, lane));
  link.close();
  return { perSecond: (subjects / (nowUs() - startUs)) * 1e6 };
}

/** One lookup; what it finds must be the subject's schema. */
type Look = (index: number, turn: number) => Promise<void>;

function check(found: { schema?: unknown }, index: number): void {
  if (typeof found.schema === "string" && found.schema.includes(`"Tick${index}"`)) return;
  throw new Error(`the schema of ${subjectOf(index)} was looked up, and ${JSON.stringify(found).slice(0, 200)} came`);
}

/**
 * @param ids of the subjects' schemas; registered side by side, they have them in any order.
 * @param isBare everything is answered with the first subject's schema.
 */
function overHttp(port: number, ids: readonly number[], isBare = false): Look {
  const base = `http://127.0.0.1:${port}`;
  return async (index, turn) => {
    const subject = encodeURIComponent(subjectOf(index));
    const response =
      turn % 3 === 0
        ? await fetch(`${base}/schemas/ids/${ids[index]}`)
        : turn % 3 === 1
          ? await fetch(`${base}/subjects/${subject}/versions/latest`)
          : await fetch(`${base}/subjects/${subject}`, {
              method: "POST",
              headers: JSON_TYPE,
              body: JSON.stringify({ schema: schemaOf(index) }),
            });
    check((await response.json()) as { schema?: unknown }, isBare ? 0 : index);
  };
}

function overLink(link: Link, ids: readonly number[]): Look {
  return async (index, turn) => {
    const found =
      turn % 2 === 0
        ? await link.request(Op.SCHEMA_GET, { id: ids[index] })
        : await link.request(Op.SCHEMA_VERSION, { subject: subjectOf(index), version: "latest" });
    check(found as { schema?: unknown }, index);
  };
}

async function idsOverHttp({ port, subjects }: LookupRequest): Promise<number[]> {
  const rows = (await (await fetch(`http://127.0.0.1:${port}/schemas`)).json()) as { subject: string; id: number }[];
  const bySubject = new Map(rows.map(({ subject, id }) => [subject, id]));
  return Array.from({ length: subjects }, (_, index) => bySubject.get(subjectOf(index)) ?? 0);
}

async function idsOverLink(link: Link, { subjects }: LookupRequest): Promise<number[]> {
  const found = (await link.request(Op.SCHEMA_SUBJECTS, { limit: 10_000 })) as {
    subjects: { subject: string; latestId: number }[];
  };
  const bySubject = new Map(found.subjects.map(({ subject, latestId }) => [subject, latestId]));
  return Array.from({ length: subjects }, (_, index) => bySubject.get(subjectOf(index)) ?? 0);
}

/** One lookup after another. */
async function runInTurn(request: LookupRequest, look: Look): Promise<LookupResult> {
  const { subjects, seconds, warmSeconds } = request;
  const latency = new Histogram();
  const startUs = nowUs();
  const [countedUs, endUs] = [startUs + warmSeconds * 1e6, startUs + (warmSeconds + seconds) * 1e6];
  let sentUs = startUs;
  for (let number = 0; sentUs < endUs; number += 1) {
    await look((number * STRIDE) % subjects, number);
    const doneUs = nowUs();
    if (sentUs >= countedUs) latency.record(doneUs - sentUs);
    sentUs = doneUs;
  }
  return { latency: latency.encode(), lateness: new Histogram().encode() };
}

async function runPaced(request: LookupRequest, look: Look): Promise<LookupResult> {
  const { subjects, rate, seconds, warmSeconds } = request;
  const schedule = new Schedule({ from: rate, to: rate, durationMs: seconds * 1e3, warmUpMs: warmSeconds * 1e3 });
  const pace = new Pace(schedule, nowUs() + LEAD_US);
  const latency = new Histogram();
  const stop = new AbortController();
  const answers: Promise<void>[] = [];
  const one = async (number: number): Promise<void> => {
    await look((number * STRIDE) % subjects, number);
    if (number >= schedule.warmUpTotal) latency.record(nowUs() - pace.dueUs(number));
  };
  await pace.run((first, count) => {
    for (let number = first; number < first + count; number += 1) {
      const answered = one(number);
      answered.catch(() => stop.abort());
      answers.push(answered);
    }
  }, stop.signal);
  await Promise.all(answers);
  return { latency: latency.encode(), lateness: pace.lateness.encode() };
}

function run(request: LookupRequest, look: Look): Promise<LookupResult> {
  return request.rate === 0 ? runInTurn(request, look) : runPaced(request, look);
}

async function answer(request: FillRequest | LookupRequest): Promise<unknown> {
  if (request.op === "fill") return await fill(request);
  if (request.op === "http") return await run(request, overHttp(request.port, await idsOverHttp(request)));
  if (request.op === "bare") return await run(request, overHttp(request.port, [], true));
  const link = await Link.open(request.port);
  try {
    return await run(request, overLink(link, await idsOverLink(link, request)));
  } finally {
    link.close();
  }
}

await runProgram({}, (message) => answer(message as FillRequest | LookupRequest));
