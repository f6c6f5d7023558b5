//! Runs one hot function so often that callgrind can tell what a call of it costs.
//!
//! `instructions --works` prints a line `name/item items bytes` for each, of one run; `instructions NAME RUNS`
//! sets the work up and runs it RUNS times. bench/core/instructions.ts counts the instructions of N
//! and of 2N runs: their difference is N runs without the start-up.

mod works;

use works::{Prepared, WORKS};

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let argument = |index: usize| words.get(index).map_or("", String::as_str);
    if argument(0) == "--works" {
        for work in WORKS {
            let Prepared { items, bytes, .. } = (work.prepare)();
            println!("{work} {items} {bytes}");
        }
        return;
    }
    let found = WORKS.iter().find(|work| work.name == argument(0));
    let (Some(work), Ok(runs)) = (found, argument(1).parse::<u64>()) else {
        eprintln!("usage: instructions --works | instructions NAME RUNS");
        std::process::exit(2);
    };
    let mut prepared = (work.prepare)();
    for _ in 0..runs {
        (prepared.run)();
    }
}
