/** The connections of the whole broker: each worker knows its own, and is asked. */
import type { Mailroom } from "../broker/index.ts";
import type { SessionHub } from "./hub.ts";
import type { ConnectionRow } from "./session.ts";

const LIST_REQUEST = "connections.list";
const CLOSE_REQUEST = "connections.close";

export interface ListRequest {
  /** Only those of this namespace. */
  readonly namespace: string | null;
  /** Only those of this principal. */
  readonly principal: string | null;
  /** The id of the last one of the page before. */
  readonly after: string | null;
  readonly limit: number;
}

interface CloseRequest {
  readonly id: string;
  readonly message: string;
}

export class Connections {
  readonly #mailroom: Mailroom;
  readonly #hub: SessionHub;
  readonly #epoch: number;

  constructor(mailroom: Mailroom, hub: SessionHub, epoch: number) {
    this.#mailroom = mailroom;
    this.#hub = hub;
    this.#epoch = epoch;
    mailroom.onRequest(LIST_REQUEST, (request: ListRequest) => this.#own(request));
    mailroom.onRequest(CLOSE_REQUEST, (request: CloseRequest) => this.#close(request));
  }

  /** In the order of worker and serial number. Each worker gives one more than is wanted at the most. */
  async list(request: ListRequest): Promise<{ connections: ConnectionRow[]; next: string | null }> {
    const { limit } = request;
    const first = placeOf(request.after)?.worker ?? 0;
    const found: ConnectionRow[] = [];
    for (let worker = first; worker < this.#mailroom.workers && found.length <= limit; worker += 1) {
      const left = { ...request, limit: limit + 1 - found.length };
      found.push(...(await this.#mailroom.request<ConnectionRow[]>(worker, LIST_REQUEST, left)));
    }
    const connections = found.slice(0, limit);
    return { connections, next: found.length > limit ? (connections.at(-1)?.id ?? null) : null };
  }

  /** @returns whether there was such a connection. */
  async close(id: string, message: string): Promise<boolean> {
    const place = placeOf(id);
    if (place === undefined || place.epoch !== this.#epoch || place.worker >= this.#mailroom.workers) return false;
    return await this.#mailroom.request<boolean>(place.worker, CLOSE_REQUEST, { id, message });
  }

  #own({ namespace, principal, after, limit }: ListRequest): ConnectionRow[] {
    const place = placeOf(after);
    const afterSerial = place?.worker === this.#mailroom.worker ? place.serial : 0;
    const rows: ConnectionRow[] = [];
    // A hub has its sessions in the order in which they came.
    for (const session of this.#hub.sessions()) {
      if (rows.length >= limit) break;
      if (session.serial <= afterSerial) continue;
      if (namespace !== null && session.namespace !== namespace) continue;
      if (principal !== null && session.principal.name !== principal) continue;
      rows.push(session.describe());
    }
    return rows;
  }

  #close({ id, message }: CloseRequest): boolean {
    for (const session of this.#hub.sessions()) {
      if (session.owner !== id) continue;
      session.goodbye("connection_closed", message);
      return true;
    }
    return false;
  }
}

interface Place {
  readonly epoch: number;
  readonly worker: number;
  readonly serial: number;
}

/** Of a connection's id; undefined for what is none. */
function placeOf(id: string | null): Place | undefined {
  const [, epoch, worker, serial] = /^(\d{1,15})\.(\d{1,4})\.(\d{1,15})$/.exec(id ?? "") ?? [];
  if (serial === undefined) return undefined;
  return { epoch: Number(epoch), worker: Number(worker), serial: Number(serial) };
}
