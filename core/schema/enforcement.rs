//! What a topic or queue asks of the records that it takes.

use std::fmt;

use super::framing::{Framed, framed};
use super::invalid::Invalid;
use super::schemas::{Memo, Schemas};
use crate::error::{CoreError, ErrorCode, RecordFault};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EnforcementMode {
    /// The value names a schema of the subject.
    Id,
    /// And its body decodes with it.
    Full,
}

/// The ids that a topic or queue takes; TypeScript decides which.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Enforcement {
    mode: EnforcementMode,
    /// Sorted, each once.
    ids: Box<[u32]>,
}

/// Why a record is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The id that the record names, where it names one.
    pub schema_id: Option<u32>,
    /// Boxed: what is returned for every record is small.
    pub reason: Box<ViolationReason>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ViolationReason {
    NoSchema,
    BadHeader,
    /// The id is unknown or of another subject.
    NotOfSubject,
    /// The schema is there, and is none of Avro.
    NotAvro,
    Body(Invalid),
}

impl Violation {
    #[cold]
    fn new(schema_id: Option<u32>, reason: ViolationReason) -> Self {
        Self { schema_id, reason: Box::new(reason) }
    }

    /// The path of the field that is wrong; empty where it is the value as a whole.
    pub fn field(&self) -> &str {
        match &*self.reason {
            ViolationReason::Body(invalid) => &invalid.path,
            _ => "",
        }
    }

    /// The error that the sender is told, about the record at this position of its batch.
    #[cold]
    pub fn at(&self, position: u32) -> CoreError {
        let reason = match &*self.reason {
            ViolationReason::Body(invalid) => invalid.reason.to_string(),
            _ => self.to_string(),
        };
        let message = format!("record {position}: {self}; {}", self.repair());
        let fault = RecordFault { position, schema_id: self.schema_id, field: self.field().to_owned(), reason };
        CoreError::new(ErrorCode::SCHEMA_VIOLATION, message).of_record(fault)
    }

    /// What to do about it.
    pub fn repair(&self) -> &'static str {
        match *self.reason {
            ViolationReason::NoSchema => {
                "encode the value with a schema of the subject: byte 0, the id in 4 bytes, the body; or put the id into the header x-schema-id"
            }
            ViolationReason::BadHeader => "make the header x-schema-id the schema's id as an integer",
            ViolationReason::NotOfSubject => "register the schema under the subject and use the id that it has there",
            ViolationReason::NotAvro => "use an Avro schema, or enforce ids alone (schemaEnforce: id)",
            ViolationReason::Body(_) => "encode the value with the schema whose id it names",
        }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let id = self.schema_id.unwrap_or_default();
        match &*self.reason {
            ViolationReason::NoSchema => f.write_str("the value names no schema"),
            ViolationReason::BadHeader => f.write_str("the header x-schema-id holds no schema's id"),
            ViolationReason::NotOfSubject => write!(f, "schema {id} is not one of the subject"),
            ViolationReason::NotAvro => write!(f, "schema {id} is not of Avro, so that its values cannot be checked"),
            ViolationReason::Body(invalid) => write!(f, "not a value of schema {id}: {invalid}"),
        }
    }
}

impl std::error::Error for Violation {}

impl Enforcement {
    pub fn new(mode: EnforcementMode, mut ids: Vec<u32>) -> Self {
        ids.sort_unstable();
        ids.dedup();
        Self { mode, ids: ids.into() }
    }

    pub fn mode(&self) -> EnforcementMode {
        self.mode
    }

    /// Whether a record with this value and these headers (nil, a msgpack map, or empty) may be stored. A record without
    /// a value, a tombstone, may.
    ///
    /// # Errors
    /// What is wrong with it.
    #[inline]
    pub fn check(
        &self,
        schemas: &Schemas,
        value: Option<&[u8]>,
        headers: &[u8],
        memo: &mut Memo,
    ) -> Result<(), Violation> {
        let Some(value) = value else { return Ok(()) };
        let (id, body) = match framed(value, headers) {
            Framed::Schema { id, body } => (id, body),
            Framed::Plain => return Err(Violation::new(None, ViolationReason::NoSchema)),
            Framed::BadHeader => return Err(Violation::new(None, ViolationReason::BadHeader)),
        };
        if self.ids.binary_search(&id).is_err() {
            return Err(Violation::new(Some(id), ViolationReason::NotOfSubject));
        }
        if self.mode == EnforcementMode::Id {
            return Ok(());
        }
        let Some(schema) = memo.get(schemas, id) else {
            return Err(Violation::new(Some(id), ViolationReason::NotAvro));
        };
        schema.validate(body).map_err(|invalid| Violation::new(Some(id), ViolationReason::Body(*invalid)))
    }
}
