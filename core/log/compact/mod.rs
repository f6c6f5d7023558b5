//! Key compaction: only the last record of each key stays. README.md has the
//! rules and the crash-safe swap.

mod keys;
mod mapped;
mod plan;
mod rewrite;
mod run;
mod source;
mod state;
mod swap;
#[cfg(test)]
mod tests;
mod writer;

pub use keys::KeyMap;
pub use plan::{Dirt, Extent, groups};
pub use rewrite::{Fate, Mapped, Mapper, Policy, Rewriter, Tally};
pub use run::{Cleaner, Outcome, When, run, run_with};
pub use source::{Batches, Source, StoredBatch};
pub use state::{CleanerState, limit, recover, temporary};

/// The points of a compaction after which a crash leaves something else on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Some batches of a new segment are in its temporary file.
    Writing,
    /// A new segment and its index are whole and synced, under temporary names.
    Written,
    /// The swap is decided: the state file names the new set.
    Decided,
    /// One more file has its final name.
    Renamed,
    /// One more old file is gone.
    Removed,
    /// The swap is done and the state file knows it.
    Swapped,
    /// The cleaner point has moved.
    Finished,
}

/// Called at each step; tests crash in it, production does nothing.
pub type Steps<'a> = &'a dyn Fn(Step);
