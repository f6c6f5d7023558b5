//! Groups of one queue that share it fairly.

use std::collections::BTreeMap;

use super::kit::Random;
use crate::queue::{Arrival, ConsumerConfig, Dispatch, Outcome, Overflow, Queue, QueueConfig};

const CONSUMER: u64 = 1;

fn fair(weights: &[(u64, u32)]) -> Queue {
    let weights = weights.iter().copied().collect();
    Queue::new(QueueConfig { fair_share: true, weights, overflow: Overflow::Reject, ..QueueConfig::default() })
}

fn fill(queue: &mut Queue, first: u64, count: u64, group: u64) {
    for number in first..first + count {
        queue.enqueue(&Arrival { group, ..Arrival::plain(number, 100) }, 1, &mut Vec::new());
    }
}

fn consume(queue: &mut Queue, prefetch: u32) {
    let config = ConsumerConfig { prefetch, priority: 0, lease_ms: None };
    queue.consumer_add(CONSUMER, config, &mut Vec::new());
}

fn dispatch(queue: &mut Queue, max: usize) -> Vec<u64> {
    let mut out: Vec<Dispatch> = Vec::new();
    queue.dispatch(1, max, &mut out, &mut Vec::new());
    out.iter().flat_map(|given| given.first..given.first + u64::from(given.count)).collect()
}

#[test]
fn a_backlog_of_a_million_holds_up_the_first_message_of_another_by_one_round() {
    let mut queue = fair(&[(1, 5)]);
    fill(&mut queue, 0, 1_000_000, 1);
    consume(&mut queue, 65_535);
    assert_eq!(dispatch(&mut queue, 3), [0, 1, 2]);
    fill(&mut queue, 1_000_000, 1, 2);
    fill(&mut queue, 1_000_001, 1, 3);
    assert_eq!(dispatch(&mut queue, 5), [3, 4, 1_000_000, 1_000_001, 5], "what is left of the turn, then theirs");
    let bytes = queue.memory_bytes();
    assert!(bytes < 1 << 20, "a backlog of consecutive messages is a run: {bytes} bytes");
}

#[test]
fn shares_follow_the_weights_whatever_cuts_the_turns_short() {
    let weights = [(1, 4), (2, 2), (3, 1)];
    let mut queue = fair(&weights);
    let mut random = Random::seeded(2026);
    for number in 0..30_000 {
        fill(&mut queue, number, 1, 1 + number % 3);
    }
    consume(&mut queue, 13);
    let (mut counts, mut tag) = (BTreeMap::<u64, u64>::new(), 1);
    while tag <= 7_000 {
        let given = dispatch(&mut queue, 1 + random.below(9) as usize);
        for number in &given {
            *counts.entry(1 + number % 3).or_default() += 1;
        }
        let count = given.len() as u64;
        queue.settle(CONSUMER, tag, count, Outcome::Ack, 1, &mut Vec::new()).unwrap();
        tag += count;
    }
    let rounds = tag / 7;
    for (group, weight) in weights {
        let (expected, weight) = (rounds * u64::from(weight), u64::from(weight));
        let got = counts[&group];
        assert!(got.abs_diff(expected) <= weight, "group {group}: {got} instead of {expected}");
    }
}

#[test]
fn what_comes_back_comes_to_its_place_in_its_group() {
    let mut queue = fair(&[]);
    fill(&mut queue, 0, 3, 1);
    fill(&mut queue, 3, 3, 2);
    consume(&mut queue, 100);
    assert_eq!(dispatch(&mut queue, 4), [0, 3, 1, 4]);
    queue.settle(CONSUMER, 1, 2, Outcome::Requeue, 1, &mut Vec::new()).unwrap();
    assert_eq!(dispatch(&mut queue, 100), [0, 3, 2, 5]);
}

#[test]
fn groups_share_turns_beyond_groups_max_and_weights_change_in_use() {
    let config = QueueConfig { fair_share: true, groups_max: 2, ..QueueConfig::default() };
    let mut queue = Queue::new(config.clone());
    fill(&mut queue, 0, 2, 1);
    fill(&mut queue, 2, 2, 3);
    fill(&mut queue, 4, 6, 2);
    consume(&mut queue, 100);
    assert_eq!(dispatch(&mut queue, 4), [0, 4, 1, 5], "1 and 3 are one group");
    queue.reconfigure(QueueConfig { weights: [(2, 2)].into_iter().collect(), ..config }, 1, &mut Vec::new());
    assert_eq!(dispatch(&mut queue, 100), [2, 6, 7, 3, 8, 9]);
}

#[test]
fn a_queue_that_is_ordered_cannot_share() {
    let map = [0x82, 0xa7, b'o', b'r', b'd', b'e', b'r', b'e', b'd', 0xc3, 0xa9];
    let bytes = [&map[..], b"fairShare", &[0xc3]].concat();
    assert!(QueueConfig::read(&bytes).unwrap_err().message.contains("fairShare"));
}

#[test]
fn a_group_that_waits_costs_a_few_hundred_bytes_and_nothing_once_it_is_empty() {
    const GROUPS: u64 = 10_000;
    let mut queue = fair(&[]);
    let before = queue.memory_bytes();
    for group in 1..=GROUPS {
        fill(&mut queue, group, 1, group);
    }
    let bytes = (queue.memory_bytes() - before) as u64 / GROUPS;
    println!("{bytes} bytes a group with one message");
    assert!(bytes < 500, "{bytes} bytes a group");
    consume(&mut queue, 65_535);
    assert_eq!(dispatch(&mut queue, 65_535).len() as u64, GROUPS);
    queue.settle(CONSUMER, 1, GROUPS, Outcome::Ack, 1, &mut Vec::new()).unwrap();
    assert!(queue.memory_bytes() < before + (4 << 20), "{} bytes", queue.memory_bytes());
}
