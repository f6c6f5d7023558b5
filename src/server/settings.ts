/** The configuration of a running broker, which each of its threads holds a copy of. */
import type { Mailroom } from "../broker/index.ts";
import { type Config, configEntries, LIVE_KEYS, readChanges } from "../config/index.ts";
import type { Logger } from "../stdx/index.ts";

const CHANGE_REQUEST = "config.change";

export class Settings {
  readonly #config: Config;
  /** As the broker started. */
  readonly #start: Config;
  readonly #mailroom: Mailroom;
  readonly #logger: Logger;

  /** @param config which all parts of this thread look at; it is changed in place. */
  constructor(config: Config, mailroom: Mailroom, logger: Logger) {
    this.#config = config;
    this.#start = { ...config };
    this.#mailroom = mailroom;
    this.#logger = logger;
    mailroom.onRequest(CHANGE_REQUEST, (changes: Partial<Config>) => void Object.assign(config, changes));
  }

  /** Every setting with its value in force. */
  list(): Record<string, unknown>[] {
    const keys = Object.keys(this.#start) as (keyof Config)[];
    const isChanged = (key: keyof Config): boolean => this.#config[key] !== this.#start[key];
    const sources = Object.fromEntries(keys.map((key) => [key, isChanged(key) ? "change" : "start"]));
    const entries = configEntries({ config: this.#config, sources: sources as Record<keyof Config, string> });
    return entries.map((entry) => ({
      ...entry,
      isLive: LIVE_KEYS.includes(entry.key),
      isChanged: isChanged(entry.key),
    }));
  }

  /** Changes settings on all threads, until the broker stops. @throws invalid_config, config_fixed. */
  async change(changes: Readonly<Record<string, unknown>>): Promise<void> {
    const values = readChanges(changes, this.#start, this.#config);
    await this.#mailroom.requestAll(CHANGE_REQUEST, values);
    this.#logger.info("the configuration was changed", { changes: values });
  }
}
