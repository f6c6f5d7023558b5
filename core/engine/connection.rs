//! One client's connection: what it has sent, what it may send, what it reads.

use std::sync::Arc;

use super::acks::{Answers, Sender, UNREAD_BYTES_MAX};
use super::credit::Credit;
use super::hub::Hub;
use super::lanes::Lanes;
use super::numbered::Numbered;
use super::options::EngineOptions;
use super::quotas::Meter;
use super::source::Subscription;
use crate::clock::Stamp;
use crate::error::{CoreError, ErrorCode, Result};
use crate::log::{DeliveryPriority, Log, Partition};
use crate::route::Permitted;
use crate::schema::{Enforced, Enforcement, Taker};
use crate::space::{PublishTo, Space};
use crate::wire::{Scanner, out};

/// Bits that `Worker::ingest` returns.
pub struct Flags;

impl Flags {
    /// Control frames wait (`take_control`).
    pub const CONTROL: u32 = 1;
    /// Something is ready for a turn.
    pub const TURN: u32 = 2;
    /// The connection is over; `fatal_frame` says why.
    pub const FATAL: u32 = 4;
    /// The sender is past its credit: stop reading from the socket.
    pub const PAUSE: u32 = 8;
}

/// A topic that a connection publishes to, opened and allowed by TypeScript.
pub(super) struct Publisher {
    pub log: Arc<Log>,
    pub partitions: Vec<Arc<Partition>>,
    pub producer_id: u64,
    pub producer_epoch: u16,
    /// Where records without a key go during one chunk: staying with one
    /// partition a while keeps batches and runs of acks long.
    pub sticky: u32,
    /// What the topic asks of records, and when that was looked up.
    pub enforcement: Option<Arc<Enforcement>>,
    enforced_generation: u64,
    /// Set when it publishes to an exchange: the log is its journal then.
    pub exchange: Option<ExchangeTarget>,
    /// The keys that it may use; `None` is all of them.
    pub permitted: Option<Arc<Permitted>>,
}

/// An exchange that a publisher publishes to.
#[derive(Clone)]
pub(super) struct ExchangeTarget {
    pub space: Arc<Space>,
    pub to: PublishTo,
}

/// A connection's consumer of a queue.
pub(super) struct QueueSubscription {
    pub space: Arc<Space>,
    pub consumer: u64,
    pub priority: DeliveryPriority,
    /// Of the messages that it was woken for; unknown where others than new ones did.
    pub stamp: Stamp,
}

impl Publisher {
    /// `sticky` is a number to begin with: publishers that begin at different partitions spread their load.
    pub fn new(log: Arc<Log>, producer_id: u64, producer_epoch: u16, sticky: u32) -> Self {
        Self {
            log,
            partitions: Vec::new(),
            producer_id,
            producer_epoch,
            sticky,
            enforcement: None,
            enforced_generation: 0,
            exchange: None,
            permitted: None,
        }
    }

    /// Before a chunk: moves on to the next sticky partition and looks again what is asked of records, and how
    /// many partitions there are; they can only grow.
    pub fn refresh(&mut self, enforced: &Enforced) {
        let generation = enforced.generation();
        if generation != self.enforced_generation {
            self.enforced_generation = generation;
            self.enforcement = enforced.get(Taker::Topic(self.log.id));
        }
        self.sticky = self.sticky.wrapping_add(1);
        let count = self.log.partition_count();
        if count as usize != self.partitions.len() {
            self.partitions = (0..count).filter_map(|index| self.log.partition(index)).collect();
        }
    }
}

/// The frames that came in and wait for TypeScript, and the scanner's rest.
pub(super) struct Input {
    pub scanner: Scanner,
    pub control: Vec<u8>,
    /// A control frame came: its HELLO, or TypeScript ends the connection.
    pub greeted: bool,
    pub fatal: Option<CoreError>,
}

/// Everything but the scanner, which lends out frames while this is written.
pub(super) struct Peer {
    pub sender: Sender,
    pub publishers: Numbered<Publisher>,
    pub subscriptions: Numbered<Subscription>,
    pub queues: Numbered<QueueSubscription>,
    /// What has something to be sent.
    pub ready: Lanes<Ready>,
    pub answers: Answers,
    pub credit: Credit,
    pub meter: Meter,
    /// The socket still has bytes of an earlier turn.
    pub writing: bool,
    pub timing: Timing,
    /// On the worker's list of connections with something to send, in this lane.
    pub queued: Option<DeliveryPriority>,
}

/// Something of a connection that has more to send.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Ready {
    /// A source has something to read.
    Source { subscription: u32, source: u32 },
    /// A consumer of a queue is owed something.
    Queue { subscription: u32 },
}

impl Ready {
    pub fn subscription(self) -> u32 {
        match self {
            Self::Source { subscription, .. } | Self::Queue { subscription } => subscription,
        }
    }
}

pub(super) struct Connection {
    pub input: Input,
    pub peer: Peer,
}

/// Of what is planned for a connection and had been waited for: how long it is on its way.
#[derive(Default)]
pub(super) struct Timing {
    /// When the oldest came in; 0: there is none.
    arrived_ns: u64,
    planned_ns: u64,
}

impl Timing {
    /// A consumer that had waited is written what it was woken for.
    pub fn planned(&mut self, hub: &mut Hub, stamp: Stamp) {
        self.planned_ns = hub.serving_ns();
        hub.stages.dispatch.note_ns(self.planned_ns.saturating_sub(stamp.visible_ns));
        if self.arrived_ns == 0 || stamp.arrived_ns < self.arrived_ns {
            self.arrived_ns = stamp.arrived_ns;
        }
    }

    /// The socket has taken all that was planned.
    #[inline]
    pub fn written(&mut self, hub: &mut Hub) {
        if self.arrived_ns == 0 {
            return;
        }
        let now_ns = hub.engine.clock.ticks_ns();
        hub.stages.send.note_ns(now_ns.saturating_sub(self.planned_ns));
        hub.stages.total.note_ns(now_ns.saturating_sub(std::mem::take(&mut self.arrived_ns)));
    }
}

impl Connection {
    pub fn new(sender: Sender, options: &EngineOptions) -> Self {
        Self {
            input: Input {
                scanner: Scanner::new(options.frame_bytes_max),
                control: Vec::new(),
                greeted: false,
                fatal: None,
            },
            peer: Peer {
                sender,
                publishers: Numbered::default(),
                subscriptions: Numbered::default(),
                queues: Numbered::default(),
                ready: Lanes::default(),
                answers: Answers::default(),
                credit: Credit::new(options),
                meter: Meter::default(),
                writing: false,
                timing: Timing::default(),
                queued: None,
            },
        }
    }

    /// The GOODBYE frame that says why the connection ends.
    pub fn fatal_frame(&self) -> Vec<u8> {
        let mut frame = Vec::new();
        if let Some(error) = &self.input.fatal {
            out::write_goodbye(&mut frame, error.code, &error.message);
        }
        frame
    }
}

impl Peer {
    #[inline]
    pub fn publisher(&mut self, id: u32) -> Result<&mut Publisher> {
        self.publishers.get_mut(id).ok_or_else(|| no_publisher(id))
    }

    pub fn subscription(&mut self, id: u32) -> Option<&mut Subscription> {
        self.subscriptions.get_mut(id)
    }

    /// False for a peer that publishes and leaves the answers lying.
    pub fn reads_answers(&self) -> bool {
        self.answers.bytes() <= UNREAD_BYTES_MAX
    }

    /// True when a turn would write something for this connection.
    pub fn has_output(&self) -> bool {
        !self.answers.is_empty() || !self.ready.is_empty()
    }
}

fn no_publisher(id: u32) -> CoreError {
    CoreError::new(ErrorCode::PUBLISHER_NOT_FOUND, format!("no publisher {id} is open on this connection"))
}
