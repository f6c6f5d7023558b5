//! A compacted partition on disk beside a model of everything ever appended.

use std::collections::{BTreeMap, HashMap};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::super::{CleanerState, Outcome, Step, Steps, When, run_with};
use crate::batch::{self, BatchBuilder, BodyCrc, HEADER_BYTES, compression};
use crate::clock::ManualClock;
use crate::log::{
    AppendOutcome, BatchIn, LogConfig, LogStore, NoEvents, Partition, Storage, StoreEvents, StoreOptions,
};

pub const TOMBSTONE_MS: u64 = 1_000;
const LOG: u64 = 20;

/// splitmix64, so that a seed means the same everywhere.
pub struct Rng(pub u64);

impl Rng {
    pub fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % bound
    }

    pub fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    pub key: Option<String>,
    pub value: Option<String>,
    pub at_ms: u64,
}

/// Where the bytes live, and what the store is opened with.
#[derive(Clone)]
pub struct Setup {
    pub segment_bytes: u64,
    pub keys_max: usize,
    pub storage: Storage,
    pub mapped_segments_max: usize,
}

impl Default for Setup {
    fn default() -> Self {
        Self { segment_bytes: 4096, keys_max: 1_000_000, storage: Storage::Log, mapped_segments_max: 64 }
    }
}

pub struct Bench {
    pub setup: Setup,
    pub directory: tempfile::TempDir,
    pub clock: Arc<ManualClock>,
    pub store: Option<Arc<LogStore>>,
    pub events: Arc<dyn StoreEvents>,
    /// Everything ever appended, by offset.
    pub model: BTreeMap<u64, Row>,
    pub sequence: u32,
}

/// How a store ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    Clean,
    Crash,
}

impl Bench {
    pub fn new(setup: Setup) -> Self {
        Self::with_events(setup, Arc::new(NoEvents))
    }

    pub fn with_events(setup: Setup, events: Arc<dyn StoreEvents>) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let clock = Arc::new(ManualClock::new(1_000_000));
        let mut bench = Self { setup, directory, clock, store: None, events, model: BTreeMap::new(), sequence: 0 };
        bench.open();
        bench
    }

    pub fn open(&mut self) {
        let options = StoreOptions {
            data_dir: Some(self.directory.path().to_owned()),
            index_interval_bytes: 512,
            compaction_keys_max: self.setup.keys_max,
            mapped_segments_max: self.setup.mapped_segments_max,
            retention_check_ms: 3_600_000,
            recovery_threads: 1,
            ..StoreOptions::default()
        };
        let clock = Arc::clone(&self.clock);
        let (store, report) = LogStore::open(options, clock, Arc::clone(&self.events)).unwrap();
        assert_eq!(report.damage, [], "nothing was damaged");
        let config = LogConfig {
            segment_bytes: self.setup.segment_bytes,
            segment_ms: -1,
            retention_ms: -1,
            compact: true,
            tombstone_retention_ms: TOMBSTONE_MS.cast_signed(),
            storage: self.setup.storage,
            ..LogConfig::default()
        };
        store.ensure_log(LOG, 1, config).unwrap();
        self.store = Some(store);
    }

    pub fn end(&mut self, end: End) {
        let store = self.store.take().unwrap();
        if end == End::Clean {
            store.close().unwrap();
        }
    }

    pub fn reopen(&mut self, end: End) {
        self.end(end);
        self.open();
    }

    pub fn partition(&self) -> Arc<Partition> {
        self.store.as_ref().unwrap().log(LOG).unwrap().partition(0).unwrap()
    }

    pub fn delete(&self) {
        self.store.as_ref().unwrap().delete_log(LOG).unwrap();
    }

    pub fn now_ms(&self) -> u64 {
        crate::clock::Clock::now_ms(&*self.clock)
    }

    pub fn pass(&self, ms: u64) {
        self.clock.set(self.now_ms() + ms);
    }

    /// Where the partition's files are.
    pub fn place(&self) -> PathBuf {
        self.directory.path().join("logs").join(LOG.to_string()).join("0")
    }

    /// Appends one batch of producer 9.
    pub fn append(&mut self, rows: &[(Option<&str>, Option<&str>)], compressed: bool) -> u64 {
        let now_ms = self.now_ms();
        let mut builder = BatchBuilder::new(now_ms).producer(9, 0, self.sequence);
        for (key, value) in rows {
            builder.push(0, key.map(str::as_bytes), value.map(str::as_bytes));
        }
        let bytes = if compressed { builder.build_compressed().unwrap() } else { builder.build() };
        let base = append_to(&self.partition(), &bytes);
        self.sequence += rows.len() as u32;
        for (offset, (key, value)) in (base..).zip(rows) {
            let row = Row { key: key.map(str::to_owned), value: value.map(str::to_owned), at_ms: now_ms };
            self.model.insert(offset, row);
        }
        base
    }

    /// Syncs and finishes what is sealed.
    pub fn settle(&self) {
        self.partition().checkpoint().unwrap();
    }

    pub fn compact(&self) -> Option<Outcome> {
        run_with(&self.partition(), When::Now, &|_| ()).unwrap()
    }

    /// Compacts and crashes in the `nth` step; whatever held the store is gone
    /// then. Returns false when there were fewer steps.
    pub fn crash_in_step(&mut self, nth: usize) -> bool {
        let crashed = crashes(nth, &|steps| drop(run_with(&self.partition(), When::Now, steps)));
        self.reopen(End::Crash);
        crashed
    }

    /// All records from `offset` on, as a reader gets them.
    pub fn read_from(&self, offset: u64) -> Vec<(u64, Row)> {
        rows_from(&self.partition(), offset)
    }

    pub fn cleaner_point(&self) -> u64 {
        CleanerState::load(&self.place()).unwrap().cleaner_point
    }

    /// What must hold at any time, between any two steps.
    pub fn check(&self, cleaner_point: u64) {
        let found = self.read_from(self.partition().start_offset());
        assert!(found.is_sorted_by(|one, next| one.0 < next.0), "offsets rise");
        for (offset, row) in &found {
            assert_eq!(self.model.get(offset), Some(row), "the record at {offset} is the one appended there");
        }
        let found: BTreeMap<u64, Row> = found.into_iter().collect();
        let mut last: HashMap<&str, (u64, &Row)> = HashMap::new();
        for (offset, row) in &self.model {
            match &row.key {
                Some(key) => drop(last.insert(key, (*offset, row))),
                None => assert!(found.contains_key(offset), "the record without a key at {offset} stays"),
            }
        }
        for (key, (offset, row)) in last {
            if row.value.is_none() && row.at_ms + TOMBSTONE_MS <= self.now_ms() && !found.contains_key(&offset) {
                let alive = found.iter().find(|(_, row)| row.key.as_deref() == Some(key));
                assert_eq!(alive, None, "{key} was deleted at {offset}");
            } else {
                assert_eq!(found.get(&offset), Some(row), "the last record of {key}");
            }
        }
        let mut seen = HashMap::new();
        for (offset, row) in found.range(..cleaner_point).filter(|(_, row)| row.key.is_some()) {
            assert_eq!(seen.insert(&row.key, offset), None, "{row:?} stands once below {cleaner_point}");
        }
        for (offset, row) in self.model.range(cleaner_point..) {
            let later = self.model.range(offset + 1..).any(|(_, later)| later.key == row.key);
            assert!(found.contains_key(offset) || later || row.value.is_none(), "{offset} is gone");
        }
    }
}

/// Runs `work`, which ends by a panic in the `nth` step it passes.
pub fn crashes(nth: usize, work: &dyn Fn(Steps<'_>)) -> bool {
    let passed = AtomicUsize::new(0);
    let steps = |_: Step| {
        if passed.fetch_add(1, Ordering::Relaxed) == nth {
            // Not `panic!`: there is nothing to print about a crash we ordered.
            resume_unwind(Box::new("crash"));
        }
    };
    catch_unwind(AssertUnwindSafe(|| work(&steps))).is_err()
}

pub fn append_to(partition: &Partition, bytes: &[u8]) -> u64 {
    match try_append(partition, bytes) {
        AppendOutcome::Appended { base_offset } => base_offset,
        other => panic!("{other:?}"),
    }
}

pub fn try_append(partition: &Partition, bytes: &[u8]) -> AppendOutcome {
    let (header, body_crc): (_, BodyCrc) = batch::verify(bytes).unwrap();
    let body = [&bytes[HEADER_BYTES..]];
    let mut outcomes = Vec::new();
    let batch = BatchIn { header, body: &body, body_crc, expect_next: None, expect_key: None };
    partition.appender().append(&[batch], &mut outcomes);
    outcomes.remove(0)
}

pub fn rows_of(mut bytes: &[u8], out: &mut Vec<(u64, Row)>) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    while !bytes.is_empty() {
        let (header, _) = batch::verify(bytes).unwrap();
        let (one, rest) = bytes.split_at(header.batch_bytes());
        let plain = compression::plain_records(&header, &one[HEADER_BYTES..], 1 << 20).unwrap();
        for record in batch::records_of(&plain, header.attributes).unwrap().flatten() {
            let at_ms = record.timestamp_ms(&header);
            let row = Row { key: record.key.map(text), value: record.value.map(text), at_ms };
            out.push((header.base_offset + u64::from(record.position), row));
        }
        bytes = rest;
    }
}

pub fn rows_from(partition: &Partition, offset: u64) -> Vec<(u64, Row)> {
    let mut rows = Vec::new();
    let mut cursor = partition.cursor_at(offset).unwrap();
    while let Some(run) = partition.read_run(&mut cursor, 1_000, None).unwrap() {
        rows_of(run.bytes(), &mut rows);
    }
    assert_eq!(cursor.next_offset(), partition.high_watermark(), "a reader reaches the end");
    rows.retain(|(at, _)| *at >= offset);
    rows
}

/// The names in a directory, sorted.
pub fn names(directory: &Path) -> Vec<String> {
    let names = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name());
    let mut names: Vec<String> = names.map(|name| name.to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

pub fn is_long() -> bool {
    std::env::var_os("MILLRACE_LONG").is_some_and(|value| value == "1")
}
