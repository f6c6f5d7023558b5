import { fault } from "./fault.ts";
import { zlib } from "./runtime.ts";

/** zstd as the runtime has it: Bun, and Node from 22.15 on. Elsewhere `unsupported_feature`. */

/** The most bytes that one batch may unfold to, against hostile frames. */
export const DECOMPRESSED_BYTES_MAX = 64 * 1024 * 1024;

const MAGIC = 0xfd2fb528;

export function canCompress(): boolean {
  return zlib?.zstdCompressSync !== undefined;
}

/** One zstd frame of the bytes. Errors: unsupported_feature. */
export function compress(bytes: Uint8Array): Uint8Array {
  if (!zlib?.zstdCompressSync) throw unsupported();
  return zlib.zstdCompressSync(bytes);
}

/** The content of one zstd frame. Errors: unsupported_feature, decompress_failed. */
export function decompress(bytes: Uint8Array): Uint8Array {
  if (!zlib?.zstdDecompressSync) throw unsupported();
  if (contentBytes(bytes) > DECOMPRESSED_BYTES_MAX) {
    throw fault("decompress_failed", `the zstd frame unfolds to more than ${DECOMPRESSED_BYTES_MAX} bytes`);
  }
  try {
    return zlib.zstdDecompressSync(bytes, { maxOutputLength: DECOMPRESSED_BYTES_MAX });
  } catch (error) {
    throw fault("decompress_failed", error instanceof Error ? error.message : String(error));
  }
}

/** The content size that a zstd frame's header states (RFC 8878, 3.1.1.1), or 0 where it states none. */
function contentBytes(bytes: Uint8Array): number {
  if (bytes.length < 14) return 0;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  if (view.getUint32(0, true) !== MAGIC) return 0;
  const descriptor = view.getUint8(4);
  const sizeFlag = descriptor >>> 6;
  const isSingle = (descriptor & 0x20) !== 0;
  const dictionaryBytes = [0, 1, 2, 4][descriptor & 3] as number;
  const at = 5 + (isSingle ? 0 : 1) + dictionaryBytes;
  if (sizeFlag === 0) return isSingle ? view.getUint8(at) : 0;
  if (at + (1 << sizeFlag) > bytes.length) return 0;
  if (sizeFlag === 1) return view.getUint16(at, true) + 256;
  return sizeFlag === 2 ? view.getUint32(at, true) : Number(view.getBigUint64(at, true));
}

function unsupported(): Error {
  return fault("unsupported_feature", "this runtime has no zstd: use Bun, or Node 22.15 or later");
}
