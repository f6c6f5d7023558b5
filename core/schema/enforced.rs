//! What the topics and queues of the broker ask of their records, shared by all threads.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use hashbrown::HashMap;
use parking_lot::RwLock;

use super::enforcement::Enforcement;
use super::schemas::Schemas;

/// What takes records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Taker {
    /// By the id of its log.
    Topic(u64),
    /// By its id, which no other space's queue has.
    Queue(u32),
}

struct Entry {
    version: u64,
    enforcement: Option<Arc<Enforcement>>,
}

/// The schemas of the broker, and who takes records of which of them. One a process.
#[derive(Default)]
pub struct Enforced {
    pub schemas: Schemas,
    by_taker: RwLock<HashMap<Taker, Entry>>,
    /// Rises with each change: who keeps an enforcement looks again then. 0 says that there was none yet.
    generation: AtomicU64,
    /// Publishes and single records that were refused because of their schemas.
    pub violations: AtomicU64,
}

impl Enforced {
    /// Sets what a topic or queue asks for; `None`: nothing. All workers tell of each change; `version`, an offset in
    /// the metadata log, keeps one that lags behind from undoing what another was faster with.
    pub fn set(&self, taker: Taker, version: u64, enforcement: Option<Enforcement>) {
        let mut by_taker = self.by_taker.write();
        if by_taker.get(&taker).is_some_and(|known| known.version >= version) {
            return;
        }
        by_taker.insert(taker, Entry { version, enforcement: enforcement.map(Arc::new) });
        self.generation.fetch_add(1, Ordering::Release);
    }

    /// Forgets a topic or queue that is gone: its id is never given again.
    pub fn forget(&self, taker: Taker) {
        if self.by_taker.write().remove(&taker).is_some() {
            self.generation.fetch_add(1, Ordering::Release);
        }
    }

    pub fn get(&self, taker: Taker) -> Option<Arc<Enforcement>> {
        self.by_taker.read().get(&taker)?.enforcement.clone()
    }

    /// Changes whenever an answer of `get` may have changed; 0 while every answer is `None`.
    #[inline]
    pub fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }
}
