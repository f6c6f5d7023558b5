import { Op } from "../protocol/index.ts";
import type { Client } from "./client.ts";

/** All definitions of the broker as one file: everything but messages, offsets and connections. */

export interface DefinitionsImport {
  dryRun: boolean;
  /** `rabbitmq` for a file that RabbitMQ has exported. */
  format: "millrace" | "rabbitmq";
  /** By the names of the file's lists. */
  counts: Record<string, { created: number; unchanged: number }>;
  /** What was not taken over as it stands. */
  notes: { line: number; path: string; text: string }[];
}

export class DefinitionsFile {
  private readonly client: Client;

  constructor(client: Client) {
    this.client = client;
  }

  /** As a JSON value, with the hashes of passwords in it. */
  async export(signal?: AbortSignal): Promise<Record<string, unknown>> {
    const answer = await this.client.ask(Op.DEFINITIONS_EXPORT, [{}], signal);
    return (answer as { definitions: Record<string, unknown> }).definitions;
  }

  /**
   * Makes what a file holds and is not there yet: all of it or nothing. What is there alike stays.
   *
   * Errors: definitions_invalid, which names the line.
   *
   * @param text JSON of an export, or of RabbitMQ's.
   */
  async import(text: string, options: { dryRun?: boolean; signal?: AbortSignal } = {}): Promise<DefinitionsImport> {
    const { dryRun = false, signal } = options;
    return (await this.client.ask(Op.DEFINITIONS_IMPORT, [{ text, dryRun }], signal)) as DefinitionsImport;
  }
}
