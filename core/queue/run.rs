//! Consecutive messages, packed into 16 bytes where they wait.

use super::types::Number;

/// Of a run: 47 bits are left for it.
const BYTES_MAX: u64 = (1 << 47) - 1;
const MARKED: u64 = 1 << 15;

/// Messages with consecutive numbers. Single sizes are not kept: a part of a run has its share of the bytes,
/// so sums always add up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Run {
    pub first: Number,
    pub count: u32,
    pub bytes: u64,
    /// Each of them has an entry in the queue's extras.
    pub marked: bool,
}

impl Run {
    pub fn one(number: Number, bytes: u64, marked: bool) -> Self {
        Self { first: number, count: 1, bytes, marked }
    }

    #[inline]
    pub fn end(&self) -> Number {
        self.first + u64::from(self.count)
    }

    /// Takes the first `count` off; at most all but one.
    #[inline]
    pub fn split(&mut self, count: u32) -> Self {
        let bytes = share(self.bytes, count, self.count);
        let taken = Self { first: self.first, count, bytes, marked: self.marked };
        self.first += u64::from(count);
        self.count -= count;
        self.bytes -= bytes;
        taken
    }

    /// The messages one by one, with their shares of the bytes.
    pub fn each(mut self) -> impl Iterator<Item = Run> {
        std::iter::from_fn(move || match self.count {
            0 => None,
            1 => {
                self.count = 0;
                Some(Self { count: 1, ..self })
            }
            _ => Some(self.split(1)),
        })
    }
}

/// `part` of `whole` of these bytes.
#[inline]
pub(super) fn share(bytes: u64, part: u32, whole: u32) -> u64 {
    if part == whole {
        return bytes;
    }
    // 47 bits by 32 do not fit 64. The narrower the division is, the faster.
    let Some(product) = bytes.checked_mul(u64::from(part)) else {
        return (u128::from(bytes) * u128::from(part) / u128::from(whole)) as u64;
    };
    match u32::try_from(product) {
        Ok(product) => u64::from(product / whole),
        Err(_) => product / u64::from(whole),
    }
}

/// A run in 16 bytes: 48 bits of number, 32 of count, 47 of bytes, the mark.
#[derive(Clone, Copy)]
pub(super) struct Packed {
    /// Number, then the mark, then the high 15 bits of the bytes.
    head: u64,
    count: u32,
    bytes_low: u32,
}

impl Packed {
    #[inline]
    pub fn new(run: Run) -> Self {
        let bytes = run.bytes.min(BYTES_MAX);
        let mark = if run.marked { MARKED } else { 0 };
        Self { head: run.first << 16 | mark | bytes >> 32, count: run.count, bytes_low: bytes as u32 }
    }

    #[inline]
    pub fn run(self) -> Run {
        let bytes = (self.head & (MARKED - 1)) << 32 | u64::from(self.bytes_low);
        Run { first: self.first(), count: self.count, bytes, marked: self.head & MARKED != 0 }
    }

    #[inline]
    pub fn first(self) -> Number {
        self.head >> 16
    }

    #[inline]
    pub fn end(self) -> Number {
        self.first() + u64::from(self.count)
    }

    /// Takes in a run that follows directly and is of the same kind.
    #[inline]
    pub fn extend(&mut self, run: Run) -> bool {
        let own = self.run();
        let bytes = own.bytes + run.bytes;
        let Some(count) = own.count.checked_add(run.count) else { return false };
        if own.end() != run.first || own.marked != run.marked || bytes > BYTES_MAX {
            return false;
        }
        *self = Self::new(Run { count, bytes, ..own });
        true
    }
}
