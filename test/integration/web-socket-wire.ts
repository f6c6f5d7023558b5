/** A WebSocket by hand (RFC 6455) over bytes of TCP: the one of a browser cannot stop reading. */

const TEXT_END = "\r\n\r\n";
const BINARY = 0x82;
const CLOSE = 8;

/** What asks the broker's HTTP port for a WebSocket. */
export function upgradeRequest(port: number): Uint8Array {
  const lines = [
    "GET /ws HTTP/1.1",
    `Host: 127.0.0.1:${port}`,
    "Connection: Upgrade",
    "Upgrade: websocket",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
  ];
  return Buffer.from(lines.join("\r\n") + TEXT_END);
}

/** One binary message. Its mask is zero, which leaves the bytes as they are. */
export function binaryMessage(bytes: Uint8Array): Uint8Array {
  const { length } = bytes;
  const head = length < 126 ? Buffer.alloc(6) : length < 0x10000 ? Buffer.alloc(8) : Buffer.alloc(14);
  head[0] = BINARY;
  head[1] = 0x80 | (length < 126 ? length : length < 0x10000 ? 126 : 127);
  if (head.length === 8) head.writeUInt16BE(length, 2);
  if (head.length === 14) head.writeBigUInt64BE(BigInt(length), 2);
  return Buffer.concat([head, bytes]);
}

/** Takes the bytes of one direction apart: first HTTP's answer, then messages. */
export class MessageReader {
  readonly #onOpen: () => void;
  readonly #onMessage: (bytes: Uint8Array) => void;
  #isOpen = false;
  /** Bytes of a message's head, or of HTTP's answer, that are not whole yet. */
  #carry: Buffer = Buffer.alloc(0);
  /** Bytes of the message at hand that have not come yet; they are handed on as they come. */
  #left = 0;
  #isData = false;

  constructor(onOpen: () => void, onMessage: (bytes: Uint8Array) => void) {
    this.#onOpen = onOpen;
    this.#onMessage = onMessage;
  }

  feed(chunk: Uint8Array): void {
    let rest = this.#carry.length === 0 ? Buffer.from(chunk) : Buffer.concat([this.#carry, chunk]);
    this.#carry = Buffer.alloc(0);
    while (rest.length > 0) {
      const taken = this.#take(rest);
      if (taken === 0) {
        this.#carry = rest;
        return;
      }
      rest = rest.subarray(taken);
    }
  }

  /** Returns how many bytes it took; 0 when it needs more to go on. */
  #take(bytes: Buffer): number {
    if (!this.#isOpen) return this.#open(bytes);
    if (this.#left === 0) return this.#head(bytes);
    const length = Math.min(this.#left, bytes.length);
    this.#left -= length;
    if (this.#isData) this.#onMessage(bytes.subarray(0, length));
    return length;
  }

  #open(bytes: Buffer): number {
    const end = bytes.indexOf(TEXT_END);
    if (end < 0) return 0;
    const answer = bytes.toString("latin1", 0, end);
    if (!answer.startsWith("HTTP/1.1 101 ")) throw new Error(`no WebSocket: ${answer}`);
    this.#isOpen = true;
    this.#onOpen();
    return end + TEXT_END.length;
  }

  #head(bytes: Buffer): number {
    const short = (bytes[1] ?? 0) & 0x7f;
    const headBytes = short < 126 ? 2 : short === 126 ? 4 : 10;
    if (bytes.length < headBytes) return 0;
    this.#left = short < 126 ? short : short === 126 ? bytes.readUInt16BE(2) : Number(bytes.readBigUInt64BE(2));
    // Of the control messages only the end comes, and nothing in it matters here.
    this.#isData = ((bytes[0] ?? 0) & 0x0f) < CLOSE;
    return headBytes;
  }
}
