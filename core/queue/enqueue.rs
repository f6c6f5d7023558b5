//! Messages come in.

use super::config::Overflow;
use super::effect::Effect;
use super::run::Run;
use super::types::{Arrival, Number};
use super::{Extra, Queue};

impl Queue {
    /// False only where the queue is full and refuses: asked before the messages are appended.
    pub fn admits(&self, count: u64, bytes: u64) -> bool {
        let (ready, bytes_ready) = (self.ready(), self.bytes_ready());
        self.config.overflow != Overflow::Reject
            || self.config.length_max.is_none_or(|max| ready.saturating_add(count) <= max)
                && self.config.bytes_max.is_none_or(|max| bytes_ready.saturating_add(bytes) <= max)
    }

    /// Messages without attributes, with consecutive numbers.
    #[inline]
    pub fn enqueue_run(&mut self, first: Number, count: u32, bytes: u64, now_ms: u64, effects: &mut Vec<Effect>) {
        if first < self.end {
            return self.enqueue_each(Run { first, count, bytes, marked: false }, now_ms, effects);
        }
        if count == 0 {
            return;
        }
        let run = Run { first, count, bytes, marked: false };
        self.end = run.end();
        self.counts.enqueued += u64::from(count);
        self.counts.bytes += bytes;
        self.lanes.push(0, run);
        self.limit_length(effects);
    }

    /// Numbers that came before: each of them may be here already.
    #[cold]
    fn enqueue_each(&mut self, run: Run, now_ms: u64, effects: &mut Vec<Effect>) {
        for one in run.each() {
            let bytes = u32::try_from(one.bytes).unwrap_or(u32::MAX);
            self.enqueue(&Arrival::plain(one.first, bytes), now_ms, effects);
        }
    }

    pub fn enqueue(&mut self, arrival: &Arrival, _now_ms: u64, effects: &mut Vec<Effect>) {
        let bytes = u64::from(arrival.bytes);
        self.counts.enqueued += 1;
        self.counts.bytes += bytes;
        self.end = self.end.max(arrival.number + 1);
        let extra = Extra { expires_ms: arrival.expires_ms.unwrap_or(0), ..Extra::default() };
        let marked = extra != Extra::default();
        if marked {
            self.extras.insert(arrival.number, extra);
        }
        let lane = arrival.priority.min(self.config.priority_max);
        self.lanes.push(lane, Run::one(arrival.number, bytes, marked));
        self.limit_length(effects);
    }

    #[inline]
    fn limit_length(&mut self, _effects: &mut Vec<Effect>) {}

    pub(super) fn ready(&self) -> u64 {
        self.lanes.len
    }

    pub(super) fn bytes_ready(&self) -> u64 {
        self.lanes.bytes
    }
}
