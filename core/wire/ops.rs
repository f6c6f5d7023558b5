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
/// The server's message of a log-in that takes several steps; belongs to the HELLO with this correlation id.
pub const AUTH_CHALLENGE: u8 = 7;
/// Answers the message of a log-in.
pub const AUTH_RESPONSE: u8 = 8;
/// Publishes the one batch that follows the array in the frame.
pub const PUBLISH: u8 = 10;
/// Publishes one record, which the broker puts into a batch.
pub const PUBLISH_ONE: u8 = 11;
/// Grants a subscription more delivery credit, in bytes of frames.
pub const FLOW: u8 = 12;
/// Settles deliveries of a queue subscription: acks, returns, rejects, defers or renews them.
pub const SETTLE: u8 = 13;
/// Changes how many messages of a queue subscription may be unsettled.
pub const PREFETCH: u8 = 14;
/// Refuses a SETTLE that had no correlation id, from this tag on.
pub const SETTLE_FAILED: u8 = 18;
/// Tells a queue subscription of a lease that runs out, of becoming the active one, or of its end.
pub const QUEUE_EVENT: u8 = 19;
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
/// Delivers the messages of a queue in the one batch that follows the array in the frame.
pub const MESSAGES: u8 = 28;
/// Names the records of a publish that were not routed, before its ACK.
pub const RETURNED: u8 = 29;
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
/// Binds a publisher number of this connection to a topic or an exchange.
pub const PUBLISHER_OPEN: u8 = 40;
/// Frees a publisher number.
pub const PUBLISHER_CLOSE: u8 = 41;
/// Gives a producer id, or raises the epoch of one.
pub const PRODUCER_INIT: u8 = 42;
/// Subscribes to a topic, to a pattern of topics, as a member of a group, or to a queue.
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
/// Declares an exchange.
pub const EXCHANGE_DECLARE: u8 = 70;
/// Deletes an exchange and its bindings.
pub const EXCHANGE_DELETE: u8 = 71;
/// Lists the exchanges of the namespace.
pub const EXCHANGE_LIST: u8 = 72;
/// Binds a queue, a topic or another exchange to an exchange.
pub const BIND: u8 = 73;
/// Removes a binding.
pub const UNBIND: u8 = 74;
/// Lists bindings.
pub const BINDING_LIST: u8 = 75;
/// Changes a queue's configuration.
pub const QUEUE_ALTER: u8 = 76;
/// Reads, sets or removes the state of a session of an ordered queue.
pub const QUEUE_SESSION: u8 = 77;
/// Declares a queue.
pub const QUEUE_DECLARE: u8 = 80;
/// Deletes a queue, its messages and its bindings.
pub const QUEUE_DELETE: u8 = 81;
/// Describes a queue: its configuration, its counts and its consumers.
pub const QUEUE_DESCRIBE: u8 = 82;
/// Lists queues by name, in pages.
pub const QUEUE_LIST: u8 = 83;
/// Drops the waiting messages of a queue.
pub const QUEUE_PURGE: u8 = 84;
/// Shows messages of a queue without taking them.
pub const QUEUE_PEEK: u8 = 85;
/// Takes messages of a queue once, without a lasting subscription.
pub const QUEUE_GET: u8 = 86;
/// Moves messages of a queue back to where they came from, or elsewhere.
pub const QUEUE_REDRIVE: u8 = 87;
/// Lists or cancels the messages of a queue that are not due yet.
pub const QUEUE_SCHEDULED: u8 = 88;
/// Delivers deferred messages by their numbers.
pub const QUEUE_TAKE: u8 = 89;
/// Begins a transaction, or takes a transactional id over.
pub const TXN_BEGIN: u8 = 90;
/// Adds publishes, acks and offsets to a transaction.
pub const TXN_ADD: u8 = 91;
/// Commits a transaction, with its last parts; or asks what became of one.
pub const TXN_COMMIT: u8 = 92;
/// Rolls a transaction back.
pub const TXN_ABORT: u8 = 93;
/// Lists the open transactions of the namespace.
pub const TXN_LIST: u8 = 94;
/// Registers a schema under a subject.
pub const SCHEMA_REGISTER: u8 = 100;
/// Asks for a schema by its id.
pub const SCHEMA_GET: u8 = 101;
/// Asks for a version of a subject.
pub const SCHEMA_VERSION: u8 = 102;
/// Asks whether a schema is registered under a subject.
pub const SCHEMA_LOOKUP: u8 = 103;
/// Asks whether a schema would be compatible.
pub const SCHEMA_CHECK: u8 = 104;
/// Lists subjects.
pub const SCHEMA_SUBJECTS: u8 = 105;
/// Deletes a subject or one of its versions.
pub const SCHEMA_DELETE: u8 = 106;
/// Reads or sets the compatibility of a subject or of all.
pub const SCHEMA_CONFIG: u8 = 107;
/// Reads or sets the mode of a subject or of all.
pub const SCHEMA_MODE: u8 = 108;
/// Puts a transform, which begins to run.
pub const TRANSFORM_PUT: u8 = 110;
/// Deletes a transform.
pub const TRANSFORM_DELETE: u8 = 111;
/// Lists the transforms of the namespace, each with how it fares.
pub const TRANSFORM_LIST: u8 = 112;
/// Shows what the steps of a transform make of messages; nothing is stored.
pub const TRANSFORM_TRY: u8 = 113;
/// Limits how fast a namespace or a user may publish.
pub const QUOTA_PUT: u8 = 120;
/// Takes such a limit away.
pub const QUOTA_DELETE: u8 = 121;
/// Lists the limits.
pub const QUOTA_LIST: u8 = 122;
/// Has a message published again and again, by a cron schedule.
pub const SCHEDULE_PUT: u8 = 123;
/// Deletes a schedule.
pub const SCHEDULE_DELETE: u8 = 124;
/// Lists the schedules of the namespace.
pub const SCHEDULE_LIST: u8 = 125;
/// Makes a user, or changes its password, its roles and whether it may log in.
pub const USER_PUT: u8 = 130;
/// Takes a user away, and the rules about it.
pub const USER_DELETE: u8 = 131;
/// Lists users, without anything of their passwords.
pub const USER_LIST: u8 = 132;
/// Makes a role, or describes it anew.
pub const ROLE_PUT: u8 = 133;
/// Takes a role away, from its users too, and the rules about it.
pub const ROLE_DELETE: u8 = 134;
/// Lists roles, the built-in ones first.
pub const ROLE_LIST: u8 = 135;
/// Sets a permission rule.
pub const PERMISSION_PUT: u8 = 136;
/// Takes a permission rule away.
pub const PERMISSION_DELETE: u8 = 137;
/// Lists permission rules.
pub const PERMISSION_LIST: u8 = 138;
/// Asks what would be decided for a principal, and by which rule.
pub const PERMISSION_TEST: u8 = 139;
/// Declares a namespace, or changes its description.
pub const NAMESPACE_PUT: u8 = 140;
/// Takes a namespace away, with what is in it where that is asked for.
pub const NAMESPACE_DELETE: u8 = 141;
/// Lists the namespaces and what they hold.
pub const NAMESPACE_LIST: u8 = 142;
/// Lists the connections of the broker.
pub const CONNECTION_LIST: u8 = 145;
/// Closes a connection.
pub const CONNECTION_CLOSE: u8 = 146;
/// Tells where a message would go from an exchange.
pub const ROUTE_TRACE: u8 = 147;
/// Begins a backup of the broker's data directory.
pub const BACKUP_RUN: u8 = 150;
/// Tells how the last backup goes or went, and which there are.
pub const BACKUP_STATUS: u8 = 151;
/// Gives all definitions of the broker as one value.
pub const DEFINITIONS_EXPORT: u8 = 152;
/// Makes the definitions of a file, all of them or none.
pub const DEFINITIONS_IMPORT: u8 = 153;
/// Tells what became of one message: where it came in, where it lies, whom it was delivered to, its acks.
pub const EXPLAIN: u8 = 155;
/// Tells what there is in the broker, what has flowed, and how fast.
pub const OVERVIEW: u8 = 156;
/// Reads records of one partition for a look at them, without a subscription.
pub const RECORD_READ: u8 = 157;
/// Publishes one message to a topic or an exchange, without a publisher.
pub const MESSAGE_PUBLISH: u8 = 158;
/// Lists the settings of the running broker, or changes those that can be changed while it runs.
pub const CONFIG: u8 = 159;
