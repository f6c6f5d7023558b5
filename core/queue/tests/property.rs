//! Anything that can happen to a queue, in any order, against the model. The invariants: an enqueued message is
//! delivered or accounted for, a settled one is never seen again, groups keep their order, a message has one
//! live lease at most, counts add up; also across kills, from snapshot and logs.

use super::kit::{Random, is_long};
use super::world::World;
use crate::queue::{
    Arrival, ConsumerConfig, Number, Outcome, Overflow, QueueConfig, Retry, RetryAfter, RetryKind, RetryPolicy,
};

const STEPS: u64 = 400;

fn maybe(random: &mut Random, one_in: u64, low: u64, span: u64) -> Option<u64> {
    (random.below(one_in) == 0).then(|| low + random.below(span))
}

fn config(random: &mut Random) -> QueueConfig {
    let policy = |random: &mut Random, kind| RetryPolicy {
        kind,
        delay_ms: random.below(40),
        delay_max_ms: 200,
        jitter: if random.below(2) == 0 { 0.5 } else { 0.0 },
        attempts_max: maybe(random, 2, 1, 4).map(|max| max as u32),
    };
    let classes = [("slow".to_owned(), policy(random, RetryKind::Exponential))].into_iter().collect();
    let overflows = [Overflow::DropHead, Overflow::Reject, Overflow::DeadLetter];
    let kind = random.below(3);
    QueueConfig {
        ordered: kind == 0,
        session_lock_ms: if kind == 0 { maybe(random, 2, 1, 200) } else { None },
        fair_share: kind == 1,
        weights: [(1, 3), (4, 2), (5, 7)].into_iter().filter(|_| random.below(2) == 0).collect(),
        single_active: random.below(4) == 0,
        message_ttl_ms: maybe(random, 3, 20, 200),
        priority_max: if kind == 1 || random.below(2) == 0 { 0 } else { random.below(32) as u8 },
        length_max: maybe(random, 3, 1, 40),
        bytes_max: maybe(random, 4, 100, 4000),
        // Groups that share have no oldest message among them that would have to go.
        overflow: if kind == 1 { Overflow::Reject } else { overflows[random.below(3) as usize] },
        delivery_limit: maybe(random, 2, 1, 5).map(|limit| limit as u32),
        lease_ms: maybe(random, 2, 5, 100),
        lease_warning_ms: maybe(random, 2, 0, 9),
        dedup_window_ms: maybe(random, 2, 10, 300),
        retry: Retry { policy: policy(random, RetryKind::Linear), classes },
        has_dead_letter: random.below(2) == 0,
        in_flight_max: if random.below(4) == 0 { 1 + random.below(20) } else { 1 << 20 },
        deferred_max: if random.below(3) == 0 { random.below(5) } else { 1 << 20 },
        delayed_max: if random.below(3) == 0 { random.below(10) } else { 1 << 20 },
        groups_max: if random.below(4) == 0 { 3 } else { 1 << 24 },
        ..QueueConfig::default()
    }
}

fn arrival(random: &mut Random, world: &World) -> Arrival {
    let late = world.next > 0 && random.below(6) == 0;
    let number = if late { random.below(world.next) } else { world.next + random.below(3) };
    let now_ms = world.now_ms();
    Arrival {
        number,
        bytes: 100,
        priority: random.below(33) as u8,
        expires_ms: maybe(random, 4, now_ms, 150),
        due_ms: maybe(random, 3, now_ms.saturating_sub(10), 150),
        // A message has the same key however it comes.
        group: number % 6,
        // The window of an id that came with a dead letter may be another after a recovery.
        message_id: if late { 0 } else { u128::from(random.below(12)) << 60 },
    }
}

fn outcome(random: &mut Random) -> Outcome<'static> {
    match random.below(14) {
        0..5 => Outcome::Ack,
        5 => Outcome::Reject,
        6 => Outcome::Requeue,
        7 => Outcome::Release,
        8 | 9 => Outcome::Defer,
        10 => Outcome::Renew,
        11 => Outcome::Retry(RetryAfter::Policy),
        12 => Outcome::Retry(RetryAfter::DelayMs(random.below(60))),
        _ => Outcome::Retry(RetryAfter::Class(if random.below(2) == 0 { "slow" } else { "other" })),
    }
}

fn consumer(random: &mut Random) -> ConsumerConfig {
    let prefetch = if random.below(8) == 0 { 200 } else { random.below(8) as u32 };
    ConsumerConfig { prefetch, priority: random.below(2) as i32, lease_ms: maybe(random, 4, 5, 80) }
}

fn settle(random: &mut Random, world: &mut World) {
    let ids: Vec<u64> = world.model.consumers.keys().copied().collect();
    let Some(id) = ids.get(random.below(ids.len() as u64) as usize).copied() else { return };
    let last = world.model.consumers[&id].next_tag;
    let tag = last.saturating_sub(random.below(20));
    world.settle(id, tag, random.below(6), outcome(random));
}

fn some_numbers(random: &mut Random, world: &World) -> Vec<Number> {
    (0..random.below(12)).map(|_| world.next.saturating_sub(random.below(60))).collect()
}

fn step(random: &mut Random, world: &mut World) {
    match random.below(100) {
        0..12 => world.enqueue_run(1 + random.mostly(8, 300) as u32),
        12..32 => {
            let arrival = arrival(random, world);
            world.enqueue(arrival);
        }
        32..52 => world.dispatch(if random.below(3) == 0 { random.below(10) as usize } else { 100_000 }),
        52..72 => settle(random, world),
        72..76 => world.consumer_add(random.below(4), consumer(random)),
        76..78 => world.consumer_remove(random.below(4)),
        78..88 => {
            world.model.now_ms += random.mostly(20, 300);
            world.tick();
        }
        88 => {
            let (id, prefetch) = (random.below(4), random.below(10) as u32);
            world.queue.set_prefetch(id, prefetch);
            world.model.consumers.entry(id).and_modify(|consumer| {
                consumer.config.prefetch = prefetch;
                consumer.overdue = 0;
            });
        }
        89..92 => {
            let numbers = some_numbers(random, world);
            if let Some(id) = world.model.consumers.keys().next().copied() {
                world.take_deferred(id, &numbers);
            }
        }
        92 => {
            let numbers = some_numbers(random, world);
            world.cancel(&numbers);
        }
        93 => world.remove(world.next.saturating_sub(random.below(40))),
        94 if random.below(4) == 0 => world.purge(),
        95 | 96 => world.snapshot(),
        97 if random.below(2) == 0 => world.kill(),
        _ => world.look(random),
    }
    world.check();
}

/// Says where a failure happened.
struct At {
    round: u64,
    step: u64,
    config: QueueConfig,
}

impl Drop for At {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("in round {}, at step {}, with {:?}", self.round, self.step, self.config);
        }
    }
}

#[test]
fn any_history_is_that_of_the_model() {
    let mut random = Random::seeded(2026);
    for round in 0..if is_long() { 5_000 } else { 100 } {
        let mut world = World::new(config(&mut random));
        let mut at = At { round, step: 0, config: world.model.config.clone() };
        for number in 0..STEPS {
            at.step = number;
            step(&mut random, &mut world);
        }
    }
}
