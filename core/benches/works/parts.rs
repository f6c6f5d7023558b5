//! Single functions: batch, wire, ring and log, each by itself.

use std::hint::black_box;
use std::ops::ControlFlow;
use std::sync::Arc;

use millrace_core::batch::murmur2::partition_of;
use millrace_core::batch::{BatchHeader, BodyCrc, HEADER_BYTES, compression, crc_of, walk};
use millrace_core::clock::ManualClock;
use millrace_core::log::{BatchIn, LogConfig, LogStore, NoEvents, Storage, StoreOptions};
use millrace_core::ring::{Entry, RING_BYTES_DEFAULT, Ring};
use millrace_core::wire::{Frame, Scanner, out};

use super::Prepared;
use super::fixtures::{BATCH_BYTES, VALUE_BYTES, batch, chunk, publish, publish_one, value};

/// Repeats of what takes nanoseconds, so that the call of the work itself does not count.
const REPEATS: usize = 1_000;
const FRAME_BYTES_MAX: usize = 16 << 20;
const MESSAGE_BYTES_MAX: usize = 1 << 20;
/// Bounded, so that a long measurement appends into segments that were used before.
const LOG_BYTES_MAX: u64 = 64 << 20;

fn repeat(mut call: impl FnMut() + 'static) -> Prepared {
    Prepared::new(REPEATS, 0, move || {
        for _ in 0..REPEATS {
            call();
        }
    })
}

pub fn crc_64k() -> Prepared {
    let (bytes, _) = batch(BATCH_BYTES);
    Prepared::new(1, bytes.len() - HEADER_BYTES, move || {
        black_box(BodyCrc::of(black_box(&bytes[HEADER_BYTES..])));
    })
}

pub fn crc_100() -> Prepared {
    let bytes = value(1);
    let calls = repeat(move || {
        black_box(BodyCrc::of(black_box(&bytes)));
    });
    Prepared { bytes: (REPEATS * VALUE_BYTES) as u64, ..calls }
}

/// The CRC of a whole batch from its header and the CRC of its records.
pub fn crc_combine() -> Prepared {
    let (bytes, _) = batch(BATCH_BYTES);
    let body = BodyCrc::of(&bytes[HEADER_BYTES..]);
    repeat(move || {
        black_box(crc_of(black_box(&bytes[..HEADER_BYTES]), black_box(&body)));
    })
}

pub fn header_parse() -> Prepared {
    let (bytes, _) = batch(BATCH_BYTES);
    repeat(move || {
        let _ = black_box(BatchHeader::parse(black_box(&bytes)));
    })
}

/// What an append does to a header: offset and epoch in, CRC combined.
pub fn header_seal() -> Prepared {
    let (bytes, _) = batch(BATCH_BYTES);
    let body = BodyCrc::of(&bytes[HEADER_BYTES..]);
    let mut header = BatchHeader::parse(&bytes).expect("the fixture is a batch");
    repeat(move || {
        header.base_offset += 1;
        black_box(header.seal(black_box(&body)));
    })
}

pub fn record_walk() -> Prepared {
    let (bytes, records) = batch(BATCH_BYTES);
    let header = BatchHeader::parse(&bytes).expect("the fixture is a batch");
    Prepared::new(records, bytes.len() - HEADER_BYTES, move || {
        let body = black_box(&bytes[HEADER_BYTES..]);
        let _ = black_box(walk(body, header.attributes, header.record_count, MESSAGE_BYTES_MAX));
    })
}

fn scan(bytes: Vec<u8>, frames: usize) -> Prepared {
    let mut scanner = Scanner::new(FRAME_BYTES_MAX);
    Prepared::new(frames, bytes.len(), move || {
        let mut seen = 0;
        let fed = scanner.feed(black_box(&bytes), &mut |frame: Frame<'_>| {
            black_box(&frame);
            seen += 1;
            ControlFlow::Continue(())
        });
        assert!(fed.is_ok() && seen == frames, "the chunk holds {frames} frames, {seen} came out");
    })
}

pub fn scan_batches() -> Prepared {
    let (batch, _) = batch(BATCH_BYTES);
    let (bytes, frames) = chunk(|out, correlation| publish(out, correlation, &batch));
    scan(bytes, frames)
}

pub fn scan_singles() -> Prepared {
    let (bytes, frames) = chunk(publish_one);
    scan(bytes, frames)
}

pub fn ring_push_drain() -> Prepared {
    let ring = Ring::with_bytes(RING_BYTES_DEFAULT);
    let record = value(1);
    Prepared::new(REPEATS, REPEATS * record.len(), move || {
        for correlation in 0..REPEATS {
            let entry = Entry { correlation: correlation as u32, acks: 2, ..Entry::default() };
            ring.push(entry, black_box(&record)).expect("the ring has room for this many");
        }
        let drained = ring.drain(usize::MAX, |drained| {
            black_box(drained.runs(0..drained.len()));
        });
        assert_eq!(drained, REPEATS);
    })
}

/// One batch at a time to a log in memory files: the same appender and the same
/// `pwritev` as on a disk, without the disk's noise.
fn append(bytes: Vec<u8>) -> Prepared {
    let clock = Arc::new(ManualClock::new(1_000_000));
    let (store, _) = LogStore::open(StoreOptions::default(), clock, Arc::new(NoEvents)).expect("a store in memory");
    let config = LogConfig { storage: Storage::Memory, memory_bytes_max: LOG_BYTES_MAX, ..LogConfig::default() };
    let log = store.ensure_log(1, 1, config).expect("a log in memory");
    let partition = log.partition(0).expect("partition 0");
    let header = BatchHeader::parse(&bytes).expect("the fixture is a batch");
    let body_crc = BodyCrc::of(&bytes[HEADER_BYTES..]);
    let mut outcomes = Vec::new();
    Prepared::new(1, bytes.len(), move || {
        // The store's threads end with it.
        let _ = &store;
        let body = [&bytes[HEADER_BYTES..]];
        let batch = BatchIn { header, body: &body, body_crc, expect_next: None, expect_key: None };
        black_box(partition.appender().append(&[batch], &mut outcomes));
    })
}

pub fn append_64k() -> Prepared {
    append(batch(BATCH_BYTES).0)
}

pub fn append_100() -> Prepared {
    append(batch(HEADER_BYTES).0)
}

pub fn murmur2_key() -> Prepared {
    let key = b"customer-0000017".to_vec();
    repeat(move || {
        black_box(partition_of(black_box(&key), black_box(12)));
    })
}

pub fn deliver_head() -> Prepared {
    let mut frames = Vec::with_capacity(REPEATS * out::DELIVER_HEAD_BYTES_MAX);
    Prepared::new(REPEATS, 0, move || {
        frames.clear();
        for source in 0..REPEATS {
            black_box(out::write_deliver_head(&mut frames, 1, source as u32, black_box(BATCH_BYTES)));
        }
    })
}

pub fn zstd_compress() -> Prepared {
    let (bytes, records) = batch(BATCH_BYTES);
    Prepared::new(records, bytes.len() - HEADER_BYTES, move || {
        let _ = black_box(compression::compress(black_box(&bytes[HEADER_BYTES..])));
    })
}

pub fn zstd_decompress() -> Prepared {
    let (bytes, records) = batch(BATCH_BYTES);
    let packed = compression::compress(&bytes[HEADER_BYTES..]).expect("zstd takes any bytes");
    let plain = BatchHeader::parse(&bytes).expect("the fixture is a batch");
    let header = BatchHeader { attributes: plain.attributes.with_zstd(), ..plain };
    Prepared::new(records, bytes.len() - HEADER_BYTES, move || {
        let _ = black_box(compression::plain_records(&header, black_box(&packed), MESSAGE_BYTES_MAX));
    })
}
