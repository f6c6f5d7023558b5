//! The frames that go out, read back by a generic msgpack reader.

use super::*;
use crate::stdx::msgpack::{Kind, Reader};

/// A decoded msgpack value.
#[derive(Debug, PartialEq)]
enum Value {
    Nil,
    Bool(bool),
    Uint(u64),
    Str(String),
    Array(Vec<Value>),
    Map(Vec<(Value, Value)>),
}

fn text(value: &str) -> Value {
    Value::Str(value.to_owned())
}

fn read(reader: &mut Reader<'_>) -> Value {
    match reader.kind().unwrap() {
        Kind::Nil => {
            reader.nil().unwrap();
            Value::Nil
        }
        Kind::Bool => Value::Bool(reader.take(1).unwrap() == [0xc3]),
        Kind::Uint => Value::Uint(reader.uint().unwrap()),
        Kind::Str => text(reader.str().unwrap()),
        Kind::Array => {
            let count = reader.array().unwrap();
            Value::Array((0..count).map(|_| read(reader)).collect())
        }
        Kind::Map => {
            let count = reader.map().unwrap();
            Value::Map((0..count).map(|_| (read(reader), read(reader))).collect())
        }
        other => panic!("the core sends no {other:?}"),
    }
}

/// The array of a frame's content, and the bytes behind it.
fn decode(frame: &[u8]) -> (Vec<Value>, &[u8]) {
    let mut reader = Reader::new(frame);
    assert_eq!(reader.take(1).unwrap(), [0xc6]);
    let length = u32::from_be_bytes(reader.take(4).unwrap().try_into().unwrap());
    assert_eq!(length as usize, reader.rest().len());
    match read(&mut reader) {
        Value::Array(values) => (values, reader.rest()),
        other => panic!("{other:?} is no array"),
    }
}

/// The frame that `write` appends behind bytes that it must leave alone.
fn written(write: impl FnOnce(&mut Vec<u8>)) -> Vec<Value> {
    let mut out = b"before".to_vec();
    write(&mut out);
    assert_eq!(&out[..6], b"before");
    let (values, rest) = decode(&out[6..]);
    assert!(rest.is_empty());
    values
}

fn uints(values: &[u64]) -> Vec<Value> {
    values.iter().copied().map(Value::Uint).collect()
}

const RUN: AckRun =
    AckRun { publisher: 1, correlation: 70_000, count: 300, partition: 7, base_offset: Some(1 << 40), level: 2 };

#[test]
fn acks_are_flat_runs_of_six() {
    let duplicate = AckRun { base_offset: None, level: 3, ..RUN };
    let mut expected = uints(&[20, 1, 70_000, 300, 7, 1 << 40, 2, 1, 70_000, 300, 7]);
    expected.extend([Value::Nil, Value::Uint(3)]);
    assert_eq!(written(|out| write_acks(out, &[RUN, duplicate])), expected);
}

#[test]
fn no_runs_make_no_frame() {
    let mut out = Vec::new();
    write_acks(&mut out, &[]);
    assert!(out.is_empty());
}

#[test]
fn an_ack_frame_is_never_longer_than_stated() {
    let widest = AckRun {
        publisher: u32::MAX,
        correlation: u32::MAX,
        count: u32::MAX,
        partition: u32::MAX,
        base_offset: Some(u64::MAX),
        level: 3,
    };
    for count in [1, 2, 3, 2_000, 20_000] {
        let mut out = Vec::new();
        write_acks(&mut out, &vec![widest; count]);
        assert!(out.len() <= ack_bytes_max(count));
        assert_eq!(decode(&out).0.len(), 1 + 6 * count);
    }
}

#[test]
fn a_nack_carries_the_error_and_its_offset() {
    let code = ErrorCode::OFFSET_CONFLICT;
    let error = CoreError::new(code, "expected 5").at_offset(9);
    let mut expected = uints(&[21, 1, 2, 3, u64::from(code.0)]);
    expected.extend([
        text(code.name()),
        text("expected 5"),
        Value::Bool(code.retryable()),
        Value::Map(vec![(text("offset"), Value::Uint(9))]),
    ]);
    assert_eq!(written(|out| write_nack(out, 1, 2, 3, &error)), expected);

    let plain = CoreError::new(code, "expected 5");
    expected[8] = Value::Nil;
    assert_eq!(written(|out| write_nack(out, 1, 2, 3, &plain)), expected);
}

#[test]
fn an_internal_error_does_not_say_what_happened() {
    let error = CoreError::new(ErrorCode::INTERNAL, "a path or a pointer");
    assert_eq!(written(|out| write_nack(out, 1, 2, 3, &error))[6], text("internal error"));
}

#[test]
fn a_deliver_head_counts_the_batches_that_follow() {
    for (subscription, source) in [(1, 2), (200, 70_000), (u32::MAX, u32::MAX)] {
        let mut out = b"before".to_vec();
        let head = write_deliver_head(&mut out, subscription, source, 3);
        assert!(head <= DELIVER_HEAD_BYTES_MAX);
        assert_eq!(out.len(), 6 + head);
        out.extend_from_slice(b"abc");
        let (values, rest) = decode(&out[6..]);
        assert_eq!(values, uints(&[23, u64::from(subscription), u64::from(source)]));
        assert_eq!(rest, b"abc");
    }
}

#[test]
fn the_small_frames_decode_to_what_was_written() {
    assert_eq!(written(|out| write_credit(out, 1 << 33)), uints(&[22, 1 << 33]));
    assert_eq!(written(|out| write_dropped(out, 1, 2, 1 << 34)), uints(&[26, 1, 2, 1 << 34]));
    let mut end = uints(&[25, 1, 2, 99, 105]);
    end.push(text("the topic was deleted"));
    assert_eq!(written(|out| write_source_end(out, 1, 2, 99, 105, "the topic was deleted")), end);
    let code = ErrorCode::MALFORMED_FRAME;
    let mut goodbye = uints(&[4, u64::from(code.0)]);
    goodbye.push(text("longer than thirty-one bytes, so it takes a str8 head"));
    let message = "longer than thirty-one bytes, so it takes a str8 head";
    assert_eq!(written(|out| write_goodbye(out, code, message)), goodbye);
}
