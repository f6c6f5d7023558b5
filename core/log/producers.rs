//! What a partition remembers of each idempotent producer: its epoch and its
//! last five batches. A retry of one of these is answered with its old offset;
//! an older one is known to be a duplicate, but not of what.

use std::collections::HashMap;

use crate::batch::BatchHeader;
use crate::error::{CoreError, ErrorCode};
use crate::stdx::msgpack::{Fault, Reader, write_array, write_uint};

/// As many as a client may have in flight.
const WINDOW: usize = 5;
const FIELDS: usize = 4;

/// One remembered batch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Known {
    base_sequence: u32,
    last_sequence: u32,
    base_offset: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProducerState {
    epoch: u16,
    count: u8,
    /// Oldest first.
    window: [Known; WINDOW],
}

impl ProducerState {
    fn latest(&self) -> Option<&Known> {
        self.known().last()
    }

    fn known(&self) -> &[Known] {
        &self.window[..usize::from(self.count).min(WINDOW)]
    }

    fn push(&mut self, batch: Known) {
        if usize::from(self.count) == WINDOW {
            self.window.rotate_left(1);
            self.window[WINDOW - 1] = batch;
        } else {
            self.window[usize::from(self.count)] = batch;
            self.count += 1;
        }
    }
}

/// What an incoming batch is, seen from its producer's past.
#[derive(Debug, PartialEq, Eq)]
pub enum Verdict {
    Next,
    Duplicate(Option<u64>),
}

/// A producer's state before a batch, to be put back if the write fails.
pub type Undo = (u64, Option<ProducerState>);

pub struct Producers {
    by_id: HashMap<u64, ProducerState>,
    limit: usize,
}

impl Producers {
    pub fn new(limit: usize) -> Self {
        Self { by_id: HashMap::new(), limit: limit.max(1) }
    }

    pub fn len(&self) -> usize {
        self.by_id.len()
    }

    /// Where each producer's latest batch stands.
    pub fn latest_offsets(&self) -> HashMap<u64, u64> {
        let latest = |(id, state): (&u64, &ProducerState)| Some((*id, state.latest()?.base_offset));
        self.by_id.iter().filter_map(latest).collect()
    }

    /// The sequence that a producer's next record has to have.
    pub fn expected(&self, id: u64, epoch: u16) -> u32 {
        let state = self.by_id.get(&id).filter(|state| state.epoch == epoch);
        state.and_then(ProducerState::latest).map_or(0, |latest| latest.last_sequence.wrapping_add(1))
    }

    /// Compares a batch of a producer (id not 0) with what is known of it.
    ///
    /// # Errors
    /// `producer_fenced` for an older epoch, `sequence_gap` for a sequence that
    /// is not the next one, `unknown_producer` for an unknown producer whose
    /// sequence does not start at 0: its past may have been forgotten.
    pub fn check(&self, header: &BatchHeader, span: u32) -> Result<Verdict, CoreError> {
        let Some(state) = self.by_id.get(&header.producer_id) else {
            return if header.base_sequence == 0 { Ok(Verdict::Next) } else { Err(unknown(header)) };
        };
        if header.producer_epoch < state.epoch {
            return Err(fenced(header, state.epoch));
        }
        if header.producer_epoch > state.epoch {
            return if header.base_sequence == 0 { Ok(Verdict::Next) } else { Err(gap(header, 0)) };
        }
        let expected = self.expected(header.producer_id, header.producer_epoch);
        if header.base_sequence == expected {
            return Ok(Verdict::Next);
        }
        let last = header.base_sequence.wrapping_add(span).wrapping_sub(1);
        let same = |known: &&Known| known.base_sequence == header.base_sequence && known.last_sequence == last;
        if let Some(known) = state.known().iter().rev().find(same) {
            return Ok(Verdict::Duplicate(Some(known.base_offset)));
        }
        // Sequences wrap around, so "older" means: less than half the circle back.
        let behind = expected.wrapping_sub(header.base_sequence) < 1 << 31;
        let wholly = expected.wrapping_sub(last) < 1 << 31 && last != expected;
        if behind && wholly { Ok(Verdict::Duplicate(None)) } else { Err(gap(header, expected)) }
    }

    /// Notes a batch as stored at `base_offset`.
    ///
    /// Returns what was known before.
    pub fn note(&mut self, header: &BatchHeader, span: u32, base_offset: u64) -> Undo {
        let batch = Known {
            base_sequence: header.base_sequence,
            last_sequence: header.base_sequence.wrapping_add(span).wrapping_sub(1),
            base_offset,
        };
        let fresh = ProducerState { epoch: header.producer_epoch, count: 0, window: [Known::default(); WINDOW] };
        let before = self.by_id.get(&header.producer_id).copied();
        let state = self.by_id.entry(header.producer_id).or_insert(fresh);
        if state.epoch != header.producer_epoch {
            *state = fresh;
        }
        state.push(batch);
        if self.by_id.len() > self.limit + self.limit / 8 {
            self.forget_oldest();
        }
        (header.producer_id, before)
    }

    pub fn undo(&mut self, (id, before): Undo) {
        match before {
            Some(state) => self.by_id.insert(id, state),
            None => self.by_id.remove(&id),
        };
    }

    /// Drops the producers that appended longest ago, down to the limit.
    fn forget_oldest(&mut self) {
        let age = |state: &ProducerState| state.latest().map_or(0, |latest| latest.base_offset);
        let mut offsets: Vec<u64> = self.by_id.values().map(age).collect();
        let surplus = offsets.len().saturating_sub(self.limit);
        if surplus == 0 {
            return;
        }
        let (_, threshold, _) = offsets.select_nth_unstable(surplus - 1);
        let threshold = *threshold;
        self.by_id.retain(|_, state| age(state) > threshold);
    }

    /// As one msgpack array of `[id, epoch, count, [base, last, offset, ...]]`.
    pub fn encode(&self, out: &mut Vec<u8>) {
        write_array(out, self.by_id.len());
        for (id, state) in &self.by_id {
            write_array(out, FIELDS);
            write_uint(out, *id);
            write_uint(out, u64::from(state.epoch));
            write_uint(out, u64::from(state.count));
            write_array(out, state.known().len() * 3);
            for known in state.known() {
                write_uint(out, u64::from(known.base_sequence));
                write_uint(out, u64::from(known.last_sequence));
                write_uint(out, known.base_offset);
            }
        }
    }

    /// # Errors
    /// What the reader says, or `Malformed` for counts that do not fit.
    pub fn decode(reader: &mut Reader<'_>, limit: usize) -> Result<Self, Fault> {
        let mut producers = Self::new(limit);
        for _ in 0..reader.array()? {
            if reader.array()? != FIELDS {
                return Err(Fault::Malformed);
            }
            let id = reader.uint()?;
            let epoch = u16::try_from(reader.uint()?).map_err(|_| Fault::Malformed)?;
            let count = u8::try_from(reader.uint()?).map_err(|_| Fault::Malformed)?;
            if usize::from(count) > WINDOW || reader.array()? != usize::from(count) * 3 {
                return Err(Fault::Malformed);
            }
            let mut state = ProducerState { epoch, count: 0, window: [Known::default(); WINDOW] };
            for _ in 0..count {
                state.push(Known {
                    base_sequence: reader.uint32()?,
                    last_sequence: reader.uint32()?,
                    base_offset: reader.uint()?,
                });
            }
            producers.by_id.insert(id, state);
        }
        Ok(producers)
    }
}

fn unknown(header: &BatchHeader) -> CoreError {
    let message = format!(
        "producer {} is not known in this partition and its batch starts at sequence {}, not 0",
        header.producer_id, header.base_sequence
    );
    CoreError::new(ErrorCode::UNKNOWN_PRODUCER, message)
}

fn fenced(header: &BatchHeader, epoch: u16) -> CoreError {
    let message =
        format!("producer {} sent epoch {}, the partition knows {epoch}", header.producer_id, header.producer_epoch);
    CoreError::new(ErrorCode::PRODUCER_FENCED, message)
}

fn gap(header: &BatchHeader, expected: u32) -> CoreError {
    let message =
        format!("producer {} sent sequence {}, the next one is {expected}", header.producer_id, header.base_sequence);
    CoreError::new(ErrorCode::SEQUENCE_GAP, message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::Attributes;

    fn header(id: u64, epoch: u16, sequence: u32) -> BatchHeader {
        BatchHeader {
            base_offset: 0,
            epoch: 0,
            crc: 0,
            attributes: Attributes::PLAIN,
            record_count: 0,
            base_timestamp: 0,
            max_timestamp_delta: 0,
            producer_id: id,
            producer_epoch: epoch,
            base_sequence: sequence,
            records_bytes: 0,
        }
    }

    fn code(result: Result<Verdict, CoreError>) -> ErrorCode {
        result.unwrap_err().code
    }

    #[test]
    fn the_last_five_are_answered_with_their_offset_and_older_ones_without() {
        let mut producers = Producers::new(10);
        for n in 0..8 {
            assert_eq!(producers.check(&header(1, 0, n * 3), 3), Ok(Verdict::Next));
            producers.note(&header(1, 0, n * 3), 3, u64::from(n) * 100);
        }
        assert_eq!(producers.check(&header(1, 0, 21), 3), Ok(Verdict::Duplicate(Some(700))));
        assert_eq!(producers.check(&header(1, 0, 9), 3), Ok(Verdict::Duplicate(Some(300))));
        assert_eq!(producers.check(&header(1, 0, 6), 3), Ok(Verdict::Duplicate(None)));
        assert_eq!(code(producers.check(&header(1, 0, 25), 3)), ErrorCode::SEQUENCE_GAP);
        assert_eq!(code(producers.check(&header(1, 0, 22), 9)), ErrorCode::SEQUENCE_GAP);
    }

    #[test]
    fn sequences_wrap_around() {
        let mut producers = Producers::new(10);
        producers.note(&header(1, 0, u32::MAX - 1), 4, 0);
        assert_eq!(producers.check(&header(1, 0, 2), 1), Ok(Verdict::Next));
        assert_eq!(producers.check(&header(1, 0, u32::MAX - 1), 4), Ok(Verdict::Duplicate(Some(0))));
        assert_eq!(producers.check(&header(1, 0, u32::MAX - 9), 2), Ok(Verdict::Duplicate(None)));
    }

    #[test]
    fn a_newer_epoch_starts_at_zero_and_fences_the_older() {
        let mut producers = Producers::new(10);
        producers.note(&header(1, 0, 0), 5, 0);
        assert_eq!(code(producers.check(&header(1, 1, 5), 1)), ErrorCode::SEQUENCE_GAP);
        assert_eq!(producers.check(&header(1, 1, 0), 1), Ok(Verdict::Next));
        producers.note(&header(1, 1, 0), 1, 5);
        assert_eq!(code(producers.check(&header(1, 0, 5), 1)), ErrorCode::PRODUCER_FENCED);
        assert_eq!(code(producers.check(&header(9, 0, 5), 1)), ErrorCode::UNKNOWN_PRODUCER);
    }

    #[test]
    fn beyond_the_limit_the_longest_silent_are_forgotten() {
        let mut producers = Producers::new(80);
        for id in 1..=1000 {
            producers.note(&header(id, 0, 0), 1, id);
        }
        assert!(producers.len() <= 90);
        assert!(producers.by_id.contains_key(&1000));
        assert!(!producers.by_id.contains_key(&1));
    }

    #[test]
    fn undone_notes_leave_no_trace_and_state_survives_encoding() {
        let mut producers = Producers::new(10);
        producers.note(&header(1, 0, 0), 5, 7);
        let before = producers.by_id.clone();
        let first = producers.note(&header(1, 0, 5), 5, 12);
        let second = producers.note(&header(2, 0, 0), 5, 17);
        producers.undo(second);
        producers.undo(first);
        assert_eq!(producers.by_id, before);
        let mut bytes = Vec::new();
        producers.encode(&mut bytes);
        let decoded = Producers::decode(&mut Reader::new(&bytes), 10).unwrap();
        assert_eq!(decoded.by_id, before);
    }
}
