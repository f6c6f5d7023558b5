/** Small things that every part may use and that know nothing of Millrace. */
export { type Clock, ManualClock, systemClock } from "./clock.ts";
export { type CronPlace, cronTimeAfter } from "./cron.ts";
export { createLogger, type LogFields, type Logger, type LogLevel, silentLogger } from "./logger.ts";
export { editDistance, nearestName } from "./nearest.ts";
export { formatBytes, formatMilliseconds, parseBytes, parseMilliseconds } from "./units.ts";
export { wide } from "./wide.ts";
