import { Op } from "../protocol/index.ts";
import type { Client } from "./client.ts";

/** Who is connected to the broker, over all of its threads. */

export interface ConnectionInfo {
  id: string;
  worker: number;
  /** The name that the client gives itself. */
  client: string;
  principal: string;
  kind: string;
  /** Empty before the handshake. */
  namespace: string;
  remote: string;
  transport: "tcp" | "ws";
  openedMs: number;
  publishers: number;
  subscriptions: number;
  requestsInFlight: number;
  unsentBytes: number;
}

export interface ConnectionFilter {
  /** Only those of this namespace, or this principal. */
  namespace?: string;
  principal?: string;
}

export class Connections {
  private readonly client: Client;

  constructor(client: Client) {
    this.client = client;
  }

  /** All of them, page by page. Errors: unauthorized. */
  async list(filter: ConnectionFilter = {}, signal?: AbortSignal): Promise<ConnectionInfo[]> {
    const found: ConnectionInfo[] = [];
    let after: string | null = null;
    do {
      const answer = await this.client.ask(Op.CONNECTION_LIST, [{ ...filter, after }], signal);
      const { connections, next } = answer as { connections: ConnectionInfo[]; next: string | null };
      found.push(...connections);
      after = next;
    } while (after !== null);
    return found;
  }

  /** Closes one; its client hears `connection_closed` with the reason. Returns whether there was one. Errors: unauthorized. */
  async close(id: string, reason?: string, signal?: AbortSignal): Promise<boolean> {
    const answer = await this.client.ask(Op.CONNECTION_CLOSE, [{ id, reason: reason ?? null }], signal);
    return (answer as { closed: boolean }).closed;
  }
}
