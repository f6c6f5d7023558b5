//! The cores of this process by number. Worker threads cannot hand objects of an
//! addon to each other, so a number finds the core that another thread opened.
//! A core stays here until it is closed.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use millrace_core::engine::Engine;

type Engines = HashMap<u32, Arc<Engine>>;

static ENGINES: OnceLock<Mutex<Engines>> = OnceLock::new();
static NEXT_ID: AtomicU32 = AtomicU32::new(1);

fn engines() -> MutexGuard<'static, Engines> {
    ENGINES.get_or_init(Mutex::default).lock().unwrap_or_else(PoisonError::into_inner)
}

pub fn add(engine: Arc<Engine>) -> u32 {
    let id = NEXT_ID.fetch_add(1, Ordering::Relaxed);
    engines().insert(id, engine);
    id
}

pub fn find(id: u32) -> napi::Result<Arc<Engine>> {
    engines().get(&id).cloned().ok_or_else(|| crate::convert::misuse("no engine of that number is open"))
}

pub fn remove(id: u32) {
    engines().remove(&id);
}
