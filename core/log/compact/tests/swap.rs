//! The swap: crashes at every step, failures, readers in the middle of it.

use std::collections::HashSet;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::ScopedJoinHandle;

use parking_lot::Mutex;

use super::super::state::{self, CleanerState};
use super::super::{Step, When, run, run_with};
use super::harness::{Bench, End, Row, Setup, TOMBSTONE_MS, crashes, is_long, names, rows_of, try_append};
use crate::batch::{BatchBuilder, BatchHeader};
use crate::error::{CoreError, ErrorCode};
use crate::log::{AppendOutcome, Partition, Storage, StoreEvents};

/// A few segments with values, deletes and some that are compacted already.
fn prepared() -> Bench {
    let mut bench = Bench::new(Setup { segment_bytes: 1_500, ..Setup::default() });
    fill(&mut bench, 0..60);
    bench.settle();
    bench.compact();
    bench.pass(TOMBSTONE_MS / 2);
    fill(&mut bench, 60..140);
    bench.settle();
    bench.pass(TOMBSTONE_MS);
    bench
}

fn fill(bench: &mut Bench, range: std::ops::Range<u64>) {
    for n in range {
        let keys = [format!("k{}", n % 7), format!("k{}", n % 11), format!("only{}", n / 20)];
        let values = [format!("value {n} {}", "x".repeat(30)), format!("other {n}")];
        let value = |at: usize| (!(n + at as u64).is_multiple_of(5)).then_some(values[at].as_str());
        // Values over more than a segment, and at last a tombstone.
        let only = (n % 20 != 19).then_some(values[0].as_str());
        let rows = [(Some(keys[0].as_str()), value(0)), (Some(&keys[1]), value(1)), (Some(&keys[2]), only)];
        bench.append(&rows, n % 6 == 0);
    }
}

fn assert_tidy(bench: &Bench) {
    let names = names(&bench.place());
    let ending = |end| names.iter().filter(|name| name.rsplit('.').next() == Some(end)).count();
    assert_eq!(ending("tmp"), 0, "{names:?}");
    assert_eq!(CleanerState::load(&bench.place()).unwrap().swap, None);
    let segments = bench.partition().segments();
    assert_eq!(ending("log"), segments.len(), "no segment file lies about: {names:?}");
    for pair in segments.windows(2) {
        assert_eq!(pair[0].next_offset(), pair[1].base, "segments follow one another");
    }
}

#[test]
fn after_a_crash_in_any_step_the_log_is_whole_and_the_next_round_ends_the_same() {
    let bench = prepared();
    bench.compact();
    let expected = bench.read_from(0);
    bench.check(bench.cleaner_point());
    let mut nth = 0;
    loop {
        let mut bench = prepared();
        let crashed = bench.crash_in_step(nth);
        assert_tidy(&bench);
        bench.check(bench.cleaner_point());
        bench.compact();
        bench.check(bench.cleaner_point());
        assert_eq!(bench.read_from(0), expected, "step {nth}");
        assert_tidy(&bench);
        if !crashed {
            break;
        }
        nth += if is_long() || nth > 20 { 1 } else { 3 };
    }
    assert!(nth > 40, "there are that many steps: {nth}");
}

/// Leaves the `which`th swap of a round decided and not carried out. `None` when
/// there are fewer.
fn decided(which: usize) -> Option<(Bench, state::Swap)> {
    let mut bench = prepared();
    let passed = AtomicU64::new(0);
    let crash = |step: Step| {
        if step == Step::Decided && passed.fetch_add(1, Ordering::Relaxed) == which as u64 {
            resume_unwind(Box::new("crash"));
        }
    };
    let ended = catch_unwind(AssertUnwindSafe(|| drop(run_with(&bench.partition(), When::Now, &crash))));
    bench.end(End::Crash);
    let swap = ended.is_err().then(|| CleanerState::load(&bench.place()).unwrap().swap.unwrap())?;
    Some((bench, swap))
}

#[test]
fn a_crash_in_recovery_itself_changes_nothing() {
    let bench = prepared();
    bench.compact();
    let expected = bench.read_from(0);
    let (mut which, mut nth, mut most) = (0, 0, 0);
    while let Some((mut bench, swap)) = decided(which) {
        let crashed = crashes(nth, &|steps| state::carry_out(&bench.place(), &swap, steps).unwrap());
        bench.open();
        assert_tidy(&bench);
        bench.check(bench.cleaner_point());
        bench.compact();
        assert_eq!(bench.read_from(0), expected);
        most = most.max(nth);
        (which, nth) = if crashed { (which, nth + 1) } else { (which + 1, 0) };
    }
    assert!(which >= 2 && most >= 4, "{which} swaps of up to {most} steps");
}

#[test]
fn a_round_starts_when_half_is_new_or_tombstones_are_old() {
    let mut bench = Bench::new(Setup { segment_bytes: 1_500, ..Setup::default() });
    assert_eq!(run(&bench.partition()), Ok(None));
    fill(&mut bench, 0..60);
    bench.settle();
    let outcome = run(&bench.partition()).unwrap().unwrap();
    assert!(outcome.swaps > 0 && outcome.tally.records_out < outcome.tally.records_in);
    assert!(outcome.tally.tombstones_until_ms.is_some());
    assert_eq!(bench.cleaner_point(), outcome.cleaner_point);
    assert_eq!(run(&bench.partition()), Ok(None), "nothing is new");
    bench.reopen(End::Clean);
    assert_eq!(run(&bench.partition()), Ok(None), "also after a start");
    bench.pass(TOMBSTONE_MS);
    let again = run(&bench.partition()).unwrap().unwrap();
    assert_eq!(again.tally.tombstones_until_ms, None);
    assert!(again.tally.records_out < outcome.tally.records_out);
    bench.check(bench.cleaner_point());
    assert_eq!(run(&bench.partition()), Ok(None));
}

#[test]
fn more_keys_than_the_limit_are_compacted_in_several_rounds() {
    let mut bench = Bench::new(Setup { segment_bytes: 1_500, keys_max: 5, ..Setup::default() });
    fill(&mut bench, 0..60);
    bench.settle();
    let (mut point, mut rounds) = (0, 0);
    let last_base = bench.partition().segments().last().unwrap().base;
    while point < last_base {
        let outcome = bench.compact().unwrap();
        assert!(outcome.cleaner_point > point);
        point = outcome.cleaner_point;
        rounds += 1;
        bench.check(point);
    }
    assert!(rounds > 3);
}

#[test]
fn a_log_that_loses_everything_keeps_its_offsets() {
    let mut bench = Bench::new(Setup { segment_bytes: 1_000, ..Setup::default() });
    for _ in 0..300 {
        bench.append(&[(Some("a"), Some("v")), (Some("a"), None)], false);
    }
    bench.settle();
    assert!(bench.partition().segments().len() > 3);
    bench.pass(TOMBSTONE_MS);
    let end = bench.partition().next_offset();
    bench.compact();
    let last_base = bench.partition().segments().last().unwrap().base;
    assert!(bench.read_from(0).iter().all(|(offset, _)| *offset >= last_base));
    assert_eq!((bench.partition().start_offset(), bench.partition().next_offset()), (0, end));
    bench.reopen(End::Crash);
    assert_eq!((bench.partition().start_offset(), bench.partition().next_offset()), (0, end));
    bench.check(bench.cleaner_point());
}

#[test]
fn a_producers_sequence_is_known_even_without_the_state_file() {
    let mut bench = Bench::new(Setup { segment_bytes: 1_000, ..Setup::default() });
    bench.append(&[(Some("a"), Some("v"))], false);
    let sequence = bench.sequence;
    let other = |sequence: u32| {
        let mut builder = BatchBuilder::new(1_000_000).producer(10, 0, sequence);
        builder.push(0, Some(b"b"), Some(b"late"));
        builder.build()
    };
    for n in 0..120 {
        let outcome = try_append(&bench.partition(), &other(n));
        let AppendOutcome::Appended { base_offset } = outcome else { panic!("{outcome:?}") };
        let row = Row { key: Some("b".into()), value: Some("late".into()), at_ms: 1_000_000 };
        bench.model.insert(base_offset, row);
        if n == 5 {
            let mut builder = BatchBuilder::new(1_000_000);
            builder.push(0, Some(b"a"), Some(b"new"));
            let offset = super::harness::append_to(&bench.partition(), &builder.build());
            let row = Row { key: Some("a".into()), value: Some("new".into()), at_ms: 1_000_000 };
            bench.model.insert(offset, row);
        }
    }
    bench.settle();
    bench.compact();
    bench.end(End::Clean);
    std::fs::remove_file(bench.place().join("state")).unwrap();
    bench.open();
    assert!(!bench.read_from(0).iter().any(|(offset, _)| *offset == 0), "its only batch lost its record");
    bench.sequence = sequence;
    bench.append(&[(Some("a"), Some("next"))], false);
    bench.check(bench.cleaner_point());
}

#[test]
fn a_round_that_cannot_write_leaves_the_log_and_no_files_and_waits() {
    let mut bench = prepared();
    let before = bench.read_from(0);
    let blocked = state::temporary(&bench.partition().segments()[0].path().unwrap());
    std::fs::create_dir(&blocked).unwrap();
    let error = run(&bench.partition()).unwrap_err();
    assert_eq!(error.code, ErrorCode::STORAGE_FAILED);
    assert_eq!(run(&bench.partition()), Ok(None), "it does not try again at once");
    std::fs::remove_dir(&blocked).unwrap();
    assert_eq!(bench.read_from(0), before);
    assert_tidy(&bench);
    bench.pass(10 * 60 * 1000);
    assert!(run(&bench.partition()).unwrap().is_some());
    bench.check(bench.cleaner_point());
    bench.reopen(End::Crash);
    bench.check(bench.cleaner_point());
}

#[test]
fn a_damaged_batch_ends_the_round_and_nothing_is_replaced() {
    let mut bench = prepared();
    let second = Arc::clone(&bench.partition().segments()[1]);
    let path = second.path().unwrap();
    bench.end(End::Clean);
    let mut bytes = std::fs::read(&path).unwrap();
    let header = BatchHeader::parse(&bytes).unwrap();
    bytes[header.batch_bytes() - 1] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    bench.open();
    let before = names(&bench.place());
    let error = run_with(&bench.partition(), When::Now, &|_| ()).unwrap_err();
    assert_eq!((error.code, error.offset), (ErrorCode::CORRUPT_BATCH, Some(second.base)));
    let kept: Vec<_> = names(&bench.place()).into_iter().filter(|name| name != "compact").collect();
    assert_eq!(kept, before.into_iter().filter(|name| name != "compact").collect::<Vec<_>>());
}

#[test]
fn a_log_deleted_amid_a_round_ends_the_round() {
    let bench = prepared();
    let partition = bench.partition();
    let delete = |step: Step| {
        if step == Step::Writing && !partition.is_deleted() {
            bench.delete();
        }
    };
    assert_eq!(run_with(&partition, When::Now, &delete).unwrap_err().code, ErrorCode::TOPIC_DELETED);
    assert!(!bench.place().exists());
}

/// Counts the maps that were retired.
#[derive(Default)]
struct Retired(Mutex<HashSet<u64>>);

impl StoreEvents for Retired {
    fn committed(&self, _: &Arc<Partition>) {}
    fn synced(&self, _: &Arc<Partition>, _: u64) {}
    fn sync_failed(&self, _: &Arc<Partition>, _: &CoreError) {}
    fn map_retired(&self, map_id: u64) {
        self.0.lock().insert(map_id);
    }
}

#[test]
fn a_slow_reader_keeps_its_bytes_and_goes_on_in_the_new_segments() {
    let retired = Arc::new(Retired::default());
    let setup = Setup { segment_bytes: 1_500, ..Setup::default() };
    let mut bench = Bench::with_events(setup, Arc::clone(&retired) as Arc<dyn StoreEvents>);
    fill(&mut bench, 0..60);
    bench.settle();
    let partition = bench.partition();
    let mut cursor = partition.cursor_at(0).unwrap();
    let held = partition.read_run(&mut cursor, 400, None).unwrap().unwrap();
    let copy = held.bytes().to_vec();
    bench.compact();
    assert!(retired.0.lock().contains(&held.map.id()), "the old map is given back");
    assert_eq!(held.bytes(), copy, "and stays readable for who holds it");
    let mut rows = Vec::new();
    rows_of(&copy, &mut rows);
    let seen = rows.last().unwrap().0;
    rows.clear();
    while let Some(run) = partition.read_run(&mut cursor, 400, None).unwrap() {
        rows_of(run.bytes(), &mut rows);
    }
    assert_eq!(rows, bench.read_from(seen + 1), "nothing twice, nothing left out");
}

/// Reads the log over and over from random places until told to stop.
fn reader(partition: &Partition, stop: &AtomicBool, passes: &AtomicU64, seed: u64) {
    let mut rng = super::harness::Rng(seed);
    while !stop.load(Ordering::Relaxed) {
        let mut rows: Vec<(u64, Row)> = Vec::new();
        let from = rng.below(partition.high_watermark() + 1);
        let mut cursor = partition.cursor_at(from).unwrap();
        let mut held = Vec::new();
        while let Some(run) = partition.read_run(&mut cursor, 1 + rng.below(3_000) as usize, None).unwrap() {
            rows_of(run.bytes(), &mut rows);
            held.push(run);
        }
        assert!(rows.is_sorted_by(|one, next| one.0 < next.0));
        let mut again = Vec::new();
        for run in &held {
            rows_of(run.bytes(), &mut again);
        }
        assert_eq!(again, rows, "what a reader holds does not change");
        for (offset, row) in rows {
            let value = row.value.unwrap_or_default();
            assert!(value.is_empty() || value.starts_with(&format!("at {offset} ")), "{offset}: {value}");
        }
        passes.fetch_add(1, Ordering::Relaxed);
    }
}

fn read_while_compacting(storage: Storage, rounds: u64) {
    let setup = Setup { segment_bytes: 4_000, mapped_segments_max: 2, storage, ..Setup::default() };
    let mut bench = Bench::new(setup);
    let partition = bench.partition();
    let (stop, passes) = (AtomicBool::new(false), AtomicU64::new(0));
    std::thread::scope(|scope| {
        let readers = [0, 1].map(|seed| {
            let (partition, stop, passes) = (&partition, &stop, &passes);
            scope.spawn(move || reader(partition, stop, passes, seed))
        });
        for round in 0..rounds {
            for n in 0..30 {
                let offset = bench.partition().next_offset();
                let value = |at: u64| format!("at {} {}", offset + at, "y".repeat(40));
                let (one, two) = (value(0), value(1));
                let key = format!("k{}", (round * 7 + n) % 50);
                bench.append(&[(Some(&key), Some(&one)), (Some("b"), Some(&two))], n % 9 == 0);
            }
            bench.settle();
            bench.pass(50);
            bench.compact();
        }
        let enough = passes.load(Ordering::Relaxed) + 4;
        while passes.load(Ordering::Relaxed) < enough && !readers.iter().any(ScopedJoinHandle::is_finished) {
            std::thread::yield_now();
        }
        stop.store(true, Ordering::Relaxed);
    });
    let last_base = partition.segments().last().unwrap().base;
    bench.check(last_base);
}

#[test]
fn readers_see_every_record_in_place_while_segments_are_replaced() {
    let rounds = if is_long() { 2_000 } else { 40 };
    read_while_compacting(Storage::Log, rounds);
    read_while_compacting(Storage::Memory, rounds);
}
