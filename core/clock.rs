//! Time as a part that can be replaced: retention, timestamps and leases are
//! tested by moving a manual clock instead of waiting.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

pub trait Clock: Send + Sync {
    /// Milliseconds since the Unix epoch.
    fn now_ms(&self) -> u64;

    /// Nanoseconds since some moment, never 0 and never going back: for how long things take.
    fn ticks_ns(&self) -> u64;
}

pub struct SystemClock {
    began: Instant,
}

impl Default for SystemClock {
    fn default() -> Self {
        Self { began: Instant::now() }
    }
}

impl Clock for SystemClock {
    fn now_ms(&self) -> u64 {
        SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
    }

    #[inline]
    fn ticks_ns(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_nanos()).unwrap_or(u64::MAX).max(1)
    }
}

/// Stands still until it is set.
pub struct ManualClock(AtomicU64);

impl ManualClock {
    pub fn new(now_ms: u64) -> Self {
        Self(AtomicU64::new(now_ms))
    }

    pub fn set(&self, now_ms: u64) {
        self.0.store(now_ms, Ordering::Release);
    }
}

impl Clock for ManualClock {
    fn now_ms(&self) -> u64 {
        self.0.load(Ordering::Acquire)
    }

    fn ticks_ns(&self) -> u64 {
        self.now_ms().wrapping_mul(1_000_000) | 1
    }
}

/// When something came in and when consumers could see it, in ticks of the clock; 0 is not known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stamp {
    pub arrived_ns: u64,
    pub visible_ns: u64,
}

impl Stamp {
    pub fn is_known(self) -> bool {
        self.visible_ns != 0
    }
}

/// A stamp that threads share. The two numbers may be of different events for a moment, which a
/// histogram can bear.
#[derive(Default)]
pub struct SharedStamp {
    arrived_ns: AtomicU64,
    visible_ns: AtomicU64,
}

impl SharedStamp {
    pub fn set(&self, stamp: Stamp) {
        self.arrived_ns.store(stamp.arrived_ns, Ordering::Relaxed);
        self.visible_ns.store(stamp.visible_ns, Ordering::Relaxed);
    }

    /// Keeps the oldest of what is not taken yet.
    pub fn set_if_none(&self, stamp: Stamp) {
        let unset = self.visible_ns.compare_exchange(0, stamp.visible_ns, Ordering::Relaxed, Ordering::Relaxed);
        if unset.is_ok() {
            self.arrived_ns.store(stamp.arrived_ns, Ordering::Relaxed);
        }
    }

    pub fn get(&self) -> Stamp {
        let visible_ns = self.visible_ns.load(Ordering::Relaxed);
        Stamp { arrived_ns: self.arrived_ns.load(Ordering::Relaxed), visible_ns }
    }

    pub fn take(&self) -> Stamp {
        let visible_ns = self.visible_ns.swap(0, Ordering::Relaxed);
        Stamp { arrived_ns: self.arrived_ns.load(Ordering::Relaxed), visible_ns }
    }
}
