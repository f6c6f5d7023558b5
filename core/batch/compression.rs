//! Compression of a batch's records, zstd only.

use std::borrow::Cow;

use super::header::{BatchFault, BatchHeader, Compression};

/// The records of a batch, decompressed where they are compressed.
///
/// `bytes_max` bounds what a hostile frame may unfold to.
///
/// # Errors
/// `Decompress` when the frame is damaged or unfolds to more than `bytes_max`.
pub fn plain_records<'a>(
    header: &BatchHeader,
    records: &'a [u8],
    bytes_max: usize,
) -> Result<Cow<'a, [u8]>, BatchFault> {
    match header.attributes.compression() {
        Compression::None => Ok(Cow::Borrowed(records)),
        Compression::Zstd => {
            let stated = zstd::zstd_safe::get_frame_content_size(records).map_err(|_| BatchFault::Decompress)?;
            let capacity = stated.map_or(bytes_max as u64, |size| size.min(bytes_max as u64 + 1));
            let plain = zstd::bulk::decompress(records, (capacity as usize).min(bytes_max));
            plain.map(Cow::Owned).map_err(|_| BatchFault::Decompress)
        }
    }
}

/// Compresses records at zstd's level 3.
///
/// # Errors
/// `Decompress` if zstd refuses (out of memory).
pub fn compress(records: &[u8]) -> Result<Vec<u8>, BatchFault> {
    zstd::bulk::compress(records, 3).map_err(|_| BatchFault::Decompress)
}
