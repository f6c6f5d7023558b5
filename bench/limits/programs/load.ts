/**
 * The load: one program for the bare programs and for the broker, in a process of its own. Whatever it sends was encoded
 * before its clock starts; whatever it receives it counts by frames.
 */
import { nowUs } from "../../lib/clock.ts";
import { Pace, Schedule } from "../../lib/pace.ts";
import { runProgram } from "../../lib/program.ts";
import { batchUnit, blankUnit, singlesUnit, type Unit } from "../units.ts";
import { Wire } from "../wire.ts";

export interface UnitRequest {
  readonly mode: "batch" | "single" | "blank";
  readonly recordBytes: number;
  readonly batchBytes: number;
  readonly partitions: number;
  /** Batches in the unit; 0 for as many as one write holds. */
  readonly frames: number;
  readonly acks: number;
  readonly writeBytes: number;
}

export type LoadRequest =
  /** To a sink: resolves when its last byte says that all has come. */
  | { readonly op: "sink"; readonly port: number; readonly bytes: number; readonly writeBytes: number }
  /** From a bare sender, on so many connections. */
  | { readonly op: "drain"; readonly port: number; readonly bytes: number; readonly connections: number }
  | ({ readonly op: "produce"; readonly port: number; readonly topic: string; readonly bytes: number } & UnitRequest)
  /** For so many seconds instead of so many bytes; with a rate at that many bytes a second, else saturating. */
  | ({
      readonly op: "produceFor";
      readonly port: number;
      readonly topic: string;
      readonly seconds: number;
      readonly bytesPerSecond?: number;
    } & UnitRequest)
  | { readonly op: "subscribe"; readonly port: number; readonly topic: string; readonly connections: number }
  /** Until each of the subscribed connections was delivered so many bytes of batches. */
  | { readonly op: "collect"; readonly bytes: number }
  /**
   * Reads for so many seconds: the topic's bytes again and again from the first on, or, without a number, as they come.
   * With `passes` it ends after so many at the latest.
   */
  | {
      readonly op: "readFor";
      readonly port: number;
      readonly topic: string;
      readonly bytes?: number;
      readonly passes?: number;
      readonly seconds: number;
    }
  /** Produces and reads in this one process: what `subscribe`, `produce` and `collect` do in two. */
  | ({ readonly op: "both"; readonly port: number; readonly topic: string; readonly bytes: number } & UnitRequest);

export interface LoadResult {
  readonly seconds: number;
  /** Bytes sent or delivered: of whole frames where it produces, of batches where it reads. */
  readonly bytes: number;
  readonly records: number;
  readonly batchBytes: number;
  readonly acked: number;
  /** When it began and ended, on the clock that all processes share. */
  readonly fromUs: number;
  readonly toUs: number;
}

/** What is subscribed and waits for `collect`. */
let readers: Wire[] = [];
let readersSinceMs = 0;

const sinceMs = (startMs: number): number => (performance.now() - startMs) / 1e3;

/** A run that ends now. */
function resultOf(
  seconds: number,
  counts: { readonly bytes: number; readonly records?: number; readonly batchBytes?: number; readonly acked?: number },
): LoadResult {
  const toUs = nowUs();
  return { records: 0, batchBytes: 0, acked: 0, ...counts, seconds, fromUs: toUs - seconds * 1e6, toUs };
}

function unitOf(request: UnitRequest): Unit {
  const { mode, frames } = request;
  if (mode === "blank") return blankUnit(request.writeBytes);
  return mode === "single" ? singlesUnit(request) : batchUnit({ ...request, frames: Math.max(1, frames) });
}

function counted(unit: Unit, count: number, seconds: number, wire: Wire): LoadResult {
  const { records, batchBytes, bytes } = unit;
  return resultOf(seconds, {
    bytes: count * bytes.length,
    records: count * records,
    batchBytes: count * batchBytes,
    acked: wire.acked,
  });
}

async function sink(port: number, bytes: number, writeBytes: number): Promise<LoadResult> {
  const unit = blankUnit(writeBytes);
  const wire = await Wire.bare(port);
  const startMs = performance.now();
  wire.send(unit, bytes / writeBytes);
  await wire.until(() => wire.received > 0 && wire.unsentUnits === 0);
  const result = counted(unit, bytes / writeBytes, sinceMs(startMs), wire);
  wire.close();
  return result;
}

async function drain(port: number, bytes: number, connections: number): Promise<LoadResult> {
  const startMs = performance.now();
  const wires = await Promise.all(Array.from({ length: connections }, () => Wire.bare(port)));
  await Promise.all(wires.map((wire) => wire.until(() => wire.received >= bytes)));
  const seconds = sinceMs(startMs);
  const received = wires.reduce((sum, wire) => sum + wire.received, 0);
  for (const wire of wires) wire.close();
  if (received !== bytes * connections) throw new Error(`received ${received} bytes of ${bytes * connections}`);
  return resultOf(seconds, { bytes: received });
}

/** Sends whole units up to at least so many bytes. Resolves when every publish is acknowledged. */
async function produce(request: LoadRequest & { op: "produce" | "both" }): Promise<LoadResult> {
  const unit = unitOf(request);
  const count = Math.ceil(request.bytes / unit.bytes.length);
  const wire = await Wire.open(request.port);
  await wire.openPublisher(request.topic);
  const expected = count * unit.publishes;
  const startMs = performance.now();
  wire.send(unit, count, request.acks);
  await wire.until(() => wire.acked >= expected);
  const result = counted(unit, count, sinceMs(startMs), wire);
  wire.close();
  if (wire.acked !== expected) throw new Error(`${wire.acked} acks for ${expected} publishes`);
  return result;
}

async function produceFor(request: LoadRequest & { op: "produceFor" }): Promise<LoadResult> {
  const unit = unitOf(request);
  // Blank bytes are for a sink, which acknowledges nothing.
  const wire = request.mode === "blank" ? await Wire.bare(request.port) : await Wire.open(request.port);
  if (request.mode !== "blank") await wire.openPublisher(request.topic);
  const { seconds, bytesPerSecond } = request;
  const startMs = performance.now();
  let count = 0;
  if (bytesPerSecond === undefined) {
    // What is handed to the wire is kept short, so that it ends when the time is over.
    const ahead = Math.max(2, Math.ceil((4 * 1024 * 1024) / unit.bytes.length));
    while (sinceMs(startMs) < seconds) {
      wire.send(unit, ahead, request.acks);
      count += ahead;
      await wire.until(() => wire.unsentUnits <= ahead >> 1);
    }
  } else {
    const rate = bytesPerSecond / unit.bytes.length;
    const pace = new Pace(new Schedule({ from: rate, to: rate, durationMs: seconds * 1e3 }), nowUs());
    await pace.run((_first, due) => {
      wire.send(unit, due, request.acks);
      count += due;
    });
  }
  await wire.until(() => wire.unsentUnits === 0 && wire.acked >= count * unit.publishes);
  const result = counted(unit, count, sinceMs(startMs), wire);
  wire.close();
  return result;
}

async function subscribe(port: number, topic: string, connections: number): Promise<void> {
  readers = await Promise.all(Array.from({ length: connections }, () => Wire.open(port)));
  readersSinceMs = performance.now();
  await Promise.all(readers.map((wire) => wire.subscribe(topic)));
}

/** The time counts from the moment that the subscriptions were asked for. */
async function collect(bytes: number): Promise<LoadResult> {
  await Promise.all(readers.map((wire) => wire.until(() => wire.deliveredBytes >= bytes)));
  const seconds = sinceMs(readersSinceMs);
  const delivered = readers.reduce((sum, wire) => sum + wire.deliveredBytes, 0);
  const wanted = bytes * readers.length;
  for (const wire of readers.splice(0)) wire.close();
  if (delivered !== wanted) throw new Error(`${delivered} bytes were delivered of ${wanted}`);
  return resultOf(seconds, { bytes: delivered, batchBytes: delivered });
}

async function both(request: LoadRequest & { op: "both" }): Promise<LoadResult> {
  await subscribe(request.port, request.topic, 1);
  const unit = unitOf(request);
  const count = Math.ceil(request.bytes / unit.bytes.length);
  readersSinceMs = performance.now();
  const [produced, read] = await Promise.all([produce(request), collect(count * unit.batchBytes)]);
  return { ...produced, seconds: Math.max(produced.seconds, read.seconds) };
}

async function readFor(request: LoadRequest & { op: "readFor" }): Promise<LoadResult> {
  const { port, topic, bytes = Number.POSITIVE_INFINITY, passes = Number.POSITIVE_INFINITY, seconds } = request;
  const startMs = performance.now();
  let delivered = 0;
  for (let pass = 0; pass < passes && sinceMs(startMs) < seconds; pass += 1) {
    const wire = await Wire.open(port);
    await wire.subscribe(topic);
    // Where nothing more comes, the time still has to end it.
    const timer = setTimeout(() => wire.poke(), Math.max(0, seconds - sinceMs(startMs)) * 1e3 + 1);
    await wire.until(() => wire.deliveredBytes >= bytes || sinceMs(startMs) >= seconds);
    clearTimeout(timer);
    delivered += wire.deliveredBytes;
    wire.close();
  }
  return resultOf(sinceMs(startMs), { bytes: delivered, batchBytes: delivered });
}

await runProgram({}, async (message) => {
  const request = message as LoadRequest;
  if (request.op === "sink") return await sink(request.port, request.bytes, request.writeBytes);
  if (request.op === "drain") return await drain(request.port, request.bytes, request.connections);
  if (request.op === "produce") return await produce(request);
  if (request.op === "produceFor") return await produceFor(request);
  if (request.op === "collect") return await collect(request.bytes);
  if (request.op === "both") return await both(request);
  if (request.op === "readFor") return await readFor(request);
  await subscribe(request.port, request.topic, request.connections);
  return {};
});
