//! The ring against a `VecDeque`, at its edges, and between real threads.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};

use proptest::prelude::*;

use super::{Entry, PushError, Ring};

fn entry(correlation: u32) -> Entry {
    Entry { correlation, ..Entry::default() }
}

/// Everything published: (correlation, bytes), and checks the views against each other.
fn drain(ring: &Ring, entries_max: usize) -> Vec<(u32, Vec<u8>)> {
    let mut out = Vec::new();
    let count = ring.drain(entries_max, |drained| {
        for (index, (entry, bytes)) in drained.iter().enumerate() {
            assert_eq!(drained.get(index), Some(entry));
            assert_eq!(drained.bytes(entry), bytes);
            assert_eq!(entry.record_bytes(), bytes.len());
            out.push((entry.correlation, bytes.to_vec()));
        }
        assert_eq!(drained.len(), out.len());
        assert!(drained.get(out.len()).is_none());
        check_runs(&drained, &out);
    });
    assert_eq!(count, out.len());
    out
}

fn check_runs(drained: &super::Drained<'_>, records: &[(u32, Vec<u8>)]) {
    for start in 0..=records.len() {
        for end in [start, usize::midpoint(start, records.len()), records.len(), records.len() + 1] {
            let upto = end.min(records.len());
            let expected: Vec<u8> = records[start..upto].iter().flat_map(|(_, bytes)| bytes.clone()).collect();
            assert_eq!(drained.runs(start..end).concat(), expected);
        }
    }
}

#[test]
fn records_come_out_in_order_with_their_bytes() {
    let ring = Ring::with_bytes(4096);
    assert!(ring.is_empty());
    for i in 0..10 {
        ring.push(entry(i), &vec![i as u8; i as usize]).unwrap();
    }
    assert!(!ring.is_empty());
    let expected: Vec<_> = (0..10).map(|i| (i, vec![i as u8; i as usize])).collect();
    assert_eq!(drain(&ring, usize::MAX), expected);
    assert!(ring.is_empty());
    assert_eq!(drain(&ring, usize::MAX), []);
}

#[test]
fn a_drain_takes_no_more_than_it_is_asked_for() {
    let ring = Ring::with_bytes(4096);
    for i in 0..5 {
        ring.push(entry(i), b"x").unwrap();
    }
    assert_eq!(drain(&ring, 0), []);
    assert_eq!(drain(&ring, 2).len(), 2);
    assert_eq!(drain(&ring, 9).iter().map(|r| r.0).collect::<Vec<_>>(), [2, 3, 4]);
}

#[test]
fn a_full_ring_refuses_and_takes_again_after_a_drain() {
    let slots = Ring::with_capacity(64, 4);
    for i in 0..4 {
        slots.push(entry(i), b"x").unwrap();
    }
    assert_eq!(slots.push(entry(4), b"x"), Err(PushError::Full));
    assert_eq!(drain(&slots, 1).len(), 1);
    slots.push(entry(4), b"x").unwrap();

    let bytes = Ring::with_capacity(64, 64);
    bytes.push(entry(0), &[1; 32]).unwrap();
    bytes.push(entry(1), &[2; 31]).unwrap();
    assert_eq!(bytes.push(entry(2), &[3; 2]), Err(PushError::Full));
    bytes.push(entry(2), &[3; 1]).unwrap();
    assert_eq!(drain(&bytes, 9).len(), 3);
}

#[test]
fn half_the_arena_fits_into_an_empty_ring_wherever_the_cursor_stands() {
    for position in 0..64 {
        let ring = Ring::with_capacity(64, 8);
        for _ in 0..position {
            ring.push(entry(0), b"x").unwrap();
            // One record stays behind, so the ring is not rewound to its beginning.
            ring.push(entry(0), b"").unwrap();
            drain(&ring, 1);
            drain(&ring, 1);
        }
        assert_eq!(ring.push(entry(1), &[7; 33]), Err(PushError::TooLarge));
        ring.push(entry(1), &[7; 32]).unwrap();
        assert_eq!(drain(&ring, 9), [(1, vec![7; 32])]);
    }
}

#[test]
fn a_drain_that_panics_frees_nothing() {
    let ring = Ring::with_bytes(4096);
    ring.push(entry(1), b"kept").unwrap();
    let panicked = catch_unwind(AssertUnwindSafe(|| ring.drain(9, |_| panic!("on purpose"))));
    assert!(panicked.is_err());
    assert_eq!(drain(&ring, 9), [(1, b"kept".to_vec())]);
}

#[test]
fn a_trickle_keeps_to_the_first_page_of_a_large_ring() {
    let ring = Ring::with_bytes(1 << 20);
    for i in 0..10_000 {
        ring.push(entry(i), &[1; 100]).unwrap();
        ring.drain(9, |drained| {
            assert_eq!(drained.get(0).map(|e| e.start), Some(0));
        });
    }
}

#[test]
fn memory_is_the_arena_and_57_bytes_a_slot() {
    let ring = Ring::with_bytes(super::RING_BYTES_DEFAULT);
    assert_eq!(size_of::<Entry>(), 56);
    assert!(ring.memory_bytes() < (1 << 20) + 8_192 * 57 + 1024);
    assert_eq!(Ring::with_bytes(5000).record_bytes_max(), 4096);
    assert_eq!(Ring::with_bytes(0).record_bytes_max(), 2048);
}

/// Four threads push numbered records of odd lengths while one drains: each thread's
/// records come out complete and in its order.
#[test]
fn threads_lose_nothing_and_keep_their_order() {
    const EACH: u32 = 20_000;
    const THREADS: u32 = 4;
    let ring = Ring::with_bytes(8192);
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let ring = &ring;
            scope.spawn(move || push_numbered(ring, thread, EACH));
        }
        let mut next = [0u32; THREADS as usize];
        while next.iter().sum::<u32>() < THREADS * EACH {
            let drained = ring.drain(64, |drained| {
                for (entry, bytes) in drained.iter() {
                    let expected = &mut next[entry.connection as usize];
                    assert_eq!(entry.correlation, *expected);
                    assert_eq!(bytes, numbered(entry.connection, *expected));
                    *expected += 1;
                }
            });
            if drained == 0 {
                std::thread::yield_now();
            }
        }
    });
    assert!(ring.is_empty());
}

fn numbered(thread: u32, number: u32) -> Vec<u8> {
    vec![(number as u8) ^ (thread as u8); (number % 97) as usize]
}

fn push_numbered(ring: &Ring, connection: u32, count: u32) {
    for correlation in 0..count {
        let entry = Entry { connection, correlation, ..Entry::default() };
        while ring.push(entry, &numbered(connection, correlation)).is_err() {
            std::thread::yield_now();
        }
    }
}

#[derive(Clone, Debug)]
enum Step {
    Push(usize),
    Drain(usize),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (0usize..40).prop_map(Step::Push),
        1 => (0usize..12).prop_map(Step::Drain),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    /// Same records in the same order as a queue; `Full` only when the model, which
    /// knows lengths but no positions, could be out of room too.
    #[test]
    fn behaves_as_a_queue(steps in prop::collection::vec(step(), 1..400), arena_bits in 6u32..9, slot_bits in 0u32..5) {
        let arena = 1usize << arena_bits;
        let slots = 1usize << slot_bits;
        let ring = Ring::with_capacity(arena, slots);
        let mut model: VecDeque<(u32, Vec<u8>)> = VecDeque::new();
        for (number, step) in steps.into_iter().enumerate() {
            match step {
                Step::Push(len) => {
                    let record = (number as u32, vec![number as u8; len]);
                    let used: usize = model.iter().map(|(_, bytes)| bytes.len()).sum();
                    match ring.push(entry(record.0), &record.1) {
                        Ok(()) => model.push_back(record),
                        Err(PushError::TooLarge) => prop_assert!(len > arena / 2),
                        // Skipped bytes: at most one record's length less one, twice.
                        Err(PushError::Full) => prop_assert!(model.len() == slots || used + 3 * 40 > arena),
                    }
                }
                Step::Drain(max) => {
                    let expected: Vec<_> = model.drain(..max.min(model.len())).collect();
                    prop_assert_eq!(drain(&ring, max), expected);
                }
            }
            prop_assert_eq!(ring.is_empty(), model.is_empty());
        }
        let rest: Vec<_> = model.into_iter().collect();
        prop_assert_eq!(drain(&ring, usize::MAX), rest);
    }
}
