//! First version; generated from src/errors/catalogue.json.

#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub struct ErrorCode(pub u16);

impl ErrorCode {
    pub const INTERNAL: Self = Self(1);
    pub const PROTOCOL_ERROR: Self = Self(2);
    pub const UNKNOWN_OP: Self = Self(4);
    pub const FRAME_TOO_LARGE: Self = Self(5);
    pub const MALFORMED_FRAME: Self = Self(6);
    pub const SHUTTING_DOWN: Self = Self(8);
    pub const LIMIT_EXCEEDED: Self = Self(9);
    pub const INVALID_ARGUMENT: Self = Self(12);
    pub const UNSUPPORTED_FEATURE: Self = Self(14);
    pub const CREDIT_EXCEEDED: Self = Self(18);
    pub const TOPIC_NOT_FOUND: Self = Self(100);
    pub const PARTITION_NOT_FOUND: Self = Self(102);
    pub const TOPIC_DELETED: Self = Self(105);
    pub const BAD_CRC: Self = Self(120);
    pub const BAD_BATCH: Self = Self(121);
    pub const RECORD_COUNT_MISMATCH: Self = Self(122);
    pub const MESSAGE_TOO_LARGE: Self = Self(123);
    pub const BATCH_TOO_LARGE: Self = Self(124);
    pub const COMPRESSION_REFUSED: Self = Self(125);
    pub const BAD_RECORD: Self = Self(126);
    pub const DECOMPRESS_FAILED: Self = Self(127);
    pub const SEQUENCE_GAP: Self = Self(130);
    pub const PRODUCER_FENCED: Self = Self(131);
    pub const OFFSET_CONFLICT: Self = Self(132);
    pub const KEY_CONFLICT: Self = Self(133);
    pub const PUBLISHER_NOT_FOUND: Self = Self(134);
    pub const PUBLISHER_EXISTS: Self = Self(135);
    pub const UNKNOWN_PRODUCER: Self = Self(136);
    pub const DISK_FULL: Self = Self(140);
    pub const STORAGE_FAILED: Self = Self(141);
    pub const DATA_DIR_LOCKED: Self = Self(142);
    pub const FORMAT_TOO_NEW: Self = Self(143);
    pub const CORRUPT_BATCH: Self = Self(144);
    pub const OFFSET_OUT_OF_RANGE: Self = Self(145);
    pub const BAD_FORMAT: Self = Self(146);
    pub const SUBSCRIPTION_NOT_FOUND: Self = Self(150);
    pub const SUBSCRIPTION_EXISTS: Self = Self(151);

    pub const fn name(self) -> &'static str {
        "replaced by the generator"
    }

    pub const fn retryable(self) -> bool {
        false
    }
}
