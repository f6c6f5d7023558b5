/** The part of the configuration that the core is opened with. */
import type { Config } from "../config/index.ts";
import type { EngineOptions } from "../log/engine.ts";

export function engineOptions(config: Config, manualClockMs: number | null): EngineOptions {
  return {
    dataDir: config.storage === "memory" ? null : config.dataDir,
    workers: config.threads,
    manualClockMs,
    frameBytesMax: config.frameBytesMax,
    batchBytesMax: config.batchBytesMax,
    publishersPerConnectionMax: config.publishersPerConnectionMax,
    subscriptionsPerConnectionMax: config.subscriptionsPerConnectionMax,
    sourcesPerSubscriptionMax: config.sourcesPerSubscriptionMax,
    prefetchMax: config.prefetchMax,
    publishCreditBytes: config.publishCreditBytes,
    publishOverdraftBytesMax: config.publishOverdraftBytesMax,
    subscriptionCreditBytesMax: config.subscriptionCreditBytesMax,
    writeBytesPerTurn: config.writeBytesPerTurn,
    turnBytesMax: config.turnBytesMax,
    deliveryBytesMax: config.deliveryBytesMax,
    viewBytesMin: config.viewBytesMin,
    ringBytes: config.ringBytes,
    indexIntervalBytes: config.indexIntervalBytes,
    mappedSegmentsMax: config.mappedSegmentsMax,
    openFilesMax: config.openFilesMax,
    dirtyBytesMax: config.dirtyBytesMax,
    checkpointBytes: config.checkpointBytes,
    retentionCheckMs: config.retentionCheckMs,
    producersPerPartitionMax: config.producersPerPartitionMax,
    keyIndexEntriesMax: config.keyIndexEntriesMax,
    compactionKeysMax: config.compactionKeysMax,
    flightRecorderBytes: config.flightRecorderBytes,
  };
}
