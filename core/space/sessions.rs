//! What consumers of an ordered queue keep of its sessions: bytes by the name of the group, in the ack log and the
//! snapshot. A state may come with an ack, and then both are in one record of the ack log: both happened, or neither.

use super::properties::Properties;
use super::state::State;
use crate::error::{CoreError, ErrorCode, Result};
use crate::queue::Outcome;
use crate::stdx::msgpack::{Fault, Reader, write_bin, write_nil};

/// Of a queue, unless it says otherwise.
const STATES_MAX: u64 = 100_000;
const STATE_BYTES_MAX: u64 = 64 << 10;

fn malformed(_: Fault) -> CoreError {
    CoreError::new(ErrorCode::INVALID_ARGUMENT, "a session is [queue, group], or [queue, group, state or nil]")
}

impl State {
    /// `[session, id, group]` answers its state or nil; `[set_session, id, group, state|nil]` answers nil when the ack log
    /// has it.
    ///
    /// # Errors
    /// `invalid_argument` where the queue is not ordered, `limit_exceeded`; `disk_full`, `storage_failed`.
    pub(super) fn session(
        &mut self,
        queue: u32,
        reader: &mut Reader<'_>,
        sets: bool,
        now_ms: u64,
        out: &mut Vec<u8>,
    ) -> Result<()> {
        let group = reader.blob().map_err(malformed)?;
        if sets {
            let state = reader.optional_blob().map_err(malformed)?;
            self.check_session(queue, group, state)?;
            self.keep_session(queue, group, state);
            self.flush(now_ms)?;
            write_nil(out);
            return Ok(());
        }
        match self.require(queue)?.sessions.get(group) {
            Some(state) => write_bin(out, state),
            None => write_nil(out),
        }
        Ok(())
    }

    /// Acks one delivery with the state that its session has then. A refusal leaves both as they are.
    pub(super) fn ack_with_state(
        &mut self,
        queue: u32,
        consumer: u64,
        tag: u64,
        state: Option<&[u8]>,
        now_ms: u64,
    ) -> Result<()> {
        let group = self.group_of_delivery(queue, consumer, tag)?;
        self.check_session(queue, &group, state)?;
        let acked = self.with_queue(queue, now_ms, |slot, effects| {
            slot.queue.settle(consumer, tag, 1, Outcome::Ack, now_ms, effects)
        });
        if acked != Some(Ok(())) {
            return Err(super::settlement::unknown(tag));
        }
        self.keep_session(queue, &group, state);
        Ok(())
    }

    /// The name of a message's group stands in the message.
    fn group_of_delivery(&mut self, queue: u32, consumer: u64, tag: u64) -> Result<Vec<u8>> {
        let slot = self.queues.get_mut(queue as usize).and_then(Option::as_deref_mut);
        let slot = slot.ok_or_else(|| super::settlement::unknown(tag))?;
        let number = slot.queue.delivery(consumer, tag).ok_or_else(|| super::settlement::unknown(tag))?;
        let record = self.journal.read(&mut slot.backlog, number)?.record;
        let group = Properties::of(record.headers).group.or(record.key).unwrap_or(&[]);
        Ok(group.to_vec())
    }

    fn check_session(&mut self, queue: u32, group: &[u8], state: Option<&[u8]>) -> Result<()> {
        let slot = self.require(queue)?;
        if !slot.queue.config().ordered {
            let message = format!("the queue {} is not ordered, and only those have sessions", slot.name);
            return Err(CoreError::new(ErrorCode::INVALID_ARGUMENT, message));
        }
        let Some(state) = state else { return Ok(()) };
        let bytes_max = slot.meta.session_state_bytes_max.unwrap_or(STATE_BYTES_MAX);
        let states_max = slot.meta.session_states_max.unwrap_or(STATES_MAX);
        let limit = |message| Err(CoreError::new(ErrorCode::LIMIT_EXCEEDED, message));
        if state.len() as u64 > bytes_max {
            return limit(format!("the state has {} bytes, sessionStateBytesMax is {bytes_max}", state.len()));
        }
        if slot.sessions.len() as u64 >= states_max && !slot.sessions.contains_key(group) {
            return limit(format!("the queue {} has {states_max} sessions with a state, sessionStatesMax", slot.name));
        }
        Ok(())
    }

    fn keep_session(&mut self, queue: u32, group: &[u8], state: Option<&[u8]>) {
        self.ledger.session(queue, group, state);
        if let Some(slot) = self.slot(queue) {
            slot.keep_session(group.to_vec(), state.map(<[u8]>::to_vec));
        }
        // The queue's acks stand in the same record.
        self.activate(queue);
    }
}
