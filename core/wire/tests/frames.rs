//! Good frames, whole and in pieces.

use std::ops::ControlFlow;

use super::samples::{FRAME_BYTES_MAX, all, batch, batch_bytes, control, flow, frame, one, open_publish, record, scan};
use crate::wire::{Condition, Frame, PublishFrame, PublishOneFrame, Scanner, ops, parse_any, parse_frame};

#[test]
fn a_single_record_comes_out_with_all_that_the_engine_needs() {
    let bytes = one(&record());
    let expected = PublishOneFrame {
        publisher: 1,
        correlation: 70_000,
        partition: Some(3),
        acks: 2,
        sequence: None,
        condition: Condition::None,
        record: &record(),
        timestamp: Some(1_700_000_000_000),
        key: Some(b"key"),
        value: Some(&[7; 20]),
        frame_bytes: bytes.len() as u32,
    };
    assert_eq!(parse_frame(&bytes), Ok(Frame::PublishOne(expected)));
    assert_eq!(parse_any(&bytes), Ok(Frame::PublishOne(expected)));
}

#[test]
fn a_tombstone_has_no_value_and_an_empty_value_is_one() {
    let value_of = |record: &[u8]| match parse_frame(&one(record)) {
        Ok(Frame::PublishOne(one)) => (one.key.map(<[u8]>::to_vec), one.value.map(<[u8]>::len)),
        other => panic!("{other:?}"),
    };
    assert_eq!(value_of(&[0x94, 0xc0, 0xa1, b'k', 0xc0, 0xc0]), (Some(b"k".to_vec()), None));
    assert_eq!(value_of(&[0x94, 0xc0, 0xc4, 0, 0xc4, 0, 0x80]), (Some(Vec::new()), Some(0)));
    assert_eq!(value_of(&[0x94, 5, 0xc0, 0xa0, 0xc0]), (None, Some(0)));
}

#[test]
fn a_batch_comes_out_verbatim() {
    let content = batch_bytes(&record());
    let bytes = batch(&content);
    let expected = PublishFrame {
        publisher: 1,
        correlation: 70_000,
        partition: None,
        acks: 1,
        condition: Condition::None,
        batch: &content,
        frame_bytes: bytes.len() as u32,
    };
    assert_eq!(parse_frame(&bytes), Ok(Frame::Publish(expected)));
}

#[test]
fn conditions_name_the_next_offset_or_a_key() {
    let condition = |condition: &[u8]| {
        let bytes = frame(|out| {
            open_publish(out, ops::PUBLISH_ONE, 8);
            out.extend_from_slice(&[3, 2, 9]);
            out.extend_from_slice(condition);
            out.extend_from_slice(&record());
        });
        match parse_frame(&bytes) {
            Ok(Frame::PublishOne(one)) => format!("{:?} {:?}", one.sequence, one.condition),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(condition(&[0xc0]), "Some(9) None");
    assert_eq!(condition(&[0xcd, 1, 0]), "Some(9) NextOffset(256)");
    assert_eq!(condition(&[0x92, 0xa1, 5, 0xc0]), "Some(9) Key { key: [5], last_offset: None }");
    assert_eq!(condition(&[0xdc, 0, 2, 0xc4, 1, 5, 7]), "Some(9) Key { key: [5], last_offset: Some(7) }");
}

#[test]
fn every_encoding_of_the_same_values_is_the_same_frame() {
    let plain = parse_frame(&one(&record())).map(|frame| format!("{frame:?}"));
    let wide = frame(|out| {
        out.extend_from_slice(&[0xdd, 0, 0, 0, 8, 0xcc, 11, 0xd0, 1, 0xcf, 0, 0, 0, 0, 0, 1, 0x11, 0x70]);
        out.extend_from_slice(&[0xcd, 0, 3, 0xd1, 0, 2, 0xc0, 0xc0]);
        out.extend_from_slice(&record());
    });
    let frame_bytes = |bytes: &[u8]| format!("frame_bytes: {}", bytes.len());
    let wide_text = parse_frame(&wide).map(|frame| format!("{frame:?}"));
    let expected = plain.map(|text| text.replace(&frame_bytes(&one(&record())), &frame_bytes(&wide)));
    assert_eq!(wide_text, expected);
}

#[test]
fn credit_and_control_frames_come_out() {
    assert_eq!(parse_frame(&flow(9, 1 << 33)), Ok(Frame::Flow { subscription: 9, bytes: 1 << 33 }));
    let hello = control();
    assert_eq!(parse_frame(&hello), Ok(Frame::Control { op: ops::HELLO, bytes: &hello }));
    let unknown = frame(|out| out.extend_from_slice(&[0x91, 0xcc, 200]));
    assert_eq!(parse_frame(&unknown), Ok(Frame::Control { op: 200, bytes: &unknown }));
}

#[test]
fn the_same_frames_come_out_wherever_the_stream_is_cut() {
    let stream = all().concat();
    let (whole, fault) = scan(&[&stream]);
    assert_eq!(fault, None);
    assert_eq!(whole.len(), all().len());
    for cut in 0..=stream.len() {
        let (head, tail) = stream.split_at(cut);
        assert_eq!(scan(&[head, tail]), (whole.clone(), None), "cut at {cut}");
    }
    for size in 1..40 {
        let chunks: Vec<_> = stream.chunks(size).collect();
        assert_eq!(scan(&chunks), (whole.clone(), None), "chunks of {size}");
    }
}

#[test]
fn frames_inside_a_chunk_are_views_of_it() {
    let stream = [one(&record()), batch(&batch_bytes(&record()))].concat();
    let range = stream.as_ptr_range();
    let mut seen = 0;
    let mut sink = |frame: Frame<'_>| {
        let part = match frame {
            Frame::PublishOne(one) => one.record,
            Frame::Publish(batch) => batch.batch,
            other => panic!("{other:?}"),
        };
        assert!(range.contains(&part.as_ptr()));
        seen += 1;
        ControlFlow::Continue(())
    };
    Scanner::new(FRAME_BYTES_MAX).feed(&stream, &mut sink).unwrap();
    assert_eq!(seen, 2);
}

#[test]
fn a_sink_that_breaks_gets_nothing_more() {
    let mut scanner = Scanner::new(FRAME_BYTES_MAX);
    let mut seen = 0;
    let mut sink = |_: Frame<'_>| {
        seen += 1;
        ControlFlow::Break(())
    };
    let twice = [control(), control()].concat();
    scanner.feed(&twice[..8], &mut sink).unwrap();
    scanner.feed(&twice[8..], &mut sink).unwrap();
    scanner.feed(&twice, &mut sink).unwrap();
    assert_eq!(seen, 1);
    assert_eq!(scanner.memory_bytes(), 0);
}

#[test]
fn memory_follows_what_arrived_and_not_what_was_announced() {
    let mut scanner = Scanner::new(16 << 20);
    let mut sink = |_: Frame<'_>| ControlFlow::Continue(());
    scanner.feed(&[0xc6, 0x00, 0xff, 0xff, 0xff], &mut sink).unwrap();
    assert!(scanner.memory_bytes() <= 10);
    for fed in 1..5_000 {
        scanner.feed(&[0x91], &mut sink).unwrap();
        assert!(scanner.memory_bytes() <= 2 * (5 + fed));
    }
}

#[test]
fn a_large_carry_is_given_back_when_it_is_no_longer_used() {
    let mut scanner = Scanner::new(16 << 20);
    let mut sink = |_: Frame<'_>| ControlFlow::Continue(());
    let large = batch(&batch_bytes(&vec![0xc0; 100_000]));
    scanner.feed(&large[..60_000], &mut sink).unwrap();
    scanner.feed(&large[60_000..], &mut sink).unwrap();
    assert!(scanner.memory_bytes() >= large.len());
    scanner.feed(&control(), &mut sink).unwrap();
    assert_eq!(scanner.memory_bytes(), 0);
}
