// Generated from ops.json by test/tools/generate.ts. Do not edit.

export const Op = {
  /** Opens the session. Must be the first frame of a connection. */
  HELLO: 1,
  /** Asks the peer for a PONG with the same token. */
  PING: 2,
  /** Answers a PING. */
  PONG: 3,
  /** Says why the connection ends; the sender closes the socket after it. */
  GOODBYE: 4,
  /** The result of the request with this correlation id. */
  OK: 5,
  /** The request with this correlation id failed. */
  ERROR: 6,
  /** The server's message of a log-in that takes several steps; belongs to the HELLO with this correlation id. */
  AUTH_CHALLENGE: 7,
  /** Answers the message of a log-in. */
  AUTH_RESPONSE: 8,
  /** Publishes the one batch that follows the array in the frame. */
  PUBLISH: 10,
  /** Publishes one record, which the broker puts into a batch. */
  PUBLISH_ONE: 11,
  /** Grants a subscription more delivery credit, in bytes of frames. */
  FLOW: 12,
  /** Settles deliveries of a queue subscription: acks, returns, rejects, defers or renews them. */
  SETTLE: 13,
  /** Changes how many messages of a queue subscription may be unsettled. */
  PREFETCH: 14,
  /** Refuses a SETTLE that had no correlation id, from this tag on. */
  SETTLE_FAILED: 18,
  /** Tells a queue subscription of a lease that runs out, of becoming the active one, or of its end. */
  QUEUE_EVENT: 19,
  /** Acknowledges publishes, in flat runs of six. */
  ACK: 20,
  /** Refuses publishes; nothing of them was stored. */
  NACK: 21,
  /** Returns publish credit, in bytes of whole publish frames. */
  CREDIT: 22,
  /** Delivers the whole batches that follow the array in the frame. */
  DELIVER: 23,
  /** Announces a source of a subscription before its first delivery. */
  SOURCE: 24,
  /** A source ends: code 0 when a bounded read is complete, otherwise an error's code. */
  SOURCE_END: 25,
  /** Counts the offsets that an at-most-once subscriber or a reader of a memory topic missed. */
  DROPPED: 26,
  /** Changes the sources that a member of a group reads. */
  ASSIGNMENT: 27,
  /** Delivers the messages of a queue in the one batch that follows the array in the frame. */
  MESSAGES: 28,
  /** Names the records of a publish that were not routed, before its ACK. */
  RETURNED: 29,
  /** Creates a topic. */
  TOPIC_CREATE: 30,
  /** Grows a topic's partitions or changes its configuration. */
  TOPIC_ALTER: 31,
  /** Describes a topic and its partitions. */
  TOPIC_DESCRIBE: 32,
  /** Deletes a topic and its records. */
  TOPIC_DELETE: 33,
  /** Lists topics by name, in pages. */
  TOPIC_LIST: 34,
  /** Binds a publisher number of this connection to a topic or an exchange. */
  PUBLISHER_OPEN: 40,
  /** Frees a publisher number. */
  PUBLISHER_CLOSE: 41,
  /** Gives a producer id, or raises the epoch of one. */
  PRODUCER_INIT: 42,
  /** Subscribes to a topic, to a pattern of topics, as a member of a group, or to a queue. */
  SUBSCRIBE: 50,
  /** Ends a subscription; a member of a group leaves it. */
  UNSUBSCRIBE: 51,
  /** Looks offsets of partitions up. */
  OFFSETS: 52,
  /** Commits offsets of a group. */
  COMMIT: 60,
  /** Keeps a member's session alive. */
  GROUP_HEARTBEAT: 61,
  /** Gives revoked sources back, after the last commit. */
  RELEASE: 62,
  /** Describes a group, its members and their partitions. */
  GROUP_DESCRIBE: 64,
  /** Lists the groups of the namespace. */
  GROUP_LIST: 65,
  /** Moves the committed offsets of a group without members. */
  GROUP_RESET: 66,
  /** Deletes a group without members. */
  GROUP_DELETE: 67,
  /** Gives the committed offsets of a group with their lag. */
  GROUP_OFFSETS: 68,
  /** Declares an exchange. */
  EXCHANGE_DECLARE: 70,
  /** Deletes an exchange and its bindings. */
  EXCHANGE_DELETE: 71,
  /** Lists the exchanges of the namespace. */
  EXCHANGE_LIST: 72,
  /** Binds a queue, a topic or another exchange to an exchange. */
  BIND: 73,
  /** Removes a binding. */
  UNBIND: 74,
  /** Lists bindings. */
  BINDING_LIST: 75,
  /** Changes a queue's configuration. */
  QUEUE_ALTER: 76,
  /** Reads, sets or removes the state of a session of an ordered queue. */
  QUEUE_SESSION: 77,
  /** Declares a queue. */
  QUEUE_DECLARE: 80,
  /** Deletes a queue, its messages and its bindings. */
  QUEUE_DELETE: 81,
  /** Describes a queue: its configuration, its counts and its consumers. */
  QUEUE_DESCRIBE: 82,
  /** Lists queues by name, in pages. */
  QUEUE_LIST: 83,
  /** Drops the waiting messages of a queue. */
  QUEUE_PURGE: 84,
  /** Shows messages of a queue without taking them. */
  QUEUE_PEEK: 85,
  /** Takes messages of a queue once, without a lasting subscription. */
  QUEUE_GET: 86,
  /** Moves messages of a queue back to where they came from, or elsewhere. */
  QUEUE_REDRIVE: 87,
  /** Lists or cancels the messages of a queue that are not due yet. */
  QUEUE_SCHEDULED: 88,
  /** Delivers deferred messages by their numbers. */
  QUEUE_TAKE: 89,
  /** Begins a transaction, or takes a transactional id over. */
  TXN_BEGIN: 90,
  /** Adds publishes, acks and offsets to a transaction. */
  TXN_ADD: 91,
  /** Commits a transaction, with its last parts; or asks what became of one. */
  TXN_COMMIT: 92,
  /** Rolls a transaction back. */
  TXN_ABORT: 93,
  /** Lists the open transactions of the namespace. */
  TXN_LIST: 94,
  /** Registers a schema under a subject. */
  SCHEMA_REGISTER: 100,
  /** Asks for a schema by its id. */
  SCHEMA_GET: 101,
  /** Asks for a version of a subject. */
  SCHEMA_VERSION: 102,
  /** Asks whether a schema is registered under a subject. */
  SCHEMA_LOOKUP: 103,
  /** Asks whether a schema would be compatible. */
  SCHEMA_CHECK: 104,
  /** Lists subjects. */
  SCHEMA_SUBJECTS: 105,
  /** Deletes a subject or one of its versions. */
  SCHEMA_DELETE: 106,
  /** Reads or sets the compatibility of a subject or of all. */
  SCHEMA_CONFIG: 107,
  /** Reads or sets the mode of a subject or of all. */
  SCHEMA_MODE: 108,
  /** Puts a transform, which begins to run. */
  TRANSFORM_PUT: 110,
  /** Deletes a transform. */
  TRANSFORM_DELETE: 111,
  /** Lists the transforms of the namespace, each with how it fares. */
  TRANSFORM_LIST: 112,
  /** Shows what the steps of a transform make of messages; nothing is stored. */
  TRANSFORM_TRY: 113,
  /** Limits how fast a namespace or a user may publish. */
  QUOTA_PUT: 120,
  /** Takes such a limit away. */
  QUOTA_DELETE: 121,
  /** Lists the limits. */
  QUOTA_LIST: 122,
  /** Has a message published again and again, by a cron schedule. */
  SCHEDULE_PUT: 123,
  /** Deletes a schedule. */
  SCHEDULE_DELETE: 124,
  /** Lists the schedules of the namespace. */
  SCHEDULE_LIST: 125,
  /** Makes a user, or changes its password, its roles and whether it may log in. */
  USER_PUT: 130,
  /** Takes a user away, and the rules about it. */
  USER_DELETE: 131,
  /** Lists users, without anything of their passwords. */
  USER_LIST: 132,
  /** Makes a role, or describes it anew. */
  ROLE_PUT: 133,
  /** Takes a role away, from its users too, and the rules about it. */
  ROLE_DELETE: 134,
  /** Lists roles, the built-in ones first. */
  ROLE_LIST: 135,
  /** Sets a permission rule. */
  PERMISSION_PUT: 136,
  /** Takes a permission rule away. */
  PERMISSION_DELETE: 137,
  /** Lists permission rules. */
  PERMISSION_LIST: 138,
  /** Asks what would be decided for a principal, and by which rule. */
  PERMISSION_TEST: 139,
  /** Declares a namespace, or changes its description. */
  NAMESPACE_PUT: 140,
  /** Takes a namespace away, with what is in it where that is asked for. */
  NAMESPACE_DELETE: 141,
  /** Lists the namespaces and what they hold. */
  NAMESPACE_LIST: 142,
  /** Lists the connections of the broker. */
  CONNECTION_LIST: 145,
  /** Closes a connection. */
  CONNECTION_CLOSE: 146,
  /** Tells where a message would go from an exchange. */
  ROUTE_TRACE: 147,
  /** Begins a backup of the broker's data directory. */
  BACKUP_RUN: 150,
  /** Tells how the last backup goes or went, and which there are. */
  BACKUP_STATUS: 151,
  /** Gives all definitions of the broker as one value. */
  DEFINITIONS_EXPORT: 152,
  /** Makes the definitions of a file, all of them or none. */
  DEFINITIONS_IMPORT: 153,
  /** Tells what became of one message: where it came in, where it lies, whom it was delivered to, its acks. */
  EXPLAIN: 155,
  /** Tells what there is in the broker, what has flowed, and how fast. */
  OVERVIEW: 156,
  /** Reads records of one partition for a look at them, without a subscription. */
  RECORD_READ: 157,
  /** Publishes one message to a topic or an exchange, without a publisher. */
  MESSAGE_PUBLISH: 158,
  /** Lists the settings of the running broker, or changes those that can be changed while it runs. */
  CONFIG: 159,
} as const;
