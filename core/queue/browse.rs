//! Looking without taking. Listings cost what they look through, which is more than what they return: of each
//! place up to `max`, but all that is in flight and all groups.

use super::Queue;
use super::types::{Browsed, Number, Scheduled, State};

impl Queue {
    /// Up to `max` messages from a number on, in order of numbers, wherever they are.
    pub fn browse(&self, from: Option<Number>, max: usize, out: &mut Vec<Browsed>) {
        let from = from.unwrap_or(0);
        let mut found: Vec<Browsed> = Vec::new();
        for side in self.lanes.sides(from) {
            let numbers = side.flat_map(|run| run.first.max(from)..run.end());
            found.extend(numbers.take(max).map(|number| self.browsed(number, State::Ready)));
        }
        for side in self.fair.sides(from) {
            let numbers = side.flat_map(|run| run.first.max(from)..run.end());
            found.extend(numbers.take(max).map(|number| self.browsed(number, State::Ready)));
        }
        let behind = self.ordered.from(from).map(|(_, behind)| behind.number);
        found.extend(behind.map(|number| self.browsed(number, State::Ready)));
        let deferred = self.deferred.range(from..).take(max);
        found.extend(deferred.map(|(number, _)| self.browsed(*number, State::Deferred)));
        for item in self.delayed.lowest(from, max) {
            found.push(Browsed { due_ms: Some(item.due_ms), ..self.browsed(item.number, State::Delayed) });
        }
        let flying = self.flying().flat_map(|piece| piece.run.first..piece.run.end()).filter(|number| *number >= from);
        found.extend(flying.map(|number| self.browsed(number, State::InFlight)));
        found.sort_unstable_by_key(|message| message.number);
        found.truncate(max);
        out.append(&mut found);
    }

    fn browsed(&self, number: Number, state: State) -> Browsed {
        Browsed { number, state, deliveries: self.extras.get(number).deliveries, due_ms: None }
    }

    /// Up to `max` delayed messages that come after `after`, in order of their time.
    pub fn scheduled(&self, after: Option<Scheduled>, max: usize, out: &mut Vec<Scheduled>) {
        self.delayed.scheduled(after, max, out);
    }

    /// No number that the queue holds is below: it does not need the journal before it. Right after messages in
    /// the middle of the delayed ones left it may be too low.
    pub fn oldest(&self) -> Option<Number> {
        let ready = self.lanes.sides(0).filter_map(|mut side| side.next().map(|run| run.first));
        let flying = self.flying().map(|piece| piece.run.first);
        let deferred = self.deferred.first_key_value().map(|(number, _)| *number);
        let in_groups = self.fair.fronts().map(|(_, front)| front.first);
        ready
            .chain(flying)
            .chain(deferred)
            .chain(self.delayed.oldest())
            .chain(self.ordered.oldest())
            .chain(in_groups)
            .min()
    }

    /// Calls `each` with every run of numbers that the queue holds, in no order.
    pub fn visit(&self, each: &mut dyn FnMut(Number, u32)) {
        self.lanes.from(0).for_each(|(_, run)| each(run.first, run.count));
        self.ordered.from(0).for_each(|(_, behind)| each(behind.number, 1));
        self.fair.from(0).flat_map(|(_, runs)| runs).for_each(|run| each(run.first, run.count));
        self.deferred.keys().for_each(|number| each(*number, 1));
        self.delayed.each().for_each(|item| each(item.number, 1));
        self.flying().for_each(|piece| each(piece.run.first, piece.run.count));
    }

    /// Heap memory of the queue, about.
    pub fn memory_bytes(&self) -> usize {
        let flights: usize = self.consumers.iter().map(|consumer| consumer.flight.memory_bytes()).sum();
        let places = self.lanes.memory_bytes() + self.delayed.memory_bytes() + self.ordered.memory_bytes();
        let places = places + self.locks.memory_bytes() + self.fair.memory_bytes();
        places
            + flights
            + self.claims.memory_bytes()
            + self.deferred.len() * 40
            + self.extras.memory_bytes()
            + self.dedup.memory_bytes()
    }
}
