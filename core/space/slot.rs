//! What the space keeps of one queue beside its machine.

use std::collections::{BTreeMap, HashMap};

use super::journal::Backlog;
use super::ledger::Death;
use crate::error::{CoreError, ErrorCode, Result};
use crate::log::DeliveryPriority;
use crate::queue::{Effect, Queue, QueueConfig};
use crate::stdx::msgpack::{Fault, Reader};

/// A queue in its space.
pub(super) struct Slot {
    pub name: String,
    pub queue: Queue,
    pub meta: Meta,
    pub backlog: Backlog,
    pub consumers: u32,
    pub has_exclusive_consumer: bool,
    /// On the list of queues that the next turn looks at.
    pub active: bool,
    /// As it stands among the deadlines.
    pub deadline_ms: Option<u64>,
    /// Of the messages here that were dead-lettered before.
    pub deaths: HashMap<u64, Vec<Death>>,
    /// What consumers keep of their sessions, by the name of the group.
    pub sessions: BTreeMap<Vec<u8>, Box<[u8]>>,
    /// Effects for the ack log, since it was last written.
    pub logged: Vec<Effect>,
}

/// The settings of a queue that its machine knows nothing of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Meta {
    /// Gone with the process.
    pub transient: bool,
    pub dead_letter_exchange: Option<u32>,
    /// In place of the message's own.
    pub dead_letter_key: Option<Vec<u8>>,
    pub delivery_priority: DeliveryPriority,
    /// `None` is the default.
    pub session_states_max: Option<u64>,
    pub session_state_bytes_max: Option<u64>,
}

impl Meta {
    /// Reads them from a queue's configuration (src/routing); unknown keys are other parts'.
    ///
    /// # Errors
    /// `invalid_argument` when it is no map.
    pub fn read(config: &[u8]) -> Result<Self> {
        Self::read_map(&mut Reader::new(config))
            .map_err(|_| CoreError::new(ErrorCode::INVALID_ARGUMENT, "a queue's configuration is a map"))
    }

    fn read_map(reader: &mut Reader<'_>) -> std::result::Result<Self, Fault> {
        let mut meta = Self::default();
        for _ in 0..reader.map()? {
            match reader.blob()? {
                b"durable" => meta.transient = reader.take(1)? == [0xc2],
                b"deadLetterExchange" => {
                    meta.dead_letter_exchange = reader.optional_uint()?.and_then(|id| u32::try_from(id).ok());
                }
                b"deliveryPriority" => {
                    let named = std::str::from_utf8(reader.blob()?).ok().and_then(DeliveryPriority::named);
                    meta.delivery_priority = named.unwrap_or_default();
                }
                b"sessionStatesMax" => meta.session_states_max = reader.optional_uint()?,
                b"sessionStateBytesMax" => meta.session_state_bytes_max = reader.optional_uint()?,
                b"deadLetterRoutingKey" => meta.dead_letter_key = reader.optional_blob()?.map(<[u8]>::to_vec),
                _ => reader.skip(8)?,
            }
        }
        Ok(meta)
    }
}

impl Slot {
    pub fn new(name: String, config: QueueConfig, meta: Meta) -> Self {
        Self {
            name,
            queue: Queue::new(config),
            meta,
            backlog: Backlog::default(),
            consumers: 0,
            has_exclusive_consumer: false,
            active: false,
            deadline_ms: None,
            deaths: HashMap::new(),
            sessions: BTreeMap::new(),
            logged: Vec::new(),
        }
    }
}

impl Slot {
    pub fn keep_session(&mut self, group: Vec<u8>, state: Option<Vec<u8>>) {
        match state {
            Some(state) => _ = self.sessions.insert(group, state.into_boxed_slice()),
            None => _ = self.sessions.remove(&group),
        }
    }
}

/// What a message died of is forgotten with it.
pub(super) fn forget_deaths(slot: &mut Slot, effect: &Effect) {
    if slot.deaths.is_empty() {
        return;
    }
    match effect {
        Effect::Settled { first, count } => {
            for number in *first..*first + u64::from(*count) {
                slot.deaths.remove(&number);
            }
        }
        Effect::DeadLetter { number, .. } => {
            slot.deaths.remove(number);
        }
        _ => {}
    }
}
