//! A look at the append and read path. Run by hand, in release mode:
//! `cargo test --release -p millrace-core log::tests::speed -- --ignored --nocapture`

use std::time::Instant;

use super::kit::*;
use crate::batch::{HEADER_BYTES, verify};
use crate::log::BatchIn;

fn measure(value_bytes: usize, batches_per_call: usize, total_bytes: usize, memory: bool) {
    let mut rig = Rig::new();
    if memory {
        rig.options.data_dir = None;
    }
    rig.options.index_interval_bytes = 64 << 10;
    let partition = rig.open();
    let one = batch(&[&vec![7; value_bytes]]);
    let (header, body_crc) = verify(&one).unwrap();
    let body: [&[u8]; 1] = [&one[HEADER_BYTES..]];
    let input = || BatchIn { header, body: &body, body_crc: body_crc.clone(), expect_next: None, expect_key: None };
    let inputs: Vec<_> = (0..batches_per_call).map(|_| input()).collect();
    let calls = total_bytes / (one.len() * batches_per_call);
    let mut outcomes = Vec::new();
    let mut slowest = 0;
    let started = Instant::now();
    for _ in 0..calls {
        let call = Instant::now();
        partition.appender().append(&inputs, &mut outcomes);
        slowest = slowest.max(call.elapsed().as_micros());
    }
    let took = started.elapsed();
    let batches = (calls * batches_per_call) as f64;
    let bytes = batches * one.len() as f64;
    println!(
        "append {} B x {batches_per_call}, memory {memory}: {:.2} GB/s, {:.0} ns a batch, slowest call {slowest} us",
        one.len(),
        bytes / took.as_secs_f64() / 1e9,
        took.as_nanos() as f64 / batches,
    );
    for round in 0..2 {
        let mut cursor = partition.cursor_at(0).unwrap();
        let (started, mut runs) = (Instant::now(), 0u64);
        while partition.read_run(&mut cursor, 256 << 10, None).unwrap().is_some() {
            runs += 1;
        }
        let took = started.elapsed();
        println!(
            "  walk {round}: {:.2} GB/s, {:.1} ns a batch, {runs} runs",
            bytes / took.as_secs_f64() / 1e9,
            took.as_nanos() as f64 / batches
        );
    }
}

/// What the file system does without a log: the measure for the numbers above.
fn measure_bare(part_bytes: usize, parts_per_call: usize, total_bytes: usize) {
    let directory = tempfile::tempdir().unwrap();
    let file = super::super::files::create(&directory.path().join("bare")).unwrap();
    super::super::files::allocate(&file, 0, total_bytes as u64, total_bytes as u64).unwrap();
    let part = vec![7; part_bytes];
    let call_bytes = part_bytes * parts_per_call;
    let started = Instant::now();
    for call in 0..total_bytes / call_bytes {
        let mut parts: Vec<_> = (0..parts_per_call).map(|_| std::io::IoSlice::new(&part)).collect();
        super::super::files::write_all(&file, &mut parts, (call * call_bytes) as u64).unwrap();
    }
    let took = started.elapsed();
    let rate = total_bytes as f64 / took.as_secs_f64() / 1e9;
    println!("bare pwritev {part_bytes} B x {parts_per_call}: {rate:.2} GB/s");
}

#[test]
#[ignore = "a measurement, not a check"]
fn appending_and_walking() {
    measure_bare(65_536, 1, 1 << 30);
    measure_bare(80, 2, 64 << 20);
    measure_bare(80, 128, 256 << 20);
    for memory in [false, true] {
        measure(65_300, 1, 1 << 30, memory);
        measure(65_300, 8, 1 << 30, memory);
        measure(90, 1, 64 << 20, memory);
        measure(90, 64, 256 << 20, memory);
        measure(90, 500, 256 << 20, memory);
    }
}
