export { compileSteps, messagesOf, OUTPUTS_MAX, type StepSources, type Transform } from "./compile.ts";
export {
  type AvroDefinition,
  type AvroReader,
  DEFAULT_MEMORY_BYTES,
  DEFAULT_TIMEOUT_MS,
  type Definition,
  type FunctionDefinition,
  nameOf,
  parseDefinition,
  type Source,
  type StepDefinition,
  usesFunctions,
} from "./definition.ts";
export { detect, type Format } from "./detect.ts";
export { failed, reasonOf } from "./fault.ts";
export { functionStep, type TransformContext, type TransformFunction, type TransformResult } from "./function.ts";
export { type Headers, type Target, TransformMessage } from "./message.ts";
export type { Outcome, Step } from "./step.ts";
