//! From a frame to the log, and the answer.

use super::kit::*;

#[test]
fn a_batch_is_acknowledged_with_offset_and_level_and_delivered_to_a_waiting_subscriber() {
    let mut rig = Rig::in_memory(1);
    let (producer, consumer) = (rig.connect(), rig.connect());
    rig.subscribe(consumer, 1 << 20, FOLLOW);
    rig.run();
    let flags = rig.worker.ingest(producer, &publish(7, 2, &batch_of(&[b"a", b"b"]))).unwrap();
    assert_eq!(flags & Flags::TURN, Flags::TURN);
    rig.run();
    let acks = rig.frames(producer);
    assert_eq!(acks[0].op, 20);
    // publisher, correlation, count, partition, base offset, level (memory: the topic is)
    assert_eq!(acks[0].numbers, [1, 7, 1, 0, 0, 1]);
    let delivered = rig.frames(consumer);
    assert_eq!((delivered[0].op, &delivered[0].numbers[..]), (23, &[1, 1][..]));
    assert_eq!(values(&delivered[0].batches), [b"a", b"b"]);
}

#[test]
fn batches_and_singles_of_one_chunk_are_stored_and_answered_in_their_order_and_a_bad_batch_costs_only_itself() {
    let mut bad = batch_of(&[b"x"]);
    *bad.last_mut().unwrap() ^= 1;
    let mut chunk: Vec<u8> = (0..70_u64).flat_map(|n| publish(n, 2, &batch_of(&[&[n as u8]]))).collect();
    chunk.extend(publish(70, 2, &bad));
    chunk.extend(publish(71, 2, &batch_of(&[&[71]])));
    chunk.extend(publish_one(72, 2, None, &[72]));
    chunk.extend(publish(73, 2, &batch_of(&[&[73]])));
    // However the stream is cut: in a frame, between frames, and not at all.
    for cut in [chunk.len(), chunk.len() / 2, 100, 3] {
        let mut rig = Rig::in_memory(1);
        let producer = rig.connect();
        for part in chunk.chunks(cut) {
            rig.worker.ingest(producer, part).unwrap();
        }
        rig.run();
        let partition = rig.worker.partition(LOG, 0).unwrap();
        let stored = values(&partition.read_copy(0, 1 << 20).unwrap());
        let sent: Vec<u8> = (0..70).chain([71, 72, 73]).collect();
        assert_eq!(stored, sent.iter().map(|&n| vec![n]).collect::<Vec<_>>());
        let frames = rig.frames(producer);
        let refused: Vec<u64> = frames.iter().filter(|got| got.op == 21).map(|got| got.numbers[1]).collect();
        assert_eq!(refused, [70]);
        let acked: u64 = frames
            .iter()
            .filter(|got| got.op == 20)
            .flat_map(|got| got.numbers.chunks(6).map(|run| run[2]).collect::<Vec<_>>())
            .sum();
        assert_eq!(acked, 73);
    }
}

#[test]
fn single_records_of_a_chunk_become_one_batch_and_one_run_of_acks() {
    let mut rig = Rig::in_memory(1);
    let (producer, consumer) = (rig.connect(), rig.connect());
    rig.subscribe(consumer, 1 << 20, FOLLOW);
    let chunk: Vec<u8> = (0..100).flat_map(|n| publish_one(n, 2, None, &[n as u8])).collect();
    rig.worker.ingest(producer, &chunk).unwrap();
    rig.run();
    let acks = rig.frames(producer);
    assert_eq!(acks[0].numbers, [1, 0, 100, 0, 0, 1]);
    let delivered = rig.frames(consumer);
    assert_eq!(delivered.len(), 1);
    let (header, _) = verify(&delivered[0].batches).unwrap();
    assert_eq!((header.record_count, header.base_timestamp), (100, 1_000_000));
    assert_eq!(values(&delivered[0].batches)[99], [99]);
}

#[test]
fn idempotent_singles_sent_again_with_new_ones_behind_them_are_stored_once() {
    let mut rig = Rig::in_memory(1);
    let producer = rig.connect();
    rig.worker.publisher_close(producer, 1).unwrap();
    rig.worker.publisher_open(producer, 1, LOG, 77, 0).unwrap();
    let send =
        |from: u64, to: u64| -> Vec<u8> { (from..to).flat_map(|n| single(n, 2, Some(n), None, &[n as u8])).collect() };
    rig.worker.ingest(producer, &send(0, 10)).unwrap();
    rig.run();
    rig.worker.ingest(producer, &send(4, 20)).unwrap();
    rig.run();
    let partition = rig.worker.partition(LOG, 0).unwrap();
    let stored = values(&partition.read_copy(0, 1 << 20).unwrap());
    assert_eq!(stored, (0..20u8).map(|n| vec![n]).collect::<Vec<_>>());
    let frames = rig.frames(producer);
    assert!(frames.iter().all(|got| got.op != 21), "{frames:?}");
    let acked: u64 = frames
        .iter()
        .filter(|got| got.op == 20)
        .flat_map(|got| got.numbers.chunks(6).map(|run| run[2]).collect::<Vec<_>>())
        .sum();
    assert_eq!(acked, 10 + 16);
}

#[test]
fn idempotent_singles_that_come_twice_between_two_turns_are_stored_once() {
    let mut rig = Rig::in_memory(1);
    let (lost, again) = (rig.connect(), rig.connect());
    for connection in [lost, again] {
        rig.worker.publisher_close(connection, 1).unwrap();
        rig.worker.publisher_open(connection, 1, LOG, 77, 0).unwrap();
    }
    let send =
        |from: u64, to: u64| -> Vec<u8> { (from..to).flat_map(|n| single(n, 2, Some(n), None, &[n as u8])).collect() };
    rig.worker.ingest(lost, &send(0, 10)).unwrap();
    rig.worker.connection_close(lost);
    rig.worker.ingest(again, &send(0, 20)).unwrap();
    rig.run();
    let partition = rig.worker.partition(LOG, 0).unwrap();
    let stored = values(&partition.read_copy(0, 1 << 20).unwrap());
    assert_eq!(stored, (0..20u8).map(|n| vec![n]).collect::<Vec<_>>());
    let runs: Vec<Vec<u64>> = rig.frames(again).into_iter().filter(|got| got.op == 20).map(|got| got.numbers).collect();
    assert_eq!(runs, [vec![1, 0, 20, 0, 0, 1]]);
}

#[test]
fn answers_leave_however_little_may_be_written_in_a_turn() {
    let options = EngineOptions { write_bytes_per_turn: 4 << 10, turn_bytes_max: 4 << 10, ..options(None, 1) };
    let mut rig = Rig::new(&Engine::open(options).unwrap(), 0);
    rig.worker.ensure_log(LOG, 1, memory()).unwrap();
    let producer = rig.connect();
    // Every other correlation id, so that no answer joins the one before it.
    let chunk: Vec<u8> = (0..1_000).flat_map(|n| publish_one(2 * n, 2, None, b"")).collect();
    rig.worker.ingest(producer, &chunk).unwrap();
    rig.run();
    let frames = rig.frames(producer);
    assert_eq!(frames.iter().filter(|got| got.op == 20).map(|got| got.numbers.len() / 6).sum::<usize>(), 1_000);
}

#[test]
fn a_batch_does_not_overtake_single_records_sent_before_it() {
    let mut rig = Rig::in_memory(1);
    let producer = rig.connect();
    let mut chunk = publish_one(0, 2, None, b"first");
    chunk.extend(publish(1, 2, &batch_of(&[b"second"])));
    rig.worker.ingest(producer, &chunk).unwrap();
    rig.run();
    let partition = rig.worker.partition(LOG, 0).unwrap();
    assert_eq!(values(&partition.read_copy(0, 1 << 20).unwrap()), [b"first".to_vec(), b"second".to_vec()]);
}

#[test]
fn keys_spread_over_partitions_and_one_key_stays_in_one() {
    let mut rig = Rig::in_memory(8);
    let producer = rig.connect();
    let chunk: Vec<u8> =
        (0..200u64).flat_map(|n| publish_one(n, 2, Some(format!("key{}", n % 20).as_bytes()), b"v")).collect();
    rig.worker.ingest(producer, &chunk).unwrap();
    rig.run();
    let counts: Vec<u64> = (0..8).map(|index| rig.worker.partition(LOG, index).unwrap().next_offset()).collect();
    assert_eq!(counts.iter().sum::<u64>(), 200);
    assert!(counts.iter().all(|count| count % 10 == 0), "{counts:?}");
    let acked: u64 = rig
        .frames(producer)
        .iter()
        .filter(|got| got.op == 20)
        .flat_map(|got| got.numbers.chunks(6).map(|run| run[2]).collect::<Vec<_>>())
        .sum();
    assert_eq!(acked, 200);
}

#[test]
fn refused_publishes_name_their_code_and_the_connection_lives() {
    let mut rig = Rig::in_memory(1);
    let producer = rig.connect();
    let mut bad_crc = batch_of(&[b"a"]);
    bad_crc[70] ^= 1;
    rig.worker.ingest(producer, &publish(1, 2, &bad_crc)).unwrap();
    let mut miscounted = batch_of(&[b"a"]);
    let (mut header, body) = verify(&miscounted).unwrap();
    header.record_count = 2;
    miscounted[..HEADER_BYTES].copy_from_slice(&header.seal(&body));
    rig.worker.ingest(producer, &publish(2, 2, &miscounted)).unwrap();
    rig.worker.ingest(producer, &publish(3, 2, &batch_of(&[b"ok"]))).unwrap();
    rig.run();
    let frames = rig.frames(producer);
    let nacks: Vec<(u64, u64)> =
        frames.iter().filter(|got| got.op == 21).map(|got| (got.numbers[1], got.numbers[3])).collect();
    assert_eq!(nacks, [(1, u64::from(ErrorCode::BAD_CRC.0)), (2, u64::from(ErrorCode::RECORD_COUNT_MISMATCH.0))]);
    assert!(frames.iter().any(|got| got.op == 20 && got.numbers[1] == 3));
}

#[test]
fn a_synced_publish_is_answered_after_the_sync_with_its_level() {
    let directory = tempfile::tempdir().unwrap();
    let engine = Engine::open(options(Some(directory.path().into()), 1)).unwrap();
    let mut rig = Rig::new(&engine, 0);
    rig.worker.ensure_log(LOG, 1, LogConfig::default()).unwrap();
    let producer = rig.connect();
    rig.worker.ingest(producer, &publish(5, 3, &batch_of(&[b"a"]))).unwrap();
    rig.worker.ingest(producer, &publish_one(6, 3, None, b"b")).unwrap();
    let token = rig.worker.sync(LOG, 0).unwrap();
    rig.run_until(|rig| !rig.synced.is_empty());
    assert_eq!(rig.synced, [(token, 0)]);
    rig.run_until(|rig| !rig.sent[producer as usize].is_empty());
    let levels: Vec<u64> = rig
        .frames(producer)
        .iter()
        .filter(|got| got.op == 20)
        .flat_map(|got| got.numbers.chunks(6).map(|run| run[5]).collect::<Vec<_>>())
        .collect();
    assert!(levels.iter().all(|level| *level == 3), "{levels:?}");
    engine.close().unwrap();
}

#[test]
fn nothing_is_published_before_the_first_control_frame() {
    let mut rig = Rig::in_memory(1);
    let stranger = rig.worker.connection_open();
    let flags = rig.worker.ingest(stranger, &publish(1, 2, &batch_of(&[b"a"]))).unwrap();
    assert_eq!(flags & Flags::FATAL, Flags::FATAL);
    let goodbye = rig.worker.fatal_frame(stranger).unwrap();
    assert_eq!(Reader::new(&goodbye[7..]).uint(), Ok(u64::from(ErrorCode::HANDSHAKE_REQUIRED.0)));
}
