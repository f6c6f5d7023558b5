/** Definitions as one file: exported, and imported whole or not at all. */
import {
  Definitions,
  draftOf,
  type Engine,
  type Exchanges,
  type LogRecord,
  type Mailroom,
  type MetadataLog,
  tombstone,
} from "../../broker/index.ts";
import type { Config } from "../../config/index.ts";
import { isMillraceError, MillraceError } from "../../errors/index.ts";
import type { Access } from "../../security/index.ts";
import type { Logger } from "../../stdx/index.ts";
import { exportDefinitions } from "./export.ts";
import { type Counts, Importer } from "./import.ts";
import { JsonFault, JsonText, type Path } from "./json-text.ts";
import { fromRabbitMq, isRabbitMq } from "./rabbitmq.ts";
import { type Fields, isFields, ItemFault, type Note, planOf } from "./shape.ts";

export interface DefinitionsParts {
  readonly engine: Engine;
  readonly metadata: MetadataLog;
  readonly definitions: Definitions;
  readonly exchanges: Exchanges;
  readonly access: Access;
  readonly mailroom: Mailroom;
  readonly config: Config;
  readonly logger: Logger;
}

export interface ImportResult {
  readonly dryRun: boolean;
  /** `millrace`, or `rabbitmq` for a file of that broker. */
  readonly format: "millrace" | "rabbitmq";
  /** By the names of the lists. */
  readonly counts: Counts;
  /** What was not taken over as it stands. */
  readonly notes: readonly { readonly line: number; readonly path: string; readonly text: string }[];
}

/** Somebody else may change metadata meanwhile; nobody does it as often. */
const ATTEMPTS_MAX = 10;

export class DefinitionsFile {
  readonly #parts: DefinitionsParts;

  constructor(parts: DefinitionsParts) {
    this.#parts = parts;
  }

  export(): Fields {
    return exportDefinitions(this.#parts);
  }

  /**
   * Makes what a file holds and is not there yet. What is there alike stays; what is there and is another refuses the file.
   *
   * @param text JSON, of ours or of RabbitMQ.
   * @param dryRun checks everything and changes nothing.
   * @throws definitions_invalid naming the line; then nothing was changed.
   */
  async import(text: string, dryRun: boolean): Promise<ImportResult> {
    const file = read(text);
    try {
      if (!isFields(file.value)) throw new ItemFault([], "definitions are a JSON object");
      const isForeign = isRabbitMq(file.value);
      const { plan, notes } = isForeign ? fromRabbitMq(file.value) : { plan: planOf(file.value), notes: [] };
      const counts = await this.#carryOut(async (importer) => await importer.run(plan), dryRun);
      return {
        dryRun,
        format: isForeign ? "rabbitmq" : "millrace",
        counts,
        notes: notes.map((note) => placed(file, note)),
      };
    } catch (error) {
      if (error instanceof ItemFault) throw invalid(file.lineOf(error.path), error.path, error.message);
      throw error;
    }
  }

  async #carryOut(run: (importer: Importer) => Promise<void>, dryRun: boolean): Promise<Counts> {
    for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt += 1) {
      const draft = draftOf(this.#parts.engine);
      const importer = new Importer(this.#parts, draft);
      await run(importer);
      const records = draft.records();
      if (dryRun || records.length === 0 || (await this.#commit(draft.baseOffset, records))) return importer.counts;
    }
    throw new MillraceError("timeout", "the definitions were changed by others all the time");
  }

  /** @returns false when the metadata has moved on since the draft. */
  async #commit(baseOffset: number, records: readonly LogRecord[]): Promise<boolean> {
    let hasMoved = false;
    try {
      await this.#parts.definitions.change(
        ({ appliedOffset }) => {
          hasMoved = appliedOffset !== baseOffset;
          return hasMoved ? [] : records;
        },
        () => records.filter(isMade).map(({ key }) => tombstone(key)),
      );
    } catch (error) {
      // What only the core can tell: a rule that is no rule, a limit of its tables.
      if (isMillraceError(error) && !error.retryable) throw new MillraceError("definitions_invalid", error.message);
      throw error;
    }
    return !hasMoved;
  }
}

/** Ids that were given are given, and a namespace keeps the logs that were opened for it. */
function isMade({ key, value }: LogRecord): boolean {
  return value !== null && !/^(counter|space) /.test(key);
}

function read(text: string): JsonText {
  try {
    return new JsonText(text);
  } catch (error) {
    if (error instanceof JsonFault) throw invalid(error.line, [], error.message);
    throw error;
  }
}

function invalid(line: number, path: Path, what: string): MillraceError {
  const place = path.length === 0 ? `line ${line}` : `line ${line}, ${shown(path)}`;
  return new MillraceError("definitions_invalid", `${place}: ${what}`, { details: { line, path: shown(path) } });
}

function placed(file: JsonText, { path, text }: Note): { line: number; path: string; text: string } {
  return { line: file.lineOf(path), path: shown(path), text };
}

/** `queues[3]`. */
function shown(path: Path): string {
  return path.map((word, at) => (typeof word === "number" ? `[${word}]` : at === 0 ? word : `.${word}`)).join("");
}
