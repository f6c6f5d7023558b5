//! A queue's whole cycle: enqueue, dispatch, settle.

use millrace_core::queue::{ConsumerConfig, Dispatch, Effect, Outcome, Queue, QueueConfig};

use super::Prepared;

/// Messages of one cycle.
const MESSAGES: u32 = 1000;
const BODY_BYTES: u64 = 100;
const PREFETCH: u32 = 1000;

/// One consumer: numbers stay in runs.
pub fn one_consumer() -> Prepared {
    cycle(1, MESSAGES)
}

/// Four that take turns of one message each, since little is waiting; each settles what it got in one range.
pub fn four_consumers() -> Prepared {
    cycle(4, 100)
}

/// Four, and so much waiting that they get runs.
pub fn four_consumers_in_runs() -> Prepared {
    cycle(4, MESSAGES)
}

/// Each cycle enqueues `batch` messages at a time.
fn cycle(consumers: u64, batch: u32) -> Prepared {
    let mut queue = Queue::new(QueueConfig::default());
    let (mut out, mut effects) = (Vec::<Dispatch>::new(), Vec::<Effect>::new());
    let config = ConsumerConfig { prefetch: PREFETCH, priority: 0, lease_ms: None };
    for id in 0..consumers {
        queue.consumer_add(id, config, &mut effects);
    }
    let (mut next, mut tags) = (0, vec![1; consumers as usize]);
    Prepared::new(MESSAGES as usize, 0, move || {
        let mut given = vec![0; consumers as usize];
        effects.clear();
        for _ in 0..MESSAGES / batch {
            queue.enqueue_run(next, batch, u64::from(batch) * BODY_BYTES, 1, &mut effects);
            next += u64::from(batch);
            out.clear();
            queue.dispatch(1, 100_000, &mut out, &mut effects);
            for run in &out {
                given[run.consumer as usize] += u64::from(run.count);
            }
        }
        for (id, count) in given.into_iter().enumerate() {
            let settled = queue.settle(id as u64, tags[id], count, Outcome::Ack, 1, &mut effects);
            assert!(settled.is_ok());
            tags[id] += count;
        }
    })
}
