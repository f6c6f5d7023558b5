//! Bindings to topics: what an exchange routes to a topic is published there as well,
//! by its key to a partition. The topic has a copy of its own: it has offsets, retention
//! and readers of its own.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::intake::Piece;
use super::state::State;
use crate::batch::{Attributes, BatchHeader, BodyCrc, murmur2::partition_of, read_record, records_of};
use crate::error::{CoreError, ErrorCode, Result};
use crate::log::{AppendOutcome, BatchIn, Partition};
use crate::route::Target;

/// Records for one partition of a topic, one after another as they came.
#[derive(Default)]
struct Copy {
    records: Vec<u8>,
    count: u32,
}

/// Whom copies come from, so that those of a transaction are not made twice.
pub(super) struct Identity {
    pub producer_id: u64,
    pub producer_epoch: u16,
    /// What comes next, by log and partition.
    pub sequences: HashMap<(u64, u32), u32>,
}

impl State {
    /// Publishes what `runs` say to topics. Returns the partitions whose readers have
    /// something new.
    ///
    /// # Errors
    /// `disk_full`, `storage_failed`: the publish is refused, although the queues have it.
    pub(super) fn copy_to_topics(
        &mut self,
        piece: &Piece<'_>,
        mut identity: Option<&mut Identity>,
    ) -> Result<Vec<Arc<Partition>>> {
        let has_topic = |target: &Target| matches!(target, Target::Topic(_));
        if !self.runs.iter().any(|(run, _)| self.router.targets(run.set).iter().any(has_topic)) {
            return Ok(Vec::new());
        }
        let copies = self.gather(piece)?;
        let copies = copies.into_iter();
        copies.map(|(at, copy)| self.append_copy(&piece.header, at, &copy, identity.as_deref_mut())).collect()
    }

    /// Publishes one record, which carries an absolute timestamp, to a topic.
    ///
    /// # Errors
    /// `topic_deleted`, `disk_full`, `storage_failed`.
    pub(super) fn copy_one(&mut self, log: u64, timestamp_ms: u64, record: &[u8]) -> Result<Arc<Partition>> {
        let key = read_record(record).ok().and_then(|record| record.key);
        let partition = self.partition_for(log, key).unwrap_or(0);
        let header = BatchHeader {
            attributes: Attributes::PLAIN.with_absolute(),
            base_timestamp: timestamp_ms,
            ..BatchHeader::EMPTY
        };
        self.append_copy(&header, (log, partition), &Copy { records: record.to_vec(), count: 1 }, None)
    }

    /// The partition of a key; `None` when the topic is gone.
    fn partition_for(&self, log: u64, key: Option<&[u8]>) -> Option<u32> {
        let count = self.store.log(log)?.partition_count();
        Some(key.map_or(0, |key| partition_of(key, count)))
    }

    fn gather(&self, piece: &Piece<'_>) -> Result<BTreeMap<(u64, u32), Copy>> {
        let mut copies: BTreeMap<(u64, u32), Copy> = BTreeMap::new();
        let mut sets = self.runs.iter().flat_map(|(run, _)| std::iter::repeat_n(run.set, run.count as usize));
        for record in records_of(piece.body, piece.header.attributes)? {
            let record = record?;
            let Some(set) = sets.next() else { break };
            for target in self.router.targets(set) {
                let Target::Topic(log) = *target else { continue };
                // A topic that is being deleted takes no more; its bindings go with it.
                let Some(partition) = self.partition_for(log, record.key) else { continue };
                let copy = copies.entry((log, partition)).or_default();
                copy.records.extend_from_slice(record.raw);
                copy.count += 1;
            }
        }
        Ok(copies)
    }

    fn append_copy(
        &mut self,
        like: &BatchHeader,
        (log, index): (u64, u32),
        copy: &Copy,
        identity: Option<&mut Identity>,
    ) -> Result<Arc<Partition>> {
        let found = self.store.log(log).and_then(|log| log.partition(index));
        let partition = found.ok_or_else(|| CoreError::new(ErrorCode::TOPIC_DELETED, "the topic was deleted"))?;
        let (producer_id, producer_epoch, base_sequence) = match identity {
            Some(identity) => {
                let next = identity.sequences.entry((log, index)).or_default();
                let base_sequence = *next;
                *next += copy.count;
                (identity.producer_id, identity.producer_epoch, base_sequence)
            }
            None => (0, 0, 0),
        };
        let header = BatchHeader {
            record_count: copy.count,
            records_bytes: copy.records.len() as u32,
            producer_id,
            producer_epoch,
            base_sequence,
            ..*like
        };
        let batch = BatchIn {
            header,
            body: &[&copy.records],
            body_crc: BodyCrc::of(&copy.records),
            expect_next: None,
            expect_key: None,
        };
        partition.appender().append(&[batch], &mut self.outcomes);
        match self.outcomes.pop() {
            Some(AppendOutcome::Rejected(error)) => Err(error),
            _ => Ok(partition),
        }
    }
}
