//! The fuzz target on seeded random bytes and on mutations of good frames.

use super::samples::all;
use crate::wire::fuzz_target::scan_any;

/// A small generator whose seed tells the whole run: xorshift64*.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() % end.max(1) as u64) as usize
    }

    fn byte(&mut self) -> u8 {
        self.next() as u8
    }
}

/// Heads that open, announce or end something.
const TELLING: [u8; 16] =
    [0x00, 0x0a, 0x0b, 0x0c, 0x7f, 0x80, 0x94, 0x98, 0xc0, 0xc1, 0xc4, 0xc6, 0xcf, 0xdd, 0xdf, 0xff];

fn mutate(random: &mut Random, bytes: &mut Vec<u8>) {
    let at = random.below(bytes.len());
    match random.below(6) {
        0 if !bytes.is_empty() => bytes[at] ^= 1 << random.below(8),
        1 if !bytes.is_empty() => bytes[at] = TELLING[random.below(TELLING.len())],
        2 => bytes.truncate(at),
        3 => bytes.insert(at, random.byte()),
        4 if !bytes.is_empty() => {
            bytes.remove(at);
        }
        _ => {
            let all = all();
            let other = &all[random.below(all.len())];
            bytes.splice(at..at, other[random.below(other.len())..].iter().copied());
        }
    }
}

/// Makes the first frame's head state the length that there is, so that the mutation
/// is seen by the parser and not only by the length check.
fn mend_length(bytes: &mut [u8]) {
    let length = (bytes.len().saturating_sub(5) as u32).to_be_bytes();
    if let Some(head) = bytes.first_chunk_mut::<5>() {
        head[0] = 0xc6;
        head[1..].copy_from_slice(&length);
    }
}

#[test]
fn mutated_frames_are_scanned_alike_in_any_chunks() {
    let seed = 0x6d69_6c6c_7261_6365;
    println!("seed {seed:#x}");
    let mut random = Random(seed);
    let samples = all();
    for round in 0..40_000 {
        let mut stream = samples[random.below(samples.len())].clone();
        for _ in 0..=random.below(4) {
            mutate(&mut random, &mut stream);
        }
        if round % 2 == 0 {
            mend_length(&mut stream);
        }
        if round % 3 == 0 {
            stream.extend_from_slice(&samples[random.below(samples.len())]);
        }
        let mut data = vec![random.byte()];
        data.append(&mut stream);
        scan_any(&data);
    }
}

#[test]
fn random_bytes_behind_a_good_head_are_survived() {
    let seed = 0x7269_6e67;
    println!("seed {seed:#x}");
    let mut random = Random(seed);
    for _ in 0..40_000 {
        let mut data: Vec<u8> = (0..6 + random.below(60)).map(|_| random.byte()).collect();
        mend_length(&mut data[1..]);
        if random.below(2) == 0 {
            let opening = [[0x98, 0x0b], [0x96, 0x0a], [0x93, 0x0c], [0x92, 0x01]][random.below(4)];
            data.splice(6..6, opening);
            mend_length(&mut data[1..]);
        }
        scan_any(&data);
    }
}
