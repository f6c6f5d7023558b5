import { Op } from "../protocol/index.ts";
import type { Client } from "./client.ts";

/** Quotas: what a namespace, or a user, may have. Senders past a rate are held back; what is counted is refused past its limit. */

export interface QuotaOwner {
  kind: "namespace" | "user";
  name: string;
}

/** Of all that the owner has together; at least one of the limits. */
export interface QuotaRequest extends QuotaOwner {
  messagesPerSec?: number;
  /** Bytes of publish frames. */
  bytesPerSec?: number;
  /** Connections beyond are refused with quota_exceeded; those that are open stay. */
  connectionsMax?: number;
  /** Bytes of logs: of all in the namespace, or of topics that the user created. Publishes beyond are refused. */
  storageBytesMax?: number;
  /** Topics in the namespace, or that the user created. */
  topicsMax?: number;
  queuesMax?: number;
  /** So much of a pause may be made up for at once. Default 1,000. */
  burstMs?: number;
}

export interface Quota extends QuotaOwner {
  messagesPerSec: number | null;
  bytesPerSec: number | null;
  connectionsMax: number | null;
  storageBytesMax: number | null;
  topicsMax: number | null;
  queuesMax: number | null;
  burstMs: number;
  /** What the owner has now. */
  used: { connections: number; storageBytes: number; topics: number; queues: number };
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
