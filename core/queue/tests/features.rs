//! What a queue may be declared with, one behaviour at a time.

use super::kit::Kit;
use crate::queue::{
    Arrival, Browsed, ConsumerConfig, Effect, Fault, Outcome, Overflow, Queue, QueueConfig, Reason, ReleaseConfig,
    RetryAfter, RetryKind, Scheduled, State, Window,
};

fn with(change: impl FnOnce(&mut QueueConfig)) -> Kit {
    let mut config = QueueConfig { has_dead_letter: true, ..QueueConfig::default() };
    change(&mut config);
    Kit::new(config)
}

fn message(number: u64) -> Arrival {
    Arrival::plain(number, 100)
}

fn dead(number: u64, reason: Reason, deliveries: u32) -> Effect {
    Effect::DeadLetter { number, reason, deliveries }
}

#[test]
fn higher_priorities_go_first_and_each_in_order() {
    let mut kit = with(|config| config.priority_max = 9);
    for (number, priority) in [(0, 0), (1, 5), (2, 31), (3, 9), (4, 5)] {
        kit.enqueue_one(Arrival { priority, ..message(number) });
    }
    kit.consumer(1, 3);
    assert_eq!(kit.numbers(), [2, 3, 1]);
    kit.settle(1, 2, 1, Outcome::Requeue).unwrap();
    assert_eq!(kit.numbers(), [3]);
}

#[test]
fn messages_expire_by_their_own_time_and_by_the_queues() {
    let mut kit = with(|config| config.message_ttl_ms = Some(1000));
    kit.enqueue_one(Arrival { expires_ms: Some(kit.now_ms + 10), ..message(0) });
    kit.enqueue(1, 3);
    assert_eq!(kit.queue.next_deadline_ms(), Some(kit.now_ms + 10));
    kit.now_ms += 10;
    kit.tick();
    assert_eq!(kit.effects(), [dead(0, Reason::Expired, 0)]);
    assert_eq!(kit.queue.next_deadline_ms(), Some(kit.now_ms + 990));
    kit.consumer(1, 1);
    kit.dispatch();
    kit.now_ms += 990;
    assert_eq!(kit.given(), []);
    kit.settle(1, 1, 1, Outcome::Ack).unwrap();
    assert_eq!(kit.given(), []);
    let gone = [Effect::Settled { first: 1, count: 1 }, dead(2, Reason::Expired, 0), dead(3, Reason::Expired, 0)];
    assert_eq!(kit.effects(), gone);
    kit.check_counts();
}

#[test]
fn delayed_messages_come_in_order_of_their_time_and_can_be_listed_and_cancelled() {
    let mut kit = with(|_| {});
    let start_ms = kit.now_ms;
    for number in 0..10_000 {
        kit.enqueue_one(Arrival { due_ms: Some(start_ms + 1 + number * 7919 % 10_000), ..message(number) });
    }
    let (mut first, mut second) = (Vec::new(), Vec::new());
    kit.queue.scheduled(None, 2, &mut first);
    kit.queue.scheduled(first.last().copied(), 1, &mut second);
    let all = [(1, 0), (2, 7679), (3, 5358)].map(|(ms, number)| Scheduled { due_ms: start_ms + ms, number });
    assert_eq!([first, second].concat(), all);
    assert_eq!(kit.queue.cancel(&[0, 7679, 7679, 20_000], &mut kit.effects), 2);
    assert_eq!(kit.queue.next_deadline_ms(), Some(start_ms + 3));
    kit.consumer(1, 100_000);
    for ms in 1..=10_000 {
        kit.now_ms = start_ms + ms;
        kit.tick();
        let expected: Vec<u64> = if ms <= 2 { vec![] } else { vec![(ms - 1) * 7679 % 10_000] };
        assert_eq!(kit.numbers(), expected);
    }
    kit.check_counts();
}

#[test]
fn a_retry_waits_by_the_policy_of_its_class_until_the_attempts_are_used_up() {
    let mut kit = with(|config| {
        config.retry.policy.attempts_max = Some(3);
        config.retry.policy.kind = RetryKind::Exponential;
        config.retry.policy.delay_ms = 100;
        config.retry.classes.insert("slow".to_owned(), crate::queue::RetryPolicy::default());
    });
    kit.enqueue(0, 1);
    kit.consumer(1, 1);
    let mut waits = Vec::new();
    for (tag, after) in [RetryAfter::Policy, RetryAfter::Class("slow"), RetryAfter::Class("other")].iter().enumerate() {
        assert_eq!(kit.numbers(), [0]);
        kit.settle(1, tag as u64 + 1, 1, Outcome::Retry(*after)).unwrap();
        let due_ms = kit.queue.next_deadline_ms().unwrap_or(kit.now_ms);
        waits.push(due_ms - kit.now_ms);
        kit.now_ms = due_ms;
        kit.tick();
    }
    // The class doubles its second when the second delivery fails.
    assert_eq!(waits, [100, 2000, 0]);
    assert_eq!(kit.effects().last(), Some(&dead(0, Reason::Deliveries, 3)));
}

#[test]
fn a_message_is_delivered_at_most_as_often_as_the_limit() {
    let mut kit = with(|config| config.delivery_limit = Some(2));
    kit.enqueue(0, 1);
    for id in 1..=3 {
        kit.consumer(id, 1);
        let given = kit.numbers();
        assert_eq!(given.len(), usize::from(id <= 2));
        kit.queue.consumer_remove(id, kit.now_ms, &mut kit.effects);
    }
    let effects = [Effect::Returned { number: 0, deliveries: 1 }, dead(0, Reason::Deliveries, 2)];
    assert_eq!(kit.effects(), effects);
}

#[test]
fn a_full_queue_drops_its_oldest_dead_letters_it_or_refuses() {
    for overflow in [Overflow::DropHead, Overflow::DeadLetter, Overflow::Reject] {
        let mut kit = with(|config| {
            config.length_max = Some(10);
            config.bytes_max = Some(800);
            config.overflow = overflow;
        });
        let admits = kit.queue.admits(8, 800) && !kit.queue.admits(8, 801) && !kit.queue.admits(11, 0);
        assert_eq!(admits, overflow == Overflow::Reject);
        kit.enqueue(0, 10);
        let expected = match overflow {
            Overflow::DropHead => vec![Effect::Settled { first: 0, count: 2 }],
            Overflow::DeadLetter => vec![dead(0, Reason::Length, 0), dead(1, Reason::Length, 0)],
            Overflow::Reject => vec![],
        };
        assert_eq!(kit.effects(), expected);
        kit.check_counts();
    }
}

#[test]
fn a_second_message_of_an_id_within_the_window_is_a_duplicate() {
    let mut kit = with(|config| {
        config.dedup_window_ms = Some(100);
        config.dedup_entries_max = 2;
    });
    let send = |kit: &mut Kit, number, message_id| {
        kit.enqueue_one(Arrival { message_id, ..message(number) });
        kit.effects() == [Effect::Settled { first: number, count: 1 }]
    };
    assert_eq!([send(&mut kit, 0, 7), send(&mut kit, 1, 7), send(&mut kit, 2, 8)], [false, true, false]);
    kit.now_ms += 100;
    assert_eq!([send(&mut kit, 3, 7), send(&mut kit, 4, 7)], [false, true]);
    // Two more ids push the first out.
    assert_eq!([send(&mut kit, 5, 9), send(&mut kit, 6, 10), send(&mut kit, 7, 7)], [false; 3]);
    kit.check_counts();
}

#[test]
fn a_group_has_one_message_out_and_a_failing_one_holds_up_only_its_group() {
    let mut kit = with(|config| config.ordered = true);
    for (number, group) in [(0, 7), (1, 7), (2, 8), (3, 7), (4, 8)] {
        kit.enqueue_one(Arrival { group, ..message(number) });
    }
    kit.consumer(1, 100);
    kit.consumer(2, 100);
    assert_eq!(kit.given(), [(1, 0), (2, 2)]);
    kit.settle(1, 1, 1, Outcome::Retry(RetryAfter::DelayMs(50))).unwrap();
    kit.settle(2, 1, 1, Outcome::Ack).unwrap();
    assert_eq!(kit.numbers(), [4]);
    kit.now_ms += 50;
    kit.tick();
    assert_eq!(kit.given(), [(2, 0)]);
    kit.settle(2, 2, 1, Outcome::Reject).unwrap();
    assert_eq!(kit.numbers(), [1]);
    assert_eq!(kit.queue.purge(kit.now_ms, &mut kit.effects), 1);
    kit.check_counts();
}

#[test]
fn a_single_active_consumer_is_followed_by_another() {
    let mut kit = with(|config| config.single_active = true);
    kit.consumer(1, 2);
    kit.queue.consumer_add(2, ConsumerConfig { prefetch: 9, priority: 0, lease_ms: None }, &mut kit.effects);
    kit.queue.consumer_add(3, ConsumerConfig { prefetch: 9, priority: 1, lease_ms: None }, &mut kit.effects);
    kit.enqueue(0, 4);
    assert_eq!(kit.given(), [(1, 0), (1, 1)]);
    kit.effects();
    kit.queue.consumer_remove(1, kit.now_ms, &mut kit.effects);
    assert_eq!(kit.effects().last(), Some(&Effect::Active { consumer: 3, active: true }));
    assert_eq!(kit.given(), [(3, 0), (3, 1), (3, 2), (3, 3)]);
}

#[test]
fn a_lease_is_warned_of_and_ends_for_that_message_only() {
    let mut kit = with(|config| {
        config.lease_ms = Some(100);
        config.lease_warning_ms = Some(30);
    });
    kit.enqueue(0, 3);
    kit.consumer(1, 3);
    kit.dispatch();
    kit.now_ms += 50;
    kit.settle(1, 2, 1, Outcome::Renew).unwrap();
    kit.settle(1, 3, 1, Outcome::Ack).unwrap();
    kit.effects();
    assert_eq!(kit.queue.next_deadline_ms(), Some(kit.now_ms + 20));
    kit.now_ms += 20;
    kit.tick();
    assert_eq!(kit.effects(), [Effect::LeaseWarning { consumer: 1, tag: 1, number: 0 }]);
    kit.now_ms += 30;
    kit.tick();
    let later = Effect::LeaseWarning { consumer: 1, tag: 2, number: 1 };
    assert_eq!(kit.effects(), [Effect::Returned { number: 0, deliveries: 1 }]);
    assert_eq!(kit.settle(1, 1, 1, Outcome::Ack), Err(Fault::UnknownDelivery { tag: 1 }));
    kit.now_ms += 20;
    kit.tick();
    assert_eq!(kit.effects(), [later]);
    kit.settle(1, 2, 1, Outcome::Ack).unwrap();
    assert_eq!(kit.queue.counts().in_flight, 0);
}

#[test]
fn a_consumer_that_lets_leases_run_out_gets_no_more_until_it_is_heard_of() {
    let mut kit = with(|config| config.lease_ms = Some(100));
    kit.enqueue(0, 10);
    kit.consumer(1, 2);
    assert_eq!(kit.numbers(), [0, 1]);
    for _ in 0..3 {
        kit.now_ms += 100;
        kit.tick();
        assert_eq!(kit.given(), []);
    }
    kit.consumer(2, 2);
    assert_eq!(kit.given(), [(2, 0), (2, 1)]);
    // Too late, and still a sign of life.
    assert_eq!(kit.settle(1, 1, 1, Outcome::Ack), Err(Fault::UnknownDelivery { tag: 1 }));
    assert_eq!(kit.given(), [(1, 2), (1, 3)]);
    kit.now_ms += 100;
    kit.tick();
    kit.queue.set_prefetch(2, 1);
    assert_eq!(kit.given(), [(2, 0)]);
}

#[test]
fn a_lease_is_warned_of_when_a_quarter_of_it_is_left() {
    let mut kit = with(|config| config.lease_ms = Some(1000));
    kit.queue.consumer_add(1, ConsumerConfig { prefetch: 1, priority: 0, lease_ms: Some(100) }, &mut kit.effects);
    kit.tick();
    kit.enqueue(0, 1);
    kit.dispatch();
    assert_eq!(kit.queue.next_deadline_ms(), Some(kit.now_ms + 75));
    kit.now_ms += 75;
    kit.tick();
    assert_eq!(kit.effects(), [Effect::LeaseWarning { consumer: 1, tag: 1, number: 0 }]);
}

#[test]
fn messages_are_released_at_a_rate_and_within_a_window() {
    let window = Some(Window { from_minute: 0, to_minute: 60, utc_offset_minutes: 0 });
    let mut kit = with(|config| {
        config.release = ReleaseConfig { rate_per_sec: Some(100), burst: 10, window, ..ReleaseConfig::default() }
    });
    kit.now_ms = 86_400_000 - 1;
    kit.enqueue(0, 1000);
    kit.consumer(1, 1000);
    let mut given: Vec<(u64, usize)> = Vec::new();
    while kit.now_ms < 86_400_000 + 100 {
        let count = kit.numbers().len();
        given.push((kit.now_ms, count));
        kit.now_ms = kit.queue.next_deadline_ms().unwrap();
    }
    assert_eq!(given[..3], [(86_399_999, 0), (86_400_000, 10), (86_400_010, 1)]);
    assert_eq!(given.len(), 11);
    kit.now_ms = 86_400_000 + 3_600_000;
    assert_eq!(kit.numbers().len(), 0);
    assert_eq!(kit.queue.next_deadline_ms(), Some(2 * 86_400_000));
}

#[test]
fn messages_are_released_at_a_rate_of_bytes() {
    let release = ReleaseConfig { bytes_per_sec: Some(10_000), ..ReleaseConfig::default() };
    let mut kit = with(|config| config.release = release);
    kit.queue.enqueue_run(0, 100, 100 * 500, kit.now_ms, &mut kit.effects);
    kit.consumer(1, 1_000);
    let (start_ms, mut given) = (kit.now_ms, 0);
    while given < 100 {
        given += kit.numbers().len();
        let elapsed_ms = kit.now_ms - start_ms;
        assert!(given as u64 * 500 <= elapsed_ms * 10 + 1_000, "{given} after {elapsed_ms} ms");
        kit.now_ms = kit.queue.next_deadline_ms().unwrap_or(kit.now_ms);
    }
    assert!((4_800..5_000).contains(&(kit.now_ms - start_ms)), "50,000 bytes took {} ms", kit.now_ms - start_ms);
}

#[test]
fn a_deferred_message_is_taken_by_its_number() {
    let mut kit = with(|config| config.deferred_max = 1);
    kit.enqueue(5, 2);
    kit.consumer(1, 2);
    kit.dispatch();
    assert_eq!(kit.settle(1, 1, 2, Outcome::Defer), Err(Fault::DeferredFull { tag: 2, limit: 1 }));
    assert_eq!(kit.effects(), [Effect::Deferred { number: 5, deliveries: 1 }]);
    let mut out = Vec::new();
    assert_eq!(kit.queue.take_deferred(&[6, 5, 5], 1, kit.now_ms, &mut out, &mut kit.effects), Ok(1));
    assert_eq!((out[0].first, out[0].first_tag, out[0].deliveries), (5, 3, 1));
    kit.settle(1, 3, 1, Outcome::Release).unwrap();
    assert_eq!(kit.effects(), [Effect::Returned { number: 5, deliveries: 1 }]);
    kit.check_counts();
}

#[test]
fn browsing_shows_every_message_where_it_is() {
    let mut kit = with(|_| {});
    kit.enqueue(0, 2);
    kit.enqueue_one(Arrival { due_ms: Some(kit.now_ms + 5), ..message(2) });
    kit.consumer(1, 1);
    kit.dispatch();
    let mut found = Vec::new();
    kit.queue.browse(None, 10, &mut found);
    let seen = |number, state, due_ms| Browsed { number, state, deliveries: 0, due_ms };
    let due_ms = Some(kit.now_ms + 5);
    assert_eq!(found, [seen(0, State::InFlight, None), seen(1, State::Ready, None), seen(2, State::Delayed, due_ms)]);
    assert!(kit.queue.remove(1, &mut kit.effects) && !kit.queue.remove(0, &mut kit.effects));
    assert_eq!(kit.queue.oldest(), Some(0));
}

#[test]
fn a_waiting_run_takes_sixteen_bytes_and_a_delayed_message_hardly_more() {
    let mut waiting = Queue::new(QueueConfig::default());
    let mut delayed = Queue::new(QueueConfig::default());
    for number in 0..1_000_000 {
        waiting.enqueue_run(number * 2, 1, 100, 0, &mut Vec::new());
        let due_ms = Some(1 + number * 7_919_101 % 10_000_000_000);
        delayed.enqueue(&Arrival { due_ms, ..message(number) }, 0, &mut Vec::new());
    }
    let bytes = [waiting.memory_bytes(), delayed.memory_bytes()];
    println!("1 million apart: {} waiting, {} delayed", bytes[0], bytes[1]);
    // Chunks are small in tests, and so cost more: in earnest both are 16.1 MB.
    assert!(bytes[0] < 18_000_000 && bytes[1] < 24_000_000, "{bytes:?}");
    let mut run = Queue::new(QueueConfig::default());
    (0..1_000_000).for_each(|number| run.enqueue_run(number, 1, 100, 0, &mut Vec::new()));
    assert!(run.memory_bytes() < 1000, "consecutive numbers are one run");
}

#[test]
fn a_message_that_was_deferred_stands_behind_nobody_after_a_crash_either() {
    let ordered = || QueueConfig { ordered: true, ..QueueConfig::default() };
    let of_group = |number| Arrival { group: 1, ..message(number) };
    let mut kit = Kit::new(ordered());
    (0..2).for_each(|number| kit.enqueue_one(of_group(number)));
    kit.consumer(1, 2);
    assert_eq!(kit.numbers(), [0]);
    kit.settle(1, 1, 1, Outcome::Defer).unwrap();
    assert_eq!(kit.numbers(), [1]);
    let mut out = Vec::new();
    kit.queue.take_deferred(&[0], 1, kit.now_ms, &mut out, &mut kit.effects).unwrap();
    kit.settle(1, 3, 1, Outcome::Requeue).unwrap();
    let mut recovered = Queue::new(ordered());
    (0..2).for_each(|number| recovered.restore(&of_group(number), kit.now_ms));
    kit.effects().iter().for_each(|effect| recovered.replay(effect));
    recovered.recovered(kit.now_ms);
    kit.queue = recovered;
    kit.consumer(1, 2);
    assert_eq!(kit.numbers(), [0, 1]);
}
