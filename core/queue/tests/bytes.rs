//! Bytes that come from a client or a disk: configurations, effects, snapshots.

use super::kit::{Kit, Random};
use crate::queue::{
    Arrival, Effect, Outcome, Overflow, Queue, QueueConfig, ReleaseConfig, RetryAfter, RetryKind, Window,
};
use crate::stdx::msgpack::{Reader, write_array, write_bool, write_map, write_nil, write_str, write_uint};

#[test]
fn a_configuration_is_read_from_its_map() {
    let mut bytes = Vec::new();
    write_map(&mut bytes, 7);
    write_str(&mut bytes, "ordered");
    write_bool(&mut bytes, true);
    write_str(&mut bytes, "somethingNew");
    write_array(&mut bytes, 1);
    write_nil(&mut bytes);
    write_str(&mut bytes, "overflow");
    write_str(&mut bytes, "dead-letter");
    write_str(&mut bytes, "lengthMax");
    write_uint(&mut bytes, 5);
    write_str(&mut bytes, "deadLetterExchange");
    write_str(&mut bytes, "dlx");
    write_str(&mut bytes, "retry");
    write_map(&mut bytes, 2);
    write_str(&mut bytes, "jitter");
    bytes.extend_from_slice(&[0xca, 0x3e, 0x80, 0, 0]);
    write_str(&mut bytes, "classes");
    write_map(&mut bytes, 1);
    write_str(&mut bytes, "slow");
    write_map(&mut bytes, 1);
    write_str(&mut bytes, "kind");
    write_str(&mut bytes, "exponential");
    write_str(&mut bytes, "release");
    write_map(&mut bytes, 1);
    write_str(&mut bytes, "window");
    write_map(&mut bytes, 2);
    write_str(&mut bytes, "toMinute");
    write_uint(&mut bytes, 60);
    write_str(&mut bytes, "utcOffsetMinutes");
    bytes.extend_from_slice(&[0xd0, 0x88]);
    let config = QueueConfig::read(&bytes).unwrap();
    assert_eq!((config.ordered, config.length_max, config.has_dead_letter), (true, Some(5), true));
    assert_eq!((config.overflow, config.retry.policy.jitter), (Overflow::DeadLetter, 0.25));
    assert_eq!(config.retry.classes["slow"].kind, RetryKind::Exponential);
    let window = Window { from_minute: 0, to_minute: 60, utc_offset_minutes: -120 };
    assert_eq!(config.release, ReleaseConfig { window: Some(window), ..ReleaseConfig::default() });
}

#[test]
fn a_wrong_type_names_its_key() {
    let of = |key: &str, value: &[u8]| {
        let mut bytes = Vec::new();
        write_map(&mut bytes, 1);
        write_str(&mut bytes, key);
        bytes.extend_from_slice(value);
        QueueConfig::read(&bytes).unwrap_err().message
    };
    assert_eq!(of("ordered", &[0x01]), "queue config: `ordered` is not true or false");
    assert_eq!(of("priorityMax", &[0x20]), "queue config: `priorityMax` is 32, not 0 to 31");
    assert_eq!(of("overflow", &[0xa1, b'x']), "queue config: `overflow` is not one of drop-head, reject, dead-letter");
    assert_eq!(of("leaseMs", &[0xff]), "queue config: `leaseMs` is not a whole number from 0");
    assert_eq!(
        of("retry", &[0x81, 0xa6, b'j', b'i', b't', b't', b'e', b'r', 2]),
        "queue config: `jitter` is not 0 to 1"
    );
}

/// A queue with something everywhere.
fn full() -> Kit {
    let mut kit = Kit::new(QueueConfig {
        ordered: true,
        message_ttl_ms: Some(100_000),
        dedup_window_ms: Some(1000),
        priority_max: 3,
        ..QueueConfig::default()
    });
    kit.enqueue(0, 50);
    for number in 50..100 {
        let due_ms = (number % 5 == 0).then_some(kit.now_ms + number);
        let (group, priority, message_id) = (number % 7, (number % 4) as u8, u128::from(number));
        kit.enqueue_one(Arrival { priority, due_ms, group, message_id, ..Arrival::plain(number, 10) });
    }
    kit.consumer(1, 30);
    kit.dispatch();
    for (tag, outcome) in [Outcome::Ack, Outcome::Defer, Outcome::Requeue, Outcome::Reject].into_iter().enumerate() {
        kit.settle(1, 1 + 2 * tag as u64, 2, outcome).unwrap();
    }
    kit.settle(1, 12, 2, Outcome::Retry(RetryAfter::DelayMs(10))).unwrap();
    kit
}

#[test]
fn a_snapshot_of_a_recovered_queue_is_the_same_again() {
    let kit = full();
    let (mut first, mut second) = (Vec::new(), Vec::new());
    kit.queue.write_snapshot(&mut first);
    let mut queue = Queue::read_snapshot(kit.queue.config().clone(), &first).unwrap();
    queue.recovered(kit.now_ms);
    queue.write_snapshot(&mut second);
    let mut third = Vec::new();
    let mut again = Queue::read_snapshot(kit.queue.config().clone(), &second).unwrap();
    again.recovered(kit.now_ms);
    again.write_snapshot(&mut third);
    assert_eq!(again.counts(), queue.counts());
    assert_eq!(third.len(), second.len());
}

#[test]
fn mutated_snapshots_and_effects_never_panic() {
    let mut random = Random::seeded(11);
    let kit = full();
    let mut whole = Vec::new();
    kit.queue.write_snapshot(&mut whole);
    for _ in 0..3000 {
        let mut bytes = whole.clone();
        bytes.truncate(whole.len() - random.mostly(1, whole.len() as u64) as usize);
        for _ in 0..random.below(4) {
            let at = random.below(bytes.len() as u64) as usize;
            if let Some(byte) = bytes.get_mut(at) {
                *byte = random.next() as u8;
            }
        }
        _ = Queue::read_snapshot(kit.queue.config().clone(), &bytes);
        _ = Effect::read(&mut Reader::new(&bytes[random.below(bytes.len() as u64) as usize..]));
        _ = QueueConfig::read(&bytes);
    }
}
