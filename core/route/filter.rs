//! What a subscription asks of the records that it gets: a rule, whichever way their values are written.

use super::Message;
use super::expression::Predicate;
use crate::error::Result;
use crate::schema::{Framed, Memo, Schemas, framed};

#[derive(Debug)]
pub struct Filter {
    predicate: Predicate,
}

impl Filter {
    /// # Errors
    /// `bad_expression` with what is wrong and where.
    pub fn parse(text: &str) -> Result<Self> {
        Ok(Self { predicate: Predicate::parse(text)? })
    }

    /// Whether a record goes through. One that names its schema, in its value or its headers, is read with it if it is one
    /// of Avro; what lies behind any other id, and every other value, as JSON or msgpack. What cannot be read, and a
    /// tombstone, goes through only where the rule asks for no field of it.
    pub fn takes(&self, record: &Message<'_>, schemas: &Schemas, memo: &mut Memo) -> bool {
        let (body, schema) = match framed(record.value, record.headers) {
            Framed::Schema { id, body } => (body, memo.get(schemas, id)),
            Framed::Plain | Framed::BadHeader => (record.value, None),
        };
        self.predicate.holds_whole(&Message { value: body, ..*record }, schema)
    }
}
