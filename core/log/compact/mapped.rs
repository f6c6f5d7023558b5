//! A sealed segment as a source: through a map of its own, so that a round over
//! cold segments does not push the readers' maps out.

use std::cell::Cell;
use std::sync::Arc;

use super::super::segment::Segment;
use super::source::Source;
use crate::error::{CoreError, ErrorCode, Result};
use crate::mmap::SegmentMap;

/// How much is made resident at a time.
const WINDOW_BYTES: usize = 1 << 20;

pub struct MappedSource {
    base_offset: u64,
    bytes: usize,
    map: SegmentMap,
    /// What was made resident last: from, to.
    ready: Cell<(usize, usize)>,
}

impl MappedSource {
    /// Maps `segment`, which must be sealed.
    ///
    /// # Errors
    /// `storage_failed` when it cannot be opened or mapped.
    pub fn open(segment: &Arc<Segment>) -> Result<Self> {
        let bytes = segment.written() as usize;
        let map = segment.file().and_then(|file| SegmentMap::new(&file, bytes));
        if !segment.is_mapped() {
            segment.close_file();
        }
        let map = map.map_err(|error| CoreError::io("map a segment for compaction", &error))?;
        Ok(Self { base_offset: segment.base, bytes, map, ready: Cell::new((0, 0)) })
    }
}

impl Source for MappedSource {
    fn base_offset(&self) -> u64 {
        self.base_offset
    }

    fn bytes(&self) -> usize {
        self.bytes
    }

    fn view(&self, at: usize, length: usize) -> Result<&[u8]> {
        let (from, to) = self.ready.get();
        let end = at + length;
        if at < from || end > to {
            let end = end.max(at + WINDOW_BYTES).min(self.bytes);
            let readied = self.map.prefault(at, end - at);
            readied.map_err(|error| CoreError::io("read a segment for compaction", &error))?;
            self.ready.set((at, end));
        }
        self.map.slice(at, length).ok_or_else(|| {
            CoreError::new(ErrorCode::INTERNAL, "compaction looked outside a segment").at_offset(self.base_offset)
        })
    }
}
