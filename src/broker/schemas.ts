/** The registry over the metadata log: what requests ask of it, checked, decided and made durable. Subjects have their global names here. */
import { MillraceError } from "../errors/index.ts";
import {
  checkSubject,
  CODE,
  type Compatibility,
  conflictsOf,
  deleteSubject,
  deleteVersion,
  fault,
  type Mode,
  type Parsed,
  register,
  type Registered,
  requireVersion,
  type Schema,
  type SchemaLimits,
  schemaNotFound,
  SchemaReader,
  type SchemaSource,
  type SchemaState,
  setConfig,
  setMode,
  splitSubject,
  type SubjectConfig,
  subjectNotFound,
  unsetConfig,
  unsetMode,
  type Version,
} from "../schema/index.ts";
import type { MetadataLog } from "./metadata-log.ts";
import type { MetadataChange } from "./routing-state.ts";

export interface SchemasLimits extends SchemaLimits {
  readonly schemaBytesMax: number;
}

/** A schema that a request brings for a subject. */
export interface SchemaRequest extends SchemaSource {
  readonly subject: string;
  /** Default: what the subject's settings say. */
  readonly normalize?: boolean | undefined;
}

/** A version with its schema. */
export interface Found {
  readonly version: Version;
  readonly schema: Schema;
}

export class Schemas {
  readonly #metadata: MetadataLog;
  readonly #limits: SchemasLimits;
  readonly #reader: SchemaReader;

  constructor(metadata: MetadataLog, limits: SchemasLimits) {
    this.#metadata = metadata;
    this.#limits = limits;
    this.#reader = new SchemaReader(metadata.state.schemas);
  }

  /** The newest state. */
  get state(): SchemaState {
    this.#metadata.catchUp();
    return this.#metadata.state.schemas;
  }

  /**
   * Registers a schema under a subject; one that is there already keeps its version.
   *
   * @param imported id and version, which only the mode IMPORT takes.
   * @throws schema_invalid, schema_unsupported, schema_incompatible, schema_mode, limit_exceeded, invalid_argument.
   */
  async register(
    request: SchemaRequest,
    imported: { id?: number | undefined; version?: number | undefined } = {},
  ): Promise<Registered> {
    const { subject } = request;
    checkSubject(subject);
    let registered: Registered | undefined;
    await this.#change((state) => {
      const parsed = this.#read(state, request);
      const decided = register(state, this.#reader, { subject, parsed, ...imported }, this.#limits);
      registered = decided.registered;
      return decided.records;
    });
    if (registered === undefined) throw new MillraceError("internal", "a registration was not decided");
    return registered;
  }

  /** The version that a schema has under a subject. @throws subject_not_found, schema_not_found. */
  lookup(request: SchemaRequest, withDeleted: boolean): Found {
    const { state } = this;
    const versions = withDeleted ? state.versions(request.subject) : state.liveVersions(request.subject);
    if (versions.length === 0) throw subjectNotFound(request.subject);
    const schema = state.schemaByGuid(this.#read(state, request).guid);
    const version = schema && versions.findLast(({ id }) => id === schema.id);
    if (schema === undefined || version === undefined) throw schemaNotFound();
    return { version, schema };
  }

  /**
   * Whether a schema could be registered.
   *
   * @param against one version; without it those that the subject's compatibility asks for.
   * @returns what is in the way, in words; nothing when it is compatible.
   */
  check(request: SchemaRequest, against: number | "latest" | undefined): string[] {
    const { state } = this;
    const { subject } = request;
    const parsed = this.#read(state, request);
    const level = state.compatibilityOf(subject);
    const versions = against === undefined ? state.liveVersions(subject) : [requireVersion(state, subject, against)];
    return conflictsOf(state, this.#reader, { subject, parsed, versions, level });
  }

  /** @throws schema_not_found. */
  schema(id: number): Schema {
    const schema = this.state.schema(id);
    if (schema === undefined) throw schemaNotFound(id);
    return schema;
  }

  /** The text of a schema with the types of its references in it. */
  resolved(schema: Schema): string {
    return this.#reader.resolved(schema);
  }

  /** @throws subject_not_found, version_not_found. */
  version(subject: string, wanted: number | "latest", withDeleted: boolean): Found {
    const { state } = this;
    const version = requireVersion(state, subject, wanted, withDeleted);
    return { version, schema: this.schema(version.id) };
  }

  /** @returns the versions that went. */
  async deleteSubject(subject: string, permanent: boolean): Promise<number[]> {
    let versions: number[] = [];
    await this.#change((state) => {
      const decided = deleteSubject(state, subject, permanent);
      ({ versions } = decided);
      return decided.records;
    });
    return versions;
  }

  /** @returns the number of the version that went. */
  async deleteVersion(subject: string, wanted: number | "latest", permanent: boolean): Promise<number> {
    let version = 0;
    await this.#change((state) => {
      const decided = deleteVersion(state, subject, wanted, permanent);
      ({ version } = decided);
      return decided.records;
    });
    return version;
  }

  /** @param scope a subject, a namespace's scope, or GLOBAL. */
  async setConfig(scope: string, config: SubjectConfig): Promise<void> {
    checkScope(scope);
    await this.#change((state) => setConfig(state, scope, config));
  }

  async unsetConfig(scope: string): Promise<Compatibility> {
    let was: Compatibility = "NONE";
    await this.#change((state) => {
      const decided = unsetConfig(state, scope);
      ({ was } = decided);
      return decided.records;
    });
    return was;
  }

  async setMode(scope: string, mode: Mode, force: boolean): Promise<void> {
    checkScope(scope);
    await this.#change((state) => setMode(state, scope, mode, force));
  }

  async unsetMode(scope: string): Promise<Mode> {
    let was: Mode = "READWRITE";
    await this.#change((state) => {
      const decided = unsetMode(state, scope);
      ({ was } = decided);
      return decided.records;
    });
    return was;
  }

  #read(state: SchemaState, request: SchemaRequest): Parsed {
    const { schemaBytesMax } = this.#limits;
    const bytes = Buffer.byteLength(request.schema);
    if (bytes > schemaBytesMax) {
      const message = `Invalid schema: it has ${bytes} bytes, and at most ${schemaBytesMax} are accepted (schemaBytesMax)`;
      throw fault("schema_invalid", CODE.schemaTooLarge, message);
    }
    const { subject } = request;
    return this.#reader.read(
      request,
      splitSubject(subject).namespace,
      request.normalize ?? state.normalizesOf(subject),
    );
  }

  #change(decide: (state: SchemaState) => readonly MetadataChange[]): Promise<void> {
    return this.#metadata.change(({ schemas }) => decide(schemas));
  }
}

/** A scope that is no subject ends in a colon, or is all. */
function checkScope(scope: string): void {
  if (scope !== "" && splitSubject(scope).name !== "") checkSubject(scope);
}
