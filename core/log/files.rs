//! The file operations under the log: creating, allocating, writing, zeroing,
//! and small files that are replaced as a whole.

use std::fs::File;
use std::io::{self, IoSlice, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use rustix::fs::{FallocateFlags, MemfdFlags};
use rustix::io::Errno;

use crate::batch::{BatchHeader, HEADER_BYTES};
use crate::stdx::msgpack::Reader;

/// The first step of a segment's allocation; each further step doubles it.
pub const ALLOCATE_BYTES_MIN: u64 = 1 << 20;
/// What is tried on a disk too full for the next step.
const ALLOCATE_BYTES_TIGHT: u64 = 64 << 10;
const CRC_BYTES: usize = 5;

pub fn log_path(directory: &Path, base: u64) -> PathBuf {
    directory.join(format!("{base:020}.log"))
}

pub fn index_path(directory: &Path, base: u64) -> PathBuf {
    directory.join(format!("{base:020}.idx"))
}

/// The base offset in a segment's file name, or `None` for any other file.
pub fn base_of(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(".log")?;
    if digits.len() != 20 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    digits.parse().ok()
}

/// A fresh segment file. One of the same name that the log does not know is a
/// leftover and is replaced.
pub fn create(path: &Path) -> io::Result<File> {
    let open = || File::options().create_new(true).read(true).write(true).open(path);
    match open() {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            std::fs::remove_file(path)?;
            open()
        }
        other => other,
    }
}

/// A memory file that stands in for a segment file.
pub fn create_memory(capacity: u64) -> io::Result<File> {
    let descriptor = rustix::fs::memfd_create("millrace", MemfdFlags::CLOEXEC)?;
    let file = File::from(descriptor);
    file.set_len(capacity)?;
    Ok(file)
}

/// Extends the allocation of a segment, from `allocated` bytes to at least
/// `need` and at most `capacity` (which is at least `need`), in doubling steps,
/// so that small topics stay small and a full disk shows before anything is
/// written.
///
/// Returns the bytes allocated now.
pub fn allocate(file: &File, allocated: u64, need: u64, capacity: u64) -> io::Result<u64> {
    let step = (allocated * 2).max(ALLOCATE_BYTES_MIN).min(capacity).max(need);
    match rustix::fs::fallocate(file, FallocateFlags::empty(), allocated, step - allocated) {
        Ok(()) => Ok(step),
        Err(Errno::NOSPC | Errno::DQUOT) => {
            let tight = need.next_multiple_of(ALLOCATE_BYTES_TIGHT).min(capacity).max(need);
            rustix::fs::fallocate(file, FallocateFlags::empty(), allocated, tight - allocated)?;
            Ok(tight)
        }
        Err(Errno::OPNOTSUPP) => {
            if file.metadata()?.len() < step {
                file.set_len(step)?;
            }
            Ok(step)
        }
        Err(error) => Err(error.into()),
    }
}

/// Makes `[from, to)` read as zeros and gives its whole pages back.
pub fn zero(file: &File, from: u64, to: u64) -> io::Result<()> {
    if from >= to {
        return Ok(());
    }
    match rustix::fs::fallocate(file, FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE, from, to - from) {
        Ok(()) => Ok(()),
        Err(Errno::OPNOTSUPP | Errno::NOSYS) => write_zeros(file, from, to),
        Err(error) => Err(error.into()),
    }
}

fn write_zeros(file: &File, mut from: u64, to: u64) -> io::Result<()> {
    let zeros = [0u8; 16 << 10];
    while from < to {
        let bytes = (to - from).min(zeros.len() as u64);
        file.write_all_at(&zeros[..bytes as usize], from)?;
        from += bytes;
    }
    Ok(())
}

/// Whether `[from, end of file)` holds a byte that is not zero. Skips holes.
pub fn has_data(file: &File, mut from: u64, to: u64) -> io::Result<bool> {
    let mut buffer = vec![0u8; 64 << 10];
    while from < to {
        from = match rustix::fs::seek(file, rustix::fs::SeekFrom::Data(from)) {
            Ok(data) => data,
            Err(Errno::NXIO) => return Ok(false),
            Err(Errno::INVAL | Errno::OPNOTSUPP) => from,
            Err(error) => return Err(error.into()),
        };
        if from >= to {
            return Ok(false);
        }
        let want = (to - from).min(buffer.len() as u64) as usize;
        let got = file.read_at(&mut buffer[..want], from)?;
        if got == 0 {
            return Ok(false);
        }
        if buffer[..got].iter().any(|byte| *byte != 0) {
            return Ok(true);
        }
        from += got as u64;
    }
    Ok(false)
}

/// Writes all parts one after another at `position`.
pub fn write_all(file: &File, parts: &mut [IoSlice<'_>], mut position: u64) -> io::Result<()> {
    let mut rest = parts;
    IoSlice::advance_slices(&mut rest, 0);
    while !rest.is_empty() {
        match rustix::io::pwritev(file, rest, position) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => {
                position += written as u64;
                IoSlice::advance_slices(&mut rest, written);
            }
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// Fills `buffer` from `position`; fewer bytes only at the end of the file.
pub fn read_up_to(file: &File, buffer: &mut [u8], position: u64) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match file.read_at(&mut buffer[filled..], position + filled as u64) {
            Ok(0) => break,
            Ok(got) => filled += got,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

/// The batch header at `position`, if one stands there.
pub fn header_at(file: &File, position: u64) -> io::Result<Option<BatchHeader>> {
    let mut head = [0; HEADER_BYTES];
    let got = read_up_to(file, &mut head, position)?;
    Ok(BatchHeader::parse(&head[..got]).ok())
}

pub fn sync_directory(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// Replaces a small file as a whole: either the old or the new content survives
/// a crash. The directory is not synced; a lost rename leaves the old content.
pub fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut name = path.as_os_str().to_owned();
    name.push(".tmp");
    let temporary = PathBuf::from(name);
    let mut file = File::create(&temporary)?;
    file.write_all(content)?;
    file.sync_data()?;
    std::fs::rename(&temporary, path)
}

/// Appends the CRC of `content` as a msgpack uint32.
pub fn seal(mut content: Vec<u8>) -> Vec<u8> {
    let crc = crc32fast::hash(&content);
    content.push(0xce);
    content.extend_from_slice(&crc.to_be_bytes());
    content
}

/// A reader over sealed content, or `None` when the CRC does not match.
pub fn open_sealed(bytes: &[u8]) -> Option<Reader<'_>> {
    let split = bytes.len().checked_sub(CRC_BYTES)?;
    let (content, tail) = bytes.split_at(split);
    let stated = tail.strip_prefix(&[0xce])?;
    (crc32fast::hash(content).to_be_bytes() == stated).then(|| Reader::new(content))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_segment_names_have_a_base() {
        assert_eq!(base_of("00000000000000000042.log"), Some(42));
        for name in ["42.log", "00000000000000000042.idx", "0000000000000000004x.log", "00000000000000000042.log.tmp"] {
            assert_eq!(base_of(name), None, "{name}");
        }
    }

    #[test]
    fn sealed_content_opens_only_when_untouched() {
        let sealed = seal(b"content".to_vec());
        assert!(open_sealed(&sealed).is_some());
        for at in 0..sealed.len() {
            let mut bad = sealed.clone();
            bad[at] ^= 1;
            assert!(open_sealed(&bad).is_none(), "byte {at}");
        }
        assert!(open_sealed(&[]).is_none());
    }

    #[test]
    fn zeroed_bytes_are_no_data_and_the_rest_stays() {
        let file = tempfile::tempfile().unwrap();
        file.write_all_at(&vec![7; 20_000], 0).unwrap();
        zero(&file, 5_001, 20_000).unwrap();
        assert!(!has_data(&file, 5_001, 20_000).unwrap());
        assert!(has_data(&file, 5_000, 20_000).unwrap());
        assert_eq!(file.metadata().unwrap().len(), 20_000);
    }
}
