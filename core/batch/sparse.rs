//! The bitmap of a sparse batch: which positions of its span survived.
//!
//! ```text
//! msgpack bin | u8 unused bits in the last byte (0..7) | bitmap, most significant bit first
//! ```
//! The count of unused bits makes the span exact: rounding it up to whole bytes
//! would claim offsets that belong to the next batch.

use super::header::BatchFault;
use crate::stdx::msgpack::{Reader, write_bin};

#[derive(Clone, Copy, Debug)]
pub struct Bitmap<'a> {
    bits: &'a [u8],
    span: u32,
}

const FAULT: BatchFault = BatchFault::Record { at: 0 };

impl<'a> Bitmap<'a> {
    /// Reads the bitmap at the head of a sparse batch's records.
    ///
    /// Returns it and the bytes of the records behind it.
    ///
    /// # Errors
    /// `Record { at: 0 }` when it is no bitmap.
    pub fn read(records: &'a [u8]) -> Result<(Self, &'a [u8]), BatchFault> {
        let mut reader = Reader::new(records);
        let blob = reader.blob().map_err(|_| FAULT)?;
        let (unused, bits) = blob.split_first().ok_or(FAULT)?;
        let span = (bits.len() * 8).checked_sub(*unused as usize).ok_or(FAULT)?;
        if *unused > 7 {
            return Err(FAULT);
        }
        let span = u32::try_from(span).map_err(|_| FAULT)?;
        Ok((Self { bits, span }, reader.rest()))
    }

    /// How many offsets (and sequences) the batch covers.
    pub fn span(&self) -> u32 {
        self.span
    }

    pub fn has(&self, position: u32) -> bool {
        position < self.span && self.bits[position as usize / 8] & (0x80 >> (position % 8)) != 0
    }

    /// The first surviving position at or after `position`.
    pub fn next(&self, position: u32) -> Option<u32> {
        (position..self.span).find(|&candidate| self.has(candidate))
    }

    pub fn count(&self) -> u32 {
        (0..self.span).filter(|&position| self.has(position)).count() as u32
    }
}

/// Appends the bitmap of `positions` (ascending, each below `span`).
pub fn write(out: &mut Vec<u8>, span: u32, positions: impl IntoIterator<Item = u32>) {
    let bytes = span.div_ceil(8) as usize;
    let mut blob = vec![0u8; 1 + bytes];
    blob[0] = (bytes * 8 - span as usize) as u8;
    for position in positions {
        blob[1 + position as usize / 8] |= 0x80 >> (position % 8);
    }
    write_bin(out, &blob);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn span_and_positions_come_back_for_every_remainder() {
        for span in 1..40 {
            let kept: Vec<u32> = (0..span).filter(|position| position % 3 == 0).collect();
            let mut out = Vec::new();
            write(&mut out, span, kept.iter().copied());
            out.push(0xaa);
            let (bitmap, rest) = Bitmap::read(&out).unwrap();
            assert_eq!(bitmap.span(), span);
            assert_eq!((0..span).filter(|&position| bitmap.has(position)).collect::<Vec<_>>(), kept);
            assert_eq!(bitmap.count() as usize, kept.len());
            assert_eq!(rest, &[0xaa]);
        }
    }

    #[test]
    fn a_bitmap_with_no_bytes_or_too_many_unused_bits_is_refused() {
        assert!(Bitmap::read(&[0xc4, 0x00]).is_err());
        assert!(Bitmap::read(&[0xc4, 0x02, 0x08, 0xff]).is_err());
        assert!(Bitmap::read(&[0xc4, 0x01, 0x01]).is_err());
        assert!(Bitmap::read(&[0x01]).is_err());
    }
}
