import {
  canCompress,
  decodeContent,
  encodeFrame,
  FRAME_BYTES_MAX,
  FrameReader,
  type FrameSink,
  type MessagesHead,
  Op,
  opOf,
  type PartSink,
  readAck,
  readCredit,
  readDeliverHead,
  readMessagesHead,
  VERSION_MAX,
  VERSION_MIN,
} from "../protocol/index.ts";
import { asMillraceError, cancelled, clientError, type MillraceError, wireError } from "./errors.ts";
import { type Auth, LogIn } from "./auth.ts";
import { every } from "./timing.ts";
import { type Address, openTransport, type Transport } from "./transport.ts";

/** One connection's life: handshake, requests by correlation id, heartbeats, publish credit, and the frames of the data path handed on to publishers and subscriptions. */

/** Receives what concerns a publisher number. */
export interface PublisherSink {
  acked(correlation: number, count: number, partition: number, baseOffset: number | null, level: number): void;
  refused(correlation: number, count: number, error: MillraceError): void;
  creditReturned(): void;
  /** Records of a publish, by their positions, that went nowhere. Its answer comes behind. */
  returned(correlation: number, positions: readonly number[], error: MillraceError): void;
}

/** Receives what concerns a subscription number. */
export interface SubscriptionSink {
  /** Whole batches of one DELIVER frame, perhaps not all of it, stand at `start..end`; `frameBytes` is what they cost in credit. */
  delivered(source: number, bytes: Uint8Array, start: number, end: number, frameBytes: number): void;
  /** One delivery of a queue, whose batch ends at `end`. */
  messages?(head: MessagesHead, bytes: Uint8Array, end: number): void;
  /** SOURCE, SOURCE_END, DROPPED, ASSIGNMENT, SETTLE_FAILED and QUEUE_EVENT, without op and subscription. */
  notified(op: number, args: unknown[]): void;
}

export interface SessionLimits {
  frameBytesMax: number;
  batchBytesMax: number;
  messageBytesMax: number;
  subscriptionCreditBytesMax: number;
}

/** What the server answered to HELLO. */
export interface Welcome {
  version: number;
  features: string[];
  server: string;
  namespace: string;
  principal: string;
  connection: number;
  heartbeatMs: number;
  publishCreditBytes: number;
  limits: SessionLimits;
}

export interface SessionOptions {
  namespace: string;
  clientName: string;
  heartbeatMs: number;
  connectTimeoutMs: number;
  auth: Auth | null;
}

export interface SessionHost {
  publisher(number: number): PublisherSink | undefined;
  subscription(number: number): SubscriptionSink | undefined;
  publishers(): Iterable<PublisherSink>;
  /** The session is over; called once, after a successful handshake only. */
  sessionClosed(session: Session, error: MillraceError): void;
}

interface PendingRequest {
  resolve(result: unknown): void;
  reject(error: MillraceError): void;
}

/** What this client can do beyond version 1's ground. */
const FEATURES: readonly string[] = canCompress() ? ["zstd", "patterns", "groups"] : ["patterns", "groups"];
/** Frame heads count as credit too. */
const FRAME_HEAD = 5;
const SUBSCRIPTION_OPS: ReadonlySet<number> = new Set([
  Op.SOURCE,
  Op.SOURCE_END,
  Op.DROPPED,
  Op.ASSIGNMENT,
  Op.SETTLE_FAILED,
  Op.QUEUE_EVENT,
]);

export class Session {
  welcome!: Welcome;
  isOpen: boolean = true;
  private readonly host: SessionHost;
  private readonly reader = new FrameReader(2 * FRAME_BYTES_MAX);
  private readonly requests = new Map<number, PendingRequest>();
  private transport!: Transport;
  private credit = 0;
  private correlation = 0;
  private isReady = false;
  /** Hears of the server's challenge during the handshake. */
  private challenged: ((correlation: unknown, challenge: unknown) => void) | null = null;
  private goodbye: MillraceError | null = null;
  private heartbeat: ReturnType<typeof setInterval> | null = null;
  private hasReceived = false;
  private silentTicks = 0;

  private constructor(host: SessionHost) {
    this.host = host;
  }

  /** Connects and shakes hands. Errors: connection_lost, timeout, cancelled, and what the server refuses with. */
  static async open(
    address: Address,
    host: SessionHost,
    options: SessionOptions,
    signal?: AbortSignal,
  ): Promise<Session> {
    const session = new Session(host);
    const limit = new AbortController();
    const abort = (): void => limit.abort(cancelled(signal as AbortSignal));
    const timer = setTimeout(() => {
      limit.abort(clientError("timeout", `no handshake with ${address.url} in ${options.connectTimeoutMs} ms`));
    }, options.connectTimeoutMs);
    signal?.addEventListener("abort", abort, { once: true });
    try {
      signal?.throwIfAborted();
      await session.connect(address, options, limit.signal);
      return session;
    } catch (error) {
      session.isOpen = false;
      session.transport?.destroy();
      throw error === signal?.reason ? cancelled(signal as AbortSignal) : error;
    } finally {
      clearTimeout(timer);
      signal?.removeEventListener("abort", abort);
    }
  }

  private async connect(address: Address, options: SessionOptions, signal: AbortSignal): Promise<void> {
    const logIn = new LogIn(options.auth);
    const auth = await logIn.hello();
    this.transport = await openTransport(
      address,
      { onData: (chunk) => this.receive(chunk), onClose: (error) => this.closed(error) },
      signal,
    );
    const hello = {
      version: [VERSION_MIN, VERSION_MAX],
      features: FEATURES,
      client: options.clientName,
      namespace: options.namespace,
      heartbeatMs: options.heartbeatMs,
      auth,
    };
    await new Promise<void>((resolve, reject) => {
      signal.addEventListener("abort", () => reject(signal.reason as Error), { once: true });
      this.challenged = (correlation, challenge) => {
        logIn.answer(challenge).then((answer) => this.send(encodeFrame(Op.AUTH_RESPONSE, correlation, answer)), reject);
      };
      const welcomed = (result: unknown): void => {
        const { auth: proof, ...welcome } = result as Welcome & { auth?: unknown };
        if (auth === null) {
          this.welcomed(welcome);
          resolve();
          return;
        }
        logIn.welcomed(proof).then(() => {
          if (!this.isOpen) {
            reject(this.goodbye ?? clientError("connection_lost", "the connection is closed"));
            return;
          }
          this.welcomed(welcome);
          resolve();
        }, reject);
      };
      this.call(Op.HELLO, [hello], welcomed, reject);
    });
    this.challenged = null;
  }

  private welcomed(welcome: Welcome): void {
    this.welcome = welcome;
    this.credit = welcome.publishCreditBytes;
    this.isReady = true;
    if (welcome.heartbeatMs > 0) {
      this.heartbeat = every(welcome.heartbeatMs / 2, () => this.beat());
    }
  }

  /** Pings every half interval, and gives up after two silent intervals. */
  private beat(): void {
    this.silentTicks = this.hasReceived ? 0 : this.silentTicks + 1;
    this.hasReceived = false;
    if (this.silentTicks >= 4) {
      this.fail(clientError("connection_lost", `nothing received for ${2 * this.welcome.heartbeatMs} ms`));
      return;
    }
    this.transport.write(encodeFrame(Op.PING, 0));
  }

  /** Sends a request; the callbacks run inside the dispatch of the answer, before any later frame is looked at. */
  call(
    op: number,
    args: readonly unknown[],
    resolve: (result: unknown) => void,
    reject: (error: MillraceError) => void,
  ): number {
    return this.callFrames((correlation) => [encodeFrame(op, correlation, ...args)], resolve, reject);
  }

  /** As `call`, for frames that the caller writes around the correlation id. */
  callFrames(
    frames: (correlation: number) => Uint8Array[],
    resolve: (result: unknown) => void,
    reject: (error: MillraceError) => void,
  ): number {
    const correlation = this.correlation;
    this.correlation = (correlation + 1) >>> 0;
    if (!this.isOpen) {
      reject(this.goodbye ?? clientError("connection_lost", "the connection is closed"));
      return correlation;
    }
    this.requests.set(correlation, { resolve, reject });
    this.sendAll(frames(correlation));
    return correlation;
  }

  /** Sends a request. Errors: what the server answers; connection_lost, timeout, cancelled. */
  request(op: number, args: readonly unknown[], timeoutMs: number, signal?: AbortSignal): Promise<unknown> {
    return new Promise((resolve, reject) => {
      if (signal?.aborted) {
        reject(cancelled(signal));
        return;
      }
      const settle = (error: MillraceError | null, result?: unknown): void => {
        clearTimeout(timer);
        signal?.removeEventListener("abort", abort);
        this.requests.delete(correlation);
        if (error) reject(error);
        else resolve(result);
      };
      const abort = (): void => settle(cancelled(signal as AbortSignal));
      const timer = setTimeout(() => {
        settle(clientError("timeout", `no answer in ${timeoutMs} ms`));
      }, timeoutMs);
      signal?.addEventListener("abort", abort, { once: true });
      const correlation = this.call(op, args, (result) => settle(null, result), settle);
    });
  }

  /** Writes a frame that asks for no answer. */
  send(frame: Uint8Array): void {
    if (this.isOpen) this.transport.write(frame);
  }

  sendAll(frames: readonly Uint8Array[]): void {
    for (const frame of frames) this.send(frame);
  }

  /** Whether a publish frame may go now; otherwise wait for `creditReturned`. One that is larger than the whole window goes when the window is untouched. */
  hasCredit(frameBytes: number): boolean {
    return this.isOpen && (frameBytes <= this.credit || this.credit >= this.welcome.publishCreditBytes);
  }

  /** Writes publish frames, at the cost of their bytes. */
  publish(frames: Uint8Array): void {
    this.credit -= frames.length;
    this.transport.write(frames);
  }

  private receive(chunk: Uint8Array): void {
    this.hasReceived = true;
    if (!this.isOpen) return;
    try {
      this.reader.feed(chunk, this.onFrame, this.onPart);
    } catch (error) {
      this.fail(asMillraceError(error));
    }
  }

  private readonly onFrame: FrameSink = (bytes, start, end) => this.dispatch(bytes, start, end);

  private readonly onPart: PartSink = (subscription, source, bytes, start, end, frameBytes) => {
    this.host.subscription(subscription)?.delivered(source, bytes, start, end, frameBytes);
  };

  private dispatch(bytes: Uint8Array, start: number, end: number): void {
    const op = opOf(bytes, start, end);
    if (op === Op.DELIVER) {
      const { subscription, source, batchesStart } = readDeliverHead(bytes, start, end);
      const frameBytes = end - start + FRAME_HEAD;
      this.host.subscription(subscription)?.delivered(source, bytes, batchesStart, end, frameBytes);
    } else if (op === Op.MESSAGES) {
      const head = readMessagesHead(bytes, start, end);
      this.host.subscription(head.subscription)?.messages?.(head, bytes, end);
    } else if (op === Op.ACK) {
      readAck(bytes, start, end, (publisher, correlation, count, partition, baseOffset, level) => {
        this.host.publisher(publisher)?.acked(correlation, count, partition, baseOffset, level);
      });
    } else if (op === Op.CREDIT) {
      this.credit += readCredit(bytes, start, end);
      for (const publisher of this.host.publishers()) publisher.creditReturned();
    } else {
      this.control(op, decodeContent(bytes, start, end).args);
    }
  }

  private control(op: number, args: unknown[]): void {
    if (op === Op.OK) {
      this.take(args[0])?.resolve(args[1]);
    } else if (op === Op.ERROR) {
      this.take(args[0])?.reject(wireError(args.slice(1)));
    } else if (op === Op.NACK) {
      const [publisher, correlation, count] = args as [number, number, number];
      this.host.publisher(publisher)?.refused(correlation, count, wireError(args.slice(3)));
    } else if (op === Op.RETURNED) {
      const [publisher, correlation, code, name, positions] = args as [number, number, number, string, number[]];
      const error = wireError([code, name, `the message was not routed: ${name}`, false, null]);
      this.host.publisher(publisher)?.returned(correlation, positions, error);
    } else if (op === Op.AUTH_CHALLENGE) {
      this.challenged?.(args[0], args[1]);
    } else if (op === Op.PING) {
      this.transport.write(encodeFrame(Op.PONG, args[0]));
    } else if (op === Op.GOODBYE) {
      const [code, message] = args;
      this.goodbye = wireError([code, null, message, true, null]);
    } else if (SUBSCRIPTION_OPS.has(op)) {
      this.host.subscription(args[0] as number)?.notified(op, args.slice(1));
    }
    // Other ops are of a later version, negotiated or to be ignored.
  }

  private take(correlation: unknown): PendingRequest | undefined {
    const request = this.requests.get(correlation as number);
    this.requests.delete(correlation as number);
    return request;
  }

  /** Ends the session because of a fault of the peer. */
  private fail(error: MillraceError): void {
    if (!this.isOpen) return;
    this.goodbye ??= error;
    this.transport.write(encodeFrame(Op.GOODBYE, error.code, error.message));
    this.transport.destroy();
    this.closed(error);
  }

  private closed(cause: Error | null): void {
    if (!this.isOpen) return;
    this.isOpen = false;
    if (this.heartbeat !== null) clearInterval(this.heartbeat);
    const why = this.goodbye?.message ?? cause?.message ?? "the server closed it";
    const lost = clientError("connection_lost", `the connection was lost: ${why}`);
    for (const request of this.requests.values()) request.reject(this.isReady ? lost : (this.goodbye ?? lost));
    this.requests.clear();
    if (this.isReady) this.host.sessionClosed(this, this.goodbye ?? lost);
  }

  /** Says goodbye and closes, without a report to the host. */
  close(): void {
    if (!this.isOpen) return;
    this.transport.write(encodeFrame(Op.GOODBYE, 0, "closed by the client"));
    this.isOpen = false;
    if (this.heartbeat !== null) clearInterval(this.heartbeat);
    const error = clientError("closed", "the client was closed");
    for (const request of this.requests.values()) request.reject(error);
    this.requests.clear();
    this.transport.end();
  }
}
