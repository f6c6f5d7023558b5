/**
 * One connection's session of the native protocol: handshake, heartbeats, requests. Publishes, credit and deliveries do
 * not pass here; the core handles them.
 *
 *     1 HELLO [1, corr, {version: [min, max], features, client, namespace, heartbeatMs, auth}] -> OK
 *     7 AUTH_CHALLENGE [7, corr, data]   8 AUTH_RESPONSE [8, corr, data]     between HELLO and its OK (log-in.ts)
 *     2 PING [2, token]   3 PONG [3, token]   4 GOODBYE [4, code, message]     both ways
 *     5 OK [5, corr, result]   6 ERROR [6, corr, code, name, message, retryable, details]
 */
import type { ErrorName } from "../errors/index.ts";
import { ERRORS, isMillraceError, MillraceError, toMillraceError } from "../errors/index.ts";
import type { Connection, ConnectionHandler } from "../net/index.ts";
import { decodeControl, encodeError, encodeFrame, encodeOk, Op } from "../protocol/index.ts";
import type { Operation as Permission, Principal, Resource } from "../security/index.ts";
import { anonymous } from "../security/index.ts";
import type { Caller } from "./caller.ts";
import { type GroupSubscription, requireGroup } from "./group-subscription.ts";
import { type Hello, parseHello, welcome } from "./handshake.ts";
import { type LoggedIn, LogIn } from "./log-in.ts";
import type { Running } from "./operation.ts";
import { type PublisherTarget, recheck } from "./revocation.ts";
import type { SessionServices } from "./services.ts";
import type { Subscription } from "./subscriptions.ts";

/** A peer is gone after this many heartbeat intervals of silence. */
const SILENT_INTERVALS_MAX = 3;

/** A connection as it is listed. */
export interface ConnectionRow {
  /** Names it among all that this data directory ever had. */
  readonly id: string;
  readonly worker: number;
  readonly client: string;
  readonly principal: string;
  readonly kind: Principal["kind"];
  /** Empty before the handshake. */
  readonly namespace: string;
  readonly remote: string;
  readonly transport: "tcp" | "ws";
  readonly openedMs: number;
  readonly publishers: number;
  readonly subscriptions: number;
  readonly requestsInFlight: number;
  readonly unsentBytes: number;
}

export class Session implements Caller, ConnectionHandler {
  readonly serial: number;
  readonly services: SessionServices;
  readonly publishers = new Map<number, PublisherTarget>();
  readonly subscriptions = new Map<number, Subscription>();
  /** Ids of the exclusive queues that belong to this connection and go with it. */
  readonly ownQueues = new Set<number>();
  namespace = "";
  clientName = "";
  principal: Principal = anonymous("");
  isClosed = false;
  readonly #connection: Connection;
  readonly #openedMs: number;
  #isOpen = false;
  /** Between HELLO and its answer. */
  #handshake: { readonly correlation: number; readonly hello: Hello; readonly logIn: LogIn } | undefined;
  /** A refused log-in that waits for its answer. Nothing that the peer sends meanwhile is looked at. */
  #refusal: { readonly atMs: number; readonly correlation: number; readonly error: unknown } | undefined;
  #saidGoodbye = false;
  #inFlight = 0;
  #heartbeatMs = 0;
  #heardMs: number;
  #pingedMs: number;

  constructor(connection: Connection, services: SessionServices) {
    this.#connection = connection;
    this.services = services;
    this.serial = services.hub.nextSerial();
    this.#openedMs = services.monotonicMs();
    this.#heardMs = this.#openedMs;
    this.#pingedMs = this.#openedMs;
    services.hub.add(this);
    services.handshakes.begin(this);
  }

  get session(): this {
    return this;
  }

  get connectionId(): number {
    return this.#connection.id;
  }

  /** Names this connection among all that this data directory ever had. */
  get owner(): string {
    const { epoch, worker } = this.services.engine;
    return `${epoch}.${worker}.${this.serial}`;
  }

  /** Requests that were not answered yet. */
  get inFlight(): number {
    return this.#inFlight;
  }

  describe(): ConnectionRow {
    const { engine, monotonicMs } = this.services;
    const { transport, unsentBytes } = this.#connection;
    return {
      id: this.owner,
      worker: engine.worker,
      client: this.clientName,
      principal: this.#isOpen ? this.principal.name : "",
      kind: this.principal.kind,
      namespace: this.namespace,
      remote: transport.remote,
      transport: transport.kind,
      openedMs: Math.round(engine.now() - (monotonicMs() - this.#openedMs)),
      publishers: this.publishers.size,
      subscriptions: this.subscriptions.size,
      requestsInFlight: this.#inFlight,
      unsentBytes,
    };
  }

  /** Counts for the quotas again, which have changed. */
  attachQuotas(): void {
    if (this.#isOpen && !this.isClosed) this.#countForQuotas(false);
  }

  /** Users or rules have changed. */
  onAccessChanged(): void {
    if (this.#isOpen && !this.isClosed && !this.#connection.isClosing) recheck(this);
  }

  /** Counts what a request publishes, and holds the sender back where that is past a quota. */
  charge(messages: number, bytes: number): void {
    if (this.services.engine.connectionCharge(this.connectionId, messages, bytes)) this.#connection.pause();
  }

  #countForQuotas(isNew: boolean): void {
    const owner = { namespace: this.namespace, user: this.principal.name };
    this.services.quotas.attach(this.connectionId, owner, isNew);
  }

  send(frame: Uint8Array): void {
    this.#connection.send(frame);
  }

  /** @throws unauthorized. */
  authorize(permission: Permission, resource: Resource): void {
    this.services.authorizer.authorize(this.principal, permission, resource);
  }

  isAllowed(permission: Permission, resource: Resource): boolean {
    return this.services.authorizer.isAllowed(this.principal, permission, resource);
  }

  groupSubscription(sub: number): GroupSubscription {
    return requireGroup(this.subscriptions.get(sub), sub);
  }

  /** Forgets a subscription here and in the engine. */
  dropSubscription(sub: number): void {
    const subscription = this.subscriptions.get(sub);
    if (subscription !== undefined) this.services.hub.unfollow(subscription);
    this.subscriptions.delete(sub);
    if (!this.isClosed) this.services.engine.subscriptionClose(this.connectionId, sub);
  }

  /** Ends the connection with a reason that the client can act on. */
  goodbye(error: ErrorName, message: string): void {
    this.#connection.close(encodeFrame(Op.GOODBYE, ERRORS[error].code, message));
  }

  // What the connection tells.

  control(frames: Uint8Array): void {
    try {
      for (const { op, args } of decodeControl(frames, this.services.limits.frameBytesMax)) {
        this.#dispatch(op, args);
        if (this.#connection.isClosing || this.#refusal !== undefined) return;
      }
    } catch (error) {
      const fault = toMillraceError(error);
      if (!isMillraceError(error)) this.services.logger.error("a control frame could not be handled", { error });
      this.goodbye(fault.codeName, fault.codeName === "internal" ? "internal error" : fault.message);
    }
  }

  sourceEnded(sub: number, source: number): void {
    this.subscriptions.get(sub)?.sourceEnded(source);
  }

  closed(): void {
    if (this.isClosed) return;
    this.isClosed = true;
    this.services.hub.delete(this);
    this.services.handshakes.end(this);
    const how = this.#saidGoodbye ? "closed" : "lost";
    for (const subscription of this.subscriptions.values()) {
      subscription.close(how).catch((error: unknown) => {
        this.services.logger.debug("a subscription could not be closed", { error });
      });
    }
    this.subscriptions.clear();
    this.publishers.clear();
    this.services.transactions.sessionClosed(this.serial);
    void this.services.queueLife.connectionClosed(this.ownQueues);
  }

  /**
   * Called several times a second.
   *
   * @param mayPing false where others were pinged in this round already, and a little later is soon enough.
   * @returns whether it was pinged.
   */
  tick(nowMs: number, mayPing: boolean): boolean {
    if (this.#connection.isClosing) return false;
    if (this.#connection.heard || this.#connection.excusesSilence) {
      this.#connection.heard = false;
      this.#connection.took = false;
      this.#heardMs = nowMs;
    }
    if (this.#refusal !== undefined) {
      if (nowMs >= this.#refusal.atMs) this.giveWay();
      return false;
    }
    if (!this.#isOpen) {
      const { handshakeTimeoutMs } = this.services.limits;
      if (nowMs - this.#openedMs >= handshakeTimeoutMs)
        this.goodbye("timeout", `no HELLO within ${handshakeTimeoutMs} ms`);
      return false;
    }
    const { expiresAtMs } = this.principal;
    if (expiresAtMs !== undefined && Date.now() >= expiresAtMs) {
      this.goodbye("unauthenticated", "the token has expired: log in with a new one");
      return false;
    }
    const silentMs = nowMs - this.#heardMs;
    if (silentMs > SILENT_INTERVALS_MAX * this.#heartbeatMs) {
      this.goodbye("heartbeat_missed", `nothing was heard for ${Math.round(silentMs)} ms`);
    } else if (mayPing && nowMs - this.#pingedMs >= this.#heartbeatMs) {
      this.#pingedMs = nowMs;
      this.send(encodeFrame(Op.PING, this.serial));
      return true;
    }
    return false;
  }

  #dispatch(op: number, args: unknown[]): void {
    const isOfHandshake = op === Op.HELLO || op === Op.GOODBYE || op === Op.AUTH_RESPONSE;
    if (!this.#isOpen && !isOfHandshake) {
      this.goodbye("handshake_required", "the first frame must be HELLO");
      return;
    }
    switch (op) {
      case Op.PING:
        this.send(encodeFrame(Op.PONG, args[0]));
        return;
      case Op.PONG:
        return;
      case Op.GOODBYE:
        this.#saidGoodbye = true;
        this.#connection.close(undefined);
        return;
      default:
        this.#request(op, args);
    }
  }

  #request(op: number, args: unknown[]): void {
    const [correlation, ...rest] = args;
    if (typeof correlation !== "number" || !Number.isInteger(correlation) || correlation < 0) {
      throw new MillraceError("malformed_frame", `op ${op} has no correlation id`);
    }
    if (op === Op.HELLO) this.#hello(correlation, rest);
    else if (op === Op.AUTH_RESPONSE) this.#respond(correlation, rest);
    else this.#run(op, correlation, rest);
  }

  #run(op: number, correlation: number, args: unknown[]): void {
    let running: Running;
    try {
      const operation = this.services.operations.get(op);
      if (operation === undefined) throw new MillraceError("unknown_op", undefined, { details: { op } });
      if (this.services.isStopping() && !operation.finishes) throw new MillraceError("shutting_down");
      const { requestsInFlightMax } = this.services.limits;
      if (this.#inFlight >= requestsInFlightMax) {
        throw new MillraceError(
          "limit_exceeded",
          `${requestsInFlightMax} requests are under way (requestsInFlightMax)`,
        );
      }
      running = operation.handle(this, args);
    } catch (error) {
      this.#refuse(correlation, error);
      return;
    }
    if (running.result instanceof Promise) void this.#finish(correlation, running);
    else this.#answer(correlation, running.result, running);
  }

  async #finish(correlation: number, running: Running): Promise<void> {
    this.#inFlight += 1;
    try {
      this.#answer(correlation, await running.result, running);
    } catch (error) {
      this.#refuse(correlation, error);
    } finally {
      this.#inFlight -= 1;
    }
  }

  #answer(correlation: number, result: unknown, running: Running): void {
    this.send(encodeOk(correlation, result));
    running.after();
  }

  #refuse(correlation: number, error: unknown): void {
    if (!isMillraceError(error)) this.services.logger.error("a request failed", { error });
    this.send(encodeError(correlation, error));
  }

  /** For whoever asks later whom a message came from or went to. */
  #noteName(): void {
    const { engine, tracer } = this.services;
    const { remote, kind: transport } = this.#connection.transport;
    tracer.book.note(this.connectionId, engine.connectionGeneration(this.connectionId), {
      connection: this.serial,
      remote,
      transport,
      client: this.clientName,
      principal: this.principal.name,
      namespace: this.namespace,
    });
  }

  #hello(correlation: number, args: unknown[]): void {
    if (this.#isOpen || this.#handshake !== undefined) {
      this.#refuse(correlation, new MillraceError("protocol_error", "the handshake is done or under way already"));
      return;
    }
    try {
      const { authenticator, limits } = this.services;
      const { peer } = this.#connection.transport;
      const hello = parseHello(args, limits.heartbeatMs);
      const logIn = new LogIn(authenticator, peer);
      this.#handshake = { correlation, hello, logIn };
      if (authenticator.isRequired || peer.isInternal) void this.#begin(logIn, hello);
      else this.#welcome({ identity: anonymous(hello.namespace) });
    } catch (error) {
      this.#reject(correlation, error);
    }
  }

  async #begin(logIn: LogIn, { auth }: Hello): Promise<void> {
    try {
      const step = await logIn.begin(auth);
      if (this.#connection.isClosing || this.#handshake === undefined) return;
      if (step instanceof Uint8Array) this.send(encodeFrame(Op.AUTH_CHALLENGE, this.#handshake.correlation, step));
      else this.#welcome(step);
    } catch (error) {
      if (this.#handshake !== undefined) this.#reject(this.#handshake.correlation, error);
    }
  }

  #respond(correlation: number, [data]: unknown[]): void {
    try {
      const handshake = this.#handshake;
      if (handshake === undefined || handshake.correlation !== correlation) {
        throw new MillraceError("protocol_error", "there is no log-in that this belongs to");
      }
      this.#welcome(handshake.logIn.respond(data));
    } catch (error) {
      if (this.#isOpen) this.#refuse(correlation, error);
      else this.#reject(correlation, error);
    }
  }

  /** The handshake is done. @throws what the peer may not do. */
  #welcome({ identity, final }: LoggedIn): void {
    const handshake = this.#handshake;
    if (handshake === undefined) return;
    const { hello, correlation } = handshake;
    this.principal = { ...identity, namespace: hello.namespace };
    this.authorize("connect", { kind: "namespace", namespace: hello.namespace, name: "" });
    this.services.namespaces.require(hello.namespace);
    if (this.services.isStopping()) throw new MillraceError("shutting_down");
    this.namespace = hello.namespace;
    this.clientName = hello.client;
    this.#heartbeatMs = hello.heartbeatMs;
    this.#countForQuotas(true);
    this.#handshake = undefined;
    this.services.handshakes.end(this);
    this.#isOpen = true;
    this.#noteName();
    this.#pingedMs = this.services.monotonicMs();
    this.send(encodeOk(correlation, welcome(hello, this, final)));
  }

  /** Refuses the handshake, which ends the connection. */
  #reject(correlation: number, error: unknown): void {
    const { handshakes, monotonicMs } = this.services;
    const waitMs = handshakes.refusalWaitMs();
    if (waitMs === 0) {
      this.#sendAway(correlation, error);
      return;
    }
    this.#refusal = { atMs: monotonicMs() + waitMs, correlation, error };
    this.#connection.pause();
  }

  /** Ends a connection that has not logged in, with the refusal that waits where there is one. */
  giveWay(): void {
    const { handshakesMax } = this.services.limits;
    if (this.#refusal !== undefined) this.#sendAway(this.#refusal.correlation, this.#refusal.error);
    else this.goodbye("limit_exceeded", `more than ${handshakesMax} connections are logging in (handshakesMax)`);
  }

  #sendAway(correlation: number, error: unknown): void {
    this.#refuse(correlation, error);
    const fault = toMillraceError(error);
    this.goodbye(fault.codeName, fault.codeName === "internal" ? "internal error" : fault.message);
  }
}
