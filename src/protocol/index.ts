/** The native wire protocol: frames, ops and batches as pure functions of bytes. README.md is its specification. */

export { BatchEncoder, type BatchEncoderOptions, type BatchSeal } from "./batch-encoder.ts";
export { type BatchOrigin, BatchReader, decodeBatches, RecordReader } from "./batch-decoder.ts";
export { BatchView, type ViewRange } from "./batch-view.ts";
export { canCompress, compress, decompress } from "./compression.ts";
export * from "./constants.ts";
export {
  type ControlFrame,
  decodeContent,
  decodeControl,
  encodeContent,
  encodeError,
  encodeFrame,
  encodeOk,
} from "./control.ts";
export { crc32, portableCrc32 } from "./crc32.ts";
export { type AckSink, type DeliverHead, opOf, readAck, readCredit, readDeliverHead } from "./delivery.ts";
export { errorFromWire, errorToWire, namedError, type WireError } from "./fault.ts";
export { FrameReader, type FrameSink, type PartSink } from "./frames.ts";
export {
  type BatchHeader,
  batchCrc,
  compressionOf,
  readHeader,
  renumberBatch,
  sealBatch,
  writeHeader,
} from "./header.ts";
export { pack, skip, unpack } from "./msgpack.ts";
export { KeyPartitioner, murmur2, partitionOf } from "./murmur2.ts";
export { Op } from "./ops.generated.ts";
export {
  type Condition,
  encodeFlow,
  encodePublish,
  type KeyCondition,
  PUBLISH_HEAD_BYTES_MAX,
  type PublishHead,
  publishOneBytesMax,
  type SingleHead,
  writePublishHead,
  writePublishOne,
} from "./publish.ts";
export {
  type Death,
  encodeMessages,
  encodePrefetch,
  encodeSettle,
  type MessagesHead,
  numberOf,
  Outcome,
  readMessagesHead,
  readSettle,
  type Redelivery,
  type Settle,
  SETTLE_RANGES_MAX,
  type TagRanges,
} from "./queue-frames.ts";
export { Record, type RecordBatch } from "./record.ts";
export type { Content, Headers, HeaderValue } from "./record-writer.ts";
export { Bitmap, encodeBitmap } from "./sparse.ts";
export { readUtf8, utf8Bytes } from "./utf8.ts";
export {
  childTrace,
  formatTraceParent,
  parseTraceParent,
  type TraceContext,
  traceContextOf,
  type TraceParent,
  TRACEPARENT,
  TRACESTATE,
} from "./trace-context.ts";
