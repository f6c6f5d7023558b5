//! Avro schemas by themselves, without an engine: functions over a type table and bytes. And what is said of
//! enforcement, as the core has it.

use std::sync::Arc;

use millrace_core::schema::{Enforcement, EnforcementMode, Invalid, Resolution, Schema, Taker};
use napi::bindgen_prelude::Uint8Array;
use napi_derive::napi;

use crate::convert::{failed, integer, misuse};

/// `SchemaFault` of src/log/engine.ts.
#[napi(object)]
pub struct SchemaFault {
    pub path: String,
    pub reason: String,
    pub at: u32,
}

impl From<&Invalid> for SchemaFault {
    fn from(from: &Invalid) -> Self {
        Self { path: from.path.clone(), reason: from.reason.to_string(), at: from.at as u32 }
    }
}

/// What is wrong with a body; absent where nothing is.
#[napi]
pub fn schema_validate(table: &[u8], body: &[u8]) -> napi::Result<Option<SchemaFault>> {
    let schema = Schema::read(table).map_err(failed)?;
    Ok(schema.validate(body).err().map(|invalid| (&*invalid).into()))
}

/// `SchemaResolved` of src/log/engine.ts.
#[napi(object)]
pub struct SchemaResolved {
    pub is_total: bool,
    pub body: Option<Uint8Array>,
    pub fault: Option<SchemaFault>,
}

/// A body of the writer's schema in the reader's.
#[napi]
pub fn schema_resolve(writer: &[u8], reader: &[u8], body: &[u8]) -> napi::Result<SchemaResolved> {
    let (writer, reader) = (Schema::read(writer).map_err(failed)?, Schema::read(reader).map_err(failed)?);
    let resolution = Resolution::new(Arc::new(writer), &reader).map_err(failed)?;
    let mut out = Vec::new();
    let (body, fault) = match resolution.apply(body, &mut out) {
        Ok(()) => (Some(out.into()), None),
        Err(invalid) => (None, Some((&*invalid).into())),
    };
    Ok(SchemaResolved { is_total: resolution.is_total(), body, fault })
}

/// What takes records: `topic` with its log's id, or `queue` with its own.
pub fn taker(kind: &str, id: f64) -> napi::Result<Taker> {
    match (kind, integer(id)?) {
        ("topic", log_id) => Ok(Taker::Topic(log_id)),
        ("queue", id) => u32::try_from(id).map(Taker::Queue).map_err(|_| misuse("a queue's id is a u32")),
        _ => Err(misuse("records are taken by a topic or a queue")),
    }
}

/// `SchemaEnforce` of src/log/engine.ts with the ids that are taken.
pub fn enforcement(mode: &str, ids: Vec<u32>) -> napi::Result<Option<Enforcement>> {
    match mode {
        "none" => Ok(None),
        "id" => Ok(Some(Enforcement::new(EnforcementMode::Id, ids))),
        "full" => Ok(Some(Enforcement::new(EnforcementMode::Full, ids))),
        _ => Err(misuse("schemas are enforced none, id or full")),
    }
}
