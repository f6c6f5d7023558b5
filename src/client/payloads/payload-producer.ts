import type { Content } from "../../protocol/index.ts";
import type { Client } from "../client.ts";
import { Delivery } from "../delivery.ts";
import { asMillraceError, clientError, type MillraceError } from "../errors.ts";
import { Producer } from "../producer.ts";
import {
  conditionOf,
  copyOf,
  type ProducerOptions,
  type ProducerRecord,
  type ProducerTarget,
  type SendOptions,
} from "../producer-options.ts";
import { Changes, type WaitingSend } from "../waiting.ts";
import type { LargePayloads } from "./payloads.ts";

/** A producer whose large bodies go to a store first. What is sent after one waits for it: the order stays. */

/** Bodies that are being stored at once. */
const PUTS_MAX = 4;
/** Sends that wait for a body of theirs, or of one before them, to be stored; past it they are refused. */
const HELD_MAX = 10_000;

interface Held {
  send: WaitingSend;
  state: "large" | "storing" | "ready" | MillraceError;
}

export class PayloadProducer extends Producer {
  private readonly payloads: LargePayloads;
  private readonly stored = new Changes();
  private held: Held[] = [];
  private puts = 0;

  constructor(
    client: Client,
    number: number,
    target: ProducerTarget,
    options: ProducerOptions,
    payloads: LargePayloads,
  ) {
    super(client, number, target, options);
    this.payloads = payloads;
  }

  override send(record: ProducerRecord, options?: SendOptions): Delivery {
    if (!this.mustHold(record.value)) return super.send(record, options);
    const delivery = new Delivery(null, 0);
    const refusal = this.refusal;
    if (refusal) delivery.reject(refusal);
    else this.hold({ record, condition: options ? conditionOf(record, options) : null, delivery });
    return delivery;
  }

  override sendNoWait(record: ProducerRecord): boolean {
    if (!this.mustHold(record.value)) return super.sendNoWait(record);
    this.holdUnseen(record);
    return false;
  }

  override append(value: Content, key?: Content, partition?: number): boolean {
    if (!this.mustHold(value)) return super.append(value, key, partition);
    const record: ProducerRecord = { key: copyOf(key), value: copyOf(value) };
    if (partition !== undefined) record.partition = partition;
    this.holdUnseen(record);
    return false;
  }

  private mustHold(value: Content): boolean {
    return this.held.length > 0 || this.payloads.isLarge(value);
  }

  private get refusal(): MillraceError | null {
    if (this.error) return this.error;
    if (this.held.length < HELD_MAX) return null;
    return clientError("limit_exceeded", `${HELD_MAX} sends wait for payloads to be stored: await ready()`);
  }

  private holdUnseen(record: ProducerRecord): void {
    const { refusal } = this;
    if (refusal) throw refusal;
    this.hold({ record, condition: null, delivery: null });
  }

  private hold(send: WaitingSend): void {
    this.held.push({ send, state: this.payloads.isLarge(send.record.value) ? "large" : "ready" });
    this.storeNext();
  }

  private storeNext(): void {
    for (const held of this.held) {
      if (this.puts >= PUTS_MAX) return;
      if (held.state === "large") void this.store(held);
    }
  }

  private async store(held: Held): Promise<void> {
    held.state = "storing";
    this.puts++;
    try {
      held.send.record = await this.payloads.pack(held.send.record);
      held.state = "ready";
    } catch (error) {
      held.state = asMillraceError(error);
    }
    this.puts--;
    this.release();
    this.storeNext();
  }

  /** Sends on what is ready, in order. */
  private release(): void {
    let count = 0;
    for (const { send, state } of this.held) {
      if (state === "large" || state === "storing") break;
      count++;
      if (state === "ready") this.offer(send);
      else this.refuse(send, state);
    }
    this.held = this.held.slice(count);
    if (count > 0) this.stored.happened();
  }

  override abandon(error: MillraceError): void {
    super.abandon(error);
    const { held } = this;
    this.held = [];
    for (const { send } of held) this.refuse(send, error);
    this.stored.happened();
  }

  override async ready(signal?: AbortSignal): Promise<void> {
    await this.stored.until(() => this.held.length < PUTS_MAX, signal);
    await super.ready(signal);
  }

  override async flush(signal?: AbortSignal): Promise<void> {
    await this.stored.until(() => this.held.length === 0, signal);
    await super.flush(signal);
  }
}
