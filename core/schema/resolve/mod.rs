//! Avro's schema resolution: bodies of a writer's schema become bodies of a reader's.
//! Source: <https://avro.apache.org/docs/1.12.0/specification/#schema-resolution>.
//!
//! Pairs of types that can meet are found once (`pairs`), judged (`judge`), and made into a node each (`nodes`);
//! `apply` then walks a body with these nodes. Recursive types are circles of nodes.

mod apply;
mod judge;
mod nodes;
mod pairs;

use std::sync::Arc;

use super::types::Schema;
use crate::error::{CoreError, ErrorCode, Result};
use judge::Verdicts;
use nodes::Node;
use pairs::{Pairs, ROOT};

pub use apply::RESOLVED_BYTES_MAX;
pub use pairs::PAIRS_MAX;

/// How bodies of one schema are read with another one.
#[derive(Debug)]
pub struct Resolution {
    writer: Arc<Schema>,
    /// By the number of their pair.
    nodes: Box<[Node]>,
    is_total: bool,
}

impl Resolution {
    /// # Errors
    /// `schema_incompatible` where no body of the writer's schema can be read with the reader's;
    /// `schema_unsupported` where more than `PAIRS_MAX` pairs of their types can meet.
    pub fn new(writer: Arc<Schema>, reader: &Schema) -> Result<Self> {
        let unsupported = || {
            CoreError::new(ErrorCode::SCHEMA_UNSUPPORTED, format!("over {PAIRS_MAX} pairs of types, or too entangled"))
        };
        let pairs = Pairs::find(&writer, reader).ok_or_else(unsupported)?;
        let verdicts = Verdicts::judge(&pairs, &writer).ok_or_else(unsupported)?;
        if !verdicts.some[ROOT] {
            let what = "no value of the writer's schema can be read with the reader's";
            return Err(CoreError::new(ErrorCode::SCHEMA_INCOMPATIBLE, what));
        }
        let nodes = nodes::build(&pairs, &verdicts, &writer, reader);
        Ok(Self { writer, nodes, is_total: verdicts.every[ROOT] })
    }

    /// Whether every body of the writer's schema can be read; otherwise it depends on the branches and symbols in it.
    pub fn is_total(&self) -> bool {
        self.is_total
    }

    /// Whether bodies are the same in both schemas, byte by byte.
    pub fn is_identity(&self) -> bool {
        matches!(self.nodes[ROOT], Node::Copy(_))
    }

    /// About what it takes in memory.
    pub fn memory_bytes(&self) -> usize {
        self.nodes.iter().map(Node::memory_bytes).sum()
    }
}
