//! A space: all that a namespace has of exchanges and queues, behind one lock. Messages
//! lie in its journal, what became of them in its ack log; see README.md.

mod dead_letters;
mod delivery;
mod edit;
mod enforce;
mod flight;
mod intake;
mod journal;
mod ledger;
mod properties;
mod recovery;
mod redrive;
mod requests;
mod routing;
mod sessions;
mod settlement;
mod slot;
mod snapshot;
mod state;
mod topics;
mod transactions;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use parking_lot::{Mutex, MutexGuard, RwLock};

pub use delivery::Delivered;
pub use intake::{Piece, PublishTo, Published};
use state::State;
pub use transactions::Touched;

use crate::clock::SharedStamp;
use crate::error::{CoreError, ErrorCode, Result};
use crate::log::{DeliveryPriority, LogStore, Partition};
use crate::schema::{Enforced, Violation};
use crate::wire::SettleFrame;

/// No deadline.
pub const NEVER_MS: u64 = u64::MAX;

/// Whom a consumer's deliveries go to: a subscription of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Address {
    pub worker: u32,
    pub connection: u32,
    pub generation: u32,
    pub subscription: u32,
}

/// What a consumer asks for.
#[derive(Clone, Copy, Debug)]
pub struct ConsumerOptions {
    pub prefetch: u32,
    pub priority: i32,
    pub lease_ms: Option<u64>,
    /// No other consumer beside it.
    pub exclusive: bool,
}

/// What a turn of a space leaves for the connections.
#[derive(Default)]
pub struct SpaceTurn {
    /// Consumers that have something to be sent, and whether it has just been published.
    pub woken: Vec<(Address, bool)>,
    /// Frames to be sent: answers to settlements.
    pub frames: Vec<(Address, Vec<u8>)>,
    /// Partitions of topics whose readers have something new.
    pub topics: Vec<Arc<Partition>>,
    /// There is more to hand out at once.
    pub more: bool,
}

/// What happened to messages that no queue has to show for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SpaceCounters {
    /// Published, and reached nobody.
    pub unroutable: u64,
    /// Dead letters that would have gone round for ever.
    pub dead_letter_loops: u64,
}

/// What a space is made of.
pub struct SpaceOptions {
    pub id: u32,
    pub journal: Arc<Partition>,
    pub acks: Arc<Partition>,
    /// Where its snapshot lies; `None` in memory.
    pub snapshot_path: Option<PathBuf>,
    /// So much of ack log between two snapshots.
    pub checkpoint_bytes: u64,
    /// For bindings to topics.
    pub store: Arc<LogStore>,
    /// Which records queues and topics take.
    pub enforced: Arc<Enforced>,
    /// What it remembers of what came and went.
    pub flight_recorder_bytes: usize,
}

pub struct Space {
    pub id: u32,
    pub journal: Arc<Partition>,
    state: Mutex<State>,
    /// Something has happened that a turn has to look at.
    dirty: AtomicBool,
    deadline_ms: AtomicU64,
    /// When the oldest of what was published since the last turn came in.
    pub published: SharedStamp,
}

impl Space {
    pub fn new(options: SpaceOptions) -> Arc<Self> {
        Arc::new(Self {
            id: options.id,
            journal: Arc::clone(&options.journal),
            state: Mutex::new(State::new(options)),
            dirty: AtomicBool::new(true),
            deadline_ms: AtomicU64::new(NEVER_MS),
            published: SharedStamp::default(),
        })
    }

    /// Whether a turn has something to do here.
    #[inline]
    pub fn is_due(&self, now_ms: u64) -> bool {
        self.dirty.load(Ordering::Acquire) || self.deadline_ms.load(Ordering::Acquire) <= now_ms
    }

    #[inline]
    pub fn is_dirty(&self) -> bool {
        self.dirty.load(Ordering::Acquire)
    }

    pub fn deadline_ms(&self) -> u64 {
        self.deadline_ms.load(Ordering::Acquire)
    }

    /// The state, recovered.
    ///
    /// # Errors
    /// When the space cannot be recovered; it is tried again with the next call.
    fn lock(&self, now_ms: u64) -> Result<MutexGuard<'_, State>> {
        let mut state = self.state.lock();
        state.ensure_recovered(now_ms)?;
        Ok(state)
    }

    /// Applies a change of the metadata log (its grammar is in `requests.rs`). A change
    /// that another worker has applied is passed over.
    ///
    /// # Errors
    /// `invalid_argument` for a change that is none, and what the routes refuse.
    pub fn apply(&self, version: u64, change: &[u8], now_ms: u64) -> Result<()> {
        let mut state = self.state.lock();
        if !state.is_new(version) {
            return Ok(());
        }
        state.apply(change, now_ms)?;
        state.version = Some(version);
        self.dirty.store(true, Ordering::Release);
        Ok(())
    }

    /// Answers a request of the control plane (grammar in `requests.rs`).
    ///
    /// # Errors
    /// `queue_not_found`, `invalid_argument`, and what the log answers.
    pub fn request(&self, request: &[u8], worker: u32, now_ms: u64) -> Result<Vec<u8>> {
        let answer = self.lock(now_ms)?.request(request, worker, now_ms);
        self.dirty.store(true, Ordering::Release);
        answer
    }

    /// Answers a request of a transaction's coordinator (grammar in `transactions.rs`), and names the partitions of
    /// topics that have got something.
    ///
    /// # Errors
    /// As `State::transact`.
    pub fn transact(&self, request: &[u8], worker: u32, now_ms: u64) -> (Result<Vec<u8>>, Touched) {
        let mut touched = Touched::new();
        let answer = self.lock(now_ms).and_then(|mut state| state.transact(request, worker, now_ms, &mut touched));
        self.dirty.store(true, Ordering::Release);
        (answer, touched)
    }

    /// Publishes one batch: routes its records, appends it with the result, and hands it
    /// to the queues. What the queues' consumers get is decided by the next turn.
    pub fn publish(&self, piece: &Piece<'_>, to: PublishTo, now_ms: u64) -> Published {
        let published = match self.lock(now_ms) {
            Ok(mut state) => state.publish(piece, to, now_ms),
            Err(error) => Published { outcome: Err(error), returned: Vec::new() },
        };
        self.dirty.store(true, Ordering::Release);
        published
    }

    /// The records of a batch that a queue or topic which enforces schemas refuses, by position, ascending.
    ///
    /// # Errors
    /// As publishing the batch.
    pub fn violations(&self, piece: &Piece<'_>, to: PublishTo, now_ms: u64) -> Result<Vec<(u32, Violation)>> {
        self.lock(now_ms)?.violations(piece, to)
    }

    /// Adds a consumer to a queue. Returns its number.
    ///
    /// # Errors
    /// `queue_not_found`; `queue_exclusive` beside an exclusive consumer, or for one
    /// beside others.
    pub fn subscribe(&self, queue: u32, address: Address, options: ConsumerOptions, now_ms: u64) -> Result<u64> {
        let consumer = self.lock(now_ms)?.subscribe(queue, address, options, now_ms)?;
        self.dirty.store(true, Ordering::Release);
        Ok(consumer)
    }

    /// Takes a consumer away; what it has not settled goes back to the queue.
    pub fn unsubscribe(&self, consumer: u64, now_ms: u64) {
        self.state.lock().unsubscribe(consumer, now_ms);
        self.dirty.store(true, Ordering::Release);
    }

    /// Changes how many unsettled messages a consumer takes.
    pub fn set_prefetch(&self, consumer: u64, prefetch: u32) {
        self.state.lock().set_prefetch(consumer, prefetch);
        self.dirty.store(true, Ordering::Release);
    }

    /// Settles deliveries. Refusals and, with a correlation id, the answer go into `out`
    /// or come with a later turn, when the ack log has them.
    pub fn settle(&self, consumer: u64, frame: &SettleFrame<'_>, now_ms: u64, out: &mut Vec<u8>) {
        self.state.lock().settle(consumer, frame, now_ms, out);
        self.dirty.store(true, Ordering::Release);
    }

    /// One turn: time, handing out, and the ack log.
    ///
    /// # Errors
    /// When the ack log cannot be written: settlements are not answered, and it is
    /// tried again with the next turn.
    pub fn turn(&self, now_ms: u64, out: &mut SpaceTurn) -> Result<()> {
        self.dirty.store(false, Ordering::Release);
        let mut state = self.state.lock();
        if state.version.is_none() {
            // Its queues are not declared yet, so it could not be recovered.
            return Ok(());
        }
        state.ensure_recovered(now_ms)?;
        let done = state.turn(now_ms, out);
        self.deadline_ms.store(state.next_deadline_ms(), Ordering::Release);
        if out.more || done.is_err() {
            self.dirty.store(true, Ordering::Release);
        }
        done
    }

    /// Writes what a consumer is owed, at most `budget` bytes (or one message), into
    /// `out`. A message that cannot be read ends the consumer, which is told.
    pub fn deliver(&self, consumer: u64, out: &mut Vec<u8>, budget: usize, now_ms: u64) -> Delivered {
        self.state.lock().deliver(consumer, out, budget, now_ms)
    }

    /// Who goes first; of a queue that is not there: normal.
    pub fn delivery_priority(&self, queue: u32) -> DeliveryPriority {
        let mut state = self.state.lock();
        state.slot(queue).map_or(DeliveryPriority::Normal, |slot| slot.meta.delivery_priority)
    }

    pub fn counters(&self) -> SpaceCounters {
        self.state.lock().counters
    }

    /// Writes the snapshot, so that the next start has nothing to replay.
    ///
    /// # Errors
    /// `storage_failed`, `disk_full`.
    pub fn close(&self, now_ms: u64) -> Result<()> {
        let mut state = self.state.lock();
        if !state.recovered {
            return Ok(());
        }
        state.flush(now_ms)?;
        state.snapshot()
    }
}

/// The spaces of a process.
#[derive(Default)]
pub struct Spaces {
    by_id: RwLock<HashMap<u32, Arc<Space>>>,
    /// Rises when one is added: workers keep a list of their own.
    pub generation: AtomicU64,
}

impl Spaces {
    /// The space, opened if it is not yet.
    ///
    /// # Errors
    /// What `open` answers.
    pub fn open(&self, id: u32, open: impl FnOnce() -> Result<SpaceOptions>) -> Result<Arc<Space>> {
        let mut by_id = self.by_id.write();
        if let Some(space) = by_id.get(&id) {
            return Ok(Arc::clone(space));
        }
        let space = Space::new(open()?);
        by_id.insert(id, Arc::clone(&space));
        self.generation.fetch_add(1, Ordering::AcqRel);
        Ok(space)
    }

    /// # Errors
    /// `exchange_not_found` when there is none: nothing was declared in that namespace.
    pub fn get(&self, id: u32) -> Result<Arc<Space>> {
        let found = self.by_id.read().get(&id).cloned();
        found.ok_or_else(|| CoreError::new(ErrorCode::EXCHANGE_NOT_FOUND, format!("there is no space {id}")))
    }

    /// Of all spaces together.
    pub fn counters(&self) -> SpaceCounters {
        self.all().iter().map(|space| space.counters()).fold(SpaceCounters::default(), |sum, one| SpaceCounters {
            unroutable: sum.unroutable + one.unroutable,
            dead_letter_loops: sum.dead_letter_loops + one.dead_letter_loops,
        })
    }

    pub fn all(&self) -> Vec<Arc<Space>> {
        self.by_id.read().values().cloned().collect()
    }
}
