/** The Millrace client: Bun, Node and browsers. README.md shows how to use it. */

export type { Auth, Secret } from "./auth.ts";
export { Client, type ClientState, connect } from "./client.ts";
export { Consumer, type ConsumerOptions, type From } from "./consumer.ts";
export { type AckLevel, Delivery, type PublishResult } from "./delivery.ts";
export {
  CancelledError,
  ClosedError,
  ConflictError,
  ConnectionLostError,
  FencedError,
  isMillraceError,
  MillraceError,
  TimeoutError,
} from "./errors.ts";
export {
  type BindingDescription,
  type BindingOptions,
  type BindingTarget,
  type DeclareOptions,
  Exchange,
  type ExchangeConfig,
  Exchanges,
  type ExchangeSummary,
  type ExchangeType,
  type HeaderCondition,
} from "./exchange.ts";
export { Group, type GroupDescription, type GroupOffset, Groups, type ResetTarget } from "./group.ts";
export {
  type AssignedPartition,
  type CommitOptions,
  GroupConsumer,
  type GroupConsumerOptions,
  type TopicPartition,
} from "./group-consumer.ts";
export type { ClientOptions, ReconnectOptions } from "./options.ts";
export { type PatternOptions, PatternSubscription } from "./pattern.ts";
export { Producer } from "./producer.ts";
export type { ProducerOptions, ProducerRecord, SendOptions } from "./producer-options.ts";
export {
  type MessageEdit,
  QueueSession,
  type PeekedMessage,
  Queue,
  type QueueCounts,
  type QueueDescription,
  Queues,
  type QueueSummary,
  type RedriveOptions,
  type RedrivenMessage,
  type RedriveResult,
  type ScheduledMessage,
} from "./queue.ts";
export { QueueConsumer, type QueueHandler } from "./queue-consumer.ts";
export { type AckOptions, type NackOptions, QueueMessage } from "./queue-message.ts";
export type {
  MessageOptions,
  PublishOptions,
  QueueConfig,
  QueueConfigChange,
  QueueConsumeOptions,
  RetryPolicy,
} from "./queue-options.ts";
export type { GetOptions } from "./queue-pull.ts";
export { QueueView } from "./queue-view.ts";
export { type Answer, type GatherOptions, Reply, type ReplyOptions, type RequestOptions } from "./requests.ts";
export {
  type CheckResult,
  type Compatibility,
  type NewSchema,
  type RegisteredSchema,
  type SchemaMode,
  type SchemaReference,
  Schemas,
  type SchemaType,
  type SchemaVersion,
  type SubjectSummary,
} from "./schemas.ts";
export type { SessionLimits, Welcome } from "./session.ts";
export type { TlsOptions } from "./transport.ts";
export type { Message, SubscriptionOptions } from "./subscription.ts";
export {
  type AlteredTopic,
  type CreatedTopic,
  type CreateTopicOptions,
  type Durability,
  type ListTopicsOptions,
  type OffsetQuery,
  type PartitionOffset,
  type PartitionState,
  type TopicConfig,
  type TopicDescription,
  type TopicSummary,
  Topics,
} from "./topics.ts";
export { Transaction, type TransactionOffset } from "./transaction.ts";
export { type TransactionOptions, Transactions, type TransactionSummary } from "./transactions.ts";
export {
  type PutTransformOptions,
  type TransformDefinition,
  type TransformDescription,
  type TransformPlace,
  Transforms,
  type TransformStep,
  type TransformTrial,
  type TrialMessage,
} from "./transform.ts";
export { Worker, type WorkerHandler, type WorkerOptions } from "./worker.ts";
export { BatchEncoder, type BatchView, type Content, type Headers, type HeaderValue } from "../protocol/index.ts";
export { type Namespace, Namespaces } from "./namespaces.ts";
export type {
  Explained,
  ExplainedAck,
  ExplainedConnection,
  ExplainedDelivery,
  ExplainedLoad,
  ExplainRequest,
} from "./explain.ts";
export {
  childTrace,
  formatTraceParent,
  type TraceContext,
  traceContextOf,
  type TraceParent,
} from "../protocol/index.ts";
export type { Busiest, BusyQueue, BusyTopic, Overview, OverviewOptions, StageLatency } from "./overview.ts";
export { type ConnectionFilter, type ConnectionInfo, Connections } from "./connections.ts";
export {
  type Permission,
  type PermissionKind,
  type PermissionOperation,
  type PermissionQuestion,
  type PermissionRequest,
  type PermissionResource,
  type PermissionVerdict,
  Permissions,
  type Role,
  Roles,
  type User,
  type UserRequest,
  Users,
} from "./access.ts";
export { type BackupOptions, type BackupRun, Backups, type BackupStatus, type BackupSummary } from "./backups.ts";
export { DefinitionsFile, type DefinitionsImport } from "./definitions.ts";
export { type Quota, type QuotaOwner, type QuotaRequest, Quotas } from "./quotas.ts";
export { type Schedule, type ScheduleRequest, Schedules } from "./schedules.ts";
