//! Sessions that stay with a consumer for a while.

use super::kit::Kit;
use crate::queue::{Arrival, Outcome, QueueConfig};

const LOCK_MS: u64 = 1_000;

fn locking() -> Kit {
    Kit::new(QueueConfig { ordered: true, session_lock_ms: Some(LOCK_MS), ..QueueConfig::default() })
}

fn of(group: u64, number: u64) -> Arrival {
    Arrival { group, ..Arrival::plain(number, 100) }
}

#[test]
fn a_session_stays_with_who_had_it_and_others_have_other_sessions() {
    let mut kit = locking();
    (0..6).for_each(|number| kit.enqueue_one(of(1 + number % 2, number)));
    kit.consumer(1, 1);
    kit.consumer(2, 5);
    assert_eq!(kit.given(), [(1, 0), (2, 1)]);
    kit.settle(1, 1, 1, Outcome::Ack).unwrap();
    kit.settle(2, 1, 1, Outcome::Ack).unwrap();
    assert_eq!(kit.given(), [(1, 2), (2, 3)]);
    kit.settle(2, 2, 1, Outcome::Ack).unwrap();
    kit.settle(1, 2, 1, Outcome::Ack).unwrap();
    assert_eq!(kit.given(), [(2, 5), (1, 4)]);
    kit.check_counts();
}

#[test]
fn an_idle_session_waits_for_its_consumer_until_its_time_is_over() {
    let mut kit = locking();
    kit.enqueue_one(of(1, 0));
    kit.consumer(1, 1);
    kit.consumer(2, 1);
    assert_eq!(kit.given(), [(1, 0)]);
    kit.settle(1, 1, 1, Outcome::Ack).unwrap();
    kit.now_ms += LOCK_MS - 1;
    kit.tick();
    kit.enqueue_one(of(1, 1));
    assert_eq!(kit.given(), [(1, 1)], "its time had begun anew with what it settled");
    kit.settle(1, 2, 1, Outcome::Ack).unwrap();
    assert_eq!(kit.queue.next_deadline_ms(), Some(kit.now_ms + LOCK_MS));
    kit.now_ms += LOCK_MS;
    kit.tick();
    kit.enqueue_one(of(1, 2));
    assert_eq!(kit.given(), [(2, 2)]);
    kit.check_counts();
}

#[test]
fn idle_sessions_keep_credit_so_that_a_consumer_has_no_more_of_them_than_its_prefetch() {
    let mut kit = locking();
    kit.consumer(1, 2);
    (0..4).for_each(|number| kit.enqueue_one(of(1 + number, number)));
    assert_eq!(kit.numbers(), [0, 1]);
    kit.settle(1, 1, 2, Outcome::Ack).unwrap();
    assert_eq!(kit.numbers(), [], "two sessions are all it may have");
    kit.enqueue_one(of(2, 4));
    assert_eq!(kit.numbers(), [4], "what is of a session that it has comes");
    kit.now_ms += LOCK_MS;
    kit.tick();
    assert_eq!(kit.numbers(), [2]);
}

#[test]
fn who_gives_a_message_back_or_goes_gives_its_session_back() {
    let mut kit = locking();
    kit.consumer(1, 2);
    (0..4).for_each(|number| kit.enqueue_one(of(1 + number / 2, number)));
    assert_eq!(kit.given(), [(1, 0), (1, 2)]);
    kit.consumer(2, 1);
    kit.consumer(3, 1);
    kit.settle(1, 1, 1, Outcome::Requeue).unwrap();
    assert_eq!(kit.given(), [(2, 0)]);
    kit.settle(1, 2, 1, Outcome::Ack).unwrap();
    kit.queue.consumer_remove(1, kit.now_ms, &mut kit.effects);
    assert_eq!(kit.given(), [(3, 3)]);
    kit.check_counts();
}

#[test]
fn a_paused_consumer_gets_nothing_and_its_session_becomes_free() {
    let mut kit = locking();
    kit.consumer(1, 1);
    (0..2).for_each(|number| kit.enqueue_one(of(1, number)));
    assert_eq!(kit.numbers(), [0]);
    kit.settle(1, 1, 1, Outcome::Ack).unwrap();
    kit.queue.set_prefetch(1, 0);
    assert_eq!(kit.numbers(), []);
    kit.consumer(2, 1);
    assert_eq!(kit.numbers(), []);
    kit.now_ms += LOCK_MS;
    kit.tick();
    assert_eq!(kit.given(), [(2, 1)]);
}

#[test]
fn a_purge_and_a_removal_leave_an_idle_session_usable() {
    let mut kit = locking();
    kit.consumer(1, 1);
    (0..3).for_each(|number| kit.enqueue_one(of(1, number)));
    assert_eq!(kit.numbers(), [0]);
    kit.settle(1, 1, 1, Outcome::Ack).unwrap();
    assert!(kit.queue.remove(1, &mut kit.effects));
    assert_eq!(kit.queue.purge(kit.now_ms, &mut kit.effects), 1);
    assert_eq!(kit.numbers(), []);
    kit.enqueue_one(of(1, 3));
    assert_eq!(kit.given(), [(1, 3)]);
    kit.check_counts();
}
