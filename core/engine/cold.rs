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

/// Further than a kernel reads ahead (8 MiB where it is asked for much): a source that has
/// so much before it in memory is not behind.
const AHEAD_BYTES: usize = 16 << 20;

/// What the prefault thread has read in for a source that is behind, or may be, from its
/// cursor on.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Warm {
    bytes: usize,
    /// The disk does not give what follows.
    is_cut: bool,
    /// Nothing of it was sent yet. It is sent without another look: pages that the kernel
    /// takes away again at once would be asked for without end.
    is_fresh: bool,
    /// What was asked, and which ask it was: an earlier one's answer may still come.
    asked_bytes: usize,
    ask: u64,
}

impl Warm {
    pub fn spend(&mut self, bytes: usize) {
        self.bytes = self.bytes.saturating_sub(bytes);
        self.is_fresh = false;
    }
}

/// The prefault thread's answer.
pub(super) struct Warmed {
    pub watch: Watch,
    pub ask: u64,
    /// How many of the bytes that were asked for can be touched.
    pub bytes: usize,
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
/// While a source is behind, every window is asked for: in what the kernel has read ahead
/// lie places where touching makes it read on, megabytes at a time, by whoever touches
/// them. A source is taken to be behind when it begins, and is not when it has come to the
/// end of the log or has enough before it in memory.
pub(super) fn look(hub: &Hub, source: &mut Source, cursor: &mut Cursor, bytes_max: usize, watch: Watch) -> Outlook {
    // Where nothing comes, whoever reads is told why.
    let Ok(Some((map, start, length))) = source.partition.upcoming(cursor, WINDOW_BYTES) else {
        return Outlook::Clear(bytes_max);
    };
    let mut wanted_bytes = length;
    if let Some(warm) = source.warm {
        let run_bytes = bytes_max.min(warm.bytes);
        if warm.is_fresh {
            let has_head = warm.bytes >= HEADER_BYTES.min(length);
            let first_bytes = has_head.then(|| batch_bytes(&map, start, length));
            if first_bytes.is_some_and(|bytes| bytes <= warm.bytes) {
                return Outlook::Clear(run_bytes);
            }
            if warm.is_cut {
                return Outlook::Lost;
            }
            // A batch longer than the window: all of it, before any of it is touched.
            wanted_bytes = length.max(first_bytes.unwrap_or(0));
        } else if (warm.is_cut || warm.bytes >= bytes_max.min(length)) && is_in_memory(&map, start, length, run_bytes) {
            return Outlook::Clear(run_bytes);
        } else if is_all_in_memory(source, cursor) {
            source.warm = None;
        }
    }
    // A short rest is not looked at: it lies at the fresh end of the log.
    let is_rest = length < hub.engine.options.view_bytes_min;
    if source.warm.is_none() && (is_rest || is_in_memory(&map, start, length, bytes_max)) {
        return Outlook::Clear(bytes_max);
    }
    ask(hub, source, cursor, wanted_bytes, watch).unwrap_or(Outlook::Clear(bytes_max))
}

/// Asks for what comes next; `None` where it is to be read as it is.
fn ask(hub: &Hub, source: &mut Source, cursor: &mut Cursor, wanted_bytes: usize, watch: Watch) -> Option<Outlook> {
    let (map, start, length) = source.partition.upcoming(cursor, wanted_bytes).ok()??;
    if length < wanted_bytes {
        // A head that tells of more than there is: reading it says that it is damaged.
        return None;
    }
    let ask = hub.engine.prefaulter.ask(map, start, length, watch)?;
    source.warm = Some(Warm { asked_bytes: length, ask, ..Warm::default() });
    Some(Outlook::Wait)
}

/// Whether the log is in memory for as far as the kernel may have read ahead, or to the
/// end of the segment. The last page tells it of most that are not.
fn is_all_in_memory(source: &Source, cursor: &mut Cursor) -> bool {
    let Ok(Some((map, start, length))) = source.partition.upcoming(cursor, AHEAD_BYTES) else { return false };
    map.resident(start + length - 1, 1) && map.resident(start, length)
}

/// Whether the next run is in memory: so many bytes, and the first batch. Touches its head
/// only then.
fn is_in_memory(map: &SegmentMap, start: usize, length: usize, run_bytes: usize) -> bool {
    let looked_at = length.min(run_bytes.max(HEADER_BYTES));
    map.resident(start, looked_at) && {
        let first_bytes = batch_bytes(map, start, length);
        first_bytes <= looked_at || map.resident(start, first_bytes)
    }
}

/// The length of the batch at a place whose head is in memory; 0 where no batch stands.
fn batch_bytes(map: &SegmentMap, start: usize, length: usize) -> usize {
    let head = map.slice(start, HEADER_BYTES.min(length)).unwrap_or(&[]);
    BatchHeader::parse(head).map_or(0, |header| header.batch_bytes())
}

/// Takes an answer; whether it is the one that the source waits for.
pub(super) fn answered(source: &mut Source, warmed: &Warmed) -> bool {
    let is_faulting = source.state == State::Faulting;
    let Some(warm) = source.warm.as_mut().filter(|warm| is_faulting && warm.ask == warmed.ask) else { return false };
    warm.bytes = warmed.bytes;
    (warm.is_cut, warm.is_fresh) = (warmed.bytes < warm.asked_bytes, true);
    true
}
