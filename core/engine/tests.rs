//! The data plane from the wire's side: bytes in, the plan carried out, bytes out.

use super::{Engine, EngineOptions, Flags, SourceRange, Worker, op};
use crate::batch::{BatchBuilder, HEADER_BYTES, read_record, verify};
use crate::error::ErrorCode;
use crate::log::{Durability, LogConfig, Storage};
use crate::stdx::msgpack::{self, Reader};

use std::sync::Arc;
use std::time::{Duration, Instant};

const LOG: u64 = 16;

fn options(data_dir: Option<std::path::PathBuf>, workers: usize) -> EngineOptions {
    EngineOptions {
        data_dir,
        workers,
        manual_clock_ms: Some(1_000_000),
        frame_bytes_max: 16 << 20,
        batch_bytes_max: 8 << 20,
        publishers_per_connection_max: 16,
        subscriptions_per_connection_max: 16,
        sources_per_subscription_max: 16,
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
    }
}

fn memory() -> LogConfig {
    LogConfig { storage: Storage::Memory, ..LogConfig::default() }
}

/// One worker and what its sockets were given to write.
struct Rig {
    worker: Worker,
    sent: Vec<Vec<u8>>,
    maps: Vec<Option<Arc<crate::mmap::SegmentMap>>>,
    synced: Vec<(u64, u64)>,
}

impl Rig {
    fn new(engine: &Arc<Engine>, index: u32) -> Self {
        Self { worker: Worker::new(engine.clone(), index), sent: Vec::new(), maps: Vec::new(), synced: Vec::new() }
    }

    fn in_memory(partitions: u32) -> Self {
        let engine = Engine::open(options(None, 1)).unwrap();
        let rig = Self::new(&engine, 0);
        rig.worker.ensure_log(LOG, partitions, memory()).unwrap();
        rig
    }

    fn connect(&mut self) -> u32 {
        let connection = self.worker.connection_open();
        self.worker.publisher_open(connection, 1, LOG, 0, 0).unwrap();
        self.sent.resize(self.sent.len().max(connection as usize + 1), Vec::new());
        connection
    }

    fn subscribe(&mut self, connection: u32, credit_bytes: u64, range: SourceRange) {
        self.worker.subscription_open(connection, 1, credit_bytes, 0).unwrap();
        self.worker.source_add(connection, 1, 1, LOG, 0, range).unwrap();
    }

    /// Carries the plan out as src/log/native.ts does; every socket takes everything.
    fn turn(&mut self) -> bool {
        let more = self.worker.turn();
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
                op::RESUME => at += 2,
                op::CLOSE => at += 4,
                op::SOURCE_END => at += 6,
                op::MAIL => at += 1,
                op::SYNCED => {
                    self.synced.push((words[at + 1], words[at + 2]));
                    at += 3;
                }
                other => panic!("no operation: {other}"),
            }
        }
        for connection in done {
            self.worker.written(connection as u32);
        }
        more
    }

    fn run(&mut self) {
        while self.turn() {}
    }

    /// Turns until `done` holds; native threads may still be at work.
    fn run_until(&mut self, done: impl Fn(&Self) -> bool) {
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
    fn frames(&mut self, connection: u32) -> Vec<Got> {
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
            frames.push(Got { op, numbers, batches: reader.rest().to_vec() });
        }
        frames
    }
}

#[derive(Debug)]
struct Got {
    op: u64,
    numbers: Vec<u64>,
    batches: Vec<u8>,
}

fn frame(write: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut content = Vec::new();
    write(&mut content);
    let mut out = vec![0xc6];
    out.extend((content.len() as u32).to_be_bytes());
    out.extend(content);
    out
}

fn publish(correlation: u64, acks: u64, batch: &[u8]) -> Vec<u8> {
    frame(|out| {
        msgpack::write_array(out, 6);
        for value in [10, 1, correlation, 0, acks] {
            msgpack::write_uint(out, value);
        }
        msgpack::write_nil(out);
        out.extend_from_slice(batch);
    })
}

fn publish_one(correlation: u64, acks: u64, key: Option<&[u8]>, value: &[u8]) -> Vec<u8> {
    single(correlation, acks, None, key, value)
}

/// A single record; one with a sequence goes to partition 0.
fn single(correlation: u64, acks: u64, sequence: Option<u64>, key: Option<&[u8]>, value: &[u8]) -> Vec<u8> {
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

fn flow(bytes: u64) -> Vec<u8> {
    frame(|out| {
        msgpack::write_array(out, 3);
        for value in [12, 1, bytes] {
            msgpack::write_uint(out, value);
        }
    })
}

fn batch_of(values: &[&[u8]]) -> Vec<u8> {
    let mut builder = BatchBuilder::new(1_000_000);
    for value in values {
        builder.push(0, None, Some(value));
    }
    builder.build()
}

/// Values of the records in delivered batches, each batch verified.
fn values(batches: &[u8]) -> Vec<Vec<u8>> {
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

const FOLLOW: SourceRange = SourceRange { from: 0, until: None };

#[test]
fn a_batch_is_acknowledged_with_offset_and_level_and_delivered_to_a_waiting_subscriber() {
    let mut rig = Rig::in_memory(1);
    let (producer, consumer) = (rig.connect(), rig.connect());
    rig.subscribe(consumer, 1 << 20, FOLLOW);
    rig.run();
    let flags = rig.worker.ingest(producer, &publish(7, 2, &batch_of(&[b"a", b"b"]))).unwrap();
    assert_eq!(flags & Flags::TURN, Flags::TURN);
    rig.run();
    let acks = rig.frames(producer);
    assert_eq!(acks[0].op, 20);
    // publisher, correlation, count, partition, base offset, level (memory: the topic is)
    assert_eq!(acks[0].numbers, [1, 7, 1, 0, 0, 1]);
    let delivered = rig.frames(consumer);
    assert_eq!((delivered[0].op, &delivered[0].numbers[..]), (23, &[1, 1][..]));
    assert_eq!(values(&delivered[0].batches), [b"a", b"b"]);
}

#[test]
fn single_records_of_a_chunk_become_one_batch_and_one_run_of_acks() {
    let mut rig = Rig::in_memory(1);
    let (producer, consumer) = (rig.connect(), rig.connect());
    rig.subscribe(consumer, 1 << 20, FOLLOW);
    let chunk: Vec<u8> = (0..100).flat_map(|n| publish_one(n, 2, None, &[n as u8])).collect();
    rig.worker.ingest(producer, &chunk).unwrap();
    rig.run();
    let acks = rig.frames(producer);
    assert_eq!(acks[0].numbers, [1, 0, 100, 0, 0, 1]);
    let delivered = rig.frames(consumer);
    assert_eq!(delivered.len(), 1);
    let (header, _) = verify(&delivered[0].batches).unwrap();
    assert_eq!((header.record_count, header.base_timestamp), (100, 1_000_000));
    assert_eq!(values(&delivered[0].batches)[99], [99]);
}

#[test]
fn idempotent_singles_sent_again_with_new_ones_behind_them_are_stored_once() {
    let mut rig = Rig::in_memory(1);
    let producer = rig.connect();
    rig.worker.publisher_close(producer, 1).unwrap();
    rig.worker.publisher_open(producer, 1, LOG, 77, 0).unwrap();
    let send =
        |from: u64, to: u64| -> Vec<u8> { (from..to).flat_map(|n| single(n, 2, Some(n), None, &[n as u8])).collect() };
    rig.worker.ingest(producer, &send(0, 10)).unwrap();
    rig.run();
    rig.worker.ingest(producer, &send(4, 20)).unwrap();
    rig.run();
    let partition = rig.worker.partition(LOG, 0).unwrap();
    let stored = values(&partition.read_copy(0, 1 << 20).unwrap());
    assert_eq!(stored, (0..20u8).map(|n| vec![n]).collect::<Vec<_>>());
    let frames = rig.frames(producer);
    assert!(frames.iter().all(|got| got.op != 21), "{frames:?}");
    let acked: u64 = frames
        .iter()
        .filter(|got| got.op == 20)
        .flat_map(|got| got.numbers.chunks(6).map(|run| run[2]).collect::<Vec<_>>())
        .sum();
    assert_eq!(acked, 10 + 16);
}

#[test]
fn a_batch_does_not_overtake_single_records_sent_before_it() {
    let mut rig = Rig::in_memory(1);
    let producer = rig.connect();
    let mut chunk = publish_one(0, 2, None, b"first");
    chunk.extend(publish(1, 2, &batch_of(&[b"second"])));
    rig.worker.ingest(producer, &chunk).unwrap();
    rig.run();
    let partition = rig.worker.partition(LOG, 0).unwrap();
    assert_eq!(values(&partition.read_copy(0, 1 << 20).unwrap()), [b"first".to_vec(), b"second".to_vec()]);
}

#[test]
fn keys_spread_over_partitions_and_one_key_stays_in_one() {
    let mut rig = Rig::in_memory(8);
    let producer = rig.connect();
    let chunk: Vec<u8> =
        (0..200u64).flat_map(|n| publish_one(n, 2, Some(format!("key{}", n % 20).as_bytes()), b"v")).collect();
    rig.worker.ingest(producer, &chunk).unwrap();
    rig.run();
    let counts: Vec<u64> = (0..8).map(|index| rig.worker.partition(LOG, index).unwrap().next_offset()).collect();
    assert_eq!(counts.iter().sum::<u64>(), 200);
    assert!(counts.iter().all(|count| count % 10 == 0), "{counts:?}");
    let acked: u64 =
        rig.frames(producer).iter().flat_map(|got| got.numbers.chunks(6).map(|run| run[2]).collect::<Vec<_>>()).sum();
    assert_eq!(acked, 200);
}

#[test]
fn refused_publishes_name_their_code_and_the_connection_lives() {
    let mut rig = Rig::in_memory(1);
    let producer = rig.connect();
    let mut bad_crc = batch_of(&[b"a"]);
    bad_crc[70] ^= 1;
    rig.worker.ingest(producer, &publish(1, 2, &bad_crc)).unwrap();
    let mut miscounted = batch_of(&[b"a"]);
    let (mut header, body) = verify(&miscounted).unwrap();
    header.record_count = 2;
    miscounted[..HEADER_BYTES].copy_from_slice(&header.seal(&body));
    rig.worker.ingest(producer, &publish(2, 2, &miscounted)).unwrap();
    rig.worker.ingest(producer, &publish(3, 2, &batch_of(&[b"ok"]))).unwrap();
    rig.run();
    let frames = rig.frames(producer);
    let nacks: Vec<(u64, u64)> =
        frames.iter().filter(|got| got.op == 21).map(|got| (got.numbers[1], got.numbers[3])).collect();
    assert_eq!(nacks, [(1, u64::from(ErrorCode::BAD_CRC.0)), (2, u64::from(ErrorCode::RECORD_COUNT_MISMATCH.0))]);
    assert!(frames.iter().any(|got| got.op == 20 && got.numbers[1] == 3));
}

#[test]
fn delivery_stops_at_the_credit_and_goes_on_when_more_is_granted() {
    let mut rig = Rig::in_memory(1);
    let (producer, consumer) = (rig.connect(), rig.connect());
    let value = vec![b'v'; 1_000];
    for n in 0..50 {
        rig.worker.ingest(producer, &publish(n, 2, &batch_of(&[&value]))).unwrap();
        rig.run();
    }
    rig.subscribe(consumer, 5_000, FOLLOW);
    rig.run();
    let first: usize = rig.frames(consumer).iter().map(|got| values(&got.batches).len()).sum();
    assert!((4..=6).contains(&first), "{first}");
    rig.worker.ingest(consumer, &flow(1 << 20)).unwrap();
    rig.run();
    let rest: usize = rig.frames(consumer).iter().map(|got| values(&got.batches).len()).sum();
    assert_eq!(first + rest, 50);
}

#[test]
fn a_bounded_read_ends_at_its_offset_and_says_so() {
    let mut rig = Rig::in_memory(1);
    let (producer, consumer) = (rig.connect(), rig.connect());
    for n in 0..10 {
        rig.worker.ingest(producer, &publish(n, 2, &batch_of(&[b"v"]))).unwrap();
    }
    rig.subscribe(consumer, 1 << 20, SourceRange { from: 2, until: Some(7) });
    rig.run();
    let frames = rig.frames(consumer);
    let count: usize = frames.iter().filter(|got| got.op == 23).map(|got| values(&got.batches).len()).sum();
    assert_eq!(count, 5);
    let end = frames.last().unwrap();
    assert_eq!((end.op, &end.numbers[..4]), (25, &[1, 1, 7, 0][..]));
}

#[test]
fn a_large_run_goes_out_as_views_and_comes_back_whole() {
    let directory = tempfile::tempdir().unwrap();
    let engine = Engine::open(options(Some(directory.path().into()), 1)).unwrap();
    let mut rig = Rig::new(&engine, 0);
    rig.worker.ensure_log(LOG, 1, LogConfig { segment_bytes: 1 << 20, ..LogConfig::default() }).unwrap();
    let (producer, consumer) = (rig.connect(), rig.connect());
    let value = vec![b'v'; 50_000];
    for n in 0..100 {
        rig.worker.ingest(producer, &publish(n, 2, &batch_of(&[&value]))).unwrap();
        rig.run();
    }
    rig.subscribe(consumer, 64 << 20, FOLLOW);
    let mut got = Vec::new();
    rig.run_until(|rig| rig.sent[consumer as usize].len() > 100 * 50_000);
    for frame in rig.frames(consumer) {
        got.extend(values(&frame.batches));
    }
    assert_eq!(got.len(), 100);
    assert!(got.iter().all(|other| *other == value));
    assert!(rig.maps.iter().flatten().count() > 1, "several segments were viewed");
    engine.close().unwrap();
}

#[test]
fn a_synced_publish_is_answered_after_the_sync_with_its_level() {
    let directory = tempfile::tempdir().unwrap();
    let engine = Engine::open(options(Some(directory.path().into()), 1)).unwrap();
    let mut rig = Rig::new(&engine, 0);
    rig.worker.ensure_log(LOG, 1, LogConfig::default()).unwrap();
    let producer = rig.connect();
    rig.worker.ingest(producer, &publish(5, 3, &batch_of(&[b"a"]))).unwrap();
    rig.worker.ingest(producer, &publish_one(6, 3, None, b"b")).unwrap();
    let token = rig.worker.sync(LOG, 0).unwrap();
    rig.run_until(|rig| !rig.synced.is_empty());
    assert_eq!(rig.synced, [(token, 0)]);
    rig.run_until(|rig| !rig.sent[producer as usize].is_empty());
    let levels: Vec<u64> = rig
        .frames(producer)
        .iter()
        .filter(|got| got.op == 20)
        .flat_map(|got| got.numbers.chunks(6).map(|run| run[5]).collect::<Vec<_>>())
        .collect();
    assert!(levels.iter().all(|level| *level == 3), "{levels:?}");
    engine.close().unwrap();
}

#[test]
fn a_synced_topic_shows_records_only_after_the_sync() {
    let directory = tempfile::tempdir().unwrap();
    let engine = Engine::open(options(Some(directory.path().into()), 1)).unwrap();
    let mut rig = Rig::new(&engine, 0);
    rig.worker.ensure_log(LOG, 1, LogConfig { durability: Durability::Synced, ..LogConfig::default() }).unwrap();
    let (producer, consumer) = (rig.connect(), rig.connect());
    rig.subscribe(consumer, 1 << 20, FOLLOW);
    rig.run();
    rig.worker.ingest(producer, &publish(1, 2, &batch_of(&[b"a"]))).unwrap();
    rig.run_until(|rig| !rig.sent[consumer as usize].is_empty());
    let partition = rig.worker.partition(LOG, 0).unwrap();
    assert_eq!(partition.synced_offset(), 1);
    engine.close().unwrap();
}

#[test]
fn credit_comes_back_and_a_sender_far_past_it_is_ended() {
    let mut rig = Rig::in_memory(1);
    let producer = rig.connect();
    let batch = batch_of(&[&vec![0; 20_000]]);
    rig.worker.ingest(producer, &publish(1, 2, &batch)).unwrap();
    rig.run();
    let credit: u64 = rig.frames(producer).iter().filter(|got| got.op == 22).map(|got| got.numbers[0]).sum();
    assert_eq!(credit as usize, publish(1, 2, &batch).len());
    let flood: Vec<u8> = (0..100).flat_map(|n| publish(n, 2, &batch)).collect();
    let flags = rig.worker.ingest(producer, &flood).unwrap();
    assert_eq!(flags & Flags::FATAL, Flags::FATAL);
    let goodbye = rig.worker.fatal_frame(producer).unwrap();
    assert_eq!(Reader::new(&goodbye[6..]).uint(), Ok(4));
}

#[test]
fn a_sender_that_leaves_its_answers_unread_is_paused_and_goes_on_when_it_reads() {
    let mut rig = Rig::in_memory(1);
    let producer = rig.connect();
    rig.run();
    // Nothing is reported as written from here on: the socket takes nothing.
    let refused = publish(1, 2, &[0; 64]);
    let chunk: Vec<u8> = std::iter::repeat_n(refused.clone(), 100).flatten().collect();
    let mut flags = 0;
    for _ in 0..1_000 {
        flags = rig.worker.ingest(producer, &chunk).unwrap();
        rig.worker.turn();
        if flags & Flags::PAUSE != 0 {
            break;
        }
    }
    assert_eq!(flags & (Flags::PAUSE | Flags::FATAL), Flags::PAUSE);
    assert!(!rig.worker.plan().words.contains(&f64::from(op::RESUME)));
    let mut resumed = false;
    while rig.worker.written(producer) {
        rig.worker.turn();
        resumed |= rig.worker.plan().words.contains(&f64::from(op::RESUME));
    }
    assert!(resumed);
    let flood: Vec<u8> = std::iter::repeat_n(refused, 500_000).flatten().collect();
    assert_eq!(rig.worker.ingest(producer, &flood).unwrap() & Flags::FATAL, Flags::FATAL);
    let goodbye = rig.worker.fatal_frame(producer).unwrap();
    assert_eq!(Reader::new(&goodbye[6..]).uint(), Ok(4));
}

#[test]
fn nothing_is_published_before_the_first_control_frame() {
    let mut rig = Rig::in_memory(1);
    let stranger = rig.worker.connection_open();
    let flags = rig.worker.ingest(stranger, &publish(1, 2, &batch_of(&[b"a"]))).unwrap();
    assert_eq!(flags & Flags::FATAL, Flags::FATAL);
    let goodbye = rig.worker.fatal_frame(stranger).unwrap();
    assert_eq!(Reader::new(&goodbye[7..]).uint(), Ok(u64::from(ErrorCode::HANDSHAKE_REQUIRED.0)));
}

#[test]
fn an_at_most_once_subscriber_that_falls_behind_is_told_how_much_it_missed() {
    let mut rig = Rig::in_memory(1);
    let (producer, consumer) = (rig.connect(), rig.connect());
    rig.worker.subscription_open(consumer, 1, 0, 4_096).unwrap();
    rig.worker.source_add(consumer, 1, 1, LOG, 0, FOLLOW).unwrap();
    for n in 0..20 {
        rig.worker.ingest(producer, &publish(n, 2, &batch_of(&[&[0; 1_000]]))).unwrap();
        rig.run();
    }
    rig.worker.ingest(consumer, &flow(1 << 20)).unwrap();
    rig.run();
    rig.worker.ingest(producer, &publish(99, 2, &batch_of(&[b"live"]))).unwrap();
    rig.run();
    let frames = rig.frames(consumer);
    let dropped: u64 = frames.iter().filter(|got| got.op == 26).map(|got| got.numbers[2]).sum();
    let received: usize = frames.iter().filter(|got| got.op == 23).map(|got| values(&got.batches).len()).sum();
    assert_eq!(dropped, 20);
    assert_eq!(received, 1);
}

#[test]
fn workers_share_logs_and_answer_through_each_others_inboxes() {
    let engine = Engine::open(options(None, 2)).unwrap();
    let (mut first, mut second) = (Rig::new(&engine, 0), Rig::new(&engine, 1));
    first.worker.ensure_log(LOG, 1, memory()).unwrap();
    let (producer, consumer) = (first.connect(), second.connect());
    second.subscribe(consumer, 1 << 20, FOLLOW);
    second.run();
    first.worker.ingest(producer, &publish_one(1, 2, None, b"across")).unwrap();
    first.run();
    second.run();
    assert_eq!(values(&second.frames(consumer)[0].batches), [b"across"]);
    first.worker.engine().post(1, b"mail".to_vec()).unwrap();
    second.run();
    assert_eq!(second.worker.take_mail(), [b"mail"]);
}

#[test]
fn deleting_a_log_ends_its_sources() {
    let mut rig = Rig::in_memory(1);
    let consumer = rig.connect();
    rig.subscribe(consumer, 1 << 20, FOLLOW);
    rig.run();
    rig.worker.delete_log(LOG).unwrap();
    rig.run();
    let end = rig.frames(consumer).pop().unwrap();
    assert_eq!((end.op, end.numbers[3]), (25, u64::from(ErrorCode::TOPIC_DELETED.0)));
}

#[test]
fn a_closed_connection_leaves_nothing_behind_and_its_number_is_used_again() {
    let mut rig = Rig::in_memory(1);
    let (producer, consumer) = (rig.connect(), rig.connect());
    rig.subscribe(consumer, 1 << 20, FOLLOW);
    rig.run();
    rig.worker.ingest(producer, &publish_one(1, 2, None, b"staged")).unwrap();
    rig.worker.connection_close(consumer);
    rig.worker.connection_close(producer);
    rig.run();
    assert_eq!(rig.worker.partition(LOG, 0).unwrap().next_offset(), 1);
    let again = rig.connect();
    assert!([producer, consumer].contains(&again));
    rig.run();
    assert!(rig.frames(again).is_empty(), "the answer was for the connection before");
}
