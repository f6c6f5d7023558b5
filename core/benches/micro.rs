//! Times the hot functions: `cargo bench -p millrace-core --bench micro`.
//! `npm run bench -- core` reads what it prints and merges it with the codecs' figures.

mod works;

use divan::Bencher;
use divan::counter::{BytesCount, ItemsCount};
use works::{WORKS, Work};

fn main() {
    divan::main();
}

#[divan::bench(args = WORKS)]
fn core(bencher: Bencher<'_, '_>, work: &Work) {
    let mut prepared = (work.prepare)();
    let bencher = bencher.counter(ItemsCount::new(prepared.items));
    if prepared.bytes > 0 {
        bencher.counter(BytesCount::new(prepared.bytes)).bench_local(|| (prepared.run)());
    } else {
        bencher.bench_local(|| (prepared.run)());
    }
}
