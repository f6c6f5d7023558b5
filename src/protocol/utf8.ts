/**
 * UTF-8 in and out of a larger buffer without making a view first: a view
 * costs as much as a whole record's encoding, so it is made only where the
 * runtime has no `Buffer`.
 */

interface BufferMethods {
  utf8Write?: (this: Uint8Array, text: string, at: number, length: number) => number;
  utf8Slice?: (this: Uint8Array, start: number, end: number) => string;
}

const methods = (globalThis as { Buffer?: { prototype: BufferMethods } }).Buffer?.prototype;
const nativeWrite = methods?.utf8Write;
const nativeSlice = methods?.utf8Slice;
const textEncoder = new TextEncoder();
const textDecoder = new TextDecoder();

/** Strings up to this length are written by a loop, which beats a native call. */
const SHORT = 24;

/** The most bytes that a string's UTF-8 can take. */
export function utf8BytesMax(text: string): number {
  return text.length * 3;
}

/** Writes the text at `at`; the caller has made room for `utf8BytesMax`. Returns the bytes written. */
export function writeUtf8(bytes: Uint8Array, at: number, text: string): number {
  if (text.length <= SHORT) {
    let done = 0;
    for (; done < text.length; done++) {
      const code = text.charCodeAt(done);
      if (code > 0x7f) break;
      bytes[at + done] = code;
    }
    if (done === text.length) return done;
  }
  if (nativeWrite) return nativeWrite.call(bytes, text, at, bytes.length - at);
  return textEncoder.encodeInto(text, bytes.subarray(at)).written;
}

/** The text of the bytes `start..end`; malformed UTF-8 becomes U+FFFD. */
export function readUtf8(bytes: Uint8Array, start: number, end: number): string {
  if (nativeSlice) return nativeSlice.call(bytes, start, end);
  return textDecoder.decode(bytes.subarray(start, end));
}

/** The UTF-8 bytes of a text. */
export function utf8Bytes(text: string): Uint8Array {
  return textEncoder.encode(text);
}
