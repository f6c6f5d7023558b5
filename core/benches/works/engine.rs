//! The whole way through the data plane, as the binding drives it: chunk in, turn, plan
//! carried out. Sockets take everything at once and the log is in memory files, so what
//! is left is our own work and the kernel's copy into the page cache.

use std::hint::black_box;
use std::sync::Arc;

use millrace_core::engine::{Engine, EngineOptions, Flags, SourceRange, Worker, op};
use millrace_core::log::{LogConfig, Storage};
use millrace_core::mmap::SegmentMap;

use super::Prepared;
use super::fixtures::{BATCH_BYTES, batch, chunk, publish, publish_one};

const LOG: u64 = 16;
const LOG_BYTES_MAX: u64 = 64 << 20;
/// Of the log that catch-up reads.
const BACKLOG_BATCHES: usize = 256;
const CREDIT_BYTES: u64 = 64 << 20;

fn options() -> EngineOptions {
    EngineOptions {
        data_dir: None,
        workers: 1,
        manual_clock_ms: Some(1_000_000),
        frame_bytes_max: 16 << 20,
        batch_bytes_max: 8 << 20,
        publishers_per_connection_max: 16,
        subscriptions_per_connection_max: 16,
        sources_per_subscription_max: 16,
        prefetch_max: 65_535,
        publish_credit_bytes: 16 << 20,
        publish_overdraft_bytes_max: 16 << 20,
        subscription_credit_bytes_max: CREDIT_BYTES,
        write_bytes_per_turn: 1 << 20,
        turn_bytes_max: 4 << 20,
        delivery_bytes_max: 1 << 20,
        view_bytes_min: 16 << 10,
        ring_bytes: 1 << 20,
        index_interval_bytes: 64 << 10,
        mapped_segments_max: 64,
        open_files_max: 64,
        dirty_bytes_max: 1 << 30,
        checkpoint_bytes: 16 << 20,
        // The threads of the store stay asleep: their instructions are not the message's.
        retention_check_ms: 3_600_000,
        producers_per_partition_max: 100,
        key_index_entries_max: 10_000,
        compaction_keys_max: 10_000,
        flight_recorder_bytes: 8 << 20,
    }
}

/// A worker whose sockets take everything.
struct Rig {
    worker: Worker,
    maps: Vec<Option<Arc<SegmentMap>>>,
    written: Vec<u32>,
    written_bytes: u64,
}

impl Rig {
    fn new() -> Self {
        let engine = Engine::open(options()).expect("an engine in memory");
        let worker = Worker::new(engine, 0);
        let config = LogConfig { storage: Storage::Memory, memory_bytes_max: LOG_BYTES_MAX, ..LogConfig::default() };
        worker.ensure_log(LOG, 1, config).expect("a log in memory");
        Self { worker, maps: Vec::new(), written: Vec::new(), written_bytes: 0 }
    }

    fn producer(&mut self) -> u32 {
        let connection = self.worker.connection_open();
        self.worker.publisher_open(connection, 1, LOG, 0, 0).expect("a fresh connection");
        connection
    }

    fn subscribe(&mut self, connection: u32, from: u64, until: Option<u64>) {
        self.worker.subscription_open(connection, 1, CREDIT_BYTES, 0).expect("no subscription yet");
        let range = SourceRange { from, until };
        self.worker.source_add(connection, 1, 1, LOG, 0, range).expect("the log is there");
    }

    fn ingest(&mut self, connection: u32, chunk: &[u8]) {
        let flags = self.worker.ingest(connection, black_box(chunk)).expect("the connection is open");
        assert_eq!(flags & (Flags::FATAL | Flags::PAUSE), 0, "the chunk is good and within the credit");
        self.run();
    }

    fn run(&mut self) {
        while self.turn() {}
    }

    /// One turn, carried out as `src/log/native.ts` does. Returns whether there is more.
    fn turn(&mut self) -> bool {
        let mut more = self.worker.turn();
        let count = word(&self.worker, 0) as usize;
        let mut at = 1;
        while at < count {
            let operand = |index: usize| word(&self.worker, at + index);
            at += match operand(0) as u32 {
                op::WRITE_ARENA => {
                    self.written_bytes += operand(3);
                    self.written.push(operand(1) as u32);
                    4
                }
                op::WRITE_MAP => {
                    self.written_bytes += operand(4);
                    self.written.push(operand(1) as u32);
                    5
                }
                op::MAP_OPEN => {
                    let slot = operand(1) as usize;
                    self.maps.resize(self.maps.len().max(slot + 1), None);
                    self.maps[slot] = self.worker.map_view(slot as u32);
                    2
                }
                op::MAP_RETIRE => {
                    let slot = operand(1) as usize;
                    self.maps[slot] = None;
                    self.worker.map_release(slot as u32);
                    2
                }
                op::RESUME => 2,
                op::SOURCE_END => 6,
                other => panic!("operation {other} is not expected here"),
            };
        }
        for connection in self.written.drain(..) {
            more |= self.worker.written(connection);
        }
        more
    }
}

#[allow(clippy::cast_sign_loss, reason = "a plan's words are not negative")]
fn word(worker: &Worker, at: usize) -> u64 {
    worker.plan().words[at] as u64
}

fn publishing(bytes: Vec<u8>, frames: usize) -> Prepared {
    let mut rig = Rig::new();
    let producer = rig.producer();
    Prepared::new(frames, bytes.len(), move || rig.ingest(producer, &bytes))
}

pub fn publish_batches() -> Prepared {
    let (batch, _) = batch(BATCH_BYTES);
    let (bytes, frames) = chunk(|out, correlation| publish(out, correlation, &batch));
    publishing(bytes, frames)
}

pub fn publish_singles() -> Prepared {
    let (bytes, frames) = chunk(publish_one);
    publishing(bytes, frames)
}

/// One record to a subscriber that waits for it: the path that latency is made of.
pub fn publish_deliver_one() -> Prepared {
    let mut rig = Rig::new();
    let producer = rig.producer();
    let subscriber = rig.worker.connection_open();
    rig.subscribe(subscriber, 0, None);
    rig.run();
    let mut frame = Vec::new();
    publish_one(&mut frame, 1);
    let mut flow = Vec::new();
    super::fixtures::flow(&mut flow, 1 << 10);
    Prepared::new(1, 0, move || {
        let before = rig.written_bytes;
        rig.ingest(producer, &frame);
        rig.ingest(subscriber, &flow);
        assert!(rig.written_bytes > before + frame.len() as u64, "the record was delivered");
    })
}

/// A subscription from the beginning to the end of a backlog of 64 KiB batches.
pub fn catch_up() -> Prepared {
    let mut rig = Rig::new();
    let producer = rig.producer();
    let (batch, records) = batch(BATCH_BYTES);
    let mut frame = Vec::new();
    publish(&mut frame, 1, &batch);
    for _ in 0..BACKLOG_BATCHES {
        rig.ingest(producer, &frame);
    }
    let subscriber = rig.worker.connection_open();
    let (bytes, until) = (BACKLOG_BATCHES * batch.len(), (BACKLOG_BATCHES * records) as u64);
    Prepared::new(BACKLOG_BATCHES, bytes, move || {
        let before = rig.written_bytes;
        rig.subscribe(subscriber, 0, Some(until));
        rig.run();
        rig.worker.subscription_close(subscriber, 1).expect("it is open");
        assert!(rig.written_bytes - before >= bytes as u64, "the whole backlog was written");
    })
}
