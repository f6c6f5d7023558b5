/** Subscriptions that read records through a filter or another schema: which schemas the core has to know for them. */
import { MillraceError } from "../errors/index.ts";
import { subjectFor } from "../schema/index.ts";
import type { Enforcements } from "./enforcement.ts";
import type { MetadataLog } from "./metadata-log.ts";
import type { MetadataEvent } from "./metadata-state.ts";

/** The schema in which records are wanted: a version of a subject, or one by its id. */
export type ReaderSchema = number | "latest" | { readonly id: number };

export interface ViewRequest {
  readonly filter: string | undefined;
  readonly readerSchema: ReaderSchema | undefined;
  /** Whose version is meant, where the topic's strategy does not say it. A global name. */
  readonly subject: string | undefined;
}

export class Views {
  readonly #metadata: MetadataLog;
  readonly #enforcements: Enforcements;
  /** Somebody has asked for a view: the core gets schemas as they come. */
  #isUsed = false;

  constructor(metadata: MetadataLog, enforcements: Enforcements) {
    this.#metadata = metadata;
    this.#enforcements = enforcements;
  }

  apply(event: MetadataEvent): void {
    if (this.#isUsed && event.type === "schema_version_put") this.#enforcements.provide(event.version.id);
  }

  /**
   * Gives the core the schemas that records of a topic may have.
   *
   * @returns the id of the reader schema, where one is asked for.
   * @throws reader_schema_unknown.
   */
  open(namespace: string, topic: string, { readerSchema, subject }: ViewRequest): number | undefined {
    this.#isUsed = true;
    const { state } = this.#metadata;
    const { schemas } = state;
    const strategy = state.topic(namespace, topic)?.config.schemaStrategy ?? "topic";
    const own = subjectFor(strategy, { namespace, name: topic, fullName: null });
    const writers = own === undefined ? schemas.schemas() : schemas.versions(own);
    for (const { id } of writers) this.#enforcements.provide(id);
    if (readerSchema === undefined) return undefined;
    const id =
      typeof readerSchema === "object" ? readerSchema.id : this.#versionOf(readerSchema, subject ?? own, topic);
    if (schemas.schema(id)?.schemaType !== "AVRO") throw unknown(`there is no Avro schema with the id ${id}`);
    this.#enforcements.provide(id);
    return id;
  }

  #versionOf(wanted: number | "latest", subject: string | undefined, topic: string): number {
    if (subject === undefined) throw unknown(`records of "${topic}" have several subjects: say which one`);
    const live = this.#metadata.state.schemas.liveVersions(subject);
    const found = wanted === "latest" ? live.at(-1) : live.find(({ version }) => version === wanted);
    if (found === undefined) throw unknown(`the subject "${subject}" has no version ${wanted}`);
    return found.id;
  }
}

function unknown(message: string): MillraceError {
  return new MillraceError("reader_schema_unknown", message);
}
