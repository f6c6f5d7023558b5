//! The files of a backup: links while removals are held, copies after. Where the target is
//! on another file system the links lie in a folder of the data directory until they are
//! copied, so that removals are held no longer than links take.

use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::path::{Path, PathBuf};

use super::super::files::sync_directory;
use super::super::state::FORMAT_FILE;

const STAGE: &str = "backup.tmp";
const TAIL: &str = "tail";

/// One file of a backup.
pub struct Item {
    /// Where it belongs, below the target.
    pub path: PathBuf,
    /// Where its link lies meanwhile, below the stage.
    pub linked: PathBuf,
    pub bytes: u64,
}

impl Item {
    /// A file that does not change any more, from `bytes` on nothing of the log.
    pub fn whole(path: &Path, bytes: u64) -> Self {
        Self { path: path.to_owned(), linked: path.to_owned(), bytes }
    }

    /// The beginning of a segment that grows.
    pub fn tail(path: &Path, bytes: u64) -> Self {
        Self { path: path.to_owned(), linked: path.with_extension(TAIL), bytes }
    }
}

pub struct Stage {
    target: PathBuf,
    stage: PathBuf,
}

impl Stage {
    /// Makes the target's folder, and finds out where links can be made.
    pub fn prepare(data_dir: &Path, target: &Path) -> io::Result<Self> {
        std::fs::create_dir(target)?;
        remove_stage(data_dir)?;
        let probe = target.join(FORMAT_FILE);
        let stage = match std::fs::hard_link(data_dir.join(FORMAT_FILE), &probe) {
            Ok(()) => {
                std::fs::remove_file(&probe)?;
                target.to_owned()
            }
            Err(error) if is_other_disk(&error) => {
                let stage = data_dir.join(STAGE);
                std::fs::create_dir(&stage)?;
                stage
            }
            Err(error) => return Err(error),
        };
        Ok(Self { target: target.to_owned(), stage })
    }

    pub fn target(&self) -> &Path {
        &self.target
    }

    /// Links `source` as `path` below the stage. Returns its length; `None` where there is no such file.
    pub fn link(&self, source: &Path, path: &Path) -> io::Result<Option<u64>> {
        let link = self.stage.join(path);
        make_parent(&link)?;
        match std::fs::hard_link(source, &link) {
            Ok(()) => Ok(Some(std::fs::metadata(&link)?.len())),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    pub fn has_to_copy(&self, item: &Item) -> bool {
        self.stage != self.target || item.linked != item.path
    }

    pub fn copy(&self, item: &Item) -> io::Result<()> {
        let (from, to) = (self.stage.join(&item.linked), self.target.join(&item.path));
        make_parent(&to)?;
        let copied = io::copy(&mut File::open(&from)?.take(item.bytes), &mut File::create_new(&to)?)?;
        if copied != item.bytes {
            return Err(io::Error::new(ErrorKind::UnexpectedEof, format!("{} became shorter", from.display())));
        }
        std::fs::remove_file(from)
    }

    /// Has the disk take the whole file system's writes: one call instead of one for each file and folder.
    pub fn finish(&self) -> io::Result<()> {
        if self.stage != self.target {
            std::fs::remove_dir_all(&self.stage)?;
        }
        rustix::fs::syncfs(File::open(&self.target)?)?;
        self.target.parent().map_or(Ok(()), sync_directory)
    }
}

impl Drop for Stage {
    /// What a failed backup has linked would hold the space of segments that are gone.
    fn drop(&mut self) {
        if self.stage != self.target {
            let _ = std::fs::remove_dir_all(&self.stage);
        }
    }
}

/// Removes what a backup that was interrupted has left in the data directory.
pub fn remove_stage(data_dir: &Path) -> io::Result<()> {
    match std::fs::remove_dir_all(data_dir.join(STAGE)) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Links cannot be made to another file system, and not on some at all.
fn is_other_disk(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EXDEV | libc::EPERM | libc::EOPNOTSUPP))
}

fn make_parent(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(parent) if !parent.is_dir() => std::fs::create_dir_all(parent),
        _ => Ok(()),
    }
}
