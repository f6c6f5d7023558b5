/** What a connection needs of the socket under it; TCP and WebSocket fill it in. */
export interface Transport {
  readonly kind: "tcp" | "ws";
  /** Address of the peer, for logs. */
  readonly remote: string;
  /**
   * Hands `bytes[start, start + length)` to the socket without keeping a reference to them.
   *
   * @returns how many bytes it took, from 0 to `length`; `Connection.drained` is called when it can take more. -1: closed.
   */
  write(bytes: Uint8Array, start: number, length: number): number;
  /** Stops reading, so that the peer feels it through TCP. */
  pause(): void;
  resume(): void;
  /** Closes once the socket has sent what it took. */
  end(): void;
  /** Closes at once. */
  terminate(): void;
}
