//! What goes into a queue and comes out of it, as plain values.

/// The offset of a message in its namespace's journal: the same in every queue that holds it, for ever.
pub type Number = u64;

/// Numbers take 48 bits, so that a waiting run takes 16 bytes.
pub const NUMBER_MAX: Number = (1 << 48) - 1;

/// A message with attributes of its own; those without come in as runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Arrival {
    pub number: Number,
    pub bytes: u32,
    pub priority: u8,
    pub expires_ms: Option<u64>,
    /// Not delivered before.
    pub due_ms: Option<u64>,
    /// Hash of the ordering key; 0 is none. Only ordered queues look at it.
    pub group: u64,
    /// Hash of the publisher's message id; 0 is none. Only queues with a dedup window look at it.
    pub message_id: u128,
}

impl Arrival {
    /// A message that a run could hold as well.
    pub fn plain(number: Number, bytes: u32) -> Self {
        Self { number, bytes, ..Self::default() }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConsumerConfig {
    /// How many unsettled messages it may have; with 0 it gets none.
    pub prefetch: u32,
    /// A consumer gets messages while those of higher priority have no credit.
    pub priority: i32,
    /// Instead of the queue's lease.
    pub lease_ms: Option<u64>,
}

/// Consecutive messages for one consumer, with consecutive tags.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dispatch {
    pub consumer: u64,
    pub first_tag: u64,
    pub first: Number,
    pub count: u32,
    /// Earlier deliveries, of each of them; more than one message only where it is 0.
    pub deliveries: u32,
}

/// What a consumer says of messages that it was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome<'a> {
    Ack,
    /// Back to its place; counts as a delivery.
    Requeue,
    /// Dead-lettered, or dropped where the queue has no dead-letter exchange.
    Reject,
    /// Set aside, to be taken later by its number.
    Defer,
    /// The lease starts anew.
    Renew,
    /// Back to its place as if it had not been delivered.
    Release,
    /// Delivered again after a delay; counts as a delivery.
    Retry(RetryAfter<'a>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RetryAfter<'a> {
    /// The queue's retry policy.
    Policy,
    DelayMs(u64),
    /// The policy of an error class, or the queue's where it has none of that name.
    Class(&'a str),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Settled before, or never given to this consumer; `tag` is the first such. All before it are settled.
    UnknownDelivery {
        tag: u64,
    },
    /// No message more can be deferred; `tag` is the first that was not. All before it are.
    DeferredFull {
        tag: u64,
        limit: u64,
    },
    UnknownConsumer,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    Ready,
    InFlight,
    Delayed,
    Deferred,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Browsed {
    pub number: Number,
    pub state: State,
    /// Earlier deliveries; that of a message in flight under way is not among them.
    pub deliveries: u32,
    pub due_ms: Option<u64>,
}

/// A message that waits for its time. Ordered by time, then number: the cursor of a listing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Scheduled {
    pub due_ms: u64,
    pub number: Number,
}

/// Where messages are, and what became of those that left. Each enqueued message counts in exactly one of
/// the places or one of the ends: `enqueued == held() + left()`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Counts {
    pub ready: u64,
    pub in_flight: u64,
    pub delayed: u64,
    pub deferred: u64,
    /// Of all messages in the queue.
    pub bytes: u64,
    /// Of those that are ready.
    pub bytes_ready: u64,
    pub consumers: u64,
    pub enqueued: u64,
    /// Deliveries, of which `redelivered` were not a message's first.
    pub delivered: u64,
    pub redelivered: u64,
    pub acked: u64,
    pub expired: u64,
    pub rejected: u64,
    /// Left because the delivery limit or the attempts of a retry policy were reached.
    pub exhausted: u64,
    /// Left because the queue was too long.
    pub dropped: u64,
    pub duplicates: u64,
    pub cancelled: u64,
    pub purged: u64,
    /// Taken out by number (redrive).
    pub removed: u64,
    /// How many of those that left were handed on to the dead-letter exchange.
    pub dead_lettered: u64,
}

impl Counts {
    pub fn held(&self) -> u64 {
        self.ready + self.in_flight + self.delayed + self.deferred
    }

    pub fn left(&self) -> u64 {
        let by_consumers = self.acked + self.rejected + self.exhausted;
        let by_queue = self.expired + self.dropped + self.duplicates;
        by_consumers + by_queue + self.cancelled + self.purged + self.removed
    }
}
