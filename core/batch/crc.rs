//! The CRC-32 of two runs of bytes from those of each. A header changes at append
//! while its records stay, so the records' part is moved behind any header.
//!
//! The polynomials are reflected: bit 31 is x^0, bit 0 is x^31.

use crc32fast::Hasher;

const POLYNOMIAL: u32 = 0xedb8_8320;
const ONE: u32 = 1 << 31;

/// The product of two polynomials modulo the CRC's. Every bit takes the same few
/// steps, so that the processor has nothing to guess.
const fn multiply(a: u32, mut b: u32) -> u32 {
    let mut product = 0;
    let mut bit = 0;
    while bit < 32 {
        let taken = (a >> (31 - bit)) & 1;
        product ^= b & taken.wrapping_neg();
        b = (b >> 1) ^ (POLYNOMIAL & (b & 1).wrapping_neg());
        bit += 1;
    }
    product
}

/// `SHIFTS[digit][n]` is x^(8 * n * 256^digit): what n bytes behind do to a CRC,
/// by the digits of their number. Computing it anew took 360 ns a batch.
static SHIFTS: [[u32; 256]; 3] = shifts();

const fn shifts() -> [[u32; 256]; 3] {
    let mut table = [[ONE; 256]; 3];
    let mut step = ONE >> 8;
    let mut digit = 0;
    while digit < 3 {
        let mut n = 1;
        while n < 256 {
            table[digit][n] = multiply(table[digit][n - 1], step);
            n += 1;
        }
        step = multiply(table[digit][255], step);
        digit += 1;
    }
    table
}

/// The CRC of records alone (bytes 64 to the end of a batch), which `behind` joins
/// to that of any header at a cost that does not grow with the records.
#[derive(Clone, Copy)]
pub struct BodyCrc {
    crc: u32,
    /// What the records' length does to the CRC before them.
    shift: u32,
}

impl BodyCrc {
    #[inline]
    pub fn of(records: &[u8]) -> Self {
        Self { crc: crc32fast::hash(records), shift: shift_of(records.len()) }
    }

    pub fn of_parts(parts: &[&[u8]]) -> Self {
        let mut hasher = Hasher::new();
        for part in parts {
            hasher.update(part);
        }
        Self { crc: hasher.finalize(), shift: shift_of(parts.iter().map(|part| part.len()).sum()) }
    }

    /// The CRC of what `before` is the CRC of, and these records behind it.
    #[inline]
    pub fn behind(self, before: u32) -> u32 {
        multiply(self.shift, before) ^ self.crc
    }
}

#[inline]
fn shift_of(bytes: usize) -> u32 {
    let digit = |at: usize| SHIFTS[at][bytes >> (8 * at) & 0xff];
    let shift = multiply(digit(1), digit(0));
    if bytes < 1 << 16 {
        return shift;
    }
    // Batches end far below 4 GiB; whatever lies above the table is stepped over.
    (0..bytes >> 24).fold(multiply(digit(2), shift), |shift, _| multiply(SHIFTS[2][1], multiply(SHIFTS[2][255], shift)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn joined_crcs_are_those_of_the_whole() {
        let bytes: Vec<u8> = (0..70_000u32).map(|n| ((n * 31) >> 3).to_le_bytes()[0]).collect();
        for split in [0, 1, 59, 64] {
            for end in [split, split + 1, 255, 256, 257, 65_535, 65_536, 65_537, 70_000] {
                let (before, behind) = bytes[..end].split_at(split);
                let joined = BodyCrc::of(behind).behind(crc32fast::hash(before));
                assert_eq!(joined, crc32fast::hash(&bytes[..end]), "{split} of {end}");
                let (left, right) = behind.split_at(behind.len() / 3);
                assert_eq!(BodyCrc::of_parts(&[left, right]).behind(crc32fast::hash(before)), joined);
            }
        }
    }

    #[test]
    fn long_runs_shift_as_the_library_combines() {
        for bytes in [1usize << 24, (1 << 24) + 77, (3 << 24) + 65_537] {
            let mut first = Hasher::new_with_initial(0x1234_5678);
            first.combine(&Hasher::new_with_initial_len(0x9abc_def0, bytes as u64));
            let body = BodyCrc { crc: 0x9abc_def0, shift: shift_of(bytes) };
            assert_eq!(body.behind(0x1234_5678), first.finalize(), "{bytes}");
        }
    }
}
