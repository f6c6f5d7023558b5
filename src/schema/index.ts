export { compileAvro } from "./compile.ts";
export {
  conflictsOf,
  deleteSubject,
  deleteVersion,
  register,
  type Registered,
  type RegisterRequest,
  requireVersion,
  type SchemaLimits,
  setConfig,
  setMode,
  unsetConfig,
  unsetMode,
} from "./changes.ts";
export { CODE, fault, schemaNotFound, subjectNotFound, unsupported, versionNotFound } from "./faults.ts";
export { type Parsed, schemaTypeOf, SchemaReader } from "./parsed.ts";
export { COMPATIBILITY_DEFAULT, MODE_DEFAULT, type SchemaEvent, SchemaState } from "./state.ts";
export {
  checkSubject,
  DEFAULT_NAMESPACE,
  GLOBAL,
  namespaceScope,
  normalizeSubject,
  qualify,
  splitSubject,
  subjectFor,
} from "./subjects.ts";
export {
  COMPATIBILITIES,
  type Compatibility,
  type Mode,
  MODES,
  type Reference,
  type Schema,
  SCHEMA_TYPES,
  type SchemaSource,
  type SchemaType,
  STRATEGIES,
  type SubjectConfig,
  type SubjectStrategy,
  type Version,
} from "./types.ts";
