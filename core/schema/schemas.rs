//! The schemas of the broker by id, shared by all threads.

use std::sync::Arc;

use hashbrown::HashMap;
use parking_lot::RwLock;

use super::resolve::Resolution;
use super::types::Schema;
use crate::error::{CoreError, ErrorCode, Result};

/// Schemas that the core holds.
pub const SCHEMAS_MAX: usize = 1 << 17;

/// Resolutions that are kept.
pub const RESOLUTIONS_MAX: usize = 4_096;
/// Of the resolutions that are kept, all together.
pub const RESOLUTION_BYTES_MAX: usize = 64 << 20;

/// How a writer's schema is read with a reader's; the error is kept as well, because every record would ask again.
pub type Resolved = Result<Arc<Resolution>>;

/// An id never gets another schema, so that who holds one needs not ask again; it may be gone meanwhile,
/// and `Enforcement` decides which ids are taken.
#[derive(Default)]
pub struct Schemas {
    by_id: RwLock<HashMap<u32, Arc<Schema>>>,
    resolutions: RwLock<Resolutions>,
}

/// By the ids of writer and reader.
#[derive(Default)]
struct Resolutions {
    by_ids: HashMap<(u32, u32), Resolved>,
    bytes: usize,
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

    /// How bodies of one schema are read with another; `None` where one of them is not there.
    pub fn resolution(&self, writer: u32, reader: u32) -> Option<Resolved> {
        let known = self.resolutions.read().by_ids.get(&(writer, reader)).cloned();
        if known.is_some() {
            return known;
        }
        let resolved = Resolution::new(self.get(writer)?, &*self.get(reader)?).map(Arc::new);
        self.resolutions.write().keep((writer, reader), &resolved);
        Some(resolved)
    }
}

impl Resolutions {
    /// All are let go at a limit: they are made again as they are asked for.
    fn keep(&mut self, ids: (u32, u32), resolved: &Resolved) {
        let bytes = resolved.as_ref().map_or(0, |resolution| resolution.memory_bytes());
        if self.by_ids.len() >= RESOLUTIONS_MAX || self.bytes + bytes > RESOLUTION_BYTES_MAX {
            *self = Self::default();
        }
        if bytes <= RESOLUTION_BYTES_MAX && self.by_ids.insert(ids, resolved.clone()).is_none() {
            self.bytes += bytes;
        }
    }
}

const MEMO_SLOTS: usize = 4;

/// The schemas and resolutions that its owner met last, so that a record costs no lock. One a thread, for one `Schemas`.
#[derive(Default)]
pub struct Memo {
    schemas: [Option<(u32, Arc<Schema>)>; MEMO_SLOTS],
    resolutions: [Option<((u32, u32), Resolved)>; MEMO_SLOTS],
}

impl Memo {
    #[inline]
    pub fn get(&mut self, schemas: &Schemas, id: u32) -> Option<&Schema> {
        let slot = &mut self.schemas[id as usize % MEMO_SLOTS];
        if !matches!(slot, Some((known, _)) if *known == id) {
            *slot = Some((id, schemas.get(id)?));
        }
        slot.as_ref().map(|(_, schema)| &**schema)
    }

    /// As `Schemas::resolution`; `None` also where the writer's schema cannot be read with the reader's.
    #[inline]
    pub fn resolution(&mut self, schemas: &Schemas, writer: u32, reader: u32) -> Option<&Resolution> {
        let ids = (writer, reader);
        let slot = &mut self.resolutions[(writer ^ reader) as usize % MEMO_SLOTS];
        if !matches!(slot, Some((known, _)) if *known == ids) {
            *slot = Some((ids, schemas.resolution(writer, reader)?));
        }
        slot.as_ref().and_then(|(_, resolved)| resolved.as_ref().ok().map(|resolution| &**resolution))
    }
}
