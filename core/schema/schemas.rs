//! The schemas of the broker by id, shared by all threads.

use std::sync::Arc;

use hashbrown::HashMap;
use parking_lot::RwLock;

use super::types::Schema;
use crate::error::{CoreError, ErrorCode, Result};

/// Schemas that the core holds.
pub const SCHEMAS_MAX: usize = 1 << 17;

/// An id never gets another schema, so that who holds one needs not ask again; it may be gone meanwhile,
/// and `Enforcement` decides which ids are taken.
#[derive(Default)]
pub struct Schemas {
    by_id: RwLock<HashMap<u32, Arc<Schema>>>,
}

impl Schemas {
    /// Adds the schema of an id. A second one is dropped.
    ///
    /// # Errors
    /// `limit_exceeded` over `SCHEMAS_MAX`.
    pub fn put(&self, id: u32, schema: Schema) -> Result<()> {
        let mut by_id = self.by_id.write();
        if by_id.len() >= SCHEMAS_MAX && !by_id.contains_key(&id) {
            return Err(CoreError::new(ErrorCode::LIMIT_EXCEEDED, format!("more than {SCHEMAS_MAX} schemas")));
        }
        by_id.entry(id).or_insert_with(|| Arc::new(schema));
        Ok(())
    }

    pub fn remove(&self, id: u32) {
        self.by_id.write().remove(&id);
    }

    pub fn get(&self, id: u32) -> Option<Arc<Schema>> {
        self.by_id.read().get(&id).cloned()
    }

    pub fn len(&self) -> usize {
        self.by_id.read().len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

const MEMO_SLOTS: usize = 4;

/// The schemas that its owner met last, so that a record's schema costs no lock. One a thread, for one `Schemas`.
#[derive(Default)]
pub struct Memo {
    slots: [Option<(u32, Arc<Schema>)>; MEMO_SLOTS],
}

impl Memo {
    #[inline]
    pub fn get(&mut self, schemas: &Schemas, id: u32) -> Option<&Schema> {
        let slot = &mut self.slots[id as usize % MEMO_SLOTS];
        if !matches!(slot, Some((known, _)) if *known == id) {
            *slot = Some((id, schemas.get(id)?));
        }
        slot.as_ref().map(|(_, schema)| &**schema)
    }
}
