//! A queue beside its model, with the two logs that a space keeps, so that it can be killed and recovered.

use std::collections::BTreeSet;

use super::kit::Random;
use super::model::{BYTES, Model, Place};
use crate::queue::{
    Arrival, Browsed, ConsumerConfig, Effect, Number, Outcome, Queue, QueueConfig, State, merge_settled,
};
use crate::stdx::msgpack::Reader;

enum Journal {
    Run { first: Number, count: u32, at_ms: u64 },
    One(Arrival, u64),
}

enum Logged {
    /// A dead letter of another queue came in.
    Arrival(Arrival, u64),
    Effect(Vec<u8>),
}

struct Snapshot {
    bytes: Vec<u8>,
    journal: usize,
    log: usize,
}

pub struct World {
    pub queue: Queue,
    pub model: Model,
    pub next: Number,
    pub effects: Vec<Effect>,
    journal: Vec<Journal>,
    log: Vec<Logged>,
    snapshot: Option<Snapshot>,
}

impl World {
    pub fn new(config: QueueConfig) -> Self {
        let model = Model::new(config.clone(), 1_000_000);
        let (queue, effects) = (Queue::new(config), Vec::new());
        Self { queue, model, next: 0, effects, journal: Vec::new(), log: Vec::new(), snapshot: None }
    }

    pub fn now_ms(&self) -> u64 {
        self.model.now_ms
    }

    /// What the call had to say is what the model expected; it is logged as a turn would.
    pub fn check(&mut self) {
        let mut effects = std::mem::take(&mut self.effects);
        assert_eq!(sorted(&effects), sorted(&std::mem::take(&mut self.model.expected)), "effects");
        merge_settled(&mut effects);
        for effect in effects.iter().filter(|effect| effect.is_logged()) {
            let mut bytes = Vec::new();
            effect.write(&mut bytes);
            assert_eq!(Effect::read(&mut Reader::new(&bytes)).unwrap(), *effect);
            self.log.push(Logged::Effect(bytes));
        }
        self.model.check(&self.queue.counts());
    }

    pub fn enqueue_run(&mut self, count: u32) {
        let (first, at_ms) = (self.next, self.now_ms());
        self.next += u64::from(count);
        self.journal.push(Journal::Run { first, count, at_ms });
        self.queue.enqueue_run(first, count, u64::from(count) * BYTES, at_ms, &mut self.effects);
        // The queue limits its length after the run, not after each of its messages.
        let (length_max, bytes_max) = (self.model.config.length_max.take(), self.model.config.bytes_max.take());
        (first..self.next).for_each(|number| self.model.enqueue(&Arrival::plain(number, BYTES as u32)));
        (self.model.config.length_max, self.model.config.bytes_max) = (length_max, bytes_max);
        self.model.limit(0);
    }

    pub fn enqueue(&mut self, arrival: Arrival) {
        let at_ms = self.now_ms();
        if arrival.number < self.next {
            self.log.push(Logged::Arrival(arrival, at_ms));
        } else {
            self.journal.push(Journal::One(arrival, at_ms));
            self.next = arrival.number + 1;
        }
        self.queue.enqueue(&arrival, at_ms, &mut self.effects);
        self.model.enqueue(&arrival);
    }

    pub fn consumer_add(&mut self, id: u64, config: ConsumerConfig) {
        self.queue.consumer_add(id, config, &mut self.effects);
        let (active, next_tag) = (!self.model.config.single_active, 1);
        let known = self.model.consumers.remove(&id).map_or((next_tag, active), |known| (known.next_tag, known.active));
        let (next_tag, active) = known;
        let known = super::model::Consumer { config, next_tag, active, overdue: 0 };
        self.model.consumers.insert(id, known);
        self.take_active();
    }

    pub fn consumer_remove(&mut self, id: u64) {
        self.queue.consumer_remove(id, self.now_ms(), &mut self.effects);
        if self.model.consumers.remove(&id).is_none() {
            return;
        }
        for number in self.in_flight(id) {
            self.model.unlock(self.model.messages[&number].group);
            self.model.give_back(number);
        }
        self.model.unlock_of(id);
        self.take_active();
    }

    /// Numbers that a consumer has, in order of their tags.
    fn in_flight(&self, id: u64) -> Vec<Number> {
        let tagged = self.model.messages.iter().filter_map(|(number, message)| match message.place {
            Place::Flight { consumer, tag, .. } if consumer == id => Some((tag, *number)),
            _ => None,
        });
        let mut tagged: Vec<(u64, Number)> = tagged.collect();
        tagged.sort_unstable();
        tagged.into_iter().map(|(_, number)| number).collect()
    }

    /// Believes who the queue says is active, if it is one and the only one.
    fn take_active(&mut self) {
        for effect in &self.effects {
            let Effect::Active { consumer, active } = *effect else { continue };
            self.model.consumers.get_mut(&consumer).unwrap().active = active;
            self.model.expected.push(*effect);
        }
        let active = self.model.consumers.values().filter(|consumer| consumer.active).count();
        let single = self.model.config.single_active;
        let wanted = if single { self.model.consumers.len().min(1) } else { self.model.consumers.len() };
        assert_eq!(active, wanted, "active consumers");
    }

    pub fn dispatch(&mut self, max: usize) {
        let mut out = Vec::new();
        self.queue.dispatch(self.now_ms(), max, &mut out, &mut self.effects);
        let mut given = Vec::new();
        for run in out {
            assert!(run.count == 1 || run.deliveries == 0, "runs only of new messages");
            let each =
                (0..u64::from(run.count)).map(|i| (run.consumer, run.first_tag + i, run.first + i, run.deliveries));
            given.extend(each);
        }
        self.model.dispatched(&given, max as u64);
    }

    pub fn settle(&mut self, id: u64, first_tag: u64, count: u64, outcome: Outcome<'_>) {
        let result = self.queue.settle(id, first_tag, count, outcome, self.now_ms(), &mut self.effects);
        if let Some(consumer) = self.model.consumers.get_mut(&id) {
            consumer.overdue = 0;
        }
        let expected = (first_tag..first_tag + count).try_for_each(|tag| self.model.settle(id, tag, outcome));
        assert_eq!(result, expected, "the result of settling");
    }

    pub fn tick(&mut self) {
        let deadline_ms = self.queue.next_deadline_ms();
        if let Some(at_ms) = self.model.next_deadline_ms() {
            assert!(deadline_ms.is_some_and(|deadline_ms| deadline_ms <= at_ms), "{deadline_ms:?} is after {at_ms}");
        }
        self.queue.tick(self.now_ms(), &mut self.effects);
        let returned =
            |effect: &Effect| if let Effect::Returned { number, .. } = *effect { Some(number) } else { None };
        self.model.returned = self.effects.iter().filter_map(returned).collect();
        self.model.tick();
        let next_ms = self.queue.next_deadline_ms();
        assert!(next_ms.is_none_or(|next_ms| next_ms > self.now_ms()), "the tick is done: {next_ms:?}");
    }

    pub fn take_deferred(&mut self, id: u64, numbers: &[Number]) {
        let mut out = Vec::new();
        let taken = self.queue.take_deferred(numbers, id, self.now_ms(), &mut out, &mut self.effects);
        let is = |number: &&Number| self.model.messages.get(*number).is_some_and(|m| m.place == Place::Deferred);
        let mut wanted: Vec<Number> = Vec::new();
        for number in numbers.iter().filter(is) {
            if !wanted.contains(number) {
                wanted.push(*number);
            }
        }
        assert_eq!(taken, Ok(wanted.len() as u64), "deferred messages taken");
        let given = out.iter().flat_map(|run| (0..u64::from(run.count)).map(|i| (run.first + i, run.first_tag + i)));
        let given: Vec<(Number, u64)> = given.collect();
        assert_eq!(given.iter().map(|(number, _)| *number).collect::<Vec<_>>(), wanted);
        for (number, tag) in given {
            self.model.fly(number, id, tag, true);
        }
    }

    pub fn cancel(&mut self, numbers: &[Number]) {
        let cancelled = self.queue.cancel(numbers, &mut self.effects);
        let is = |place: &Place| matches!(place, Place::Delayed { .. });
        assert_eq!(cancelled, numbers.iter().filter(|number| self.model.take(**number, is)).count() as u64);
    }

    pub fn remove(&mut self, number: Number) {
        let removed = self.queue.remove(number, &mut self.effects);
        assert_eq!(removed, self.model.take(number, |place| !matches!(place, Place::Flight { .. })), "removed");
    }

    pub fn purge(&mut self) {
        let ready = self.model.ready();
        assert_eq!(self.queue.purge(self.now_ms(), &mut self.effects), ready);
        for place in [Place::Behind, Place::Ready] {
            let is = |number: &Number, model: &Model| model.messages[number].place == place;
            let numbers: Vec<Number> = self.model.messages.keys().copied().collect();
            for number in numbers {
                if is(&number, &self.model) {
                    self.model.take(number, |_| true);
                }
            }
        }
    }

    fn browsed(&self) -> Vec<Browsed> {
        let mut all = Vec::new();
        self.queue.browse(None, usize::MAX, &mut all);
        all
    }

    /// Listings show each message once, in its place.
    pub fn look(&self, random: &mut Random) {
        let all = self.browsed();
        let numbers: Vec<Number> = all.iter().map(|message| message.number).collect();
        assert_eq!(numbers, self.model.messages.keys().copied().collect::<Vec<_>>(), "browsed");
        for message in &all {
            let known = &self.model.messages[&message.number];
            assert_eq!((message.state, message.deliveries), (state(&known.place), known.deliveries));
        }
        let (from, max) = (random.below(self.next + 1), random.below(20) as usize);
        let mut some = Vec::new();
        self.queue.browse(Some(from), max, &mut some);
        assert_eq!(some, all.iter().filter(|m| m.number >= from).take(max).copied().collect::<Vec<_>>());
        let mut visited = BTreeSet::new();
        self.queue.visit(&mut |first, count| visited.extend(first..first + u64::from(count)));
        assert_eq!(visited, self.model.messages.keys().copied().collect());
        assert!(self.queue.oldest() <= numbers.first().copied() && self.queue.oldest().is_some() != numbers.is_empty());
        self.look_at_schedule(&all, max);
    }

    fn look_at_schedule(&self, all: &[Browsed], max: usize) {
        let mut expected: Vec<(u64, Number)> = all.iter().filter_map(|m| Some((m.due_ms?, m.number))).collect();
        expected.sort_unstable();
        let (mut listed, mut after) = (Vec::new(), None);
        loop {
            let mut page = Vec::new();
            self.queue.scheduled(after, max + 1, &mut page);
            let Some(last) = page.last() else { break };
            after = Some(*last);
            listed.extend(page.iter().map(|item| (item.due_ms, item.number)));
        }
        assert_eq!(listed, expected, "scheduled");
    }

    pub fn snapshot(&mut self) {
        let mut bytes = Vec::new();
        self.queue.write_snapshot(&mut bytes);
        self.snapshot = Some(Snapshot { bytes, journal: self.journal.len(), log: self.log.len() });
    }

    /// kill -9: all that is left are the logs and the last snapshot.
    pub fn kill(&mut self) {
        let config = self.model.config.clone();
        let (mut queue, journal, log) = match &self.snapshot {
            Some(Snapshot { bytes, journal, log }) => (Queue::read_snapshot(config, bytes).unwrap(), *journal, *log),
            None => (Queue::new(config), 0, 0),
        };
        for item in &self.journal[journal..] {
            match item {
                Journal::Run { first, count, at_ms } => {
                    queue.restore_run(*first, *count, u64::from(*count) * BYTES, *at_ms);
                }
                Journal::One(arrival, at_ms) => queue.restore(arrival, *at_ms),
            }
        }
        for entry in &self.log[log..] {
            match entry {
                Logged::Arrival(arrival, at_ms) => queue.restore(arrival, *at_ms),
                Logged::Effect(bytes) => queue.replay(&Effect::read(&mut Reader::new(bytes)).unwrap()),
            }
        }
        queue.recovered(self.now_ms());
        self.queue = queue;
        self.model.consumers.clear();
        self.recognise();
    }

    /// The recovered queue has the same messages. What was in flight is ready; a delay that had ended may end
    /// again; a delivery under way at the snapshot may count.
    fn recognise(&mut self) {
        let all = self.browsed();
        let numbers: Vec<Number> = all.iter().map(|message| message.number).collect();
        assert_eq!(numbers, self.model.messages.keys().copied().collect::<Vec<_>>(), "recovered");
        self.model.outs.clear();
        self.model.locks.clear();
        self.model.turns.clear();
        for found in all {
            let now_ms = self.now_ms();
            let known = self.model.messages.get_mut(&found.number).unwrap();
            let due_again = found.due_ms.is_some_and(|due_ms| due_ms <= now_ms);
            let expected = match known.place {
                Place::Deferred | Place::Flight { from_deferred: true, .. } => State::Deferred,
                Place::Delayed { .. } => State::Delayed,
                _ if due_again => State::Delayed,
                _ => State::Ready,
            };
            assert_eq!(found.state, expected, "{found:?} was {known:?}");
            assert!((known.deliveries..=known.deliveries + 1).contains(&found.deliveries), "{found:?} was {known:?}");
            known.deliveries = found.deliveries;
            known.place = match found.due_ms {
                Some(due_ms) => Place::Delayed { due_ms },
                None if expected == State::Deferred => Place::Deferred,
                None => Place::Behind,
            };
            if known.retried && known.group > 0 && found.due_ms.is_some() {
                self.model.outs.insert(known.group, found.number);
            }
        }
        self.model.regroup();
        let counts = self.queue.counts();
        self.model.enqueued = counts.enqueued;
        self.model.check(&counts);
    }
}

fn state(place: &Place) -> State {
    match place {
        Place::Ready | Place::Behind => State::Ready,
        Place::Flight { .. } => State::InFlight,
        Place::Delayed { .. } => State::Delayed,
        Place::Deferred => State::Deferred,
    }
}

/// The effects, one a message, in an order of their own.
fn sorted(effects: &[Effect]) -> Vec<String> {
    let mut single: Vec<String> = Vec::new();
    for effect in effects {
        match *effect {
            Effect::Settled { first, count } => {
                single.extend((first..first + u64::from(count)).map(|number| format!("Settled {number}")));
            }
            other => single.push(format!("{other:?}")),
        }
    }
    single.sort_unstable();
    single
}
