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
  /** Publishes the one batch that follows the array in the frame. */
  PUBLISH: 10,
  /** Publishes one record, which the broker puts into a batch. */
  PUBLISH_ONE: 11,
  /** Grants a subscription more delivery credit, in bytes of frames. */
  FLOW: 12,
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
  /** Binds a publisher number of this connection to a topic. */
  PUBLISHER_OPEN: 40,
  /** Frees a publisher number. */
  PUBLISHER_CLOSE: 41,
  /** Gives a producer id, or raises the epoch of one. */
  PRODUCER_INIT: 42,
  /** Subscribes to a topic, to a pattern of topics, or as a member of a group. */
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
} as const;
