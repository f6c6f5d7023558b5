//! What a partition remembers of its compaction, and how a swap of segments
//! survives a crash. One small file, `compact`, replaced as a whole.
//!
//! The file is the commit point of a swap: from the moment it names the new and
//! the old segments, the new set is the log, and whoever opens the partition
//! next finishes the renames. README.md has the steps.

use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use super::super::files;
use super::{Step, Steps};
use crate::error::{CoreError, Result};
use crate::stdx::msgpack::{Fault, Reader, write_array, write_nil, write_optional_uint, write_uint};

const VERSION: u64 = 1;
const FIELDS: usize = 4;
const FILE: &str = "compact";
const TEMPORARY: &str = ".tmp";

/// A swap that is decided but perhaps not carried out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Swap {
    /// Bases of the new segments, which lie in temporary files until renamed.
    pub outputs: Vec<u64>,
    /// Bases of the segments whose records are in the new ones.
    pub replaced: Vec<u64>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CleanerState {
    /// Below this offset every key stands once.
    pub cleaner_point: u64,
    /// When the youngest tombstone below the cleaner point may go.
    pub tombstones_until_ms: Option<u64>,
    pub swap: Option<Swap>,
}

impl CleanerState {
    /// Reads the state of the partition in `directory`. A partition that was
    /// never compacted has none, and one with a damaged file starts anew, which
    /// costs a compaction of everything and nothing else.
    ///
    /// # Errors
    /// `storage_failed` when the file is there and cannot be read.
    pub fn load(directory: &Path) -> Result<Self> {
        let path = directory.join(FILE);
        match std::fs::read(&path) {
            Ok(bytes) => Ok(Self::decode(&bytes).unwrap_or_default()),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(CoreError::io(&format!("read {}", path.display()), &error)),
        }
    }

    /// Replaces the state on disk. When this returns, the new one survives a
    /// loss of power.
    ///
    /// # Errors
    /// `disk_full` or `storage_failed`; the old state stands.
    pub fn save(&self, directory: &Path) -> Result<()> {
        let path = directory.join(FILE);
        files::replace(&path, &self.encode())
            .and_then(|()| files::sync_directory(directory))
            .map_err(|error| CoreError::io(&format!("write {}", path.display()), &error))
    }

    fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        write_array(&mut out, FIELDS);
        write_uint(&mut out, VERSION);
        write_uint(&mut out, self.cleaner_point);
        write_optional_uint(&mut out, self.tombstones_until_ms);
        match &self.swap {
            None => write_nil(&mut out),
            Some(swap) => {
                write_array(&mut out, 2);
                for bases in [&swap.outputs, &swap.replaced] {
                    write_array(&mut out, bases.len());
                    for base in bases {
                        write_uint(&mut out, *base);
                    }
                }
            }
        }
        files::seal(out)
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let mut reader = files::open_sealed(bytes)?;
        if reader.array().ok()? != FIELDS || reader.uint().ok()? != VERSION {
            return None;
        }
        let cleaner_point = reader.uint().ok()?;
        let tombstones_until_ms = reader.optional_uint().ok()?;
        let swap = if reader.nil().ok()? { None } else { Some(read_swap(&mut reader).ok()?) };
        Some(Self { cleaner_point, tombstones_until_ms, swap })
    }
}

fn read_swap(reader: &mut Reader<'_>) -> std::result::Result<Swap, Fault> {
    let mut swap = Swap::default();
    reader.array()?;
    for bases in [&mut swap.outputs, &mut swap.replaced] {
        for _ in 0..reader.array()? {
            bases.push(reader.uint()?);
        }
    }
    Ok(swap)
}

/// Where a file lies until the swap is decided.
pub fn temporary(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(TEMPORARY);
    PathBuf::from(name)
}

/// Puts a directory right before the log in it is opened: finishes a swap that
/// was decided, removes what an undecided one left.
///
/// # Errors
/// `storage_failed`, or `disk_full`; it may be called again.
pub fn recover(directory: &Path) -> Result<CleanerState> {
    let mut state = CleanerState::load(directory)?;
    if let Some(swap) = state.swap.take() {
        carry_out(directory, &swap, &|_| ())?;
        state.save(directory)?;
    }
    remove_temporaries(directory)?;
    Ok(state)
}

/// Moves a cleaner point back that lies behind the log's end: damage took
/// segments that were compacted, and the offsets will hold other records.
///
/// # Errors
/// `storage_failed`, or `disk_full`.
pub fn limit(directory: &Path, state: CleanerState, next_offset: u64) -> Result<()> {
    if state.cleaner_point <= next_offset {
        return Ok(());
    }
    CleanerState { cleaner_point: next_offset, ..state }.save(directory)
}

/// Renames the new segments into their places and unlinks the old ones. Doing it
/// again after any part of it changes nothing.
///
/// # Errors
/// `storage_failed`: some of it may be done.
pub fn carry_out(directory: &Path, swap: &Swap, steps: Steps<'_>) -> Result<()> {
    for base in &swap.outputs {
        place(directory, *base, steps)?;
    }
    for base in swap.replaced.iter().filter(|base| !swap.outputs.contains(base)) {
        for path in [files::log_path(directory, *base), files::index_path(directory, *base)] {
            ignore_missing(std::fs::remove_file(&path), "remove", &path)?;
            steps(Step::Removed);
        }
    }
    files::sync_directory(directory).map_err(|error| CoreError::io("sync a partition's directory", &error))
}

/// Gives one new segment its final names.
///
/// # Errors
/// `storage_failed`.
pub fn place(directory: &Path, base: u64, steps: Steps<'_>) -> Result<()> {
    for path in [files::log_path(directory, base), files::index_path(directory, base)] {
        ignore_missing(std::fs::rename(temporary(&path), &path), "rename to", &path)?;
        steps(Step::Renamed);
    }
    Ok(())
}

/// Removes segment files that were never put in place.
///
/// # Errors
/// `storage_failed`.
pub fn remove_temporaries(directory: &Path) -> Result<()> {
    let failed = |error: &io::Error| CoreError::io(&format!("list {}", directory.display()), error);
    for entry in std::fs::read_dir(directory).map_err(|error| failed(&error))? {
        let path = entry.map_err(|error| failed(&error))?.path();
        let name = path.to_string_lossy();
        if name.ends_with(".log.tmp") || name.ends_with(".idx.tmp") {
            ignore_missing(std::fs::remove_file(&path), "remove", &path)?;
        }
    }
    Ok(())
}

fn ignore_missing(done: io::Result<()>, what: &str, path: &Path) -> Result<()> {
    match done {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(CoreError::io(&format!("{what} {}", path.display()), &error))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn full() -> CleanerState {
        let swap = Swap { outputs: vec![0, 70_000], replaced: vec![0, 10, 1 << 40] };
        CleanerState { cleaner_point: 1 << 41, tombstones_until_ms: Some(7), swap: Some(swap) }
    }

    #[test]
    fn a_state_comes_back_and_a_damaged_one_starts_anew() {
        let directory = tempfile::tempdir().unwrap();
        assert_eq!(CleanerState::load(directory.path()), Ok(CleanerState::default()));
        for state in [full(), CleanerState::default()] {
            state.save(directory.path()).unwrap();
            assert_eq!(CleanerState::load(directory.path()), Ok(state));
        }
        let bytes = full().encode();
        for at in 0..bytes.len() {
            let mut bad = bytes.clone();
            bad[at] ^= 0x10;
            assert_eq!(CleanerState::decode(&bad), None, "byte {at}");
        }
    }

    #[test]
    fn a_cleaner_point_behind_the_logs_end_moves_back_to_it() {
        let directory = tempfile::tempdir().unwrap();
        full().save(directory.path()).unwrap();
        limit(directory.path(), full(), (1 << 41) + 1).unwrap();
        assert_eq!(CleanerState::load(directory.path()).unwrap().cleaner_point, 1 << 41);
        limit(directory.path(), full(), 500).unwrap();
        assert_eq!(CleanerState::load(directory.path()).unwrap().cleaner_point, 500);
    }

    #[test]
    fn recovery_without_a_decided_swap_removes_only_temporaries() {
        let directory = tempfile::tempdir().unwrap();
        let log = files::log_path(directory.path(), 5);
        for path in [log.clone(), temporary(&log), temporary(&files::index_path(directory.path(), 5))] {
            std::fs::write(path, b"x").unwrap();
        }
        assert_eq!(recover(directory.path()), Ok(CleanerState::default()));
        let left: Vec<_> = std::fs::read_dir(directory.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
        assert_eq!(left, [log]);
    }
}
