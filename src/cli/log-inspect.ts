import { basename } from "node:path";
import type { Command } from "commander";
import { action, examples, type Runtime } from "./command.ts";
import type { Context } from "./context.ts";
import { EXIT } from "./exit.ts";
import { contentJson, headersJson } from "./record-line.ts";
import { SegmentFile } from "./segment-file.ts";
import { type Batch, type RecordContent, type Step, type StoredRecord, walk } from "./segment-walk.ts";
import { formatTime, groupDigits, roundBytes } from "./units.ts";

/** `millrace log inspect FILE`: walks a segment without a broker and says what is in it and what is wrong with it. */

interface InspectOptions {
  records?: boolean;
  summary?: boolean;
}

export function addLogCommands(program: Command, runtime: Runtime): void {
  const log = program.command("log").description("look into segment files, without a broker");
  const command = log
    .command("inspect")
    .description("walk a segment: the header of each batch, CRCs, totals, where the data ends; exit code 1 on damage")
    .argument("<file>", "a .log file of the data directory")
    .option("--records", "the records too")
    .option("--summary", "only the totals and what is wrong");
  examples(command, [
    ["millrace log inspect millrace-data/logs/16/0/00000000000000000000.log", "one line a batch"],
    ["millrace log inspect --records 00000000000000000000.log", "with keys and values"],
    ["millrace log inspect --summary --json 00000000000000000000.log", "totals for programs"],
  ]);
  action<InspectOptions>(command, runtime, async (context, [path = ""], options) => {
    using file = new SegmentFile(path);
    const isSummary = options.summary === true;
    const inspection = new Inspection(context, path, file.size, isSummary);
    // Awaited here, because the file is closed when this function returns.
    return await inspection.run(file, options.records === true && !isSummary);
  });
}

interface Totals {
  batches: number;
  records: number;
  damaged: number;
  /** Sound batches behind damage, which the broker does not serve. */
  stranded: number;
  garbageBytes: number;
  gaps: number;
}

const COLUMNS: readonly (readonly [heading: string, width: number])[] = [
  ["POSITION", 10],
  ["OFFSETS", 21],
  ["RECORDS", 8],
  ["BYTES", 9],
  ["EPOCH", 6],
  ["CRC", 8],
  ["FIRST TIME", 24],
];

const BASE_NAME = /^(\d{20})\.log$/;
const PROGRESS_STEPS = 256;

/**
 * The steps of the segment that begins at `base`. Behind its end the file may hold what it held before it became this segment's
 * file: the first sound batch there has a lower offset, and the bytes before that are the rest of one that is half written over.
 */
function* ownSteps(steps: Iterable<Step>, base: number): Generator<Step> {
  let garbage: Step | undefined;
  for (const step of steps) {
    if (step.kind !== "garbage" && step.batch.faults.length === 0 && step.batch.baseOffset < base) return;
    if (garbage !== undefined) yield garbage;
    garbage = step.kind === "garbage" ? step : undefined;
    if (garbage === undefined) yield step;
  }
  if (garbage !== undefined) yield garbage;
}

class Inspection {
  private readonly context: Context;
  private readonly path: string;
  private readonly size: number;
  private readonly isSummary: boolean;
  private readonly totals: Totals = { batches: 0, records: 0, damaged: 0, stranded: 0, garbageBytes: 0, gaps: 0 };
  private readonly faults: string[] = [];
  /** Behind the last byte that the broker may serve. */
  private dataEnd = 0;
  private firstOffset: number | null = null;
  private nextOffset: number;
  private epoch = 0;
  private timestamps: [min: number, max: number] = [Number.POSITIVE_INFINITY, 0];
  private isDamaged = false;

  constructor(context: Context, path: string, size: number, isSummary: boolean) {
    this.context = context;
    this.path = path;
    this.size = size;
    this.isSummary = isSummary;
    // The name is the first offset that the segment may hold.
    this.nextOffset = Number(BASE_NAME.exec(basename(path))?.[1] ?? 0);
  }

  async run(file: SegmentFile, withRecords: boolean): Promise<number> {
    const { out, isJson } = this.context;
    const progress = out.isTerminal && !this.isSummary ? null : this.context.progress("inspecting");
    if (!isJson && !this.isSummary) out.line(headings());
    let steps = 0;
    for (const step of ownSteps(walk(file, withRecords), this.nextOffset)) {
      this.take(step);
      if (!this.isSummary && this.print(step)) await out.flush();
      if (out.isBroken) return EXIT.ok;
      if (++steps % PROGRESS_STEPS !== 0) continue;
      const done = this.dataEnd;
      progress?.update({ records: this.totals.records, bytes: done, total: this.size, done });
      if (progress !== null) await this.context.err.flush();
    }
    progress?.end();
    this.report(file.hasChanged);
    return this.isDamaged ? EXIT.failed : EXIT.ok;
  }

  private take(step: Step): void {
    if (step.kind === "garbage") {
      this.totals.garbageBytes += step.bytes;
      this.fault(`position ${step.position}: ${step.bytes} bytes are no batch: ${step.reason}`);
      return;
    }
    const { batch } = step;
    this.checkOrder(batch);
    if (batch.faults.length > 0) {
      this.totals.damaged++;
      this.fault(`position ${batch.position}, offset ${batch.baseOffset}: ${batch.faults.join("; ")}`);
      return;
    }
    if (this.isDamaged) {
      this.totals.stranded++;
      return;
    }
    this.totals.batches++;
    this.totals.records += batch.recordCount;
    this.firstOffset ??= batch.baseOffset;
    this.nextOffset = batch.nextOffset;
    this.epoch = batch.epoch;
    this.dataEnd = batch.position + batch.bytes;
    this.timestamps = [
      Math.min(this.timestamps[0], batch.baseTimestamp),
      Math.max(this.timestamps[1], batch.maxTimestamp),
    ];
  }

  private fault(text: string): void {
    this.isDamaged = true;
    this.faults.push(text);
  }

  /** Recovery takes a batch only if its offset is not lower than the next and its epoch does not fall. Gaps are what compaction leaves. */
  private checkOrder(batch: Batch): void {
    if (batch.faults.length > 0 || this.isDamaged) return;
    if (batch.baseOffset < this.nextOffset)
      batch.faults.push(`its offset is lower than the next one, ${this.nextOffset}`);
    if (batch.epoch < this.epoch) batch.faults.push(`its epoch ${batch.epoch} is lower than ${this.epoch} before it`);
    if (batch.baseOffset > this.nextOffset) this.totals.gaps++;
  }

  /** Returns true when the output should be written out. */
  private print(step: Step): boolean {
    const { out, isJson } = this.context;
    if (step.kind === "garbage") {
      const { position, bytes, reason } = step;
      return out.line(
        isJson
          ? JSON.stringify({ type: "garbage", position, bytes, reason })
          : `${position}  ! ${bytes} bytes are no batch: ${reason}`,
      );
    }
    const { batch, records } = step;
    out.line(isJson ? JSON.stringify({ type: "batch", ...batch }) : batchLine(batch));
    for (const record of records) {
      const content = recordJson(record);
      out.line(isJson ? `{"type":"record",${content}}` : `  {${content}}`);
    }
    return out.write("");
  }

  private report(hasChanged: boolean): void {
    const { totals, faults, dataEnd, isDamaged, context, size } = this;
    const { path, firstOffset, nextOffset } = this;
    const [minTimestamp, maxTimestamp] = totals.batches === 0 ? [null, null] : this.timestamps;
    const summary = {
      type: "summary",
      file: path,
      bytes: size,
      ...totals,
      firstOffset,
      nextOffset,
      minTimestamp,
      maxTimestamp,
      dataEnd,
      damaged: isDamaged,
      faults,
    };
    context.result({ ...summary, damagedBatches: totals.damaged }, () => this.summaryText(minTimestamp, maxTimestamp));
    if (!isDamaged) return;
    const [first = ""] = faults;
    const more = faults.length > 1 ? ` (and ${faults.length - 1} more)` : "";
    const served = `the broker serves what is before byte ${dataEnd}; offset ${nextOffset} is the first that is lost`;
    const action = hasChanged
      ? "the file was written to meanwhile and may only end in a batch that was half there: run it again"
      : served;
    context.fail({ name: "corrupt_batch", message: `${path}: ${first}${more}`, action, exit: EXIT.failed });
  }

  private summaryText(minTimestamp: number | null, maxTimestamp: number | null): string {
    const { totals, dataEnd, size, firstOffset, nextOffset, faults, context } = this;
    const offsets = firstOffset === null ? "none" : `${firstOffset} to ${nextOffset - 1}`;
    const rows: [string, string][] = [
      ["file", `${this.path} (${roundBytes(size)})`],
      ["batches", groupDigits(totals.batches)],
      ["records", groupDigits(totals.records)],
      ["offsets", totals.gaps > 0 ? `${offsets}, ${totals.gaps} gaps (compaction leaves them)` : offsets],
      ["times", `${formatTime(minTimestamp)} to ${formatTime(maxTimestamp)}`],
      ["data ends at", `byte ${dataEnd} of ${size}`],
      [
        "damage",
        faults.length === 0 ? "none" : `${faults.length} faults, ${totals.stranded} sound batches behind the first`,
      ],
    ];
    const list = this.isSummary ? faults.map((fault) => `  ${fault}\n`).join("") : "";
    return `${this.isSummary ? "" : "\n"}${context.fields(rows)}${list}`;
  }
}

function headings(): string {
  return `${COLUMNS.map(([heading, width]) => heading.padStart(width)).join("  ")}  NOTES`;
}

function batchLine(batch: Batch): string {
  const cells = [
    String(batch.position),
    `${batch.baseOffset}-${batch.nextOffset - 1}`,
    String(batch.recordCount),
    String(batch.bytes),
    String(batch.epoch),
    batch.crc.toString(16).padStart(8, "0"),
    formatTime(batch.baseTimestamp),
  ];
  const notes = [...batch.flags];
  if (batch.compression !== "none") notes.push(batch.compression);
  if (batch.producerId !== 0)
    notes.push(`producer ${batch.producerId}/${batch.producerEpoch} sequence ${batch.baseSequence}`);
  notes.push(...batch.faults.map((fault) => `! ${fault}`));
  return `${cells.map((cell, column) => cell.padStart(COLUMNS[column]?.[1] ?? 0)).join("  ")}  ${notes.join(", ")}`.trimEnd();
}

function textOf(content: RecordContent): string | null {
  return content instanceof Uint8Array
    ? Buffer.from(content.buffer, content.byteOffset, content.length).toString()
    : content;
}

function bytesOf(content: RecordContent): Uint8Array | null {
  return content instanceof Uint8Array ? content : null;
}

function recordJson({ offset, timestamp, key, value, headers }: StoredRecord): string {
  const content = contentJson(
    textOf(key),
    () => bytesOf(key),
    textOf(value),
    () => bytesOf(value),
    headersJson(headers ?? {}),
  );
  return `"offset":${offset},"timestamp":${timestamp}${content}`;
}
