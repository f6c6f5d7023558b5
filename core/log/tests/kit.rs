//! Opening stores, building batches and reading logs back.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use parking_lot::{Condvar, Mutex};

use crate::batch::{BatchBuilder, BatchHeader, HEADER_BYTES, records_of, verify};
use crate::clock::ManualClock;
use crate::error::{CoreError, Result};
use crate::log::{AppendOutcome, BatchIn, LogConfig, LogStore, Partition, RecoveryReport, StoreEvents, StoreOptions};

pub const START_MS: u64 = 1_700_000_000_000;
pub const LOG: u64 = 16;

/// What a store told its owner.
#[derive(Debug, Clone, PartialEq)]
pub enum Told {
    Committed(u64),
    Synced(u64),
    Failed,
    Retired(u64),
}

#[derive(Default)]
pub struct Notes {
    told: Mutex<Vec<Told>>,
    changed: Condvar,
}

impl Notes {
    fn note(&self, told: Told) {
        self.told.lock().push(told);
        self.changed.notify_all();
    }

    /// Waits until the store has told something that fits.
    pub fn wait_for(&self, fits: impl Fn(&Told) -> bool) -> Told {
        let mut told = self.told.lock();
        loop {
            if let Some(found) = told.iter().find(|told| fits(told)) {
                return found.clone();
            }
            let waited = self.changed.wait_for(&mut told, std::time::Duration::from_secs(20));
            assert!(!waited.timed_out(), "the store did not tell what was awaited, only {told:?}");
        }
    }

    pub fn all(&self) -> Vec<Told> {
        self.told.lock().clone()
    }
}

impl StoreEvents for Notes {
    fn committed(&self, partition: &Arc<Partition>) {
        self.note(Told::Committed(partition.high_watermark()));
    }

    fn synced(&self, _: &Arc<Partition>, upto_offset: u64) {
        self.note(Told::Synced(upto_offset));
    }

    fn sync_failed(&self, _: &Arc<Partition>, _: &CoreError) {
        self.note(Told::Failed);
    }

    fn map_retired(&self, map_id: u64) {
        self.note(Told::Retired(map_id));
    }
}

/// A data directory and the means to open and leave it in several ways.
pub struct Rig {
    pub directory: PathBuf,
    /// Removes the directory in the end.
    temporary: Option<tempfile::TempDir>,
    pub clock: Arc<ManualClock>,
    pub notes: Arc<Notes>,
    pub options: StoreOptions,
    pub config: LogConfig,
    pub store: Option<Arc<LogStore>>,
    pub report: RecoveryReport,
}

impl Rig {
    pub fn new() -> Self {
        let temporary = tempfile::tempdir().unwrap();
        let directory = temporary.path().join("data");
        let mut rig = Self::at(directory);
        rig.temporary = Some(temporary);
        rig
    }

    pub fn at(directory: PathBuf) -> Self {
        let options = StoreOptions {
            data_dir: Some(directory.clone()),
            index_interval_bytes: 512,
            retention_check_ms: 3_600_000,
            ..StoreOptions::default()
        };
        Self {
            directory,
            temporary: None,
            clock: Arc::new(ManualClock::new(START_MS)),
            notes: Arc::new(Notes::default()),
            options,
            config: LogConfig { retention_ms: -1, segment_ms: -1, ..LogConfig::default() },
            store: None,
            report: RecoveryReport::default(),
        }
    }

    pub fn try_open(&mut self) -> Result<Arc<Partition>> {
        let (clock, notes) = (Arc::clone(&self.clock), Arc::clone(&self.notes));
        let (store, report) = LogStore::open(self.options.clone(), clock, notes)?;
        self.report = report;
        self.store = Some(Arc::clone(&store));
        let log = store.ensure_log(LOG, 1, self.config.clone())?;
        Ok(log.partition(0).unwrap())
    }

    pub fn open(&mut self) -> Arc<Partition> {
        self.try_open().unwrap()
    }

    pub fn store(&self) -> &Arc<LogStore> {
        self.store.as_ref().unwrap()
    }

    /// As kill -9 leaves it: nothing is synced, no state is written.
    pub fn crash(&mut self) {
        self.store = None;
    }

    pub fn close(&mut self) {
        self.store().close().unwrap();
        self.store = None;
    }

    pub fn partition_directory(&self) -> PathBuf {
        self.directory.join("logs").join(LOG.to_string()).join("0")
    }

    /// Waits for something that a thread of the store does.
    pub fn wait_until(&self, what: &str, holds: impl Fn(&Self) -> bool) {
        for _ in 0..10_000 {
            if holds(self) {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(2));
        }
        panic!("waited in vain: {what}");
    }

    pub fn segment_files(&self) -> Vec<PathBuf> {
        files_ending(&self.partition_directory(), ".log")
    }

    /// Makes the next bytes of a write fail after `stored` bytes.
    pub fn fail_write_after(&self, stored: i64) {
        self.store().shared().faults.fail_write_after.store(stored, Ordering::Relaxed);
    }

    pub fn fail_syncs(&self, fail: bool) {
        self.store().shared().faults.fail_sync.store(fail, Ordering::Relaxed);
    }
}

pub fn files_ending(directory: &Path, ending: &str) -> Vec<PathBuf> {
    let mut files: Vec<_> = std::fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.to_string_lossy().ends_with(ending))
        .collect();
    files.sort();
    files
}

/// A batch of records with these values and no key.
pub fn batch(values: &[&[u8]]) -> Vec<u8> {
    let mut builder = BatchBuilder::new(START_MS);
    for value in values {
        builder.push(0, None, Some(value));
    }
    builder.build()
}

pub fn keyed(records: &[(&str, Option<&str>)]) -> Vec<u8> {
    let mut builder = BatchBuilder::new(START_MS);
    for (key, value) in records {
        builder.push(0, Some(key.as_bytes()), value.map(str::as_bytes));
    }
    builder.build()
}

/// A batch of `count` records of an idempotent producer.
pub fn produced(id: u64, epoch: u16, sequence: u32, count: u32, value: &[u8]) -> Vec<u8> {
    let mut builder = BatchBuilder::new(START_MS).producer(id, epoch, sequence);
    for _ in 0..count {
        builder.push(0, None, Some(value));
    }
    builder.build()
}

/// Appends whole batches in one call, without conditions.
pub fn append_all(partition: &Partition, batches: &[Vec<u8>]) -> Vec<AppendOutcome> {
    let bodies: Vec<[&[u8]; 1]> = batches.iter().map(|batch| [&batch[HEADER_BYTES..]]).collect();
    let inputs: Vec<BatchIn<'_>> = batches
        .iter()
        .zip(&bodies)
        .map(|(batch, body)| {
            let (header, body_crc) = verify(batch).unwrap();
            BatchIn { header, body, body_crc, expect_next: None, expect_key: None }
        })
        .collect();
    let mut outcomes = Vec::new();
    partition.appender().append(&inputs, &mut outcomes);
    outcomes
}

/// Appends one batch under conditions.
pub fn append_if(
    partition: &Partition,
    batch: &[u8],
    expect_next: Option<u64>,
    expect_key: Option<(&[u8], Option<u64>)>,
) -> AppendOutcome {
    let (header, body_crc) = verify(batch).unwrap();
    let input = BatchIn { header, body: &[&batch[HEADER_BYTES..]], body_crc, expect_next, expect_key };
    let mut outcomes = Vec::new();
    partition.appender().append(&[input], &mut outcomes);
    outcomes.remove(0)
}

/// Appends one batch that has to be accepted.
pub fn append(partition: &Partition, batch: &[u8]) -> u64 {
    base_of(&append_if(partition, batch, None, None))
}

pub fn base_of(outcome: &AppendOutcome) -> u64 {
    match outcome {
        AppendOutcome::Appended { base_offset } => *base_offset,
        other => panic!("not appended: {other:?}"),
    }
}

pub fn error_of(outcome: &AppendOutcome) -> CoreError {
    match outcome {
        AppendOutcome::Rejected(error) => error.clone(),
        other => panic!("not rejected: {other:?}"),
    }
}

/// The batches of a run, each verified as a client would.
pub fn split(mut bytes: &[u8]) -> Vec<(BatchHeader, Vec<u8>)> {
    let mut batches = Vec::new();
    while !bytes.is_empty() {
        let (header, _) = verify(bytes).unwrap();
        let (batch, rest) = bytes.split_at(header.batch_bytes());
        batches.push((header, batch.to_vec()));
        bytes = rest;
    }
    batches
}

/// Reads everything from `offset` to the watermark: each record as offset and value.
pub fn read_from(partition: &Partition, offset: u64) -> Result<Vec<(u64, Vec<u8>)>> {
    let mut cursor = partition.cursor_at(offset)?;
    let mut records = Vec::new();
    while let Some(run) = partition.read_run(&mut cursor, 4096, None)? {
        for (header, batch) in split(run.bytes()) {
            for record in records_of(&batch[HEADER_BYTES..], header.attributes).unwrap() {
                let record = record.unwrap();
                let at = header.base_offset + u64::from(record.position);
                if at >= offset {
                    records.push((at, record.value.unwrap_or_default().to_vec()));
                }
            }
        }
    }
    Ok(records)
}

pub fn offsets(records: &[(u64, Vec<u8>)]) -> Vec<u64> {
    records.iter().map(|(offset, _)| *offset).collect()
}

/// A small generator (xorshift64*), so that a printed seed repeats a run.
pub struct Random(u64);

impl Random {
    /// From `MILLRACE_SEED`, or this test's own default.
    pub fn seeded(default: u64) -> Self {
        let seed = std::env::var("MILLRACE_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(default);
        println!("MILLRACE_SEED={seed}");
        Self(seed.max(1))
    }

    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 8
    }

    pub fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound.max(1)
    }

    pub fn bytes(&mut self, length: usize) -> Vec<u8> {
        (0..length).map(|_| self.next() as u8).collect()
    }
}

pub fn is_long() -> bool {
    std::env::var_os("MILLRACE_LONG").is_some()
}
