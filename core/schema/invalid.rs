//! What is wrong with a body, and where in it.

use std::fmt;

/// Of the path to a fault; a longer one is cut at its beginning.
pub const PATH_BYTES_MAX: usize = 512;
/// Of a map's key in a path.
const KEY_CHARS_MAX: usize = 32;

/// A body that does not decode with its schema.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invalid {
    /// Fields as in rules: `legs[2].price`, `tags["a b"]`; empty for the body as a whole.
    pub path: String,
    pub reason: Reason,
    /// The byte of the body at which it shows.
    pub at: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The body ends inside a value of this type.
    Truncated(&'static str),
    /// A number of this type has too many bytes, or is out of its range.
    Number(&'static str),
    Boolean(u8),
    /// Of a string or bytes.
    Length(i64),
    Utf8,
    /// The branch that a union names, and how many there are.
    Branch(i64, u32),
    /// The symbol that an enum names, and how many there are.
    Symbol(i64, u32),
    /// The size that a block of an array or map states is not its own.
    BlockSize,
    /// Containers within each other, over `DEPTH_MAX`.
    Depth,
    /// Items without bytes, over `EMPTY_ITEMS_MAX`.
    EmptyItems,
    /// Bytes behind the value.
    Rest(usize),
    /// What the writer's schema has here, the reader's has nothing for.
    NoMatch,
    /// The body would grow over `RESOLVED_BYTES_MAX`.
    Growth,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Truncated(kind) => write!(f, "the body ends inside a value of type {kind}"),
            Self::Number(kind) => write!(f, "a number that is too large for type {kind}"),
            Self::Boolean(byte) => write!(f, "a boolean is the byte 0 or 1, not {byte}"),
            Self::Length(length) => write!(f, "a length of {length}"),
            Self::Utf8 => f.write_str("a string that is not UTF-8"),
            Self::Branch(index, count) => write!(f, "branch {index} of a union that has {count}"),
            Self::Symbol(index, count) => write!(f, "symbol {index} of an enum that has {count}"),
            Self::BlockSize => f.write_str("a block's size is not that of its items"),
            Self::Depth => write!(f, "nested deeper than {}", super::DEPTH_MAX),
            Self::EmptyItems => write!(f, "more than {} items without bytes", super::EMPTY_ITEMS_MAX),
            Self::Rest(count) => write!(f, "{count} bytes are left behind the value"),
            Self::NoMatch => f.write_str("the reader's schema has no match for this value"),
            Self::Growth => f.write_str("the value grows too large in the reader's schema"),
        }
    }
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, reason, at } = self;
        match path.as_str() {
            "" => write!(f, "{reason} (at byte {at})"),
            path => write!(f, "{path}: {reason} (at byte {at})"),
        }
    }
}

/// A step of a path, from inside to outside.
pub enum Step<'a> {
    Field(&'a str),
    Item(u64),
    Key(&'a [u8]),
}

impl Invalid {
    #[cold]
    pub(super) fn new(reason: Reason, at: usize) -> Box<Self> {
        Box::new(Self { path: String::new(), reason, at })
    }

    /// Puts what the fault lies in before its path.
    #[cold]
    pub(super) fn inside(mut self: Box<Self>, step: &Step<'_>) -> Box<Self> {
        if self.path.len() >= PATH_BYTES_MAX {
            if !self.path.starts_with("...") {
                self.path.insert_str(0, "...");
            }
            return self;
        }
        let step = match step {
            Step::Field(name) if self.path.is_empty() || self.path.starts_with('[') => (*name).to_owned(),
            Step::Field(name) => format!("{name}."),
            Step::Item(index) => self.joined(format!("[{index}]")),
            Step::Key(key) => {
                let text: String = String::from_utf8_lossy(key).chars().take(KEY_CHARS_MAX).collect();
                self.joined(format!("[{text:?}]"))
            }
        };
        self.path.insert_str(0, &step);
        self
    }

    fn joined(&self, bracket: String) -> String {
        if self.path.is_empty() || self.path.starts_with('[') { bracket } else { bracket + "." }
    }
}
