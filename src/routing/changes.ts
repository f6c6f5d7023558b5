/** The changes of a space as the core takes them: one msgpack array each. */
import { Packr } from "msgpackr";
import { wide } from "../stdx/index.ts";
import type { BindingArguments, Target } from "./binding.ts";
import type { ExchangeKind } from "./exchange.ts";

export type Change =
  | readonly [
      "exchange",
      id: number,
      kind: ExchangeKind,
      alternateId: number | null,
      { name: string; hashHeader?: string },
    ]
  | readonly ["exchange_delete", id: number]
  | readonly ["bind" | "unbind", exchangeId: number, Target["kind"], id: number, key: string, BindingArguments]
  | readonly ["queue", id: number, name: string, config: Readonly<Record<string, unknown>>]
  | readonly ["queue_delete", id: number];

export class ChangeEncoder {
  readonly #packr = new Packr({ useRecords: false, encodeUndefinedAsNil: true });

  encode(change: Change): Uint8Array {
    return this.#pack(change);
  }

  /** All definitions of a space at once, for its recovery. */
  encodeAll(changes: readonly Change[]): Uint8Array {
    return this.#pack(["all", changes]);
  }

  /** The packer writes into a buffer that it uses again. */
  #pack(value: unknown): Uint8Array {
    return new Uint8Array(this.#packr.pack(wide(value)));
  }
}
