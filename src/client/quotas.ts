import { Op } from "../protocol/index.ts";
import type { Client } from "./client.ts";

/** Quotas: how fast a namespace, or a user, may publish. Senders past it are held back; nothing is refused. */

export interface QuotaOwner {
  kind: "namespace" | "user";
  name: string;
}

/** Of all connections of the owner together; at least one of the two limits. */
export interface QuotaRequest extends QuotaOwner {
  messagesPerSec?: number;
  /** Bytes of publish frames. */
  bytesPerSec?: number;
  /** So much of a pause may be made up for at once. Default 1,000. */
  burstMs?: number;
}

export interface Quota extends QuotaOwner {
  messagesPerSec: number | null;
  bytesPerSec: number | null;
  burstMs: number;
}

export class Quotas {
  private readonly client: Client;

  constructor(client: Client) {
    this.client = client;
  }

  /** Sets a quota, instead of the one that its owner had. Errors: invalid_argument, limit_exceeded. */
  async put(quota: QuotaRequest, signal?: AbortSignal): Promise<void> {
    await this.client.ask(Op.QUOTA_PUT, [quota], signal);
  }

  /** Takes a quota away. Returns whether there was one. */
  async delete(owner: QuotaOwner, signal?: AbortSignal): Promise<boolean> {
    const answer = await this.client.ask(Op.QUOTA_DELETE, [owner], signal);
    return (answer as { deleted: boolean }).deleted;
  }

  /** All quotas of the broker. */
  async list(signal?: AbortSignal): Promise<Quota[]> {
    const answer = await this.client.ask(Op.QUOTA_LIST, [{}], signal);
    return (answer as { quotas: Quota[] }).quotas;
  }
}
