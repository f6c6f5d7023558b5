//! The data plane: connections, publishers, subscriptions and the turn of the
//! loop, over the log and the ring. See README.md.

mod acks;
mod cold;
mod connection;
mod control;
mod credit;
mod deliver;
mod drain;
mod exchange;
mod flight;
mod hub;
mod inbox;
mod lanes;
mod maps;
mod numbered;
mod options;
mod partition_state;
mod plan;
mod prefault;
mod publish;
mod quotas;
mod source;
mod spaces;
mod stages;
#[cfg(test)]
mod tests;
mod view;
mod worker;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

pub use connection::Flags;
pub use control::SourceRange;
pub use credit::Pressure;
pub use flight::{Arrival, Noted, Sent, Traced, TracedTimes};
pub use options::EngineOptions;
pub use plan::{Plan, op};
pub use quotas::Quota;
pub use spaces::QueueConsumer;
pub use stages::Stages;
pub use worker::Worker;

use crate::clock::{Clock, ManualClock, SystemClock};
use crate::error::{CoreError, ErrorCode, Result};
use crate::log::{Backup, LogStore, RecoveryReport};
use crate::schema::{Enforced, Enforcement, Schema, Taker};
use crate::space::{SpaceCounters, Spaces};
use crate::stdx::histogram::Histogram;
use inbox::{Inbox, Inboxes};
use prefault::Prefaulter;
use quotas::{Meter, Quotas};

/// What all workers of a process share: the log store, one inbox a worker, and
/// the thread that brings cold pages in.
pub struct Engine {
    pub options: EngineOptions,
    pub recovery: RecoveryReport,
    pub store: Arc<LogStore>,
    clock: Arc<dyn Clock>,
    manual_clock: Option<Arc<ManualClock>>,
    inboxes: Arc<Inboxes>,
    prefaulter: Prefaulter,
    next_producer: AtomicU64,
    spaces: Spaces,
    quotas: Quotas,
    pressure: AtomicU8,
    /// The schemas, and what topics and queues ask of their records.
    enforced: Arc<Enforced>,
}

impl Engine {
    /// Opens the data directory, recovers it, and starts the native threads.
    ///
    /// # Errors
    /// `data_dir_locked`, `format_too_new`, `bad_format`, `storage_failed`.
    pub fn open(options: EngineOptions) -> Result<Arc<Self>> {
        let manual_clock = options.manual_clock_ms.map(|now| Arc::new(ManualClock::new(now)));
        let clock: Arc<dyn Clock> = match &manual_clock {
            Some(manual) => manual.clone(),
            None => Arc::new(SystemClock::default()),
        };
        let inboxes = Arc::new(Inboxes::new(options.workers, clock.clone()));
        let (store, recovery) = LogStore::open(options.store(), clock.clone(), inboxes.clone())?;
        let prefaulter = Prefaulter::start(inboxes.clone())?;
        // The epoch rises at every start, so ids below it were never given before.
        let next_producer = AtomicU64::new((u64::from(store.epoch()) << 32) | 1);
        let engine = Self {
            options,
            recovery,
            store,
            clock,
            manual_clock,
            inboxes,
            prefaulter,
            next_producer,
            spaces: Spaces::default(),
            quotas: Quotas::default(),
            pressure: AtomicU8::new(0),
            enforced: Arc::default(),
        };
        Ok(Arc::new(engine))
    }

    pub fn now_ms(&self) -> u64 {
        self.clock.now_ms()
    }

    /// Moves the manual clock.
    ///
    /// # Errors
    /// `invalid_argument` when the engine runs on the system's clock.
    pub fn set_clock(&self, now_ms: u64) -> Result<()> {
        let Some(clock) = &self.manual_clock else {
            return Err(CoreError::new(ErrorCode::INVALID_ARGUMENT, "the engine runs on the system's clock"));
        };
        clock.set(now_ms);
        Ok(())
    }

    pub fn new_producer_id(&self) -> u64 {
        self.next_producer.fetch_add(1, Ordering::Relaxed)
    }

    /// Sets what wakes a worker's loop; called once a worker.
    pub fn on_wake(&self, worker: usize, wake: Box<dyn Fn() + Send + Sync>) {
        if let Some(inbox) = self.inboxes.get(worker) {
            inbox.set_wake(wake);
        }
    }

    /// Hands a message to another worker's loop.
    ///
    /// # Errors
    /// `invalid_argument` for a worker that does not exist.
    pub fn post(&self, worker: usize, message: Vec<u8>) -> Result<()> {
        let inbox = self.inbox(worker)?;
        inbox.put(|items| items.mail.push(message));
        Ok(())
    }

    /// Looks at how long records waited for the syncs that let consumers see them.
    pub fn with_commits(&self, look: impl FnOnce(&Histogram)) {
        look(&self.inboxes.commit.lock());
    }

    /// Publishes and single records that were refused because of their schemas.
    pub fn schema_violations(&self) -> u64 {
        self.enforced.violations.load(Ordering::Relaxed)
    }

    fn inbox(&self, worker: usize) -> Result<&Inbox> {
        self.inboxes
            .get(worker)
            .ok_or_else(|| CoreError::new(ErrorCode::INVALID_ARGUMENT, format!("there is no worker {worker}")))
    }

    /// Limits what connections that count for a bucket may have together; without a quota the bucket goes.
    pub fn quota_set(&self, bucket: String, quota: Option<Quota>) {
        self.quotas.set(bucket, quota);
    }

    /// Says whether a bucket's stored bytes are used up: publishes of its connections are refused then.
    pub fn quota_full(&self, bucket: &str, is_full: bool) {
        self.quotas.set_full(bucket, is_full);
    }

    /// How many connections count for a bucket; 0 for one without a quota.
    pub fn quota_connections(&self, bucket: &str) -> u64 {
        self.quotas.connections(bucket)
    }

    /// Charges buckets for what is published without a connection that could be held back.
    ///
    /// # Errors
    /// `low_resources`; `quota_exceeded` where one is full or past its rate. Nothing is charged then.
    pub fn publish_charge(&self, buckets: &[String], messages: u64, bytes: u64) -> Result<()> {
        if self.pressure() > Pressure::None {
            return Err(credit::refusal(ErrorCode::LOW_RESOURCES));
        }
        let mut meter = Meter::default();
        let found = buckets.iter().filter_map(|name| self.quotas.find(name));
        meter.join(found, false)?;
        if meter.is_full() {
            return Err(credit::refusal(ErrorCode::QUOTA_EXCEEDED));
        }
        let now_ms = self.now_ms();
        if meter.charge(now_ms, 0) {
            let message = "what the quota (messagesPerSec, bytesPerSec) allows is used up for now";
            return Err(CoreError::new(ErrorCode::QUOTA_EXCEEDED, message));
        }
        meter.messages = messages;
        meter.charge(now_ms, bytes);
        Ok(())
    }

    #[inline]
    pub fn pressure(&self) -> Pressure {
        self.pressure.load(Ordering::Relaxed).into()
    }

    /// Says how low the machine is on disk or memory. Who was held back goes on when it has become less.
    pub fn set_pressure(&self, pressure: Pressure) {
        if self.pressure.swap(pressure as u8, Ordering::AcqRel) > pressure as u8 {
            self.inboxes.wake_all();
        }
    }

    /// Bytes of these logs, their partitions together; logs that are gone have none.
    pub fn log_bytes(&self, ids: &[u64]) -> u64 {
        let logs = ids.iter().filter_map(|id| self.store.log(*id));
        logs.flat_map(|log| log.partitions()).map(|partition| partition.info().bytes).sum()
    }

    /// What happened to messages of exchanges that no queue has to show for.
    pub fn space_counters(&self) -> SpaceCounters {
        self.spaces.counters()
    }

    /// Adds the schema of an id, from its table. An id has its schema for ever: one that is there stays.
    ///
    /// # Errors
    /// `schema_invalid` where it is no table, `limit_exceeded`.
    pub fn schema_put(&self, id: u32, table: &[u8]) -> Result<()> {
        self.enforced.schemas.put(id, Schema::read(table)?)
    }

    pub fn schema_known(&self, id: u32) -> bool {
        self.enforced.schemas.get(id).is_some()
    }

    pub fn schema_remove(&self, id: u32) {
        self.enforced.schemas.remove(id);
    }

    /// Sets which records a topic or queue takes from the next chunk on; `version` is the metadata log's offset.
    pub fn enforce(&self, taker: Taker, version: u64, enforcement: Option<Enforcement>) {
        self.enforced.set(taker, version, enforcement);
    }

    /// Forgets what a topic or queue that is gone has asked for.
    pub fn enforce_no_more(&self, taker: Taker) {
        self.enforced.forget(taker);
    }

    /// Makes a backup in a folder that is not there yet, while everything goes on. Takes its
    /// time: not for a loop's thread.
    ///
    /// # Errors
    /// As `LogStore::backup`.
    pub fn backup(&self, target: &Path) -> Result<Backup> {
        self.store.backup(target, &[spaces::SNAPSHOTS])
    }

    /// Syncs everything, leaves the clean mark and joins the threads.
    ///
    /// # Errors
    /// `storage_failed` when the last sync fails; the next start then recovers.
    pub fn close(&self) -> Result<()> {
        self.prefaulter.stop();
        for space in self.spaces.all() {
            // Without its snapshot a space replays its logs at the next start.
            let _ = space.close(self.now_ms());
        }
        self.store.close()
    }
}
