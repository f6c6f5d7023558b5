//! What a transaction claims is nobody else's until the transaction is over.

use super::kit::Kit;
use crate::queue::{Arrival, ConsumerConfig, Effect, Fault, Outcome, Queue, QueueConfig};

fn claim(kit: &mut Kit, consumer: u64, tag: u64, count: u64) -> Result<Vec<(u64, u32)>, Fault> {
    let mut out = Vec::new();
    kit.queue.claim(consumer, tag, count, &mut out).map(|()| out)
}

fn unclaim(kit: &mut Kit, first: u64, count: u32) {
    kit.queue.unclaim(first, count, kit.now_ms, &mut kit.effects);
}

#[test]
fn a_claimed_message_is_settled_by_nobody_else() {
    let mut kit = Kit::plain();
    kit.consumer(1, 10);
    kit.enqueue(100, 6);
    assert_eq!(kit.numbers().len(), 6);
    assert_eq!(claim(&mut kit, 1, 2, 3), Ok(vec![(101, 3)]));
    assert_eq!(claim(&mut kit, 1, 4, 1), Err(Fault::UnknownDelivery { tag: 4 }));
    assert_eq!(claim(&mut kit, 2, 1, 1), Err(Fault::UnknownConsumer));
    assert_eq!(kit.settle(1, 2, 1, Outcome::Ack), Err(Fault::UnknownDelivery { tag: 2 }));
    kit.queue.consumer_remove(1, kit.now_ms, &mut kit.effects);
    assert!(kit.effects().iter().all(|effect| matches!(effect, Effect::Returned { number: 100 | 104 | 105, .. })));
    kit.consumer(2, 10);
    assert_eq!(kit.numbers(), [100, 104, 105]);
    assert_eq!(kit.queue.counts().in_flight, 6);
    kit.effects();
    for number in 101..104 {
        assert!(kit.queue.settle_number(number, &mut kit.effects));
        assert!(!kit.queue.settle_number(number, &mut kit.effects), "acked once");
    }
    assert_eq!(kit.effects(), [Effect::Settled { first: 101, count: 3 }]);
    assert_eq!((kit.queue.counts().in_flight, kit.queue.counts().acked), (3, 3));
    kit.check_counts();
}

#[test]
fn a_claim_holds_its_consumers_credit_until_it_is_settled() {
    let mut kit = Kit::plain();
    kit.consumer(1, 2);
    kit.enqueue(1, 4);
    assert_eq!(kit.numbers(), [1, 2]);
    claim(&mut kit, 1, 1, 1).unwrap();
    assert_eq!(kit.numbers(), [0; 0]);
    kit.queue.settle_number(1, &mut kit.effects);
    assert_eq!(kit.numbers(), [3]);
}

#[test]
fn what_is_unclaimed_is_its_consumers_again_under_the_same_tag() {
    let mut kit = Kit::plain();
    kit.consumer(1, 200);
    kit.enqueue(1000, 150);
    kit.dispatch();
    let before = kit.queue.counts();
    // Whole entries, parts of them, the first and the last.
    for (tag, count) in [(1, 64), (10, 3), (1, 1), (150, 1), (60, 80), (1, 150)] {
        let runs = claim(&mut kit, 1, tag, count).unwrap();
        assert_eq!(runs.iter().map(|(_, count)| u64::from(*count)).sum::<u64>(), count);
        for (first, count) in runs {
            unclaim(&mut kit, first, count);
        }
        assert_eq!(kit.queue.counts(), before, "{tag} {count}");
    }
    assert_eq!(kit.settle(1, 1, 150, Outcome::Ack), Ok(()));
    assert_eq!((kit.queue.counts().held(), kit.queue.counts().bytes), (0, 0));
}

#[test]
fn what_is_unclaimed_after_its_consumer_has_gone_is_delivered_again() {
    let mut kit = Kit::plain();
    kit.consumer(1, 1);
    kit.enqueue(7, 1);
    kit.dispatch();
    claim(&mut kit, 1, 1, 1).unwrap();
    kit.queue.consumer_remove(1, kit.now_ms, &mut kit.effects);
    unclaim(&mut kit, 7, 1);
    assert_eq!(kit.effects(), [Effect::Returned { number: 7, deliveries: 1 }]);
    kit.consumer(2, 1);
    assert_eq!(kit.given(), [(2, 7)]);
    kit.check_counts();
}

#[test]
fn no_lease_runs_out_on_a_claim_and_a_new_one_begins_after_it() {
    let mut kit = Kit::plain();
    let config = ConsumerConfig { prefetch: 1, priority: 0, lease_ms: Some(1_000) };
    kit.queue.consumer_add(1, config, &mut kit.effects);
    kit.enqueue(7, 1);
    kit.dispatch();
    claim(&mut kit, 1, 1, 1).unwrap();
    kit.now_ms += 5_000;
    kit.queue.tick(kit.now_ms, &mut kit.effects);
    assert_eq!(kit.queue.counts().in_flight, 1);
    unclaim(&mut kit, 7, 1);
    kit.now_ms += 999;
    kit.queue.tick(kit.now_ms, &mut kit.effects);
    assert_eq!(kit.queue.counts().in_flight, 1);
    kit.now_ms += 1;
    kit.queue.tick(kit.now_ms, &mut kit.effects);
    assert_eq!((kit.queue.counts().in_flight, kit.queue.counts().ready), (0, 1));
}

#[test]
fn after_a_crash_a_claim_is_ready_and_a_commit_still_finds_it() {
    let mut kit = Kit::plain();
    kit.consumer(1, 10);
    kit.enqueue(1, 3);
    kit.dispatch();
    claim(&mut kit, 1, 2, 1).unwrap();
    let mut bytes = Vec::new();
    kit.queue.write_snapshot(&mut bytes);
    let mut again = Queue::read_snapshot(QueueConfig::default(), &bytes).unwrap();
    again.recovered(kit.now_ms);
    assert_eq!(again.counts().ready, 3);
    assert!(again.settle_number(2, &mut kit.effects));
    kit.queue = again;
    kit.consumer(1, 10);
    assert_eq!(kit.numbers(), [1, 3]);
}

#[test]
fn the_group_of_a_claimed_message_waits_for_it() {
    let mut kit = Kit::new(QueueConfig { ordered: true, ..QueueConfig::default() });
    kit.consumer(1, 10);
    for number in 1..=2 {
        kit.enqueue_one(Arrival { group: 9, ..Arrival::plain(number, 100) });
    }
    assert_eq!(kit.numbers(), [1]);
    claim(&mut kit, 1, 1, 1).unwrap();
    assert_eq!(kit.numbers(), [0; 0]);
    kit.queue.settle_number(1, &mut kit.effects);
    assert_eq!(kit.numbers(), [2]);
}
