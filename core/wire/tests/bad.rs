//! Bad frames: which of them end the connection, and what the others are answered.

use super::samples::{
    FRAME_BYTES_MAX, batch, batch_bytes, control, fault_of, flow, frame, one, open_publish, record, scan,
};
use crate::error::ErrorCode;
use crate::wire::{BadPublish, CONTROL_BYTES_MAX, CONTROL_VALUES_MAX, Frame, ops, parse_any, parse_frame};

fn bad(bytes: &[u8]) -> BadPublish {
    assert_eq!(parse_frame(bytes), parse_any(bytes));
    match parse_frame(bytes) {
        Ok(Frame::BadPublish(bad)) => bad,
        other => panic!("{other:?}"),
    }
}

/// `PUBLISH_ONE` with these bytes for partition, acks, sequence and condition.
fn arguments(bytes: &[u8]) -> Vec<u8> {
    frame(|out| {
        open_publish(out, ops::PUBLISH_ONE, 8);
        out.extend_from_slice(bytes);
        out.extend_from_slice(&record());
    })
}

#[test]
fn a_stream_of_something_else_ends_at_its_first_byte() {
    let fault = fault_of(b"G");
    assert_eq!((fault.code, fault.at, fault.frame_at), (ErrorCode::MALFORMED_FRAME, 0, 0));
    let stream = [control(), b"GET / HTTP/1.1\r\n".to_vec()].concat();
    let (frames, fault) = scan(&[&stream]);
    assert_eq!(frames.len(), 1);
    assert_eq!(fault.unwrap().frame_at, control().len() as u64);
}

#[test]
fn a_frame_over_the_limit_is_refused_by_its_head_alone() {
    let max = FRAME_BYTES_MAX as u32;
    let head = |length: u32| [&[0xc6][..], &length.to_be_bytes()].concat();
    assert_eq!(fault_of(&head(max + 1)).code, ErrorCode::FRAME_TOO_LARGE);
    assert_eq!(fault_of(&head(u32::MAX)).code, ErrorCode::FRAME_TOO_LARGE);
    assert_eq!(scan(&[&head(max)]), (vec![], None));
}

#[test]
fn after_a_fault_nothing_more_comes_out() {
    let bad = [0x00];
    let good = control();
    let mut scanner = crate::wire::Scanner::new(FRAME_BYTES_MAX);
    let mut sink = |frame: Frame<'_>| panic!("{frame:?}");
    assert!(scanner.feed(&bad, &mut sink).is_err());
    assert_eq!(scanner.feed(&good, &mut sink), Ok(()));
}

#[test]
fn content_that_is_no_array_with_an_op_is_fatal() {
    let contents: [&[u8]; 7] =
        [&[], &[0x90], &[0x81, 1, 1], &[0x91, 0xc0], &[0x91, 0xcd, 1, 0], &[0x91, 0xff], &[0xdc, 0]];
    for content in contents {
        let fault = fault_of(&frame(|out| out.extend_from_slice(content)));
        assert_eq!(fault.code, ErrorCode::MALFORMED_FRAME, "{content:x?}");
    }
}

#[test]
fn a_publish_whose_sender_cannot_be_named_is_fatal() {
    for content in [&[0x98, 11, 0xc0][..], &[0x98, 11, 1, 0xc0], &[0x96, 10], &[0x96, 10, 0xcf, 0, 0, 0, 1, 0, 0, 0, 0]]
    {
        let fault = fault_of(&frame(|out| out.extend_from_slice(content)));
        assert_eq!(fault.code, ErrorCode::MALFORMED_FRAME, "{content:x?}");
    }
}

#[test]
fn a_publish_with_bad_arguments_names_its_sender_and_the_byte() {
    let good = [3, 2, 0xc0, 0xc0];
    for (index, name) in ["partition", "acks", "sequence", "condition"].into_iter().enumerate() {
        for value in [0xc3, 0xa0, 0xff, 0xca] {
            let mut values = good;
            values[index] = value;
            let bytes = arguments(&values);
            let found = bad(&bytes);
            assert_eq!((found.publisher, found.correlation), (1, 70_000));
            assert_eq!(found.frame_bytes as usize, bytes.len());
            assert_eq!(found.fault.code, ErrorCode::MALFORMED_FRAME);
            assert_eq!(found.fault.at, 5 + 8 + index, "{name}: {}", found.fault);
            assert!(found.fault.what.contains(name), "{name}: {}", found.fault);
        }
    }
    assert_eq!(bad(&arguments(&[3, 4, 0xc0, 0xc0])).fault.code, ErrorCode::INVALID_ARGUMENT);
    assert_eq!(bad(&arguments(&[3, 2, 0xc0, 0x91, 0xa0])).fault.code, ErrorCode::MALFORMED_FRAME);
    assert_eq!(bad(&arguments(&[3, 2, 0xc0, 0x92, 0xc0, 1])).fault.code, ErrorCode::MALFORMED_FRAME);
}

#[test]
fn a_publish_of_too_few_or_too_many_values_is_answered() {
    for count in [4, 7, 9, 15] {
        let bytes = frame(|out| {
            open_publish(out, ops::PUBLISH_ONE, count);
            out.extend_from_slice(&[3, 2, 0xc0, 0xc0]);
            out.extend_from_slice(&record());
        });
        assert_eq!(bad(&bytes).fault.code, ErrorCode::MALFORMED_FRAME);
    }
}

#[test]
fn bad_records_are_answered() {
    let records: [(&str, &[u8]); 15] = [
        ("nothing", &[]),
        ("array of 3", &[0x93, 0xc0, 0xc0, 0xc0]),
        ("array of 5", &[0x95, 0xc0, 0xc0, 0xc0, 0xc0, 0xc0]),
        ("cut", &[0x94, 0xc0, 0xc0, 0xc0]),
        ("negative timestamp", &[0x94, 0xff, 0xc0, 0xc0, 0xc0]),
        ("timestamp of 2^53", &[0x94, 0xcf, 0, 0x20, 0, 0, 0, 0, 0, 0, 0xc0, 0xc0, 0xc0]),
        ("float timestamp", &[0x94, 0xca, 0, 0, 0, 0, 0xc0, 0xc0, 0xc0]),
        ("integer key", &[0x94, 0xc0, 1, 0xc0, 0xc0]),
        ("map value", &[0x94, 0xc0, 0xc0, 0x80, 0xc0]),
        ("array headers", &[0x94, 0xc0, 0xc0, 0xc0, 0x90]),
        ("integer header key", &[0x94, 0xc0, 0xc0, 0xc0, 0x81, 1, 1]),
        ("bin header key", &[0x94, 0xc0, 0xc0, 0xc0, 0x81, 0xc4, 0, 1]),
        ("nested header", &[0x94, 0xc0, 0xc0, 0xc0, 0x81, 0xa0, 0x80]),
        ("extension header", &[0x94, 0xc0, 0xc0, 0xc0, 0x81, 0xa0, 0xd4, 0, 0]),
        ("announced headers", &[0x94, 0xc0, 0xc0, 0xc0, 0xdf, 0xff, 0xff, 0xff, 0xff]),
    ];
    for (name, record) in records {
        let found = bad(&one(record));
        assert_eq!((found.fault.code, found.fault.at), (ErrorCode::BAD_RECORD, 17), "{name}");
    }
    let long = bad(&one(&[&record()[..], &[0xc0]].concat()));
    assert_eq!(long.fault.code, ErrorCode::MALFORMED_FRAME);
}

#[test]
fn headers_take_every_scalar_and_any_width() {
    let scalars = [0xc0, 0xc2, 1, 0xff, 0xca, 0, 0, 0, 0, 0xcb, 0, 0, 0, 0, 0, 0, 0, 0, 0xa0, 0xc4, 0];
    let mut content = vec![0x94, 0xc0, 0xc0, 0xc0, 0xde, 0, 8];
    let mut rest = &scalars[..];
    for length in [1, 1, 1, 1, 5, 9, 1, 2] {
        content.extend_from_slice(&[0xd9, 1, b'h']);
        let (scalar, after) = rest.split_at(length);
        content.extend_from_slice(scalar);
        rest = after;
    }
    assert!(matches!(parse_frame(&one(&content)), Ok(Frame::PublishOne(_))));
}

#[test]
fn a_publish_without_exactly_one_batch_is_answered() {
    let good = batch_bytes(&record());
    let cases = [
        Vec::new(),
        good[..63].to_vec(),
        good[..good.len() - 1].to_vec(),
        [good.clone(), vec![0]].concat(),
        [good.clone(), good.clone()].concat(),
        [&[0x9a][..], &good[1..]].concat(),
    ];
    for case in cases {
        assert_eq!(bad(&batch(&case)).fault.code, ErrorCode::BAD_BATCH);
    }
}

#[test]
fn a_bad_publish_says_where_in_the_stream_it_stood() {
    let stream = [control(), batch(&[])].concat();
    let (frames, _) = scan(&[&stream]);
    assert!(frames[1].contains(&format!("frame_at: {}", control().len())), "{}", frames[1]);
}

#[test]
fn credit_that_is_not_understood_is_fatal() {
    let cut = flow(1, 300);
    let mut long = flow(1, 1);
    long[4] += 1;
    long.push(0);
    let negative = frame(|out| out.extend_from_slice(&[0x93, 12, 1, 0xff]));
    let counted = frame(|out| out.extend_from_slice(&[0x94, 12, 1, 1, 1]));
    for bytes in [flow(1 << 32, 1), long, negative, counted] {
        assert_eq!(fault_of(&bytes).code, ErrorCode::MALFORMED_FRAME);
    }
    assert_eq!(scan(&[&cut[..cut.len() - 1]]), (vec![], None));
}

#[test]
fn msgpack_bombs_in_control_frames_are_refused() {
    let deep = frame(|out| out.extend([0x91, 1].into_iter().chain(std::iter::repeat_n(0x91, 10_000))));
    let nested = |depth: usize| {
        frame(|out| {
            out.extend([0x92, 1].into_iter().chain(std::iter::repeat_n(0x91, depth - 1)));
            out.push(0xc0);
        })
    };
    let huge_array = frame(|out| out.extend_from_slice(&[0x92, 1, 0xdd, 0xff, 0xff, 0xff, 0xff]));
    let huge_map = frame(|out| out.extend_from_slice(&[0x92, 1, 0xdf, 0xff, 0xff, 0xff, 0xff]));
    let huge_bin = frame(|out| out.extend_from_slice(&[0x92, 1, 0xc6, 0xff, 0xff, 0xff, 0xff]));
    let huge_frame = frame(|out| out.extend_from_slice(&[0xdd, 0xff, 0xff, 0xff, 0xff, 1]));
    let extension = frame(|out| out.extend_from_slice(&[0x92, 1, 0xd4, 0x72, 0x40]));
    let never_used = frame(|out| out.extend_from_slice(&[0x92, 1, 0xc1]));
    let array_key = frame(|out| out.extend_from_slice(&[0x92, 1, 0x81, 0x90, 1]));
    let trailing = frame(|out| out.extend_from_slice(&[0x91, 1, 1]));
    for bytes in
        [deep, nested(17), huge_array, huge_map, huge_bin, huge_frame, extension, never_used, array_key, trailing]
    {
        assert_eq!(fault_of(&bytes).code, ErrorCode::MALFORMED_FRAME, "{:x?}", &bytes[..12.min(bytes.len())]);
    }
    assert!(parse_frame(&nested(16)).is_ok());
}

#[test]
fn control_frames_have_a_limit_of_bytes_and_of_values() {
    let fault_code = |bytes: &[u8]| parse_frame(bytes).err().map(|fault| fault.code);
    // Both: an op, and then a head and a length of five bytes in front of zeros.
    let filled = |head: u8, length: usize| {
        frame(|out| {
            out.extend_from_slice(&[0x92, 1, head]);
            out.extend_from_slice(&(length as u32).to_be_bytes());
            out.resize(out.len() + length, 0);
        })
    };
    assert_eq!(fault_code(&filled(0xc6, CONTROL_BYTES_MAX - 7)), None);
    assert_eq!(fault_code(&filled(0xc6, CONTROL_BYTES_MAX - 6)), Some(ErrorCode::LIMIT_EXCEEDED));
    let values_max = CONTROL_VALUES_MAX as usize;
    assert_eq!(fault_code(&filled(0xdd, values_max - 1)), None);
    assert_eq!(fault_code(&filled(0xdd, values_max)), Some(ErrorCode::LIMIT_EXCEEDED));
}
