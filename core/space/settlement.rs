//! What consumers say of their deliveries.

use super::flight::Settling;
use super::state::State;
use crate::error::{CoreError, ErrorCode};
use crate::queue::{Fault, Outcome, RetryAfter};
use crate::wire::out;
use crate::wire::{SettleArgument, SettleFrame};

const ACK: u8 = 0;
const ACK_WITH_STATE: u8 = 7;

impl State {
    /// Settles range by range. With a correlation id the first refusal is the answer, and
    /// success is answered when the ack log has it; without one only refusals are sent.
    pub fn settle(&mut self, consumer: u64, frame: &SettleFrame<'_>, now_ms: u64, answer: &mut Vec<u8>) {
        let by = self.consumers.get(&consumer).map(|consumer| consumer.address);
        let is_ack = matches!(frame.outcome, ACK | ACK_WITH_STATE);
        self.flight.settling = by.map(|by| Settling { by, is_ack });
        self.settle_ranges(consumer, frame, now_ms, answer);
        self.flight.settling = None;
    }

    fn settle_ranges(&mut self, consumer: u64, frame: &SettleFrame<'_>, now_ms: u64, answer: &mut Vec<u8>) {
        for (first, count) in frame.ranges() {
            let Err((tag, error)) = self.settle_range(consumer, frame, (first, count), now_ms) else { continue };
            if let Some(correlation) = frame.correlation {
                out::write_error(answer, correlation, &error);
                return;
            }
            let left = first.saturating_add(count).saturating_sub(tag);
            out::write_settle_failed(answer, frame.subscription, frame.outcome, (tag, left), &error);
        }
        let (Some(correlation), Some(found)) = (frame.correlation, self.consumers.get(&consumer)) else { return };
        let mut ok = Vec::new();
        out::write_ok(&mut ok, correlation);
        self.answers.push((found.address, ok));
    }

    /// The refusal and the tag from which on nothing was done.
    fn settle_range(
        &mut self,
        consumer: u64,
        frame: &SettleFrame<'_>,
        (first, count): (u64, u64),
        now_ms: u64,
    ) -> Result<(), (u64, CoreError)> {
        if frame.outcome == ACK_WITH_STATE {
            return self.settle_with_state(consumer, frame, (first, count), now_ms);
        }
        let outcome = outcome_of(frame).map_err(|error| (first, error))?;
        let gone = || (first, unknown(first));
        let queue = self.consumers.get(&consumer).map(|consumer| consumer.queue).ok_or_else(gone)?;
        let settled = self.with_queue(queue, now_ms, |slot, effects| {
            slot.queue.settle(consumer, first, count, outcome, now_ms, effects)
        });
        match settled {
            Some(Ok(())) => Ok(()),
            Some(Err(Fault::UnknownDelivery { tag })) => Err((tag, unknown(tag))),
            Some(Err(Fault::DeferredFull { tag, limit })) => {
                let message = format!("{limit} messages of the queue are deferred, deferredMax");
                Err((tag, CoreError::new(ErrorCode::LIMIT_EXCEEDED, message)))
            }
            Some(Err(Fault::UnknownConsumer)) | None => Err(gone()),
        }
    }
}

impl State {
    /// A state is that of one message's session, so a range is one message.
    fn settle_with_state(
        &mut self,
        consumer: u64,
        frame: &SettleFrame<'_>,
        (first, count): (u64, u64),
        now_ms: u64,
    ) -> Result<(), (u64, CoreError)> {
        if count != 1 {
            let message = "an ack with a session's state is for one message";
            return Err((first, CoreError::new(ErrorCode::INVALID_ARGUMENT, message)));
        }
        let queue = self.consumers.get(&consumer).map(|consumer| consumer.queue);
        let queue = queue.ok_or_else(|| (first, unknown(first)))?;
        let state = if let SettleArgument::State(state) = frame.argument { Some(state) } else { None };
        self.ack_with_state(queue, consumer, first, state, now_ms).map_err(|error| (first, error))
    }
}

fn outcome_of<'a>(frame: &SettleFrame<'a>) -> Result<Outcome<'a>, CoreError> {
    Ok(match frame.outcome {
        ACK => Outcome::Ack,
        1 => Outcome::Requeue,
        2 => Outcome::Reject,
        3 => Outcome::Defer,
        4 => Outcome::Renew,
        5 => Outcome::Release,
        _ => Outcome::Retry(match frame.argument {
            SettleArgument::None | SettleArgument::State(_) => RetryAfter::Policy,
            SettleArgument::DelayMs(delay_ms) => RetryAfter::DelayMs(delay_ms),
            SettleArgument::Class(class) => {
                let class = std::str::from_utf8(class);
                let bad = |_| CoreError::new(ErrorCode::INVALID_ARGUMENT, "an error class is UTF-8");
                RetryAfter::Class(class.map_err(bad)?)
            }
        }),
    })
}

pub(super) fn unknown(tag: u64) -> CoreError {
    let message = format!("delivery {tag} was settled before, returned to its queue, or never given to this consumer");
    CoreError::new(ErrorCode::UNKNOWN_DELIVERY, message)
}
