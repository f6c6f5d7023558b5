//! What a space's lock guards, and its turn.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use super::flight::Flight;
use super::journal::Journal;
use super::ledger::Ledger;
use super::routing::RouteRun;
use super::slot::Slot;
use super::{Address, ConsumerOptions, NEVER_MS, SpaceCounters, SpaceOptions, SpaceTurn};
use crate::error::{CoreError, ErrorCode, Result};
use crate::log::{AppendOutcome, LogStore, Partition};
use crate::queue::{ConsumerConfig, Dispatch, Effect, merge_settled};
use crate::route::{RouteLimits, Router, SetId};
use crate::schema::{Enforced, Memo};
use crate::wire::out;

/// A queue hands out at most so many messages a turn, so that no queue keeps the loop.
const DISPATCH_MAX: usize = 16 << 10;
/// Numbers that are counted together to know what the journal still needs.
const LIVE_BUCKET: u64 = 1 << 16;

/// A queue's consumer as the space sees it.
pub(super) struct Consumer {
    pub queue: u32,
    pub address: Address,
    /// Handed out and not yet written to the connection.
    pub outbox: VecDeque<Dispatch>,
    /// Frames of events, whole.
    pub events: Vec<u8>,
    /// Its connection knows that there is something.
    pub woken: bool,
}

pub(super) struct State {
    pub journal: Journal,
    pub ledger: Ledger,
    pub store: Arc<LogStore>,
    pub enforced: Arc<Enforced>,
    pub memo: Memo,
    pub snapshot_path: Option<PathBuf>,
    pub checkpoint_bytes: u64,
    pub last_snapshot_bytes: u64,
    pub router: Router,
    /// By queue id.
    pub queues: Vec<Option<Box<Slot>>>,
    pub consumers: HashMap<u64, Consumer>,
    pub version: Option<u64>,
    pub recovered: bool,
    /// Destination sets that the journal has named since the last snapshot.
    pub named_sets: Vec<bool>,
    /// Answers that wait for the ack log.
    pub answers: Vec<(Address, Vec<u8>)>,
    pub effects: Vec<Effect>,
    pub outcomes: Vec<AppendOutcome>,
    /// Scratch of `intake`.
    pub runs: Vec<(RouteRun, u64)>,
    pub starts: Vec<u32>,
    /// Appended since the last snapshot.
    pub journal_bytes_since_snapshot: u64,
    /// A thread is writing one.
    pub is_writing_snapshot: Arc<AtomicBool>,
    pub counters: SpaceCounters,
    pub exchange_names: HashMap<u32, String>,
    last_consumer: u64,
    active: Vec<u32>,
    /// Queues with something for the ack log.
    logged: Vec<u32>,
    deadlines: BTreeSet<(u64, u32)>,
    dispatched: Vec<Dispatch>,
    woken: Vec<(Address, bool)>,
    /// The first number that was published since the last turn.
    fresh_from: u64,
    pub flight: Flight,
    /// From this offset of the journal on, its numbers of sets are still those of the router.
    pub sets_from: Option<u64>,
    /// Partitions of topics that have got something, for the next turn to tell.
    pub touched: Vec<Arc<Partition>>,
    pub live: Live,
}

impl State {
    pub fn new(options: SpaceOptions) -> Self {
        Self {
            journal: Journal::new(options.journal),
            ledger: Ledger::new(options.acks),
            store: options.store,
            enforced: options.enforced,
            memo: Memo::default(),
            snapshot_path: options.snapshot_path,
            checkpoint_bytes: options.checkpoint_bytes,
            last_snapshot_bytes: 0,
            router: Router::new(RouteLimits::default()),
            queues: Vec::new(),
            consumers: HashMap::new(),
            version: None,
            recovered: false,
            named_sets: Vec::new(),
            answers: Vec::new(),
            effects: Vec::new(),
            outcomes: Vec::new(),
            runs: Vec::new(),
            starts: Vec::new(),
            journal_bytes_since_snapshot: 0,
            is_writing_snapshot: Arc::default(),
            counters: SpaceCounters::default(),
            exchange_names: HashMap::new(),
            last_consumer: 0,
            active: Vec::new(),
            logged: Vec::new(),
            deadlines: BTreeSet::new(),
            dispatched: Vec::new(),
            woken: Vec::new(),
            fresh_from: u64::MAX,
            sets_from: None,
            flight: Flight::with_bytes(options.flight_recorder_bytes),
            touched: Vec::new(),
            live: Live::default(),
        }
    }

    /// A batch was appended.
    #[inline]
    pub fn note_fresh(&mut self, base: u64) {
        self.fresh_from = self.fresh_from.min(base);
    }

    pub fn is_new(&self, version: u64) -> bool {
        self.version.is_none_or(|applied| version > applied)
    }

    #[inline]
    pub fn slot(&mut self, queue: u32) -> Option<&mut Slot> {
        self.queues.get_mut(queue as usize)?.as_deref_mut()
    }

    /// The queue, for a caller that may be wrong about it.
    ///
    /// # Errors
    /// `queue_not_found`.
    pub fn require(&mut self, queue: u32) -> Result<&mut Slot> {
        self.slot(queue).ok_or_else(|| CoreError::new(ErrorCode::QUEUE_NOT_FOUND, format!("there is no queue {queue}")))
    }

    /// Puts a queue on the list that the next turn looks at.
    #[inline]
    pub fn activate(&mut self, queue: u32) {
        if let Some(slot) = self.queues.get_mut(queue as usize).and_then(Option::as_deref_mut)
            && !std::mem::replace(&mut slot.active, true)
        {
            self.active.push(queue);
        }
    }

    /// The lowest number that some queue may still need.
    pub fn lowest_live(&mut self) -> u64 {
        let end = self.journal.partition.next_offset();
        self.live.lowest().unwrap_or(end).min(end)
    }

    pub fn subscribe(&mut self, queue: u32, address: Address, options: ConsumerOptions, now_ms: u64) -> Result<u64> {
        let slot = self.require(queue)?;
        if slot.has_exclusive_consumer || (options.exclusive && slot.consumers > 0) {
            let message = format!("the queue {} has a consumer already, and one of them is exclusive", slot.name);
            return Err(CoreError::new(ErrorCode::QUEUE_EXCLUSIVE, message));
        }
        slot.has_exclusive_consumer = options.exclusive;
        self.last_consumer += 1;
        let id = self.last_consumer;
        let consumer = Consumer { queue, address, outbox: VecDeque::new(), events: Vec::new(), woken: false };
        self.consumers.insert(id, consumer);
        let ConsumerOptions { prefetch, priority, lease_ms, .. } = options;
        self.with_queue(queue, now_ms, |slot, effects| {
            slot.consumers += 1;
            slot.queue.consumer_add(id, ConsumerConfig { prefetch, priority, lease_ms }, effects);
        });
        Ok(id)
    }

    pub fn unsubscribe(&mut self, consumer: u64, now_ms: u64) {
        let Some(gone) = self.consumers.remove(&consumer) else { return };
        self.with_queue(gone.queue, now_ms, |slot, effects| {
            slot.consumers = slot.consumers.saturating_sub(1);
            // An exclusive one was the only one.
            slot.has_exclusive_consumer = false;
            slot.queue.consumer_remove(consumer, now_ms, effects);
        });
    }

    /// The consumer that a subscription of a connection is.
    ///
    /// # Errors
    /// `subscription_not_found` when it is no consumer of that queue.
    pub fn consumer_at(&self, queue: u32, worker: u32, connection: u32, subscription: u32) -> Result<u64> {
        let is_asked = |address: &Address| {
            (address.worker, address.connection, address.subscription) == (worker, connection, subscription)
        };
        let found = self.consumers.iter().find(|(_, consumer)| consumer.queue == queue && is_asked(&consumer.address));
        found.map(|(id, _)| *id).ok_or_else(|| {
            let message = format!("subscription {subscription} is no consumer of that queue");
            CoreError::new(ErrorCode::SUBSCRIPTION_NOT_FOUND, message)
        })
    }

    pub fn set_prefetch(&mut self, consumer: u64, prefetch: u32) {
        let Some(queue) = self.consumers.get(&consumer).map(|consumer| consumer.queue) else { return };
        if let Some(slot) = self.slot(queue) {
            slot.queue.set_prefetch(consumer, prefetch);
        }
        self.activate(queue);
    }

    /// Has a queue's machine do something, does what it asks for, and has the next turn look
    /// at the queue. `None`: there is no such queue.
    #[inline]
    pub fn with_queue<R>(
        &mut self,
        queue: u32,
        now_ms: u64,
        act: impl FnOnce(&mut Slot, &mut Vec<Effect>) -> R,
    ) -> Option<R> {
        let slot = self.queues.get_mut(queue as usize)?.as_deref_mut()?;
        let result = act(slot, &mut self.effects);
        self.carry_out(queue, now_ms);
        self.activate(queue);
        Some(result)
    }

    /// Does what a queue's machine has asked for in `self.effects`.
    #[inline]
    fn carry_out(&mut self, queue: u32, now_ms: u64) {
        if self.effects.is_empty() {
            return;
        }
        // Dead letters lead to effects of other queues, hence the swap.
        let mut effects = std::mem::take(&mut self.effects);
        for effect in effects.drain(..) {
            self.carry_out_one(queue, &effect, now_ms);
        }
        if self.effects.is_empty() {
            self.effects = effects;
        }
    }

    fn carry_out_one(&mut self, queue: u32, effect: &Effect, now_ms: u64) {
        self.flight.became(queue, effect, now_ms);
        if effect.is_logged() {
            self.note_logged(queue, *effect);
        }
        match effect {
            Effect::Settled { first, count } => self.settled(queue, *first, u64::from(*count)),
            Effect::DeadLetter { number, reason, .. } => self.dead_letter(queue, *number, *reason, now_ms),
            Effect::LeaseWarning { consumer, tag, number } => self.event(*consumer, "lease_warning", |out| {
                use crate::stdx::msgpack::{write_map, write_str, write_uint};
                write_map(out, 2);
                write_str(out, "tag");
                write_uint(out, *tag);
                write_str(out, "number");
                write_uint(out, *number);
            }),
            Effect::Active { consumer, active } => self.event(*consumer, "active", |out| {
                use crate::stdx::msgpack::{write_bool, write_map, write_str};
                write_map(out, 1);
                write_str(out, "active");
                write_bool(out, *active);
            }),
            _ => {}
        }
    }

    fn note_logged(&mut self, queue: u32, effect: Effect) {
        let Some(slot) = self.queues.get_mut(queue as usize).and_then(Option::as_deref_mut) else { return };
        if slot.logged.is_empty() {
            self.logged.push(queue);
        }
        slot.logged.push(effect);
    }

    /// Puts what was noted of a queue into the ack log's next record: consumers that take
    /// turns settle numbers that alternate, and together they are few runs.
    pub fn log_pending(&mut self, queue: u32) {
        let Some(slot) = self.queues.get_mut(queue as usize).and_then(Option::as_deref_mut) else { return };
        merge_settled(&mut slot.logged);
        for effect in slot.logged.drain(..) {
            self.ledger.effect(queue, &effect);
        }
    }

    /// Messages have left a queue.
    pub(super) fn settled(&mut self, queue: u32, first: u64, count: u64) {
        self.live.remove(first, count);
        if let Some(slot) = self.slot(queue)
            && !slot.deaths.is_empty()
        {
            for number in first..first + count {
                slot.deaths.remove(&number);
            }
        }
    }

    fn event(&mut self, consumer: u64, kind: &str, details: impl FnOnce(&mut Vec<u8>)) {
        let Some(found) = self.consumers.get_mut(&consumer) else { return };
        out::write_queue_event(&mut found.events, found.address.subscription, kind, details);
        if !std::mem::replace(&mut found.woken, true) {
            self.woken.push((found.address, false));
        }
    }

    /// Time, handing out, and the ack log.
    pub fn turn(&mut self, now_ms: u64, out: &mut SpaceTurn) -> Result<()> {
        self.pass_deadlines(now_ms);
        for queue in std::mem::take(&mut self.active) {
            out.more |= self.dispatch(queue, now_ms);
        }
        self.fresh_from = u64::MAX;
        out.woken.append(&mut self.woken);
        out.topics.append(&mut self.touched);
        if self.router.sweep_due() {
            // Nobody keeps a set beyond a publish; the journal names those used again anew.
            self.router.forget(|_| false);
            self.sets_from = Some(self.journal.partition.next_offset());
            self.named_sets.clear();
        }
        self.flush(now_ms)?;
        out.frames.append(&mut self.answers);
        self.snapshot_if_due();
        Ok(())
    }

    /// Writes the ack log.
    ///
    /// # Errors
    /// `disk_full`, `storage_failed`.
    pub fn flush(&mut self, now_ms: u64) -> Result<()> {
        for queue in std::mem::take(&mut self.logged) {
            self.log_pending(queue);
        }
        self.ledger.flush(now_ms)
    }

    pub fn next_deadline_ms(&self) -> u64 {
        self.deadlines.first().map_or(NEVER_MS, |(deadline_ms, _)| *deadline_ms)
    }

    fn pass_deadlines(&mut self, now_ms: u64) {
        while let Some(&(deadline_ms, queue)) = self.deadlines.first()
            && deadline_ms <= now_ms
        {
            self.deadlines.pop_first();
            self.with_queue(queue, now_ms, |slot, effects| {
                slot.deadline_ms = None;
                slot.queue.tick(now_ms, effects);
            });
        }
    }

    /// Hands out what a queue has. Returns whether it has more.
    fn dispatch(&mut self, queue: u32, now_ms: u64) -> bool {
        let mut dispatched = std::mem::take(&mut self.dispatched);
        let Some(slot) = self.queues.get_mut(queue as usize).and_then(Option::as_deref_mut) else { return false };
        slot.active = false;
        slot.queue.dispatch(now_ms, DISPATCH_MAX, &mut dispatched, &mut self.effects);
        let mut messages = 0;
        for dispatch in &dispatched {
            messages += dispatch.count as usize;
        }
        self.dispatched = self.hand_out(dispatched, now_ms);
        self.carry_out(queue, now_ms);
        self.note_deadline(queue);
        if messages < DISPATCH_MAX {
            return false;
        }
        self.activate(queue);
        true
    }

    /// Puts what was dispatched into its consumers' outboxes. Returns the empty list.
    pub fn hand_out(&mut self, mut dispatched: Vec<Dispatch>, now_ms: u64) -> Vec<Dispatch> {
        for dispatch in dispatched.drain(..) {
            let Some(consumer) = self.consumers.get_mut(&dispatch.consumer) else { continue };
            self.flight.handed(consumer, &dispatch, now_ms);
            consumer.outbox.push_back(dispatch);
            if !std::mem::replace(&mut consumer.woken, true) {
                self.woken.push((consumer.address, dispatch.first >= self.fresh_from));
            }
        }
        dispatched
    }

    fn note_deadline(&mut self, queue: u32) {
        let Some(slot) = self.queues.get_mut(queue as usize).and_then(Option::as_deref_mut) else { return };
        let deadline_ms = slot.queue.next_deadline_ms();
        if deadline_ms == slot.deadline_ms {
            return;
        }
        if let Some(before) = std::mem::replace(&mut slot.deadline_ms, deadline_ms) {
            self.deadlines.remove(&(before, queue));
        }
        if let Some(deadline_ms) = deadline_ms {
            self.deadlines.insert((deadline_ms, queue));
        }
    }

    /// Forgets a queue, its consumers and its messages.
    pub fn remove_queue(&mut self, queue: u32) {
        let Some(slot) = self.queues.get_mut(queue as usize).and_then(Option::take) else { return };
        if let Some(deadline_ms) = slot.deadline_ms {
            self.deadlines.remove(&(deadline_ms, queue));
        }
        self.router.name_remove(slot.name.as_bytes());
        self.router.target_remove(crate::route::Target::Queue(queue));
        let live = &mut self.live;
        slot.queue.visit(&mut |first, count| live.remove(first, u64::from(count)));
        self.consumers.retain(|_, consumer| consumer.queue != queue);
    }

    /// Whether the journal has to name a set before it is used.
    pub fn name_set(&mut self, set: SetId) -> bool {
        let at = set as usize;
        if self.named_sets.len() <= at {
            self.named_sets.resize(at + 1, false);
        }
        !std::mem::replace(&mut self.named_sets[at], true)
    }
}

/// How many (message, queue) pairs are alive, by ranges of numbers: what lies before the
/// first such range is needed by nobody.
#[derive(Default)]
pub(super) struct Live {
    /// Number of the first bucket.
    base: u64,
    counts: VecDeque<u64>,
}

impl Live {
    #[inline]
    pub fn add(&mut self, first: u64, count: u64) {
        self.each(first, count, |counter, part| *counter += part);
    }

    #[inline]
    pub fn remove(&mut self, first: u64, count: u64) {
        self.each(first, count, |counter, part| *counter = counter.saturating_sub(part));
    }

    #[inline]
    fn each(&mut self, first: u64, count: u64, change: impl Fn(&mut u64, u64)) {
        let (mut from, end) = (first, first + count);
        while from < end {
            let bucket = from / LIVE_BUCKET;
            let to = ((bucket + 1) * LIVE_BUCKET).min(end);
            change(self.bucket(bucket), to - from);
            from = to;
        }
    }

    fn bucket(&mut self, bucket: u64) -> &mut u64 {
        if self.counts.is_empty() {
            self.base = bucket;
        }
        while bucket < self.base {
            self.base -= 1;
            self.counts.push_front(0);
        }
        let at = (bucket - self.base) as usize;
        if self.counts.len() <= at {
            self.counts.resize(at + 1, 0);
        }
        &mut self.counts[at]
    }

    fn lowest(&mut self) -> Option<u64> {
        while self.counts.front() == Some(&0) {
            self.counts.pop_front();
            self.base += 1;
        }
        (!self.counts.is_empty()).then_some(self.base * LIVE_BUCKET)
    }
}
