//! Avro schemas by themselves, without an engine: functions over a type table and bytes.

use millrace_core::schema::{Invalid, Schema};
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
