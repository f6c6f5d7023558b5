/** Structured logs: one line of JSON for each event, written by pino to whatever takes lines. */
import { type LevelWithSilent, pino, stdSerializers } from "pino";

export type LogLevel = "debug" | "info" | "warn" | "error";

export type LogFields = Readonly<Record<string, unknown>>;

export interface Logger {
  debug(message: string, fields?: LogFields): void;
  info(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  error(message: string, fields?: LogFields): void;
  /** A logger whose lines carry these fields too. */
  with(fields: LogFields): Logger;
}

/** @param write receives whole lines, newline included. */
export function createLogger(level: LogLevel, write: (line: string) => void, base: LogFields = {}): Logger {
  return loggerOf(level, write).with(base);
}

/** Hears everything and says nothing. */
export const silentLogger: Logger = loggerOf("silent", () => undefined);

function loggerOf(level: LevelWithSilent, write: (line: string) => void): Logger {
  const options = {
    level,
    base: null,
    messageKey: "message",
    serializers: { error: stdSerializers.err, cause: stdSerializers.err },
    timestamp: () => `,"time":"${new Date().toISOString()}"`,
    formatters: { level: (label: string) => ({ level: label }) },
  };
  return wrap(pino(options, { write }));
}

type Lines = Pick<pino.Logger, LogLevel> & { child(fields: LogFields): Lines };

function wrap(lines: Lines): Logger {
  return {
    debug: (message, fields = {}) => lines.debug(fields, message),
    info: (message, fields = {}) => lines.info(fields, message),
    warn: (message, fields = {}) => lines.warn(fields, message),
    error: (message, fields = {}) => lines.error(fields, message),
    with: (fields) => wrap(lines.child(fields)),
  };
}
