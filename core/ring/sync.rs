//! The primitives of the ring: the real ones, or loom's, which try every interleaving.

#[cfg(not(loom))]
pub use real::*;

#[cfg(loom)]
pub use model::*;

#[cfg(not(loom))]
mod real {
    pub use parking_lot::{Mutex, MutexGuard};
    use std::ops::Range;
    pub use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

    pub fn lock(mutex: &Mutex<()>) -> MutexGuard<'_, ()> {
        mutex.lock()
    }

    #[inline]
    pub fn look_at(cursor: &AtomicU64) -> u64 {
        cursor.load(Ordering::Relaxed)
    }

    /// Waits for a thread that needs nanoseconds, unless it is not running just now.
    #[cold]
    pub fn wait_for(condition: impl Fn() -> bool) {
        for _ in 0..256 {
            if condition() {
                return;
            }
            std::hint::spin_loop();
        }
        while !condition() {
            std::thread::yield_now();
        }
    }

    /// Tells loom of accesses to plain memory; nothing outside it.
    pub struct Shadow;

    #[allow(clippy::unused_self, reason = "loom's shadow needs it")]
    impl Shadow {
        pub fn new(_cells: usize) -> Shadow {
            Shadow
        }

        #[inline]
        pub fn read(&self, _cells: Range<usize>) {}

        #[inline]
        pub fn write(&self, _cells: Range<usize>) {}
    }
}

#[cfg(loom)]
mod model {
    use loom::cell::UnsafeCell;
    pub use loom::sync::atomic::{AtomicBool, AtomicU64, Ordering};
    pub use loom::sync::{Mutex, MutexGuard};
    use std::ops::Range;

    pub fn lock(mutex: &Mutex<()>) -> MutexGuard<'_, ()> {
        mutex.lock().expect("no holder panics in a model")
    }

    /// A load that loom takes for a write. It remembers only the last access of an
    /// atomic: of a load, another thread's load and that one's CAS it would see no
    /// conflict, and so never try the CAS before the first load.
    pub fn look_at(cursor: &AtomicU64) -> u64 {
        cursor.fetch_or(0, Ordering::Relaxed)
    }

    pub fn wait_for(condition: impl Fn() -> bool) {
        while !condition() {
            loom::thread::yield_now();
        }
    }

    /// One cell per byte or entry of the real memory: loom fails the model when two
    /// accesses, one of them a write, are not ordered by the ring's atomics.
    pub struct Shadow(Vec<UnsafeCell<()>>);

    impl Shadow {
        pub fn new(cells: usize) -> Shadow {
            Shadow((0..cells).map(|_| UnsafeCell::new(())).collect())
        }

        pub fn read(&self, cells: Range<usize>) {
            for cell in &self.0[cells] {
                cell.with(|_| ());
            }
        }

        pub fn write(&self, cells: Range<usize>) {
            for cell in &self.0[cells] {
                cell.with_mut(|_| ());
            }
        }
    }
}
