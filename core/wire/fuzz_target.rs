//! What the fuzzer (core/fuzz) and the ordinary test run on any bytes: the scanner
//! survives them, and finds the same in them however they are cut into chunks.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::ops::ControlFlow;

use super::{FRAME_HEAD_BYTES, Frame, Scanner, WireFault, parse_any, parse_frame};

const FRAME_BYTES_MAX: usize = 1 << 16;

/// What a scan found: a hash per frame, and how it ended.
#[derive(Debug, PartialEq, Eq)]
pub struct Found {
    pub frames: Vec<u64>,
    pub fault: Option<WireFault>,
}

/// The first byte picks the chunk sizes, the rest is the stream.
///
/// # Panics
/// When the scanner breaks a promise: that is the finding.
pub fn scan_any(data: &[u8]) -> Found {
    let Some((&seed, stream)) = data.split_first() else {
        return scan(data, usize::MAX, 1);
    };
    assert_eq!(parse_frame(stream), parse_any(stream), "the short way answers as the long one does");
    let whole = scan(stream, usize::MAX, 1);
    let first = usize::from(seed & 0x0f) + 1;
    let step = usize::from(seed >> 4) * 7 + 1;
    assert_eq!(scan(stream, first, step), whole, "chunks of {first} and then {step} bytes give other frames");
    whole
}

/// Feeds `stream` in chunks: one of `first` bytes, and then of `step`.
fn scan(stream: &[u8], first: usize, step: usize) -> Found {
    let mut scanner = Scanner::new(FRAME_BYTES_MAX);
    let mut found = Found { frames: Vec::new(), fault: None };
    let mut fed = 0;
    let mut rest = stream;
    let mut size = first;
    while !rest.is_empty() && found.fault.is_none() {
        let (chunk, after) = rest.split_at(size.min(rest.len()));
        let fault = scanner.feed(chunk, &mut |frame| {
            check(&frame);
            found.frames.push(hash_of(&frame));
            ControlFlow::Continue(())
        });
        fed += chunk.len();
        assert!(scanner.memory_bytes() <= 2 * fed, "the carry grows with what arrives");
        found.fault = fault.err();
        rest = after;
        size = step;
    }
    found
}

fn check(frame: &Frame<'_>) {
    match frame {
        Frame::PublishOne(one) => {
            assert!(one.frame_bytes as usize > FRAME_HEAD_BYTES + one.record.len());
            assert_eq!(one.record.first(), Some(&0x94));
            let content = one.key.unwrap_or(&[]).len() + one.value.unwrap_or(&[]).len();
            assert!(content < one.record.len());
        }
        Frame::Publish(batch) => assert!(batch.frame_bytes as usize > FRAME_HEAD_BYTES + batch.batch.len()),
        Frame::BadPublish(bad) => assert!(bad.fault.at <= bad.frame_bytes as usize),
        Frame::Control { bytes, .. } => assert_eq!(parse_frame(bytes), Ok(*frame)),
        Frame::Settle(settle) => assert!(settle.ranges().count() <= settle.ranges.len()),
        Frame::Flow { .. } | Frame::Prefetch { .. } => {}
    }
}

fn hash_of(frame: &Frame<'_>) -> u64 {
    let mut hasher = DefaultHasher::new();
    frame.hash(&mut hasher);
    hasher.finish()
}
