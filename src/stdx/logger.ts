/** Structured logs: one line of JSON for each event, written by pino to whatever takes lines. */
import { type LevelWithSilent, pino, stdSerializers } from "pino";

export type LogLevel = "debug" | "info" | "warn" | "error";

export type LogFields = Readonly<Record<string, unknown>>;

export interface Logger {
  debug(message: string, fields?: LogFields): void;
  info(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  error(message: string, fields?: LogFields): void;
  /** As `info`, whatever the level: what has to be kept, such as who did what. */
  always(message: string, fields?: LogFields): void;
  /** A logger whose lines carry these fields too. */
  with(fields: LogFields): Logger;
}

/** From the least to the gravest. */
export const LOG_LEVELS: readonly LogLevel[] = ["debug", "info", "warn", "error"];

/**
 * @param level of the least that is written; asked for each line, so that it can change.
 * @param write receives whole lines, newline included.
 */
export function createLogger(
  level: LogLevel | (() => LogLevel),
  write: (line: string) => void,
  base: LogFields = {},
): Logger {
  const least = typeof level === "string" ? () => level : level;
  return loggerOf("debug", write, (of) => LOG_LEVELS.indexOf(of) >= LOG_LEVELS.indexOf(least())).with(base);
}

/** Hears everything and says nothing. */
export const silentLogger: Logger = loggerOf(
  "silent",
  () => undefined,
  () => false,
);

type IsWanted = (level: LogLevel) => boolean;

function loggerOf(level: LevelWithSilent, write: (line: string) => void, isWanted: IsWanted): Logger {
  const options = {
    level,
    base: null,
    messageKey: "message",
    serializers: { error: stdSerializers.err, cause: stdSerializers.err },
    timestamp: () => `,"time":"${new Date().toISOString()}"`,
    formatters: { level: (label: string) => ({ level: label }) },
  };
  return wrap(pino(options, { write }), isWanted);
}

type Lines = Pick<pino.Logger, LogLevel> & { child(fields: LogFields): Lines };

function wrap(lines: Lines, isWanted: IsWanted): Logger {
  const say =
    (level: LogLevel) =>
    (message: string, fields: LogFields = {}): void => {
      if (isWanted(level)) lines[level](fields, message);
    };
  return {
    debug: say("debug"),
    info: say("info"),
    warn: say("warn"),
    error: say("error"),
    always: (message, fields = {}) => lines.info(fields, message),
    with: (fields) => wrap(lines.child(fields), isWanted),
  };
}
