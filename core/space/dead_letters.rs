//! Dead letters: a message that a queue gives up goes on to where its queue says. It
//! keeps its number and is not stored again; what happened to it travels with it.

use super::ledger::Death;
use super::properties::{Properties, message_of};
use super::state::State;
use crate::queue::{Arrival, Reason};
use crate::route::{Message, Target};

/// A message that died so often goes nowhere any more.
const DEATHS_MAX: usize = 32;

/// A dead letter on its way.
struct Letter {
    exchange: u32,
    key: Vec<u8>,
    targets: Vec<Target>,
    arrival: Arrival,
    timestamp_ms: u64,
    /// The record with its absolute timestamp, where a topic gets it.
    record: Vec<u8>,
}

impl State {
    /// Routes a message that `queue` has given up. Without a dead-letter exchange, or
    /// where a loop is found, it is gone.
    pub(super) fn dead_letter(&mut self, queue: u32, number: u64, reason: Reason, now_ms: u64) {
        let mut deaths = match self.slot(queue) {
            Some(slot) => slot.deaths.remove(&number).unwrap_or_default(),
            None => Vec::new(),
        };
        self.settled(queue, number, 1);
        let Some(letter) = self.dead_letter_of(queue, number, now_ms) else { return };
        let Some(slot) = self.slot(queue) else { return };
        note_death(&mut deaths, &slot.name, reason, now_ms, &letter);
        for target in &letter.targets {
            match *target {
                Target::Queue(id) if self.is_loop(id, &deaths) => self.counters.dead_letter_loops += 1,
                Target::Queue(id) => self.move_in(id, &letter.arrival, deaths.clone(), now_ms),
                Target::Topic(log) => self.bury(log, &letter),
            }
        }
    }

    /// A topic gets a copy. One whose disk refuses it goes without: nobody waits who could
    /// send it again.
    fn bury(&mut self, log: u64, letter: &Letter) {
        if let Ok(partition) = self.copy_one(log, letter.timestamp_ms, &letter.record) {
            self.touched.push(partition);
        }
    }

    /// Puts a message that another queue has let go of into this one, and notes it.
    pub(super) fn move_in(&mut self, queue: u32, arrival: &Arrival, deaths: Vec<Death>, now_ms: u64) {
        self.log_pending(queue);
        self.ledger.moved(queue, arrival, &deaths);
        if let Some(slot) = self.slot(queue)
            && !deaths.is_empty()
        {
            slot.deaths.insert(arrival.number, deaths);
        }
        self.enqueue(queue, arrival, now_ms);
    }

    fn dead_letter_of(&mut self, queue: u32, number: u64, now_ms: u64) -> Option<Letter> {
        let slot = self.queues.get_mut(queue as usize).and_then(Option::as_deref_mut)?;
        let exchange = slot.meta.dead_letter_exchange?;
        let stored = self.journal.read(&mut slot.backlog, number).ok()?;
        let record = stored.record;
        let key = slot.meta.dead_letter_key.clone().unwrap_or_else(|| record.key.unwrap_or(&[]).to_vec());
        let set = self.router.route(exchange, &Message { routing_key: &key, ..message_of(&record) });
        let targets = self.router.targets(set).to_vec();
        let (bytes, own_key) = (record.raw.len() as u32, record.key.unwrap_or(&[]));
        let arrival = Properties::of_moved(record.headers).arrival(number, bytes, own_key, now_ms);
        let mut copy = Vec::new();
        if targets.iter().any(|target| matches!(target, Target::Topic(_))) {
            stored.write_into(&mut copy);
        }
        Some(Letter { exchange, key, targets, arrival, timestamp_ms: stored.timestamp_ms, record: copy })
    }

    /// A message comes back to a queue that it left, and no consumer had a part in it
    /// since: it would go round for ever.
    fn is_loop(&mut self, queue: u32, deaths: &[Death]) -> bool {
        let Some(slot) = self.slot(queue) else { return true };
        if deaths.len() >= DEATHS_MAX {
            return true;
        }
        let by_itself =
            |death: &Death| [Reason::Expired, Reason::Length].iter().any(|reason| death.reason == reason.name());
        let died_here = deaths.iter().rposition(|death| death.queue == slot.name);
        died_here.is_some_and(|at| deaths[at..].iter().all(by_itself))
    }
}

/// Notes a death; a repeated one counts up.
fn note_death(deaths: &mut Vec<Death>, queue: &str, reason: Reason, at_ms: u64, letter: &Letter) {
    let same = |death: &&Death| death.queue == queue && death.reason == reason.name();
    let count = deaths.iter().find(same).map_or(0, |death| death.count);
    deaths.retain(|death| death.queue != queue || death.reason != reason.name());
    deaths.push(Death {
        queue: queue.to_owned(),
        reason: reason.name().to_owned(),
        count: count + 1,
        at_ms,
        exchange: letter.exchange,
        routing_key: letter.key.clone(),
    });
}
