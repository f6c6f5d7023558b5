//! Deliveries to subscriptions that do not want records as they are stored: a filter leaves some out, a reader schema
//! has them written anew. Only these are looked at record by record, and copied.

use crate::batch::sparse;
use crate::batch::{BatchHeader, HEADER_BYTES, Record, compression, finish, records_of, span_of};
use crate::error::Result;
use crate::log::Run;
use crate::route::{Filter, Message};
use crate::schema::{Framed, Memo, SCHEMA_ID_HEADER, Schemas, framed};
use crate::stdx::msgpack::{Reader, write_bin, write_uint};

/// The magic byte and the id before a body.
const PREFIX_BYTES: usize = 5;

/// What a subscription wants to see of the records of a source.
pub(super) struct View<'a> {
    pub filter: Option<&'a Filter>,
    /// The id of the schema in which it wants them.
    pub reader: Option<u32>,
    pub schemas: &'a Schemas,
    /// Of a batch, also of one that has grown.
    pub batch_bytes_max: usize,
}

/// What came of a run.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Viewed {
    /// Bytes of the run that were looked at; the rest is for another time.
    pub read_bytes: usize,
    /// The offset behind them.
    pub next_offset: u64,
    /// Records that are delivered.
    pub records: u64,
}

/// The records of one batch that are delivered.
#[derive(Default)]
struct Kept {
    records: Vec<u8>,
    positions: Vec<u32>,
    is_changed: bool,
    /// How much larger than its records the batch may still become.
    room_bytes: usize,
    scratch: Vec<u8>,
}

impl View<'_> {
    /// Appends to `out` what the subscription gets of a run's batches, until it is `bytes_max` long. Where nothing of the
    /// last batches is left, a batch without records stands for them, so that the subscriber knows how far it has come.
    ///
    /// # Errors
    /// `bad_batch` and its like for what the log should not hold.
    pub fn apply(&self, run: &Run, bytes_max: usize, memo: &mut Memo, out: &mut Vec<u8>) -> Result<Viewed> {
        let bytes = run.bytes();
        let mut viewed = Viewed { next_offset: run.first_offset, ..Viewed::default() };
        let mut skipped = None;
        while viewed.read_bytes < bytes.len() && out.len() < bytes_max {
            let header = BatchHeader::parse(&bytes[viewed.read_bytes..])?;
            let end = (viewed.read_bytes + header.batch_bytes()).min(bytes.len());
            let batch = &bytes[viewed.read_bytes..end];
            let records = self.batch(header, batch, memo, out, &mut viewed.next_offset)?;
            viewed.read_bytes = end;
            viewed.records += records;
            skipped = (records == 0).then_some(header);
        }
        if let Some(header) = skipped {
            let last = BatchHeader { base_offset: viewed.next_offset.saturating_sub(1), ..header };
            write_batch(last, Some(1), &[], &[], out);
        }
        Ok(viewed)
    }

    /// Appends what is left of one batch; returns how many records that are.
    fn batch(
        &self,
        header: BatchHeader,
        batch: &[u8],
        memo: &mut Memo,
        out: &mut Vec<u8>,
        next_offset: &mut u64,
    ) -> Result<u64> {
        let plain = compression::plain_records(&header, &batch[HEADER_BYTES..], self.batch_bytes_max)?;
        let span = span_of(&header, &plain)?;
        *next_offset = header.base_offset + u64::from(span);
        let room_bytes = self.batch_bytes_max.saturating_sub(plain.len());
        let mut kept = Kept { room_bytes, ..Kept::default() };
        for record in records_of(&plain, header.attributes)? {
            self.record(&record?, memo, &mut kept);
        }
        let count = kept.positions.len();
        if count == header.record_count as usize && !kept.is_changed {
            out.extend_from_slice(batch);
        } else if count > 0 {
            let is_sparse = header.attributes.is_sparse() || count < header.record_count as usize;
            write_batch(header, is_sparse.then_some(span), &kept.positions, &kept.records, out);
        }
        Ok(count as u64)
    }

    fn record(&self, record: &Record<'_>, memo: &mut Memo, kept: &mut Kept) {
        if self.filter.is_some_and(|filter| !filter.takes(&message_of(record), self.schemas, memo)) {
            return;
        }
        kept.positions.push(record.position);
        match self.reader {
            Some(reader) if self.resolve(record, reader, memo, kept) => kept.is_changed = true,
            _ => kept.records.extend_from_slice(record.raw),
        }
    }

    /// Appends the record in the reader's schema. False for one that it cannot read, that has it already, or for which
    /// the batch has no room: it is delivered as it is, and says itself what it is.
    fn resolve(&self, record: &Record<'_>, reader: u32, memo: &mut Memo, kept: &mut Kept) -> bool {
        let Some(value) = record.value else { return false };
        let Framed::Schema { id, body } = framed(value, record.headers) else { return false };
        if id == reader {
            return false;
        }
        let Some(resolution) = memo.resolution(self.schemas, id, reader) else { return false };
        let is_prefixed = body.len() < value.len();
        let scratch = &mut kept.scratch;
        scratch.clear();
        if is_prefixed {
            scratch.push(0);
            scratch.extend_from_slice(&reader.to_be_bytes());
        }
        if resolution.apply(body, scratch).is_err() {
            return false;
        }
        // The id of a header, and the length before a value, may take some bytes more.
        let growth = (scratch.len() + 2 * PREFIX_BYTES).saturating_sub(value.len());
        if growth > kept.room_bytes {
            return false;
        }
        kept.room_bytes -= growth;
        kept.records.extend_from_slice(record.before_value());
        write_bin(&mut kept.records, scratch);
        if is_prefixed {
            kept.records.extend_from_slice(record.headers);
        } else {
            write_headers(record.headers, reader, &mut kept.records);
        }
        true
    }
}

/// Headers as they were, with another schema's id.
fn write_headers(headers: &[u8], id: u32, out: &mut Vec<u8>) {
    let Some((before, behind)) = around_id(headers) else {
        out.extend_from_slice(headers);
        return;
    };
    out.extend_from_slice(&headers[..before]);
    write_uint(out, u64::from(id));
    out.extend_from_slice(&headers[behind..]);
}

/// Where the value of the first header that names the schema begins and ends.
fn around_id(headers: &[u8]) -> Option<(usize, usize)> {
    let mut reader = Reader::new(headers);
    for _ in 0..reader.map().ok()? {
        let is_id = reader.blob().ok()? == SCHEMA_ID_HEADER;
        let before = reader.position();
        reader.skip_scalar().ok()?;
        if is_id {
            return Some((before, reader.position()));
        }
    }
    None
}

/// Appends a batch of these records; `span` for a sparse one.
fn write_batch(mut header: BatchHeader, span: Option<u32>, positions: &[u32], records: &[u8], out: &mut Vec<u8>) {
    let mut body = Vec::with_capacity(records.len() + 16);
    header.attributes = header.attributes.without_compression();
    if let Some(span) = span {
        header.attributes = header.attributes.with_sparse();
        sparse::write(&mut body, span, positions.iter().copied());
    }
    body.extend_from_slice(records);
    header.record_count = positions.len() as u32;
    out.extend_from_slice(&finish(header, &body));
}

/// A record as rules look at it.
fn message_of<'a>(record: &Record<'a>) -> Message<'a> {
    Message {
        routing_key: record.key.unwrap_or(&[]),
        // One byte is nil.
        headers: if record.headers.len() > 1 { record.headers } else { &[] },
        value: record.value.unwrap_or(&[]),
    }
}
