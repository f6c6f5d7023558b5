import type { WriteStream } from "node:tty";

/** Standard output and error: gathered into large writes, with back-pressure, and quiet when the reader has gone. */

const FLUSH_CHARACTERS = 64 * 1024;

/** A stream of text to write to. */
export interface Sink {
  write(content: string | Uint8Array, done: (error?: Error | null) => void): boolean;
  on(event: "error", listener: (error: Error) => void): unknown;
  readonly isTTY?: boolean;
  readonly columns?: number;
}

export class Output {
  /** The reader has closed its end (`| head`): nothing more can be written. */
  isBroken: boolean = false;
  readonly isTerminal: boolean;
  private readonly sink: Sink;
  private text = "";
  /** What came before `text` since the last flush, once bytes are among it. */
  private parts: Uint8Array[] = [];
  private failure: Error | null = null;

  constructor(sink: Sink) {
    this.sink = sink;
    this.isTerminal = sink.isTTY === true;
    // Without a listener a closed pipe would end the process with a stack.
    sink.on("error", (error) => this.broken(error));
  }

  get columns(): number {
    return this.sink.columns ?? 80;
  }

  private broken(error: Error): void {
    this.isBroken = true;
    const { code } = error as NodeJS.ErrnoException;
    if (code !== "EPIPE" && code !== "ERR_STREAM_DESTROYED") this.failure ??= error;
  }

  /** Takes text. Returns true when enough has gathered that `flush` should be awaited. */
  write(text: string): boolean {
    this.text += text;
    return this.text.length >= FLUSH_CHARACTERS;
  }

  /** Takes bytes that are no text. They are gathered too, so copy nothing and change nothing. */
  writeBytes(bytes: Uint8Array): boolean {
    this.parts.push(Buffer.from(this.text), bytes);
    this.text = "";
    return true;
  }

  line(text: string = ""): boolean {
    return this.write(`${text}\n`);
  }

  /** Resolves once the system has taken everything. Errors: what writing failed with, such as a full disk. */
  async flush(): Promise<void> {
    const content = this.parts.length === 0 ? this.text : Buffer.concat([...this.parts, Buffer.from(this.text)]);
    this.text = "";
    this.parts = [];
    if (content.length > 0 && !this.isBroken) {
      const error = await new Promise<Error | null | undefined>((resolve) => this.sink.write(content, resolve));
      if (error) this.broken(error);
    }
    if (this.failure) throw this.failure;
  }
}

/** The process's own streams. */
export function standardOutput(): Output {
  return new Output(process.stdout as WriteStream);
}

export function standardError(): Output {
  return new Output(process.stderr as WriteStream);
}
