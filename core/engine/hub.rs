//! A worker's half of the engine without its connections.

use std::sync::Arc;

use super::Engine;
use super::acks::AckEvent;
use super::exchange::Staged;
use super::flight::Flight;
use super::maps::Maps;
use super::partition_state::{Watch, state_of};
use super::plan::{Plan, op};
use super::stages::Stages;
use crate::clock::Stamp;
use crate::error::ErrorCode;
use crate::log::{AppendOutcome, Partition};
use crate::schema::Memo;
use crate::space::{NEVER_MS, Space};

/// What a worker needs besides its connections; apart from them, so that a frame
/// of one connection can be handled while the others stay where they are.
pub(super) struct Hub {
    pub engine: Arc<Engine>,
    pub plan: Plan,
    pub maps: Maps,
    /// Partitions whose rings hold records for the next turn, and when the first of them came in.
    pub staged: Vec<(Arc<Partition>, u64)>,
    pub outcomes: Vec<AppendOutcome>,
    /// The schemas that records of this worker had last.
    pub memo: Memo,
    /// Batches that were made for a subscription with a filter or a reader schema.
    pub viewed: Vec<u8>,
    /// Answers of a drain for connections of this worker.
    pub answers: Vec<AckEvent>,
    /// Sources of this worker whose partitions have moved on.
    pub woken: Vec<Watch>,
    pub stages: Stages,
    pub flight: Flight,
    /// When the chunk at hand came in, in ticks of the clock; 0 until it is asked for.
    pub chunk_ns: u64,
    /// When this turn began to serve connections; 0 until it is asked for.
    pub serving_ns: u64,
    /// Of the last append.
    pub appended: Stamp,
    pub source_ends: Vec<[u64; 5]>,
    pub records_dropped: u64,
    /// Single records for exchanges, for the next turn.
    pub exchange_staged: Vec<Staged>,
    /// Why publishes of the chunk at hand are not taken.
    pub refusal: Option<ErrorCode>,
    pub spaces: Vec<Arc<Space>>,
    pub spaces_generation: u64,
    /// When TypeScript's timer runs a turn.
    pub timer_ms: u64,
    pub index: u32,
}

impl Hub {
    pub fn new(engine: Arc<Engine>, index: u32) -> Self {
        let arena_bytes = engine.options.turn_bytes_max + engine.options.write_bytes_per_turn;
        Self {
            plan: Plan::with_capacity(arena_bytes),
            maps: Maps::default(),
            staged: Vec::new(),
            outcomes: Vec::new(),
            memo: Memo::default(),
            viewed: Vec::new(),
            answers: Vec::new(),
            woken: Vec::new(),
            stages: Stages::default(),
            flight: Flight::with_bytes(engine.options.flight_recorder_bytes),
            chunk_ns: 0,
            serving_ns: 0,
            appended: Stamp::default(),
            source_ends: Vec::new(),
            records_dropped: 0,
            exchange_staged: Vec::new(),
            refusal: None,
            spaces: Vec::new(),
            spaces_generation: 0,
            timer_ms: NEVER_MS,
            engine,
            index,
        }
    }

    /// When the chunk at hand came in.
    #[inline]
    pub fn chunk_ns(&mut self) -> u64 {
        if self.chunk_ns == 0 {
            self.chunk_ns = self.engine.clock.ticks_ns();
        }
        self.chunk_ns
    }

    /// Before an append of what came in at `arrived_ns`. Returns the ticks.
    #[inline]
    pub fn append_begins(&mut self, arrived_ns: u64) -> u64 {
        let begun_ns = self.engine.clock.ticks_ns();
        self.stages.receive.note_ns(begun_ns.saturating_sub(arrived_ns));
        begun_ns
    }

    /// After the append: notes how long it took, and what the readers that wait for it go by.
    pub fn append_ended(&mut self, partition: &Partition, arrived_ns: u64, begun_ns: u64, committed: bool) {
        let ended_ns = self.engine.clock.ticks_ns();
        self.stages.append.note_ns(ended_ns.saturating_sub(begun_ns));
        self.appended = Stamp { arrived_ns, visible_ns: ended_ns };
        if committed {
            self.stages.commit.note_none();
        } else if partition.high_watermark() < partition.next_offset() {
            state_of(partition).pending.set_if_none(self.appended);
        }
    }

    /// When this turn began to serve connections.
    #[inline]
    pub fn serving_ns(&mut self) -> u64 {
        if self.serving_ns == 0 {
            self.serving_ns = self.engine.clock.ticks_ns();
        }
        self.serving_ns
    }

    /// Sends an answer to its connection, on this worker or another.
    pub fn answer(&mut self, event: AckEvent) {
        if event.sender.worker == self.index {
            self.answers.push(event);
        } else if let Some(inbox) = self.engine.inboxes.get(event.sender.worker as usize) {
            inbox.put(|items| items.acks.push(event));
        }
    }

    /// Wakes the sources that wait at a partition's end. Those of this worker are
    /// kept for the turn at hand: waking the loop that is running would only make
    /// it turn once more for nothing.
    pub fn wake_watchers(&mut self, partition: &Partition) {
        let state = state_of(partition);
        let watchers = state.take_watchers();
        if !watchers.is_empty() {
            state.moved.set(self.appended);
        }
        for watch in watchers {
            if watch.worker == self.index {
                self.woken.push(watch);
            } else {
                self.engine.inboxes.wake_source(watch);
            }
        }
    }

    /// Has TypeScript's timer run a turn then, if none runs before.
    pub fn turn_at(&mut self, at_ms: u64) {
        if at_ms < self.timer_ms {
            self.timer_ms = at_ms;
            self.plan.push(op::TIMER, [at_ms]);
        }
    }

    /// Wakes this worker's loop if an append that no chunk brought has left it
    /// something to do.
    pub fn turn_for_own(&self) {
        if (!self.woken.is_empty() || !self.answers.is_empty())
            && let Some(inbox) = self.engine.inboxes.get(self.index as usize)
        {
            inbox.put(|_| {});
        }
    }

    /// Wakes this worker's loop: something outside of a chunk has given it work.
    pub fn wake_own(&self) {
        if let Some(inbox) = self.engine.inboxes.get(self.index as usize) {
            inbox.put(|_| {});
        }
    }

    pub fn arena_room(&self) -> usize {
        self.plan.arena.capacity() - self.plan.arena.len()
    }
}
