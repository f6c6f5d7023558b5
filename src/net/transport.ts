/** What the socket knows of who is at its other end. */
export interface Peer {
  /** IP address, without a port. */
  readonly address: string;
  readonly isEncrypted: boolean;
  /** Whether the broker itself started the process: the listener takes nobody else. */
  readonly isInternal: boolean;
  /** What a certificate that was verified calls its holder. */
  readonly certificateName?: string | undefined;
}

/** What a connection needs of the socket under it; TCP and WebSocket fill it in. */
export interface Transport {
  readonly kind: "tcp" | "ws";
  /** Address of the peer, for logs. */
  readonly remote: string;
  readonly peer: Peer;
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
