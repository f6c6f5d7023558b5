import { Op } from "../protocol/index.ts";
import type { Client } from "./client.ts";

/** Namespaces: tenants, each with names, quotas and permissions of its own. */

export interface Namespace {
  name: string;
  /** Null for one that nobody declared, as `createdMs`. */
  description: string | null;
  createdMs: number | null;
  topics: number;
  exchanges: number;
  queues: number;
  schedules: number;
  transforms: number;
  subjects: number;
  /** Of the logs of its topics and queues. */
  storageBytes: number;
}

export class Namespaces {
  private readonly client: Client;

  constructor(client: Client) {
    this.client = client;
  }

  /** Declares a namespace, or changes its description. Returns whether it is new. Errors: invalid_argument, limit_exceeded. */
  async put(name: string, options: { description?: string } = {}, signal?: AbortSignal): Promise<boolean> {
    const answer = await this.client.ask(Op.NAMESPACE_PUT, [{ name, ...options }], signal);
    return (answer as { created: boolean }).created;
  }

  /**
   * Takes a namespace away; with `force` also what is in it, but for schemas. Errors: namespace_not_found, not_empty,
   * invalid_argument for `default`.
   */
  async delete(name: string, options: { force?: boolean } = {}, signal?: AbortSignal): Promise<void> {
    await this.client.ask(Op.NAMESPACE_DELETE, [{ name, ...options }], signal);
  }

  /** Those that are declared or hold something, by name, as far as this user may enter them. */
  async list(signal?: AbortSignal): Promise<Namespace[]> {
    const found: Namespace[] = [];
    for (let after: string | null = ""; after !== null;) {
      const answer = await this.client.ask(Op.NAMESPACE_LIST, [{ after }], signal);
      const page = answer as { namespaces: Namespace[]; next: string | null };
      found.push(...page.namespaces);
      after = page.next;
    }
    return found;
  }
}
