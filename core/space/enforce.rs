//! What queues and topics that enforce schemas ask of the records that are routed to them. Looked at when a record is
//! published, before anything is stored; what moves on from a queue later (dead letters, redrives) was looked at then.

use std::sync::Arc;

use smallvec::SmallVec;

use super::intake::{Piece, PublishTo};
use super::state::State;
use crate::batch::records_of;
use crate::error::Result;
use crate::route::{SetId, Target};
use crate::schema::{Enforcement, Taker, Violation};

type Asked = SmallVec<[Arc<Enforcement>; 2]>;

impl State {
    /// Whether all destinations of `runs` take their records.
    ///
    /// # Errors
    /// `schema_violation` about the first record that one of them refuses.
    pub(super) fn check_enforced(&mut self, piece: &Piece<'_>) -> Result<()> {
        if self.enforced.generation() == 0 {
            return Ok(());
        }
        self.each_violation(piece, &mut |position, violation| Err(violation.at(position)))
    }

    /// The records of a batch that some destination refuses, by position, ascending.
    ///
    /// # Errors
    /// As publishing the batch, but for `schema_violation`.
    pub fn violations(&mut self, piece: &Piece<'_>, to: PublishTo) -> Result<Vec<(u32, Violation)>> {
        let mut found = Vec::new();
        self.route(piece, to, &mut Vec::new())?;
        self.each_violation(piece, &mut |position, violation| {
            found.push((position, violation));
            Ok(())
        })?;
        Ok(found)
    }

    /// Hands each record that a destination of its run in `runs` refuses to `refused`, once.
    fn each_violation(
        &mut self,
        piece: &Piece<'_>,
        refused: &mut dyn FnMut(u32, Violation) -> Result<()>,
    ) -> Result<()> {
        let asked: SmallVec<[(u32, Asked); 4]> =
            self.runs.iter().map(|(run, _)| (run.count, self.asked_by(run.set))).collect();
        if asked.iter().all(|(_, enforcements)| enforcements.is_empty()) {
            return Ok(());
        }
        let mut asked = asked.iter().flat_map(|(count, asked)| std::iter::repeat_n(asked, *count as usize));
        for record in records_of(piece.body, piece.header.attributes)? {
            let (record, Some(asked)) = (record?, asked.next()) else { break };
            let checked = asked.iter().try_for_each(|enforcement| {
                enforcement.check(&self.enforced.schemas, record.value, record.headers, &mut self.memo)
            });
            if let Err(violation) = checked {
                refused(record.position, violation)?;
            }
        }
        Ok(())
    }

    /// What the destinations of a set ask for.
    fn asked_by(&self, set: SetId) -> Asked {
        let takers = self.router.targets(set).iter().map(|target| match *target {
            Target::Queue(id) => Taker::Queue(id),
            Target::Topic(log) => Taker::Topic(log),
        });
        takers.filter_map(|taker| self.enforced.get(taker)).collect()
    }
}
