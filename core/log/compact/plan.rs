//! Which segments to rewrite, and which of them together. Pure.

/// One sealed segment as the plan sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    pub base_offset: u64,
    /// The base of the segment that follows.
    pub end_offset: u64,
    pub bytes: u64,
}

/// Sealed bytes that were never compacted, and all sealed bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Dirt {
    pub dirty_bytes: u64,
    pub sealed_bytes: u64,
}

impl Dirt {
    /// Counts a segment that is only partly behind `cleaner_point` as dirty.
    pub fn of(sealed: &[Extent], cleaner_point: u64) -> Self {
        let dirty = sealed.iter().filter(|extent| extent.end_offset > cleaner_point);
        Self {
            dirty_bytes: dirty.map(|extent| extent.bytes).sum(),
            sealed_bytes: sealed.iter().map(|extent| extent.bytes).sum(),
        }
    }

    /// Whether at least `percent` of the sealed bytes are dirty (and any is).
    pub fn reaches(self, percent: u64) -> bool {
        self.dirty_bytes > 0 && self.dirty_bytes * 100 >= self.sealed_bytes * percent
    }
}

/// Splits segments into runs that are rewritten together: as many neighbours as
/// `segment_bytes` holds before anything is taken out, so that segments that
/// shrank are merged; one that is larger alone.
///
/// Returns ranges of indexes, in order, covering all of `extents`.
pub fn groups(extents: &[Extent], segment_bytes: u64) -> Vec<std::ops::Range<usize>> {
    let mut found: Vec<std::ops::Range<usize>> = Vec::new();
    let mut bytes = 0;
    for (index, extent) in extents.iter().enumerate() {
        match found.last_mut() {
            Some(group) if bytes + extent.bytes <= segment_bytes => group.end = index + 1,
            _ => {
                found.push(index..index + 1);
                bytes = 0;
            }
        }
        bytes += extent.bytes;
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn extents(bytes: &[u64]) -> Vec<Extent> {
        let at = |index: usize| index as u64 * 10;
        let extent = |(index, &bytes)| Extent { base_offset: at(index), end_offset: at(index + 1), bytes };
        bytes.iter().enumerate().map(extent).collect()
    }

    #[test]
    fn groups_fill_up_to_the_segment_size_and_cover_everything() {
        assert_eq!(groups(&extents(&[4, 4, 4, 9, 12, 1, 1]), 10), [0..2, 2..3, 3..4, 4..5, 5..7]);
        assert!(groups(&[], 10).is_empty());
    }

    #[test]
    fn a_segment_cut_by_the_cleaner_point_is_dirty() {
        let sealed = extents(&[30, 30, 40]);
        assert_eq!(Dirt::of(&sealed, 15), Dirt { dirty_bytes: 70, sealed_bytes: 100 });
        assert_eq!(Dirt::of(&sealed, 20), Dirt { dirty_bytes: 40, sealed_bytes: 100 });
        assert!(!Dirt::of(&sealed, 20).reaches(50) && Dirt::of(&sealed, 10).reaches(50));
        assert!(!Dirt::of(&sealed, 30).reaches(0), "clean is never dirty enough");
    }
}
