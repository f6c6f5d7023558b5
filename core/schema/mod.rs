//! Avro schemas as the data path uses them: a type table that is read once, and walks over bodies that build nothing.
//! No lock but that of the shared table of schemas, no log, no I/O. See README.md.
#![allow(
    clippy::unnecessary_box_returns,
    reason = "the error of a walk is a pointer, so that what is valid costs one word"
)]

pub(crate) mod cursor;
mod enforced;
mod enforcement;
mod framing;
#[cfg(test)]
mod fuzz_target;
mod invalid;
mod resolve;
mod schemas;
mod table;
#[cfg(test)]
pub(crate) mod tests;
pub(crate) mod types;
pub(crate) mod walk;

pub use enforced::{Enforced, Taker};
pub use enforcement::{Enforcement, EnforcementMode, Violation, ViolationReason};
pub use framing::{Framed, SCHEMA_ID_HEADER, framed};
pub use invalid::{Invalid, PATH_BYTES_MAX, Reason};
pub use resolve::{PAIRS_MAX, RESOLVED_BYTES_MAX, Resolution};
pub use schemas::{Memo, RESOLUTION_BYTES_MAX, RESOLUTIONS_MAX, Resolved, SCHEMAS_MAX, Schemas};
pub use table::{TABLE_BYTES_MAX, TYPES_MAX};
pub use types::Schema;
pub use walk::{DEPTH_MAX, EMPTY_ITEMS_MAX};
