//! Avro schemas by themselves, without an engine: functions over a type table and bytes.

use std::sync::Arc;

use millrace_core::schema::{Invalid, Resolution, Schema};
use napi::bindgen_prelude::Uint8Array;
use napi_derive::napi;

use crate::convert::failed;

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
