/**
 * Messages between the workers of one process, over the engine's mailbox: requests with an answer, and notices.
 * A message to the own worker takes the same way through the handlers, only without the detour.
 */
import { Packr, Unpackr } from "msgpackr";
import { MillraceError } from "../errors/index.ts";
import type { ErrorName } from "../errors/index.ts";

/** The part of the engine that carries mail. */
export interface Post {
  readonly worker: number;
  readonly workers: number;
  post(worker: number, message: Uint8Array): void;
}

export type RequestHandler = (payload: never, from: number) => unknown;
export type NoticeHandler = (payload: never, from: number) => void;

const NOTICE = 0;
const REQUEST = 1;
const DONE = 2;
const FAILED = 3;
const ANSWER_TIMEOUT_MS = 10_000;

type Message = [kind: number, id: number, from: number, name: string, payload: unknown];

interface Waiter {
  resolve(value: unknown): void;
  reject(error: unknown): void;
  timer: Timer;
}

export class Mailroom {
  readonly #post: Post;
  readonly #packr = new Packr({ useRecords: false, encodeUndefinedAsNil: true });
  readonly #unpackr = new Unpackr({ useRecords: false, mapsAsObjects: true });
  readonly #requests = new Map<string, RequestHandler>();
  readonly #notices = new Map<string, NoticeHandler>();
  readonly #waiters = new Map<number, Waiter>();
  #lastId = 0;

  constructor(post: Post) {
    this.#post = post;
  }

  get worker(): number {
    return this.#post.worker;
  }

  get workers(): number {
    return this.#post.workers;
  }

  onRequest(name: string, handler: RequestHandler): void {
    this.#requests.set(name, handler);
  }

  onNotice(name: string, handler: NoticeHandler): void {
    this.#notices.set(name, handler);
  }

  /** @throws what the handler threw; timeout when the worker does not answer within 10 s. */
  async request<T>(worker: number, name: string, payload: unknown): Promise<T> {
    if (worker === this.worker) return (await this.#handle(name, payload, worker)) as T;
    this.#lastId += 1;
    const id = this.#lastId;
    const answer = new Promise<unknown>((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#waiters.delete(id);
        reject(new MillraceError("timeout", `worker ${worker} did not answer ${name} within ${ANSWER_TIMEOUT_MS} ms`));
      }, ANSWER_TIMEOUT_MS);
      this.#waiters.set(id, { resolve, reject, timer });
    });
    this.#send(worker, [REQUEST, id, this.worker, name, payload]);
    return (await answer) as T;
  }

  /** Answers of all workers, in the order of their numbers. */
  requestAll<T>(name: string, payload: unknown): Promise<T[]> {
    return Promise.all(Array.from({ length: this.workers }, (_, worker) => this.request<T>(worker, name, payload)));
  }

  notify(worker: number, name: string, payload: unknown): void {
    if (worker === this.worker) this.#notices.get(name)?.(payload as never, worker);
    else this.#send(worker, [NOTICE, 0, this.worker, name, payload]);
  }

  /** To all workers but this one. */
  notifyOthers(name: string, payload: unknown): void {
    for (let worker = 0; worker < this.workers; worker += 1) {
      if (worker !== this.worker) this.notify(worker, name, payload);
    }
  }

  /** Takes in what the engine's turn delivered. */
  deliver(bytes: Uint8Array): void {
    const [kind, id, from, name, payload] = this.#unpackr.unpack(bytes) as Message;
    if (kind === NOTICE) this.#notices.get(name)?.(payload as never, from);
    else if (kind === REQUEST) void this.#answer(id, from, name, payload);
    else this.#settle(id, kind, payload);
  }

  /** Ends waiting requests; for shutdown. */
  close(): void {
    for (const waiter of this.#waiters.values()) {
      clearTimeout(waiter.timer);
      waiter.reject(new MillraceError("shutting_down", "the broker is shutting down"));
    }
    this.#waiters.clear();
  }

  async #answer(id: number, from: number, name: string, payload: unknown): Promise<void> {
    try {
      const result = await this.#handle(name, payload, from);
      this.#send(from, [DONE, id, this.worker, name, result ?? null]);
    } catch (error) {
      const known = error instanceof MillraceError ? error : new MillraceError("internal", String(error));
      this.#send(from, [FAILED, id, this.worker, name, [known.codeName, known.message, known.details ?? null]]);
    }
  }

  async #handle(name: string, payload: unknown, from: number): Promise<unknown> {
    const handler = this.#requests.get(name);
    if (handler === undefined) throw new MillraceError("internal", `no worker handles ${name}`);
    return handler(payload as never, from);
  }

  #settle(id: number, kind: number, payload: unknown): void {
    const waiter = this.#waiters.get(id);
    if (waiter === undefined) return;
    this.#waiters.delete(id);
    clearTimeout(waiter.timer);
    if (kind === DONE) {
      waiter.resolve(payload);
      return;
    }
    const [name, message, details] = payload as [ErrorName, string, Record<string, unknown> | null];
    waiter.reject(new MillraceError(name, message, details === null ? {} : { details }));
  }

  #send(worker: number, message: Message): void {
    this.#post.post(worker, this.#packr.pack(message));
  }
}
