//! Frames to scan, and a scan into a printable form.

use std::ops::ControlFlow;

use crate::stdx::msgpack::{write_array, write_bin, write_map, write_nil, write_str, write_uint};
use crate::wire::{Frame, Scanner, WireFault, ops};

pub const FRAME_BYTES_MAX: usize = 1 << 16;

/// A frame around the content that `write` appends.
pub fn frame(write: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut content = Vec::new();
    write(&mut content);
    let mut out = vec![0xc6];
    out.extend_from_slice(&(content.len() as u32).to_be_bytes());
    out.append(&mut content);
    out
}

/// `[op, pub 1, corr 70000, ...` of `count` values.
pub fn open_publish(out: &mut Vec<u8>, op: u8, count: usize) {
    write_array(out, count);
    write_uint(out, op.into());
    write_uint(out, 1);
    write_uint(out, 70_000);
}

/// `PUBLISH_ONE` with partition 3, acks 2, no sequence, no condition, and this record.
pub fn one(record: &[u8]) -> Vec<u8> {
    frame(|out| {
        open_publish(out, ops::PUBLISH_ONE, 8);
        out.extend_from_slice(&[3, 2, 0xc0, 0xc0]);
        out.extend_from_slice(record);
    })
}

/// PUBLISH with partition nil, acks 1, no condition, and these bytes for a batch.
pub fn batch(batch: &[u8]) -> Vec<u8> {
    frame(|out| {
        open_publish(out, ops::PUBLISH, 6);
        out.extend_from_slice(&[0xc0, 1, 0xc0]);
        out.extend_from_slice(batch);
    })
}

/// 64 bytes of header with nothing but what the scanner looks at, and the records.
pub fn batch_bytes(records: &[u8]) -> Vec<u8> {
    let mut out = vec![0; 64];
    out[0] = 0x9b;
    out[60..].copy_from_slice(&(records.len() as u32).to_be_bytes());
    out.extend_from_slice(records);
    out
}

/// `[timestamp, "key", 20 bytes, {trace: "abc"}]`
pub fn record() -> Vec<u8> {
    let mut out = Vec::new();
    write_array(&mut out, 4);
    write_uint(&mut out, 1_700_000_000_000);
    write_str(&mut out, "key");
    write_bin(&mut out, &[7; 20]);
    write_map(&mut out, 1);
    write_str(&mut out, "trace");
    write_str(&mut out, "abc");
    out
}

pub fn flow(subscription: u64, bytes: u64) -> Vec<u8> {
    frame(|out| {
        write_array(out, 3);
        write_uint(out, ops::FLOW.into());
        write_uint(out, subscription);
        write_uint(out, bytes);
    })
}

pub fn control() -> Vec<u8> {
    frame(|out| {
        write_array(out, 3);
        write_uint(out, ops::HELLO.into());
        write_uint(out, 1);
        write_map(out, 2);
        write_str(out, "version");
        out.extend_from_slice(&[0x92, 1, 1]);
        write_str(out, "auth");
        write_nil(out);
    })
}

/// One of each kind, good and bad.
pub fn all() -> Vec<Vec<u8>> {
    let conditional = frame(|out| {
        open_publish(out, ops::PUBLISH_ONE, 8);
        out.extend_from_slice(&[0xcd, 0x01, 0x00, 3, 0xce, 0, 1, 0, 0]);
        out.extend_from_slice(&[0x92, 0xa3, b'k', b'e', b'y', 0xcf, 0, 0, 1, 0, 0, 0, 0, 0]);
        out.extend_from_slice(&record());
    });
    vec![
        control(),
        one(&record()),
        one(&[0x94, 0xc0, 0xc0, 0xc0, 0xc0]),
        conditional,
        batch(&batch_bytes(&record())),
        batch(&batch_bytes(&[])),
        batch(b"no batch"),
        one(&[0x93, 0xc0, 0xc0, 0xc0]),
        flow(9, 1 << 33),
        frame(|out| out.extend_from_slice(&[0x92, 2, 0xcf, 1, 2, 3, 4, 5, 6, 7, 8])),
    ]
}

/// Scans `chunks` one after another; frames as their debug text.
pub fn scan(chunks: &[&[u8]]) -> (Vec<String>, Option<WireFault>) {
    let mut scanner = Scanner::new(FRAME_BYTES_MAX);
    let mut frames = Vec::new();
    for chunk in chunks {
        let fed = scanner.feed(chunk, &mut |frame: Frame<'_>| {
            frames.push(format!("{frame:?}"));
            ControlFlow::Continue(())
        });
        if let Err(fault) = fed {
            return (frames, Some(fault));
        }
    }
    (frames, None)
}

/// The fault that ends a connection which sends just this.
pub fn fault_of(bytes: &[u8]) -> WireFault {
    let (frames, fault) = scan(&[bytes]);
    assert_eq!(frames, Vec::<String>::new());
    fault.unwrap()
}
