//! What the space has to do or log because of a call, and its form in the ack log.

use super::types::Number;
use crate::error::{CoreError, ErrorCode, Result};
use crate::stdx::msgpack::{Reader, write_array, write_uint};

/// Why a message is dead-lettered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    Rejected,
    Expired,
    Length,
    Deliveries,
}

impl Reason {
    pub fn name(self) -> &'static str {
        match self {
            Self::Rejected => "rejected",
            Self::Expired => "expired",
            Self::Length => "length",
            Self::Deliveries => "deliveries",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// These left the queue for good. Consecutive ones are one effect.
    Settled {
        first: Number,
        count: u32,
    },
    /// Ready again, after so many deliveries.
    Returned {
        number: Number,
        deliveries: u32,
    },
    Delayed {
        number: Number,
        due_ms: u64,
        deliveries: u32,
    },
    Deferred {
        number: Number,
        deliveries: u32,
    },
    /// Left the queue; the space routes it to the dead-letter exchange and logs this with the result.
    DeadLetter {
        number: Number,
        reason: Reason,
        deliveries: u32,
    },
    /// The lease of a message in flight is about to end.
    LeaseWarning {
        consumer: u64,
        tag: u64,
        number: Number,
    },
    /// The consumer is now the single active one, or no longer.
    Active {
        consumer: u64,
        active: bool,
    },
}

const SETTLED: u64 = 0;
const RETURNED: u64 = 1;
const DELAYED: u64 = 2;
const DEFERRED: u64 = 3;
const DEAD_LETTER: u64 = 4;

impl Effect {
    /// It changes what a recovered queue holds; the others only tell consumers.
    pub fn is_logged(&self) -> bool {
        !matches!(self, Self::LeaseWarning { .. } | Self::Active { .. })
    }

    /// Appends it as one msgpack array. Effects that are not logged write nothing.
    pub fn write(&self, out: &mut Vec<u8>) {
        match *self {
            Self::Settled { first, count } => write_uints(out, &[SETTLED, first, u64::from(count)]),
            Self::Returned { number, deliveries } => write_uints(out, &[RETURNED, number, u64::from(deliveries)]),
            Self::Delayed { number, due_ms, deliveries } => {
                write_uints(out, &[DELAYED, number, due_ms, u64::from(deliveries)]);
            }
            Self::Deferred { number, deliveries } => write_uints(out, &[DEFERRED, number, u64::from(deliveries)]),
            Self::DeadLetter { number, reason, deliveries } => {
                write_uints(out, &[DEAD_LETTER, number, reason as u64, u64::from(deliveries)]);
            }
            Self::LeaseWarning { .. } | Self::Active { .. } => {}
        }
    }

    /// Reads what `write` wrote; the bytes come from a disk, so anything may stand there.
    ///
    /// # Errors
    /// `corrupt_batch` where no effect stands.
    pub fn read(reader: &mut Reader<'_>) -> Result<Self> {
        Self::parse(reader).ok_or_else(|| CoreError::new(ErrorCode::CORRUPT_BATCH, "no effect of a queue"))
    }

    fn parse(reader: &mut Reader<'_>) -> Option<Self> {
        let length = reader.array().ok()?;
        let kind = reader.uint().ok()?;
        let number = reader.uint().ok()?;
        Some(match (kind, length) {
            (SETTLED, 3) => Self::Settled { first: number, count: reader.uint32().ok()? },
            (RETURNED, 3) => Self::Returned { number, deliveries: reader.uint32().ok()? },
            (DELAYED, 4) => Self::Delayed { number, due_ms: reader.uint().ok()?, deliveries: reader.uint32().ok()? },
            (DEFERRED, 3) => Self::Deferred { number, deliveries: reader.uint32().ok()? },
            (DEAD_LETTER, 4) => {
                let reason = reason_of(reader.uint().ok()?)?;
                Self::DeadLetter { number, reason, deliveries: reader.uint32().ok()? }
            }
            _ => return None,
        })
    }
}

fn reason_of(code: u64) -> Option<Reason> {
    [Reason::Rejected, Reason::Expired, Reason::Length, Reason::Deliveries].get(usize::try_from(code).ok()?).copied()
}

fn write_uints(out: &mut Vec<u8>, values: &[u64]) {
    write_array(out, values.len());
    for value in values {
        write_uint(out, *value);
    }
}

/// Adds `Settled`, as part of the last effect where it continues that.
#[inline]
pub(super) fn push_settled(effects: &mut Vec<Effect>, first: Number, count: u32) {
    if let Some(Effect::Settled { first: start, count: length }) = effects.last_mut()
        && *start + u64::from(*length) == first
        && let Some(sum) = length.checked_add(count)
    {
        *length = sum;
        return;
    }
    effects.push(Effect::Settled { first, count });
}

/// Sorts the effects that only settle to the front and joins neighbours: consumers that take turns settle
/// numbers that alternate, and together they are few runs. Any of them may be applied before the others, since
/// a message that was settled has no effect after it within one log record.
pub fn merge_settled(effects: &mut Vec<Effect>) {
    effects.sort_by_key(|effect| match effect {
        Effect::Settled { first, .. } => *first,
        _ => u64::MAX,
    });
    let mut kept: Vec<Effect> = Vec::new();
    for effect in effects.iter() {
        match *effect {
            Effect::Settled { first, count } => push_settled(&mut kept, first, count),
            other => kept.push(other),
        }
    }
    *effects = kept;
}
