//! One error type for the whole core. Every error carries a code of the
//! catalogue (src/errors/catalogue.json), so that the binding can hand it to
//! TypeScript, and the wire to a client, without translating text.

pub use crate::error_codes::ErrorCode;

pub type Result<T> = std::result::Result<T, CoreError>;

/// What went wrong, where, and (through the code's catalogue entry) what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CoreError {
    pub code: ErrorCode,
    pub message: String,
    /// The offset the error is about: the expected one of a conflict, the first
    /// readable one of `offset_out_of_range`, the bad one of `corrupt_batch`.
    pub offset: Option<u64>,
    /// Of `schema_violation`: the record that is not what its schema says.
    pub record: Option<Box<RecordFault>>,
}

/// What is wrong with a record of a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordFault {
    /// Counted from 0 within the batch.
    pub position: u32,
    /// The schema that the record names, where it names one.
    pub schema_id: Option<u32>,
    /// Path of the field; empty where it is the value as a whole.
    pub field: String,
    pub reason: String,
}

impl CoreError {
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), offset: None, record: None }
    }

    #[must_use]
    pub fn of_record(mut self, record: RecordFault) -> Self {
        self.record = Some(Box::new(record));
        self
    }

    #[must_use]
    pub fn at_offset(mut self, offset: u64) -> Self {
        self.offset = Some(offset);
        self
    }

    /// An operating-system error while doing `what` (a verb phrase with the file
    /// or partition in it). A full disk or quota is its own, retryable code.
    pub fn io(what: &str, error: &std::io::Error) -> Self {
        let full = matches!(error.raw_os_error(), Some(libc::ENOSPC | libc::EDQUOT));
        let code = if full { ErrorCode::DISK_FULL } else { ErrorCode::STORAGE_FAILED };
        Self::new(code, format!("{what}: {error}"))
    }
}

impl std::fmt::Display for CoreError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.code.name(), self.message)
    }
}

impl std::error::Error for CoreError {}
