//! Generated from src/errors/catalogue.json by test/tools/generate.ts. Do not edit.

/// A code of the error catalogue, as it stands in frames and in logs.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub struct ErrorCode(pub u16);

impl ErrorCode {
    /// Internal error.
    pub const INTERNAL: Self = Self(1);
    /// The peer broke the protocol.
    pub const PROTOCOL_ERROR: Self = Self(2);
    /// No common protocol version: the broker speaks `min` to `max`.
    pub const UNSUPPORTED_VERSION: Self = Self(3);
    /// Unknown op `op`.
    pub const UNKNOWN_OP: Self = Self(4);
    /// A frame of `bytes` bytes is over the limit of `limit`.
    pub const FRAME_TOO_LARGE: Self = Self(5);
    /// The frame is not well-formed msgpack of its op.
    pub const MALFORMED_FRAME: Self = Self(6);
    /// The broker is still recovering.
    pub const NOT_READY: Self = Self(7);
    /// The broker is shutting down.
    pub const SHUTTING_DOWN: Self = Self(8);
    /// The limit `limit` is reached.
    pub const LIMIT_EXCEEDED: Self = Self(9);
    /// `principal` may not `operation`.
    pub const UNAUTHORIZED: Self = Self(10);
    /// The credentials were refused.
    pub const UNAUTHENTICATED: Self = Self(11);
    /// `what` is not valid.
    pub const INVALID_ARGUMENT: Self = Self(12);
    /// No answer in time.
    pub const TIMEOUT: Self = Self(13);
    /// `feature` is not supported here.
    pub const UNSUPPORTED_FEATURE: Self = Self(14);
    /// The first frame of a connection has to be HELLO.
    pub const HANDSHAKE_REQUIRED: Self = Self(15);
    /// Nothing was heard from the peer within `limitMs` ms.
    pub const HEARTBEAT_MISSED: Self = Self(16);
    /// The peer does not read what it is sent.
    pub const SLOW_CONSUMER: Self = Self(17);
    /// The peer sent more than its credit allows.
    pub const CREDIT_EXCEEDED: Self = Self(18);
    /// The operation was cancelled.
    pub const CANCELLED: Self = Self(19);
    /// The connection to the broker is lost.
    pub const CONNECTION_LOST: Self = Self(20);
    /// Already closed.
    pub const CLOSED: Self = Self(21);
    /// The quota `limit` of the `kind` `name` is used up.
    pub const QUOTA_EXCEEDED: Self = Self(22);
    /// The broker is low on disk or memory and takes no messages for now.
    pub const LOW_RESOURCES: Self = Self(23);
    /// An administrator closed the connection.
    pub const CONNECTION_CLOSED: Self = Self(24);
    /// `key` is read at the start only.
    pub const CONFIG_FIXED: Self = Self(25);
    /// There is no namespace `name`.
    pub const NAMESPACE_NOT_FOUND: Self = Self(26);
    /// There is no TLS connection that can be trusted.
    pub const TLS_FAILED: Self = Self(27);
    /// It has been changed since.
    pub const REVISION_CONFLICT: Self = Self(28);
    /// Topic `topic` does not exist.
    pub const TOPIC_NOT_FOUND: Self = Self(100);
    /// Topic `topic` exists already.
    pub const TOPIC_EXISTS: Self = Self(101);
    /// Topic `topic` has no partition `partition`.
    pub const PARTITION_NOT_FOUND: Self = Self(102);
    /// `topic` is not a valid name.
    pub const INVALID_TOPIC_NAME: Self = Self(103);
    /// The configuration is not valid.
    pub const INVALID_CONFIG: Self = Self(104);
    /// Topic `topic` was deleted.
    pub const TOPIC_DELETED: Self = Self(105);
    /// The batch's CRC does not match its bytes.
    pub const BAD_CRC: Self = Self(120);
    /// The batch's header is not valid.
    pub const BAD_BATCH: Self = Self(121);
    /// The batch announces `announced` records and holds `found`.
    pub const RECORD_COUNT_MISMATCH: Self = Self(122);
    /// A message of `bytes` bytes is over the topic's limit of `limit`.
    pub const MESSAGE_TOO_LARGE: Self = Self(123);
    /// A batch of `bytes` bytes is over the limit of `limit`.
    pub const BATCH_TOO_LARGE: Self = Self(124);
    /// The topic does not take compressed batches.
    pub const COMPRESSION_REFUSED: Self = Self(125);
    /// A record is not a valid `[timestamp, key, value, headers]`.
    pub const BAD_RECORD: Self = Self(126);
    /// The batch's records cannot be decompressed.
    pub const DECOMPRESS_FAILED: Self = Self(127);
    /// Sequence `found` does not follow `expected`.
    pub const SEQUENCE_GAP: Self = Self(130);
    /// A newer instance of this producer has taken over.
    pub const PRODUCER_FENCED: Self = Self(131);
    /// The next offset is `found`, not `expected`.
    pub const OFFSET_CONFLICT: Self = Self(132);
    /// The key's last record is not where it was expected.
    pub const KEY_CONFLICT: Self = Self(133);
    /// The connection has no publisher `publisher`.
    pub const PUBLISHER_NOT_FOUND: Self = Self(134);
    /// The connection has a publisher `publisher` already.
    pub const PUBLISHER_EXISTS: Self = Self(135);
    /// The producer's state is no longer kept here.
    pub const UNKNOWN_PRODUCER: Self = Self(136);
    /// No space is left for the log.
    pub const DISK_FULL: Self = Self(140);
    /// The log's storage failed.
    pub const STORAGE_FAILED: Self = Self(141);
    /// The data directory `dataDir` is in use by another process.
    pub const DATA_DIR_LOCKED: Self = Self(142);
    /// The data directory `dataDir` was written by a newer version.
    pub const FORMAT_TOO_NEW: Self = Self(143);
    /// The stored batch at offset `offset` is corrupt.
    pub const CORRUPT_BATCH: Self = Self(144);
    /// Offset `offset` is outside `start` to `end`.
    pub const OFFSET_OUT_OF_RANGE: Self = Self(145);
    /// The file is not in the expected format.
    pub const BAD_FORMAT: Self = Self(146);
    /// The connection has no subscription `subscription`.
    pub const SUBSCRIPTION_NOT_FOUND: Self = Self(150);
    /// The connection has a subscription `subscription` already.
    pub const SUBSCRIPTION_EXISTS: Self = Self(151);
    /// Group `group` does not exist.
    pub const GROUP_NOT_FOUND: Self = Self(160);
    /// The group does not know this member.
    pub const MEMBER_UNKNOWN: Self = Self(161);
    /// The group has moved on to generation `generation`.
    pub const GENERATION_STALE: Self = Self(162);
    /// Group `group` has members.
    pub const GROUP_NOT_EMPTY: Self = Self(163);
    /// Another member with the same instance name has joined.
    pub const FENCED_INSTANCE: Self = Self(164);
    /// Exchange `exchange` does not exist.
    pub const EXCHANGE_NOT_FOUND: Self = Self(170);
    /// Exchange `exchange` exists already.
    pub const EXCHANGE_EXISTS: Self = Self(171);
    /// There is no such binding.
    pub const BINDING_NOT_FOUND: Self = Self(172);
    /// No binding of exchange `exchange` matches the message.
    pub const UNROUTABLE: Self = Self(173);
    /// Nobody consumes where this request would go.
    pub const NO_RESPONDER: Self = Self(174);
    /// The exchange `exchange` would route to itself.
    pub const ROUTING_CYCLE: Self = Self(175);
    /// The expression cannot be understood.
    pub const BAD_EXPRESSION: Self = Self(176);
    /// The responder could not answer.
    pub const REQUEST_FAILED: Self = Self(177);
    /// Queue `queue` does not exist.
    pub const QUEUE_NOT_FOUND: Self = Self(180);
    /// Queue `queue` exists already.
    pub const QUEUE_EXISTS: Self = Self(181);
    /// `what` differs from what was declared before.
    pub const ARGUMENT_MISMATCH: Self = Self(182);
    /// Delivery `tag` is not open.
    pub const UNKNOWN_DELIVERY: Self = Self(183);
    /// Queue `queue` is at its limit.
    pub const QUEUE_FULL: Self = Self(184);
    /// Queue `queue` belongs to another connection or consumer.
    pub const QUEUE_EXCLUSIVE: Self = Self(185);
    /// Dead letters of queue `queue` would come back to it.
    pub const DEAD_LETTER_LOOP: Self = Self(186);
    /// The schedule `schedule` never fires.
    pub const SCHEDULE_NEVER: Self = Self(187);
    /// `what` is not empty.
    pub const NOT_EMPTY: Self = Self(188);
    /// `what` is in use.
    pub const IN_USE: Self = Self(189);
    /// Queue `queue` was deleted.
    pub const QUEUE_DELETED: Self = Self(190);
    /// The payload `id` is not in the store.
    pub const PAYLOAD_MISSING: Self = Self(191);
    /// The payload `id` is not what was published.
    pub const PAYLOAD_CORRUPT: Self = Self(192);
    /// The payload store failed.
    pub const PAYLOAD_STORE_FAILED: Self = Self(193);
    /// There is no transaction `txn`.
    pub const TRANSACTION_NOT_FOUND: Self = Self(200);
    /// The transaction `txn` was left open too long and rolled back.
    pub const TRANSACTION_TIMEOUT: Self = Self(201);
    /// There is no subject `subject`.
    pub const SUBJECT_NOT_FOUND: Self = Self(210);
    /// The subject `subject` has no version `version`.
    pub const VERSION_NOT_FOUND: Self = Self(211);
    /// There is no such schema.
    pub const SCHEMA_NOT_FOUND: Self = Self(212);
    /// The schema is not valid.
    pub const SCHEMA_INVALID: Self = Self(213);
    /// The schema uses something that the registry does not have.
    pub const SCHEMA_UNSUPPORTED: Self = Self(214);
    /// The schema is incompatible with an earlier one of subject `subject`.
    pub const SCHEMA_INCOMPATIBLE: Self = Self(215);
    /// Other schemas refer to this one.
    pub const SCHEMA_IN_USE: Self = Self(216);
    /// The mode of the registry does not allow this.
    pub const SCHEMA_MODE: Self = Self(217);
    /// A record is not what the schema says.
    pub const SCHEMA_VIOLATION: Self = Self(218);
    /// The reader schema is not there.
    pub const READER_SCHEMA_UNKNOWN: Self = Self(219);
    /// There is no transform `name`.
    pub const TRANSFORM_NOT_FOUND: Self = Self(220);
    /// The transform `name` exists.
    pub const TRANSFORM_EXISTS: Self = Self(221);
    /// The transform `name` failed.
    pub const TRANSFORM_FAILED: Self = Self(222);
    /// There is no role "`role`".
    pub const ROLE_NOT_FOUND: Self = Self(230);
    /// A backup is being made.
    pub const BACKUP_RUNNING: Self = Self(240);
    /// There is a backup of that name.
    pub const BACKUP_EXISTS: Self = Self(241);
    /// The definitions cannot be imported.
    pub const DEFINITIONS_INVALID: Self = Self(242);

    /// The catalogue's name of the code, `unknown` for a code it does not have.
    #[allow(clippy::too_many_lines, reason = "a line for each code")]
    pub const fn name(self) -> &'static str {
        match self {
            Self::INTERNAL => "internal",
            Self::PROTOCOL_ERROR => "protocol_error",
            Self::UNSUPPORTED_VERSION => "unsupported_version",
            Self::UNKNOWN_OP => "unknown_op",
            Self::FRAME_TOO_LARGE => "frame_too_large",
            Self::MALFORMED_FRAME => "malformed_frame",
            Self::NOT_READY => "not_ready",
            Self::SHUTTING_DOWN => "shutting_down",
            Self::LIMIT_EXCEEDED => "limit_exceeded",
            Self::UNAUTHORIZED => "unauthorized",
            Self::UNAUTHENTICATED => "unauthenticated",
            Self::INVALID_ARGUMENT => "invalid_argument",
            Self::TIMEOUT => "timeout",
            Self::UNSUPPORTED_FEATURE => "unsupported_feature",
            Self::HANDSHAKE_REQUIRED => "handshake_required",
            Self::HEARTBEAT_MISSED => "heartbeat_missed",
            Self::SLOW_CONSUMER => "slow_consumer",
            Self::CREDIT_EXCEEDED => "credit_exceeded",
            Self::CANCELLED => "cancelled",
            Self::CONNECTION_LOST => "connection_lost",
            Self::CLOSED => "closed",
            Self::QUOTA_EXCEEDED => "quota_exceeded",
            Self::LOW_RESOURCES => "low_resources",
            Self::CONNECTION_CLOSED => "connection_closed",
            Self::CONFIG_FIXED => "config_fixed",
            Self::NAMESPACE_NOT_FOUND => "namespace_not_found",
            Self::TLS_FAILED => "tls_failed",
            Self::REVISION_CONFLICT => "revision_conflict",
            Self::TOPIC_NOT_FOUND => "topic_not_found",
            Self::TOPIC_EXISTS => "topic_exists",
            Self::PARTITION_NOT_FOUND => "partition_not_found",
            Self::INVALID_TOPIC_NAME => "invalid_topic_name",
            Self::INVALID_CONFIG => "invalid_config",
            Self::TOPIC_DELETED => "topic_deleted",
            Self::BAD_CRC => "bad_crc",
            Self::BAD_BATCH => "bad_batch",
            Self::RECORD_COUNT_MISMATCH => "record_count_mismatch",
            Self::MESSAGE_TOO_LARGE => "message_too_large",
            Self::BATCH_TOO_LARGE => "batch_too_large",
            Self::COMPRESSION_REFUSED => "compression_refused",
            Self::BAD_RECORD => "bad_record",
            Self::DECOMPRESS_FAILED => "decompress_failed",
            Self::SEQUENCE_GAP => "sequence_gap",
            Self::PRODUCER_FENCED => "producer_fenced",
            Self::OFFSET_CONFLICT => "offset_conflict",
            Self::KEY_CONFLICT => "key_conflict",
            Self::PUBLISHER_NOT_FOUND => "publisher_not_found",
            Self::PUBLISHER_EXISTS => "publisher_exists",
            Self::UNKNOWN_PRODUCER => "unknown_producer",
            Self::DISK_FULL => "disk_full",
            Self::STORAGE_FAILED => "storage_failed",
            Self::DATA_DIR_LOCKED => "data_dir_locked",
            Self::FORMAT_TOO_NEW => "format_too_new",
            Self::CORRUPT_BATCH => "corrupt_batch",
            Self::OFFSET_OUT_OF_RANGE => "offset_out_of_range",
            Self::BAD_FORMAT => "bad_format",
            Self::SUBSCRIPTION_NOT_FOUND => "subscription_not_found",
            Self::SUBSCRIPTION_EXISTS => "subscription_exists",
            Self::GROUP_NOT_FOUND => "group_not_found",
            Self::MEMBER_UNKNOWN => "member_unknown",
            Self::GENERATION_STALE => "generation_stale",
            Self::GROUP_NOT_EMPTY => "group_not_empty",
            Self::FENCED_INSTANCE => "fenced_instance",
            Self::EXCHANGE_NOT_FOUND => "exchange_not_found",
            Self::EXCHANGE_EXISTS => "exchange_exists",
            Self::BINDING_NOT_FOUND => "binding_not_found",
            Self::UNROUTABLE => "unroutable",
            Self::NO_RESPONDER => "no_responder",
            Self::ROUTING_CYCLE => "routing_cycle",
            Self::BAD_EXPRESSION => "bad_expression",
            Self::REQUEST_FAILED => "request_failed",
            Self::QUEUE_NOT_FOUND => "queue_not_found",
            Self::QUEUE_EXISTS => "queue_exists",
            Self::ARGUMENT_MISMATCH => "argument_mismatch",
            Self::UNKNOWN_DELIVERY => "unknown_delivery",
            Self::QUEUE_FULL => "queue_full",
            Self::QUEUE_EXCLUSIVE => "queue_exclusive",
            Self::DEAD_LETTER_LOOP => "dead_letter_loop",
            Self::SCHEDULE_NEVER => "schedule_never",
            Self::NOT_EMPTY => "not_empty",
            Self::IN_USE => "in_use",
            Self::QUEUE_DELETED => "queue_deleted",
            Self::PAYLOAD_MISSING => "payload_missing",
            Self::PAYLOAD_CORRUPT => "payload_corrupt",
            Self::PAYLOAD_STORE_FAILED => "payload_store_failed",
            Self::TRANSACTION_NOT_FOUND => "transaction_not_found",
            Self::TRANSACTION_TIMEOUT => "transaction_timeout",
            Self::SUBJECT_NOT_FOUND => "subject_not_found",
            Self::VERSION_NOT_FOUND => "version_not_found",
            Self::SCHEMA_NOT_FOUND => "schema_not_found",
            Self::SCHEMA_INVALID => "schema_invalid",
            Self::SCHEMA_UNSUPPORTED => "schema_unsupported",
            Self::SCHEMA_INCOMPATIBLE => "schema_incompatible",
            Self::SCHEMA_IN_USE => "schema_in_use",
            Self::SCHEMA_MODE => "schema_mode",
            Self::SCHEMA_VIOLATION => "schema_violation",
            Self::READER_SCHEMA_UNKNOWN => "reader_schema_unknown",
            Self::TRANSFORM_NOT_FOUND => "transform_not_found",
            Self::TRANSFORM_EXISTS => "transform_exists",
            Self::TRANSFORM_FAILED => "transform_failed",
            Self::ROLE_NOT_FOUND => "role_not_found",
            Self::BACKUP_RUNNING => "backup_running",
            Self::BACKUP_EXISTS => "backup_exists",
            Self::DEFINITIONS_INVALID => "definitions_invalid",
            _ => "unknown",
        }
    }

    /// Whether the same operation may succeed when it is tried again unchanged.
    pub const fn retryable(self) -> bool {
        matches!(
            self,
            Self::NOT_READY
                | Self::SHUTTING_DOWN
                | Self::LIMIT_EXCEEDED
                | Self::TIMEOUT
                | Self::HEARTBEAT_MISSED
                | Self::SLOW_CONSUMER
                | Self::CONNECTION_LOST
                | Self::QUOTA_EXCEEDED
                | Self::LOW_RESOURCES
                | Self::BAD_CRC
                | Self::DISK_FULL
                | Self::MEMBER_UNKNOWN
                | Self::GENERATION_STALE
                | Self::GROUP_NOT_EMPTY
                | Self::NO_RESPONDER
                | Self::NOT_EMPTY
                | Self::IN_USE
                | Self::PAYLOAD_STORE_FAILED
                | Self::BACKUP_RUNNING
        )
    }
}
