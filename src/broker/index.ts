export {
  type Engine,
  PRESSURE_HOLD,
  PRESSURE_NONE,
  PRESSURE_REFUSE,
  PUBLISH_MANDATORY,
  PUBLISH_REQUIRE_CONSUMER,
  SUBSCRIBE_EXCLUSIVE,
} from "../log/engine.ts";
export { type BackupRun, Backups, type BackupStatus, type BackupSummary } from "./backups.ts";
export { Coordinator, EVENT_NOTICE, type GroupLimits } from "./groups/coordinator.ts";
export { Groups, ownerOf } from "./groups/groups.ts";
export type { CommitRequest, Given, GroupLag, MemberEvent, Position } from "./groups/messages.ts";
export { OffsetsStore } from "./groups/offsets-store.ts";
export { Mailroom } from "./mailroom.ts";
export { MetadataLog } from "./metadata-log.ts";
export {
  isQuotaEvent,
  isScheduleEvent,
  isSchemaEvent,
  isTopicEvent,
  isTransformEvent,
  type MetadataEvent,
  type MetadataState,
  type Topic,
  type TopicEvent,
} from "./metadata-state.ts";
export { hashName, nameFault } from "./names.ts";
export { Enforcements } from "./enforcement.ts";
export { type ReaderSchema, type ViewRequest, Views } from "./views.ts";
export { internalLogConfig, spaceLogConfig, transactionLogConfig } from "./topic-config.ts";
export { type TopicFigures, type TopicLimits, Topics, type TopicSummary } from "./topics.ts";
export { type Draft, draftOf } from "./draft.ts";
export { Definitions, type RoutingLimits } from "./definitions.ts";
export { type BindingRequest, type BindingRow, Exchanges } from "./exchanges.ts";
export type { Destination, RouteTrace } from "./route-trace.ts";
export { QueueLife } from "./queue-life.ts";
export { Queues } from "./queues.ts";
export {
  BURST_MS_DEFAULT,
  type Quota,
  QUOTA_KINDS,
  QUOTA_LIMITS,
  type QuotaEvent,
  type QuotaLimits,
  type QuotaOwner,
  Quotas,
} from "./quotas.ts";
export { DESCRIPTION_LENGTH_MAX, type NamespaceLimits, Namespaces, type NamespaceView } from "./namespaces.ts";
export { StorageQuotas } from "./storage-quotas.ts";
export { type ScheduleRequest, Schedules, type ScheduleSummary } from "./schedules.ts";
export { type Queue, tombstone } from "./routing-state.ts";
export type { LogRecord } from "./record-batch.ts";
export { scheduleKey } from "./schedule-state.ts";
export { type Found as SchemasFound, type SchemaRequest, Schemas, type SchemasLimits } from "./schemas.ts";
export { revisionOf } from "./revision.ts";
export { SinglePublisher } from "./single-publish.ts";
export { Spaces } from "./spaces.ts";
export { namedBy, parseDefinition, type Place } from "../schema/transform/definition.ts";
export type { StoredTransform, TransformEvent } from "./transform-state.ts";
export {
  TRANSFORM_PROBE,
  TRANSFORM_STATES,
  TRANSFORM_TRY,
  type TransformQuestion,
  Transforms,
  type TransformTrial,
} from "./transforms.ts";
export { Applier } from "./transactions/applier.ts";
export { Commits } from "./transactions/commits.ts";
export type { ExchangePublish, OffsetsCommit, TopicPublish, TransactionName } from "./transactions/messages.ts";
export { Owner } from "./transactions/owner.ts";
export { applyDecided } from "./transactions/recovery.ts";
export { TransactionLog } from "./transactions/transaction-log.ts";
export {
  type AckPart,
  notFound as transactionNotFound,
  type Parts,
  Transactions,
} from "./transactions/transactions.ts";
export {
  COMPATIBILITIES,
  type Compatibility,
  type Mode,
  MODES,
  namespaceScope,
  qualify,
  type Reference,
  type Schema,
  type SchemaEvent,
  schemaNotFound,
  type SchemaState,
  schemaTypeOf,
  splitSubject,
  STRATEGIES,
  type SubjectStrategy,
  type Version,
} from "../schema/index.ts";
