//! Sources that are behind, and read what is on disk only. The prefault thread goes
//! ahead of them, so that the loop waits for no disk, does none of the kernel's part of
//! reading, and touches no page that the disk does not give.

use super::hub::Hub;
use super::partition_state::Watch;
use super::source::{Source, State};
use crate::batch::{BatchHeader, HEADER_BYTES};
use crate::log::Cursor;
use crate::mmap::SegmentMap;

/// How much is asked for at a time; as much again is on its way from the disk meanwhile.
const WINDOW_BYTES: usize = 2 << 20;

/// What the prefault thread was asked for, and what it has read in, from a source's
/// cursor on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Warm {
    bytes: usize,
    /// The disk does not give what follows.
    is_cut: bool,
    /// Nothing of it was sent yet. It is sent without another look: pages that the kernel
    /// takes away again at once would be asked for without end.
    is_fresh: bool,
    asked_bytes: usize,
}

impl Warm {
    pub fn spend(&mut self, bytes: usize) {
        self.bytes = self.bytes.saturating_sub(bytes);
        self.is_fresh = false;
    }
}

/// Whether a source's next run can be read.
pub(super) enum Outlook {
    /// With at most so many bytes, or one batch that is longer.
    Clear(usize),
    /// The prefault thread was asked.
    Wait,
    /// The disk does not give the next batch.
    Lost,
}

/// Looks at what comes next and asks the prefault thread for it if it is not in memory.
/// Once a source was behind, every window is asked for up to the end of the log or of
/// what is cold: in what the kernel has read ahead lie places where touching makes it read
/// on, megabytes at a time, by whoever touches them.
pub(super) fn look(hub: &Hub, source: &mut Source, cursor: &mut Cursor, bytes_max: usize, watch: Watch) -> Outlook {
    // Where nothing comes, whoever reads is told why.
    let Ok(Some((map, start, length))) = source.partition.upcoming(cursor, WINDOW_BYTES) else {
        return Outlook::Clear(bytes_max);
    };
    let mut wanted_bytes = length;
    if let Some(warm) = source.warm {
        if warm.is_fresh || warm.bytes >= bytes_max.min(length) {
            let has_head = warm.bytes >= HEADER_BYTES.min(length);
            let first_bytes = if has_head { batch_bytes(&map, start) } else { usize::MAX };
            if first_bytes <= warm.bytes {
                return Outlook::Clear(bytes_max.min(warm.bytes));
            }
            if warm.is_cut {
                return Outlook::Lost;
            }
            // A batch longer than the window: all of it, before any of it is touched.
            wanted_bytes = first_bytes;
        } else if length < WINDOW_BYTES && map.resident(start, length) {
            source.warm = None;
        }
    }
    if source.warm.is_none() && is_in_memory(hub, &map, start, length, bytes_max) {
        return Outlook::Clear(bytes_max);
    }
    let Ok(Some((map, start, length))) = source.partition.upcoming(cursor, wanted_bytes) else {
        return Outlook::Clear(bytes_max);
    };
    source.warm = None;
    // A head that tells of more than there is: reading it says that it is damaged.
    if length < wanted_bytes || !hub.engine.prefaulter.ask(map, start, length, watch) {
        return Outlook::Clear(bytes_max);
    }
    source.warm = Some(Warm { bytes: 0, is_cut: false, is_fresh: false, asked_bytes: length });
    Outlook::Wait
}

fn is_in_memory(hub: &Hub, map: &SegmentMap, start: usize, length: usize, bytes_max: usize) -> bool {
    // A short rest is not looked at: it lies at the fresh end of the log.
    if length < hub.engine.options.view_bytes_min {
        return true;
    }
    let looked_at = length.min(bytes_max.max(HEADER_BYTES));
    map.resident(start, looked_at) && {
        let first_bytes = batch_bytes(map, start).min(length);
        first_bytes <= looked_at || map.resident(start, first_bytes)
    }
}

/// The length of the batch at a place whose head is in memory; 0 where no batch stands.
fn batch_bytes(map: &SegmentMap, start: usize) -> usize {
    let head = map.slice(start, HEADER_BYTES).unwrap_or(&[]);
    BatchHeader::parse(head).map_or(0, |header| header.batch_bytes())
}

/// Takes the prefault thread's answer: how many bytes from the cursor on could be read.
pub(super) fn answered(source: &mut Source, bytes: usize) {
    if let Some(warm) = source.warm.as_mut().filter(|_| source.state == State::Faulting) {
        (warm.bytes, warm.is_cut, warm.is_fresh) = (bytes, bytes < warm.asked_bytes, true);
    }
}
