//! Publish credit: how much a connection may send, and when it is given back. Whatever
//! holds publishers back as a whole does so here, where no message pays for it.

use super::options::EngineOptions;
use super::plan::op;
use super::worker::Worker;
use crate::error::{CoreError, ErrorCode};
use crate::wire::{FRAME_HEAD_BYTES, out};

/// How low the machine is on disk or memory, as TypeScript measures it. Readers, acks
/// and administration go on at every level.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Pressure {
    #[default]
    None,
    /// Credit is kept back: who heeds it publishes no more than its window.
    Hold,
    /// What is published all the same is refused.
    Refuse,
}

impl From<u8> for Pressure {
    fn from(level: u8) -> Self {
        match level {
            0 => Self::None,
            1 => Self::Hold,
            _ => Self::Refuse,
        }
    }
}

/// Why a publish is not taken at all, whatever it holds.
pub(super) fn refusal(code: ErrorCode) -> CoreError {
    let message = match code {
        ErrorCode::QUOTA_EXCEEDED => "the storage that a quota (storageBytesMax) allows is used up",
        _ => "the broker is low on disk or memory, and takes no messages for now",
    };
    CoreError::new(code, message)
}

/// How many bytes of publish frames a connection may still send.
pub(super) struct Credit {
    /// What has to come together to be worth a frame.
    due_bytes: i64,
    left_bytes: i64,
    returnable_bytes: i64,
    pub paused: bool,
    /// On the worker's list of connections that are owed credit.
    pub listed: bool,
}

impl Credit {
    #[inline]
    pub fn take(&mut self, frame_bytes: u32) {
        self.left_bytes -= i64::from(frame_bytes);
        self.returnable_bytes += i64::from(frame_bytes);
    }

    pub fn is_overdrawn(&self) -> bool {
        self.left_bytes < 0
    }

    pub fn overdraft_bytes(&self) -> u64 {
        self.left_bytes.min(0).unsigned_abs()
    }

    /// A full window. A sender waits while it has less left than its next frame
    /// costs, and nobody here knows that frame: so at most what the window has
    /// above the largest frame is kept back, and nothing where it has nothing.
    pub fn new(options: &EngineOptions) -> Self {
        let bytes = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
        let window_bytes = bytes(options.publish_credit_bytes);
        let frame_bytes = bytes((options.frame_bytes_max + FRAME_HEAD_BYTES) as u64);
        let due_bytes = window_bytes.saturating_sub(frame_bytes).min(window_bytes / 4).max(1);
        Self { due_bytes, left_bytes: window_bytes, returnable_bytes: 0, paused: false, listed: false }
    }

    /// Bytes of publish frames since credit was given back last.
    pub fn used_bytes(&self) -> u64 {
        self.returnable_bytes.unsigned_abs()
    }

    #[inline]
    pub fn is_due(&self) -> bool {
        self.returnable_bytes >= self.due_bytes
    }

    /// Gives back what was used and returns how much that is.
    pub fn give_back(&mut self) -> u64 {
        let bytes = std::mem::take(&mut self.returnable_bytes);
        self.left_bytes += bytes;
        bytes.unsigned_abs()
    }
}

impl Worker {
    /// Gives publish credit back, unless too much is written and not yet synced, or the
    /// machine is low on something: then senders wait here instead of the loop waiting in
    /// the kernel, or the machine for memory.
    pub(super) fn return_credit(&mut self) {
        if self.withheld.is_empty() {
            return;
        }
        let engine = &self.hub.engine;
        if engine.store.is_over_dirty_limit() {
            engine.inboxes.wake_at_next_sync();
            // The sync that made room may have ended before it could know of us.
            if engine.store.is_over_dirty_limit() {
                return;
            }
        }
        let is_held = engine.pressure() > Pressure::None;
        let now_ms = engine.now_ms();
        for id in std::mem::take(&mut self.withheld) {
            let Some(connection) = self.connections[id as usize].as_mut() else { continue };
            let waits = connection.peer.meter.waits(now_ms);
            if waits {
                self.hub.turn_at(connection.peer.meter.wait_until_ms);
            }
            if waits || !connection.peer.reads_answers() {
                self.withheld.push(id);
                continue;
            }
            let credit = &mut connection.peer.credit;
            // Who is past its credit is read no further while it is kept back. Anybody else may go on with what
            // costs none: acks, requests, and what is left of its window.
            if is_held && credit.is_overdrawn() {
                self.withheld.push(id);
                continue;
            }
            if std::mem::take(&mut credit.paused) {
                self.hub.plan.push(op::RESUME, [u64::from(id)]);
            }
            if is_held {
                self.withheld.push(id);
                continue;
            }
            credit.listed = false;
            let bytes = credit.give_back();
            if bytes > 0 {
                out::write_credit(connection.peer.answers.frame(), bytes);
                self.enqueue(id);
            }
        }
    }
}
