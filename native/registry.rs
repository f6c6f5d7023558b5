//! The cores of this process by number. Worker threads cannot hand objects of an
//! addon to each other, so a number finds the core that another worker opened.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};

use millrace_core::engine::Engine;

type Engines = HashMap<u32, Weak<Engine>>;

static ENGINES: OnceLock<Mutex<Engines>> = OnceLock::new();
static NEXT_ID: AtomicU32 = AtomicU32::new(1);

fn engines() -> MutexGuard<'static, Engines> {
    ENGINES.get_or_init(Mutex::default).lock().unwrap_or_else(PoisonError::into_inner)
}

pub fn add(engine: &Arc<Engine>) -> u32 {
    let id = NEXT_ID.fetch_add(1, Ordering::Relaxed);
    engines().insert(id, Arc::downgrade(engine));
    id
}

pub fn find(id: u32) -> napi::Result<Arc<Engine>> {
    engines().get(&id).and_then(Weak::upgrade).ok_or_else(|| crate::convert::misuse("no engine of that number is open"))
}

pub fn remove(id: u32) {
    engines().remove(&id);
}
