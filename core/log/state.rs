//! The small files beside the segments: a partition's `state`, and the store's
//! `format`, `epoch` and `clean`.

use std::path::Path;

use super::files;
use super::producers::Producers;
use crate::error::{CoreError, ErrorCode, Result};
use crate::stdx::msgpack::{write_array, write_uint};

const VERSION: u64 = 1;
const FIELDS: usize = 10;
const FORMAT: u64 = 1;

pub const STATE_FILE: &str = "state";
/// There while `millrace restore` fills the directory (src/cli/restore.ts).
const RESTORING_FILE: &str = "restoring";
pub const FORMAT_FILE: &str = "format";

/// A point of a partition up to which everything is verified and synced.
/// Recovery reads only what lies behind it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StatePoint {
    /// The active segment at that time, and the log's end in it.
    pub segment_base: u64,
    pub position: u64,
    pub next_offset: u64,
    pub last_epoch: u32,
    /// Of the active segment.
    pub max_timestamp: u64,
    pub created_ms: u64,
    pub appended_ms: u64,
    /// The last batch before `position` (`check_crc` 0 and both positions 0 when
    /// the segment is empty): a state beside another file's content is found out.
    pub check_position: u64,
    pub check_crc: u32,
}

/// Starts the content of a state file; the producers follow.
pub fn encode_state(point: &StatePoint, producers: &Producers) -> Vec<u8> {
    let mut out = Vec::with_capacity(128 + producers.len() * 64);
    write_array(&mut out, FIELDS + 1);
    for value in [
        VERSION,
        point.segment_base,
        point.position,
        point.next_offset,
        u64::from(point.last_epoch),
        point.max_timestamp,
        point.created_ms,
        point.appended_ms,
        point.check_position,
        u64::from(point.check_crc),
    ] {
        write_uint(&mut out, value);
    }
    producers.encode(&mut out);
    files::seal(out)
}

/// Reads a state file; `None` for one that is missing, torn or of another version.
pub fn read_state(directory: &Path, producers_max: usize) -> Option<(StatePoint, Producers)> {
    let bytes = std::fs::read(directory.join(STATE_FILE)).ok()?;
    let mut reader = files::open_sealed(&bytes)?;
    if reader.array().ok()? != FIELDS + 1 || reader.uint().ok()? != VERSION {
        return None;
    }
    let mut next = || reader.uint().ok();
    let point = StatePoint {
        segment_base: next()?,
        position: next()?,
        next_offset: next()?,
        last_epoch: u32::try_from(next()?).ok()?,
        max_timestamp: next()?,
        created_ms: next()?,
        appended_ms: next()?,
        check_position: next()?,
        check_crc: u32::try_from(next()?).ok()?,
    };
    let producers = Producers::decode(&mut reader, producers_max).ok()?;
    Some((point, producers))
}

/// Reads the format of a data directory, or writes ours into a new one.
///
/// # Errors
/// `format_too_new` for one that a later version wrote; `bad_format` for a
/// format file that cannot be read, or a directory whose restore did not finish.
pub fn check_format(data_dir: &Path) -> Result<()> {
    if data_dir.join(RESTORING_FILE).exists() {
        let message = format!("a restore into {} did not finish: empty it and restore again", data_dir.display());
        return Err(CoreError::new(ErrorCode::BAD_FORMAT, message));
    }
    let path = data_dir.join(FORMAT_FILE);
    let what = "open the data directory's format file";
    match read_number(&path) {
        Ok(Some(FORMAT)) => Ok(()),
        Ok(Some(format)) if format > FORMAT => Err(CoreError::new(
            ErrorCode::FORMAT_TOO_NEW,
            format!("the data directory has format {format}, this version reads up to {FORMAT}"),
        )),
        Ok(_) => Err(CoreError::new(ErrorCode::BAD_FORMAT, "the data directory's format file cannot be read")),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            write_number(&path, FORMAT).map_err(|error| CoreError::io(what, &error))
        }
        Err(error) => Err(CoreError::io(what, &error)),
    }
}

/// A file that holds one number, msgpack and CRC. `Ok(None)` when damaged.
pub fn read_number(path: &Path) -> std::io::Result<Option<u64>> {
    let bytes = std::fs::read(path)?;
    Ok(files::open_sealed(&bytes).and_then(|mut reader| reader.uint().ok()))
}

pub fn write_number(path: &Path, value: u64) -> std::io::Result<()> {
    let mut content = Vec::new();
    write_uint(&mut content, value);
    files::replace(path, &files::seal(content))?;
    path.parent().map_or(Ok(()), files::sync_directory)
}
