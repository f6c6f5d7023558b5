//! First in, first out, to consumers with credit.

use super::kit::Kit;
use crate::queue::{ConsumerConfig, Dispatch, Effect, Fault, Outcome, QueueConfig};

#[test]
fn a_run_goes_out_as_one_run_and_is_settled_as_one() {
    let mut kit = Kit::plain();
    kit.consumer(7, 1000);
    kit.enqueue(10, 5);
    kit.enqueue(15, 5);
    assert_eq!(kit.dispatch(), [Dispatch { consumer: 7, first_tag: 1, first: 10, count: 10, deliveries: 0 }]);
    assert_eq!(kit.settle(7, 1, 10, Outcome::Ack), Ok(()));
    assert_eq!(kit.effects(), [Effect::Settled { first: 10, count: 10 }]);
    let counts = kit.queue.counts();
    assert_eq!((counts.held(), counts.bytes, counts.acked, counts.delivered), (0, 0, 10, 10));
}

#[test]
fn little_is_given_in_turns_and_much_in_runs() {
    let mut kit = Kit::plain();
    kit.consumer(1, 1000);
    kit.consumer(2, 1000);
    kit.enqueue(0, 4);
    assert_eq!(kit.given(), [(1, 0), (2, 1), (1, 2), (2, 3)]);
    kit.enqueue(4, 200);
    let sizes: Vec<u32> = kit.dispatch().iter().map(|run| run.count).take(3).collect();
    assert_eq!(sizes, [64, 64, 1]);
}

#[test]
fn nobody_gets_more_than_its_prefetch_and_settling_gives_credit() {
    let mut kit = Kit::plain();
    kit.consumer(1, 2);
    kit.consumer(2, 1);
    kit.enqueue(0, 10);
    assert_eq!(kit.given(), [(1, 0), (2, 1), (1, 2)]);
    assert_eq!(kit.given(), []);
    kit.settle(1, 2, 1, Outcome::Ack).unwrap();
    assert_eq!(kit.given(), [(1, 3)]);
    kit.queue.set_prefetch(2, 3);
    assert_eq!(kit.given(), [(2, 4), (2, 5)]);
    kit.queue.set_prefetch(1, 0);
    kit.settle(1, 1, 1, Outcome::Ack).unwrap();
    assert_eq!(kit.given(), []);
}

#[test]
fn a_higher_consumer_priority_is_served_while_it_has_credit() {
    let mut kit = Kit::plain();
    kit.consumer(1, 10);
    let config = ConsumerConfig { prefetch: 2, priority: 5, lease_ms: None };
    kit.queue.consumer_add(2, config, &mut Vec::new());
    kit.enqueue(0, 4);
    assert_eq!(kit.given(), [(2, 0), (2, 1), (1, 2), (1, 3)]);
}

#[test]
fn requeued_messages_go_back_to_their_place_and_count_as_delivered() {
    let mut kit = Kit::plain();
    kit.consumer(1, 3);
    kit.enqueue(0, 10);
    assert_eq!(kit.numbers(), [0, 1, 2]);
    kit.settle(1, 2, 1, Outcome::Requeue).unwrap();
    assert_eq!(kit.effects(), [Effect::Returned { number: 1, deliveries: 1 }]);
    kit.settle(1, 1, 1, Outcome::Release).unwrap();
    let again = kit.dispatch();
    assert_eq!(again.iter().map(|run| (run.first, run.deliveries)).collect::<Vec<_>>(), [(0, 0), (1, 1)]);
    kit.check_counts();
}

#[test]
fn a_rejected_message_is_dropped_or_dead_lettered() {
    for has_dead_letter in [false, true] {
        let mut kit = Kit::new(QueueConfig { has_dead_letter, ..QueueConfig::default() });
        kit.consumer(1, 3);
        kit.enqueue(0, 1);
        kit.dispatch();
        kit.settle(1, 1, 1, Outcome::Reject).unwrap();
        let counts = kit.queue.counts();
        assert_eq!((counts.rejected, counts.dead_lettered, counts.held()), (1, u64::from(has_dead_letter), 0));
        assert_eq!(matches!(kit.effects()[..], [Effect::DeadLetter { number: 0, .. }]), has_dead_letter);
    }
}

#[test]
fn a_second_settle_names_the_first_tag_that_is_unknown_and_does_what_stands_before() {
    let mut kit = Kit::plain();
    kit.consumer(1, 100);
    kit.consumer(2, 100);
    kit.enqueue(0, 10);
    kit.dispatch();
    kit.settle(1, 3, 1, Outcome::Ack).unwrap();
    assert_eq!(kit.settle(1, 1, 5, Outcome::Ack), Err(Fault::UnknownDelivery { tag: 3 }));
    assert_eq!(kit.settle(1, 6, 1, Outcome::Ack), Err(Fault::UnknownDelivery { tag: 6 }));
    assert_eq!(kit.settle(1, u64::MAX, u64::MAX, Outcome::Ack), Err(Fault::UnknownDelivery { tag: u64::MAX }));
    assert_eq!(kit.settle(9, 1, 1, Outcome::Ack), Err(Fault::UnknownConsumer));
    assert_eq!(kit.queue.counts().acked, 3);
    kit.settle(1, 4, 2, Outcome::Ack).unwrap();
    kit.check_counts();
}

#[test]
fn what_a_consumer_had_goes_back_when_it_is_removed() {
    let mut kit = Kit::plain();
    kit.consumer(1, 5);
    kit.enqueue(0, 10);
    kit.dispatch();
    kit.settle(1, 2, 1, Outcome::Ack).unwrap();
    kit.queue.consumer_remove(1, 0, &mut Vec::new());
    let counts = kit.queue.counts();
    assert_eq!((counts.ready, counts.in_flight), (9, 0));
    kit.consumer(2, 100);
    let given = kit.dispatch();
    let redelivered: Vec<u64> = given.iter().filter(|run| run.deliveries == 1).map(|run| run.first).collect();
    assert_eq!(redelivered, [0, 2, 3, 4]);
    kit.check_counts();
}

#[test]
fn tags_settle_in_any_order() {
    let mut kit = Kit::plain();
    kit.consumer(1, 1000);
    kit.enqueue(0, 1000);
    kit.dispatch();
    for step in 0..1000 {
        kit.settle(1, 1 + step * 617 % 1000, 1, Outcome::Ack).unwrap();
    }
    let counts = kit.queue.counts();
    assert_eq!((counts.in_flight, counts.bytes, counts.acked), (0, 0, 1000));
}
