//! Random histories against the model.

use super::harness::{Bench, End, Rng, Setup, is_long};
use crate::log::Storage;

const KEYS: u64 = 12;

fn append(bench: &mut Bench, rng: &mut Rng) {
    let mut rows = Vec::new();
    for _ in 0..=rng.below(6) {
        let key = (!rng.one_in(40)).then(|| format!("k{}", rng.below(KEYS)));
        let value = (!rng.one_in(4)).then(|| format!("{}", rng.below(1 << 40)).repeat(1 + rng.below(8) as usize));
        rows.push((key, value));
    }
    let rows: Vec<_> = rows.iter().map(|(key, value)| (key.as_deref(), value.as_deref())).collect();
    bench.append(&rows, rng.one_in(4));
}

fn history(seed: u64, steps: usize, storage: Storage) {
    println!("seed {seed}");
    let mut rng = Rng(seed);
    let keys_max = if rng.one_in(3) { 1 + rng.below(KEYS) as usize } else { 1_000 };
    let setup = Setup { segment_bytes: 1_000 + rng.below(4_000), keys_max, storage, mapped_segments_max: 3 };
    let mut bench = Bench::new(setup);
    let disk = storage == Storage::Log;
    let point = |bench: &Bench| if disk { bench.cleaner_point() } else { 0 };
    for _ in 0..steps {
        match rng.below(40) {
            0..30 => append(&mut bench, &mut rng),
            30..33 => bench.pass(rng.below(700)),
            33..36 => {
                bench.settle();
                let outcome = bench.compact();
                bench.check(outcome.map_or_else(|| point(&bench), |outcome| outcome.cleaner_point));
            }
            36 if disk => {
                bench.settle();
                bench.crash_in_step(rng.below(60) as usize);
                bench.check(point(&bench));
            }
            37 if disk => bench.reopen(if rng.one_in(2) { End::Clean } else { End::Crash }),
            _ => {
                let from = rng.below(bench.partition().next_offset() + 1);
                let found = bench.read_from(from);
                assert_eq!(found, bench.read_from(0).split_off(bench.read_from(0).len() - found.len()));
            }
        }
    }
    bench.settle();
    while bench.compact().is_some_and(|outcome| outcome.cleaner_point < last_base(&bench)) {}
    bench.check(last_base(&bench));
    let before = bench.read_from(0);
    bench.compact();
    assert_eq!(bench.read_from(0), before, "compacting again changes nothing");
}

/// Where the active segment begins: all before it can be compacted.
fn last_base(bench: &Bench) -> u64 {
    bench.partition().segments().last().map_or(0, |last| last.base)
}

#[test]
fn random_histories_keep_the_last_record_of_every_key() {
    let (seeds, steps) = if is_long() { (120, 600) } else { (12, 250) };
    for seed in 0..seeds {
        history(seed, steps, Storage::Log);
    }
}

#[test]
fn random_histories_in_memory_keep_the_last_record_of_every_key() {
    let (seeds, steps) = if is_long() { (120, 600) } else { (8, 200) };
    for seed in 1_000..1_000 + seeds {
        history(seed, steps, Storage::Memory);
    }
}
