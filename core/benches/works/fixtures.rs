//! Bytes to work on: 100-byte values, batches of 64 KiB, chunks of 512 KiB as a socket gives them.

use millrace_core::batch::{BatchBuilder, HEADER_BYTES};
use millrace_core::stdx::msgpack::{write_array, write_bin, write_nil, write_uint};
use millrace_core::wire::ops;

pub const VALUE_BYTES: usize = 100;
pub const BATCH_BYTES: usize = 64 << 10;
pub const CHUNK_BYTES: usize = 512 << 10;
/// 94, timestamp delta, nil key, head and bytes of the value, nil headers.
const RECORD_BYTES: usize = VALUE_BYTES + 6;

/// A value whose bytes are not all alike, so that zstd has something to do.
pub fn value(seed: u32) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9) | 1;
    let letters = std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        b'a' + (state % 16) as u8
    });
    letters.take(VALUE_BYTES).collect()
}

/// A batch of as many records as fit into `bytes`, and how many these are.
pub fn batch(bytes: usize) -> (Vec<u8>, usize) {
    let records = ((bytes - HEADER_BYTES) / RECORD_BYTES).max(1);
    let mut builder = BatchBuilder::new(1_000_000);
    for seed in 0..records {
        builder.push(0, None, Some(&value(seed as u32)));
    }
    (builder.build(), records)
}

fn frame(out: &mut Vec<u8>, content: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.extend_from_slice(&[0xc6, 0, 0, 0, 0]);
    content(out);
    let length = (out.len() - start - 5) as u32;
    out[start + 1..start + 5].copy_from_slice(&length.to_be_bytes());
}

/// Publishes of publisher 1 with acks `written`; correlation ids count up from 1.
pub fn publish(out: &mut Vec<u8>, correlation: u32, batch: &[u8]) {
    frame(out, |out| {
        write_array(out, 6);
        for value in [ops::PUBLISH.into(), 1, correlation.into(), 0, 2] {
            write_uint(out, value);
        }
        write_nil(out);
        out.extend_from_slice(batch);
    });
}

pub fn publish_one(out: &mut Vec<u8>, correlation: u32) {
    frame(out, |out| {
        write_array(out, 8);
        for value in [ops::PUBLISH_ONE.into(), 1, correlation.into(), 0, 2] {
            write_uint(out, value);
        }
        write_nil(out);
        write_nil(out);
        write_array(out, 4);
        write_nil(out);
        write_nil(out);
        write_bin(out, &value(correlation));
        write_nil(out);
    });
}

/// A chunk of whole frames, at most `CHUNK_BYTES`, and how many frames it holds.
pub fn chunk(write: impl Fn(&mut Vec<u8>, u32)) -> (Vec<u8>, usize) {
    let (mut out, mut frames) = (Vec::new(), 0);
    loop {
        let end = out.len();
        write(&mut out, frames as u32 + 1);
        if out.len() > CHUNK_BYTES {
            out.truncate(end);
            return (out, frames);
        }
        frames += 1;
    }
}

/// FLOW: `bytes` of credit for subscription 1.
pub fn flow(out: &mut Vec<u8>, bytes: u64) {
    frame(out, |out| {
        write_array(out, 3);
        for value in [ops::FLOW.into(), 1, bytes] {
            write_uint(out, value);
        }
    });
}
