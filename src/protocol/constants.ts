/** Numbers that the layout of frames and batches fixes (README.md). */

/** Protocol versions that this codec speaks, as HELLO states them. */
export const VERSION_MIN = 1;
export const VERSION_MAX = 1;

/** `c6` and a big-endian u32: the msgpack bin32 head of every frame. */
export const FRAME_HEAD_BYTES = 5;
/** Default limit of a frame's content; the server states its own in HELLO. */
export const FRAME_BYTES_MAX = 16 * 1024 * 1024;
/** Nesting that a control frame may have. */
export const DEPTH_MAX = 16;

/** The header of a batch, before its records. */
export const BATCH_HEADER_BYTES = 64;
export const BATCH_VERSION = 1;

/** Bits of a batch's attributes. */
export const COMPRESSION_SHIFT = 4;
export const COMPRESSION_MASK = 0x0070;
export const ENCODING_MASK = 0x0380;
export const APPEND_TIME = 0x0400;
export const CONTROL = 0x0800;
export const TRANSACTIONAL = 0x1000;
export const SPARSE = 0x2000;
export const ABSOLUTE_TIMESTAMPS = 0x4000;
export const RESERVED = 0x8000;

export const COMPRESSION_NONE = 0;
export const COMPRESSION_ZSTD = 1;

/** Acknowledgement levels, as `acks` and `level` carry them. */
export const ACKS_NONE = 0;
export const ACKS_MEMORY = 1;
export const ACKS_WRITTEN = 2;
export const ACKS_SYNCED = 3;

/** Offsets, timestamps and producer ids stay below 2^53. */
export const INTEGER_MAX = Number.MAX_SAFE_INTEGER;
export const UINT32_MAX = 0xffffffff;
