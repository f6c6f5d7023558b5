//! A worker with sockets that take everything, and the frames of a client.

pub use crate::batch::{BatchBuilder, HEADER_BYTES, read_record, verify};
pub use crate::engine::{Engine, EngineOptions, Flags, SourceRange, Worker, op};
pub use crate::error::ErrorCode;
pub use crate::log::{DeliveryPriority, Durability, LogConfig, Storage};
pub use crate::stdx::msgpack::{self, Reader};

pub use std::sync::Arc;
pub use std::time::{Duration, Instant};

pub const LOG: u64 = 16;

pub fn options(data_dir: Option<std::path::PathBuf>, workers: usize) -> EngineOptions {
    EngineOptions {
        data_dir,
        workers,
        manual_clock_ms: Some(1_000_000),
        frame_bytes_max: 16 << 20,
        batch_bytes_max: 8 << 20,
        publishers_per_connection_max: 16,
        subscriptions_per_connection_max: 16,
        sources_per_subscription_max: 16,
        prefetch_max: 65_535,
        publish_credit_bytes: 64 << 10,
        publish_overdraft_bytes_max: 1 << 20,
        subscription_credit_bytes_max: 64 << 20,
        write_bytes_per_turn: 256 << 10,
        turn_bytes_max: 2 << 20,
        delivery_bytes_max: 1 << 20,
        view_bytes_min: 16 << 10,
        ring_bytes: 1 << 20,
        index_interval_bytes: 64 << 10,
        mapped_segments_max: 64,
        open_files_max: 64,
        dirty_bytes_max: 1 << 30,
        checkpoint_bytes: 16 << 20,
        retention_check_ms: 50,
        producers_per_partition_max: 100,
        key_index_entries_max: 10_000,
        compaction_keys_max: 10_000,
        flight_recorder_bytes: 8 << 20,
    }
}

pub fn memory() -> LogConfig {
    LogConfig { storage: Storage::Memory, ..LogConfig::default() }
}

/// One worker and what its sockets were given to write.
pub struct Rig {
    pub worker: Worker,
    pub sent: Vec<Vec<u8>>,
    pub maps: Vec<Option<Arc<crate::mmap::SegmentMap>>>,
    pub synced: Vec<(u64, u64)>,
    /// Connections that were told to read from their sockets again.
    pub resumed: Vec<u32>,
    /// Connections of which a source has ended.
    pub ended: Vec<u32>,
    /// When the loop's timer would run a turn.
    pub timer_ms: u64,
}

impl Rig {
    pub fn new(engine: &Arc<Engine>, index: u32) -> Self {
        Self {
            worker: Worker::new(engine.clone(), index),
            sent: Vec::new(),
            maps: Vec::new(),
            synced: Vec::new(),
            resumed: Vec::new(),
            ended: Vec::new(),
            timer_ms: 0,
        }
    }

    pub fn in_memory(partitions: u32) -> Self {
        let engine = Engine::open(options(None, 1)).unwrap();
        let rig = Self::new(&engine, 0);
        rig.worker.ensure_log(LOG, partitions, memory()).unwrap();
        rig
    }

    pub fn connect(&mut self) -> u32 {
        let connection = self.worker.connection_open();
        self.worker.publisher_open(connection, 1, LOG, 0, 0).unwrap();
        self.sent.resize(self.sent.len().max(connection as usize + 1), Vec::new());
        connection
    }

    pub fn subscribe(&mut self, connection: u32, credit_bytes: u64, range: SourceRange) {
        self.worker.subscription_open(connection, 1, credit_bytes, 0).unwrap();
        self.worker.source_add(connection, 1, 1, LOG, 0, range).unwrap();
    }

    /// Carries the plan out as src/log/native.ts does; every socket takes everything.
    /// Returns whether the loop would turn again by itself.
    pub fn turn(&mut self) -> bool {
        let mut more = self.worker.turn();
        #[allow(clippy::cast_sign_loss, reason = "a plan's words are not negative")]
        let words: Vec<u64> = self.worker.plan().words.iter().map(|word| *word as u64).collect();
        let mut at = 1;
        let mut done = Vec::new();
        while at < words[0] as usize {
            let word = |index: usize| words[at + index] as usize;
            match words[at] as u32 {
                op::WRITE_ARENA => {
                    let bytes = self.worker.plan().arena[word(2)..word(2) + word(3)].to_vec();
                    self.sent[word(1)].extend(bytes);
                    done.push(word(1));
                    at += 4;
                }
                op::WRITE_MAP => {
                    let map = self.maps[word(2)].clone().unwrap();
                    self.sent[word(1)].extend(map.slice(word(3), word(4)).unwrap());
                    done.push(word(1));
                    at += 5;
                }
                op::MAP_OPEN => {
                    let slot = word(1);
                    self.maps.resize(self.maps.len().max(slot + 1), None);
                    self.maps[slot] = self.worker.map_view(slot as u32);
                    at += 2;
                }
                op::MAP_RETIRE => {
                    self.maps[word(1)] = None;
                    let slot = word(1) as u32;
                    self.worker.map_release(slot);
                    at += 2;
                }
                op::RESUME => {
                    self.resumed.push(word(1) as u32);
                    at += 2;
                }
                op::CLOSE => at += 4,
                op::SOURCE_END => {
                    self.ended.push(word(1) as u32);
                    at += 6;
                }
                op::MAIL => at += 1,
                op::TIMER => {
                    self.timer_ms = words[at + 1];
                    at += 2;
                }
                op::SYNCED => {
                    self.synced.push((words[at + 1], words[at + 2]));
                    at += 3;
                }
                other => panic!("no operation: {other}"),
            }
        }
        for connection in done {
            more |= self.worker.written(connection as u32);
        }
        more
    }

    pub fn run(&mut self) {
        while self.turn() {}
    }

    /// Turns until `done` holds; native threads may still be at work.
    pub fn run_until(&mut self, done: impl Fn(&Self) -> bool) {
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            self.run();
            if done(self) {
                return;
            }
            assert!(Instant::now() < deadline, "the condition did not come true within 20 s");
            std::thread::yield_now();
        }
    }

    /// The frames written to a connection since the last call: op and arguments.
    pub fn frames(&mut self, connection: u32) -> Vec<Got> {
        let bytes = std::mem::take(&mut self.sent[connection as usize]);
        let mut frames = Vec::new();
        let mut at = 0;
        while at < bytes.len() {
            let content = Reader::new(&bytes[at..]).blob().unwrap();
            at += 5 + content.len();
            let mut reader = Reader::new(content);
            let count = reader.array().unwrap();
            let op = reader.uint().unwrap();
            let mut numbers = Vec::new();
            for _ in 1..count {
                let mut ahead = reader;
                numbers.push(ahead.uint().unwrap_or(u64::MAX));
                reader.skip(8).unwrap();
            }
            frames.push(Got { op, numbers, batches: reader.rest().to_vec(), content: content.to_vec() });
        }
        frames
    }
}

#[derive(Debug)]
pub struct Got {
    pub op: u64,
    pub numbers: Vec<u64>,
    pub batches: Vec<u8>,
    pub content: Vec<u8>,
}

pub fn frame(write: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut content = Vec::new();
    write(&mut content);
    let mut out = vec![0xc6];
    out.extend((content.len() as u32).to_be_bytes());
    out.extend(content);
    out
}

pub fn publish(correlation: u64, acks: u64, batch: &[u8]) -> Vec<u8> {
    frame(|out| {
        msgpack::write_array(out, 6);
        for value in [10, 1, correlation, 0, acks] {
            msgpack::write_uint(out, value);
        }
        msgpack::write_nil(out);
        out.extend_from_slice(batch);
    })
}

pub fn publish_one(correlation: u64, acks: u64, key: Option<&[u8]>, value: &[u8]) -> Vec<u8> {
    single(correlation, acks, None, key, value)
}

/// A single record; one with a sequence goes to partition 0.
pub fn single(correlation: u64, acks: u64, sequence: Option<u64>, key: Option<&[u8]>, value: &[u8]) -> Vec<u8> {
    frame(|out| {
        msgpack::write_array(out, 8);
        for value in [11, 1, correlation] {
            msgpack::write_uint(out, value);
        }
        msgpack::write_optional_uint(out, sequence.map(|_| 0));
        msgpack::write_uint(out, acks);
        msgpack::write_optional_uint(out, sequence);
        msgpack::write_nil(out);
        msgpack::write_array(out, 4);
        msgpack::write_nil(out);
        match key {
            Some(key) => msgpack::write_bin(out, key),
            None => msgpack::write_nil(out),
        }
        msgpack::write_bin(out, value);
        msgpack::write_nil(out);
    })
}

pub fn flow(bytes: u64) -> Vec<u8> {
    frame(|out| {
        msgpack::write_array(out, 3);
        for value in [12, 1, bytes] {
            msgpack::write_uint(out, value);
        }
    })
}

pub fn batch_of(values: &[&[u8]]) -> Vec<u8> {
    let mut builder = BatchBuilder::new(1_000_000);
    for value in values {
        builder.push(0, None, Some(value));
    }
    builder.build()
}

/// Values of the records in delivered batches, each batch verified.
pub fn values(batches: &[u8]) -> Vec<Vec<u8>> {
    let mut out = Vec::new();
    let mut at = 0;
    while at < batches.len() {
        let (header, _) = verify(&batches[at..]).unwrap();
        let mut records = &batches[at + HEADER_BYTES..at + header.batch_bytes()];
        while !records.is_empty() {
            let record = read_record(records).unwrap();
            out.push(record.value.unwrap_or_default().to_vec());
            records = &records[record.raw.len()..];
        }
        at += header.batch_bytes();
    }
    out
}

pub const FOLLOW: SourceRange = SourceRange { from: 0, until: None };
