/** Small things that every part may use and that know nothing of Millrace. */
export {
  type BackupManifest,
  type BackupPartition,
  type LogKind,
  MANIFEST_FILE,
  MANIFEST_FORMAT,
  manifestText,
  readManifest,
} from "./backup-manifest.ts";
export { type Clock, ManualClock, systemClock } from "./clock.ts";
export { type CronPlace, cronTimeAfter } from "./cron.ts";
export { createLogger, type LogFields, type Logger, type LogLevel, silentLogger } from "./logger.ts";
export { editDistance, nearestName } from "./nearest.ts";
export { compilePattern, patternFault, PatternSet, splitWords } from "./patterns.ts";
export {
  type ClientFirst,
  decodeBase64,
  encodeBase64,
  equalBytes,
  exclusiveOr,
  hashOf,
  isScramMechanism,
  newNonce,
  PASSWORD_ITERATIONS,
  preparePassword,
  readClientFinal,
  readClientFirst,
  readServerFirst,
  SCRAM_ITERATIONS_MAX,
  SCRAM_ITERATIONS_MIN,
  SCRAM_MECHANISMS,
  SCRAM_MESSAGE_BYTES_MAX,
  ScramClient,
  ScramError,
  type ScramMechanism,
} from "./scram.ts";
export { formatBytes, formatMilliseconds, parseBytes, parseMilliseconds } from "./units.ts";
export { wide } from "./wide.ts";
