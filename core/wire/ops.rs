//! Generated from src/protocol/ops.json by test/tools/generate.ts. Do not edit.

/// Opens the session. Must be the first frame of a connection.
pub const HELLO: u8 = 1;
/// Asks the peer for a PONG with the same token.
pub const PING: u8 = 2;
/// Answers a PING.
pub const PONG: u8 = 3;
/// Says why the connection ends; the sender closes the socket after it.
pub const GOODBYE: u8 = 4;
/// The result of the request with this correlation id.
pub const OK: u8 = 5;
/// The request with this correlation id failed.
pub const ERROR: u8 = 6;
/// Publishes the one batch that follows the array in the frame.
pub const PUBLISH: u8 = 10;
/// Publishes one record, which the broker puts into a batch.
pub const PUBLISH_ONE: u8 = 11;
/// Grants a subscription more delivery credit, in bytes of frames.
pub const FLOW: u8 = 12;
/// Acknowledges publishes, in flat runs of six.
pub const ACK: u8 = 20;
/// Refuses publishes; nothing of them was stored.
pub const NACK: u8 = 21;
/// Returns publish credit, in bytes of whole publish frames.
pub const CREDIT: u8 = 22;
/// Delivers the whole batches that follow the array in the frame.
pub const DELIVER: u8 = 23;
/// Announces a source of a subscription before its first delivery.
pub const SOURCE: u8 = 24;
/// A source ends: code 0 when a bounded read is complete, otherwise an error's code.
pub const SOURCE_END: u8 = 25;
/// Counts the offsets that an at-most-once subscriber or a reader of a memory topic missed.
pub const DROPPED: u8 = 26;
/// Changes the sources that a member of a group reads.
pub const ASSIGNMENT: u8 = 27;
/// Creates a topic.
pub const TOPIC_CREATE: u8 = 30;
/// Grows a topic's partitions or changes its configuration.
pub const TOPIC_ALTER: u8 = 31;
/// Describes a topic and its partitions.
pub const TOPIC_DESCRIBE: u8 = 32;
/// Deletes a topic and its records.
pub const TOPIC_DELETE: u8 = 33;
/// Lists topics by name, in pages.
pub const TOPIC_LIST: u8 = 34;
/// Binds a publisher number of this connection to a topic.
pub const PUBLISHER_OPEN: u8 = 40;
/// Frees a publisher number.
pub const PUBLISHER_CLOSE: u8 = 41;
/// Gives a producer id, or raises the epoch of one.
pub const PRODUCER_INIT: u8 = 42;
/// Subscribes to a topic, to a pattern of topics, or as a member of a group.
pub const SUBSCRIBE: u8 = 50;
/// Ends a subscription; a member of a group leaves it.
pub const UNSUBSCRIBE: u8 = 51;
/// Looks offsets of partitions up.
pub const OFFSETS: u8 = 52;
/// Commits offsets of a group.
pub const COMMIT: u8 = 60;
/// Keeps a member's session alive.
pub const GROUP_HEARTBEAT: u8 = 61;
/// Gives revoked sources back, after the last commit.
pub const RELEASE: u8 = 62;
/// Describes a group, its members and their partitions.
pub const GROUP_DESCRIBE: u8 = 64;
/// Lists the groups of the namespace.
pub const GROUP_LIST: u8 = 65;
/// Moves the committed offsets of a group without members.
pub const GROUP_RESET: u8 = 66;
/// Deletes a group without members.
pub const GROUP_DELETE: u8 = 67;
/// Gives the committed offsets of a group with their lag.
pub const GROUP_OFFSETS: u8 = 68;
