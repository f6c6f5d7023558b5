//! What an edit makes of a message on its way out of a queue of dead letters.
//!
//! ```text
//! edit  {key?: str|bin, value?: str|bin, headers?: {name: value|nil, which removes it}}
//! ```

use std::collections::BTreeMap;

use crate::batch::Record;
use crate::stdx::msgpack::{Fault, Reader, write_array, write_map, write_nil, write_str, write_uint};

/// What the queue went by that had the message first: the new one has none of it unless the edit gives it. Its id
/// above all, which would make it a duplicate of the old one.
const SPENT: [&[u8]; 4] = [b"x-ttl-ms", b"x-delay-ms", b"x-deliver-at-ms", b"x-message-id"];
const HEADERS_MAX: usize = 256;
const NIL: &[u8] = &[0xc0];

#[derive(Default)]
pub(super) struct Edit {
    /// As msgpack, like everything here; `None` leaves the message's own.
    key: Option<Vec<u8>>,
    value: Option<Vec<u8>>,
    /// `None` removes the header.
    headers: BTreeMap<String, Option<Vec<u8>>>,
}

impl Edit {
    pub fn read(reader: &mut Reader<'_>) -> Result<Self, Fault> {
        let mut edit = Self::default();
        for _ in 0..reader.map()? {
            match reader.str()? {
                "key" => edit.key = read_content(reader)?,
                "value" => edit.value = read_content(reader)?,
                "headers" => edit.read_headers(reader)?,
                _ => return Err(Fault::Malformed),
            }
        }
        Ok(edit)
    }

    fn read_headers(&mut self, reader: &mut Reader<'_>) -> Result<(), Fault> {
        if reader.nil()? {
            return Ok(());
        }
        let length = reader.map()?;
        if length > HEADERS_MAX {
            return Err(Fault::Malformed);
        }
        for _ in 0..length {
            let name = reader.str()?.to_owned();
            let value = if reader.nil()? { None } else { Some(raw(reader, Reader::skip_scalar)?.to_vec()) };
            self.headers.insert(name, value);
        }
        Ok(())
    }

    /// The record as it is stored again, with the time of its batch.
    pub fn apply(&self, record: &Record<'_>) -> Vec<u8> {
        let mut out = Vec::with_capacity(record.raw.len() + 64);
        let mut parts = Reader::new(record.after_timestamp());
        let key = raw(&mut parts, |reader| reader.optional_blob().map(|_| ())).unwrap_or(NIL);
        let value = raw(&mut parts, |reader| reader.optional_blob().map(|_| ())).unwrap_or(NIL);
        write_array(&mut out, 4);
        write_uint(&mut out, 0);
        out.extend_from_slice(self.key.as_deref().unwrap_or(key));
        out.extend_from_slice(self.value.as_deref().unwrap_or(value));
        self.write_headers(record.headers, &mut out);
        out
    }

    fn write_headers(&self, before: &[u8], out: &mut Vec<u8>) {
        let (mut kept, mut count) = (Vec::new(), 0);
        let mut reader = Reader::new(before);
        // The headers were checked when they were stored: nil, or a map of scalars.
        for _ in 0..reader.map().unwrap_or(0) {
            let mut name: &[u8] = &[];
            let entry = raw(&mut reader, |reader| {
                name = reader.blob()?;
                reader.skip_scalar()
            });
            if let Ok(entry) = entry.as_ref()
                && self.keeps(name)
            {
                kept.extend_from_slice(entry);
                count += 1;
            }
        }
        for (name, value) in &self.headers {
            let Some(value) = value else { continue };
            write_str(&mut kept, name);
            kept.extend_from_slice(value);
            count += 1;
        }
        if count == 0 {
            return write_nil(out);
        }
        write_map(out, count);
        out.extend_from_slice(&kept);
    }

    fn keeps(&self, name: &[u8]) -> bool {
        let is_edited = std::str::from_utf8(name).is_ok_and(|name| self.headers.contains_key(name));
        !is_edited && !SPENT.contains(&name)
    }
}

/// A str or a bin as it stands; nil is none.
fn read_content(reader: &mut Reader<'_>) -> Result<Option<Vec<u8>>, Fault> {
    if reader.nil()? {
        return Ok(None);
    }
    raw(reader, |reader| reader.blob().map(|_| ())).map(|bytes| Some(bytes.to_vec()))
}

/// The bytes that `read` passes over.
fn raw<'a>(
    reader: &mut Reader<'a>,
    read: impl FnOnce(&mut Reader<'a>) -> Result<(), Fault>,
) -> Result<&'a [u8], Fault> {
    let start = reader.rest();
    read(reader)?;
    Ok(&start[..start.len() - reader.rest().len()])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::read_record;
    use crate::stdx::msgpack::write_bin;

    fn record(headers: &[(&str, u64)]) -> Vec<u8> {
        let mut out = Vec::new();
        write_array(&mut out, 4);
        write_uint(&mut out, 7);
        write_str(&mut out, "key");
        write_bin(&mut out, b"value");
        write_map(&mut out, headers.len());
        for (name, number) in headers {
            write_str(&mut out, name);
            write_uint(&mut out, *number);
        }
        out
    }

    fn edit(write: impl FnOnce(&mut Vec<u8>)) -> Result<Edit, Fault> {
        let mut out = Vec::new();
        write(&mut out);
        Edit::read(&mut Reader::new(&out))
    }

    #[test]
    fn what_an_edit_does_not_name_stays_and_what_was_spent_goes() {
        let edit = edit(|out| {
            write_map(out, 1);
            write_str(out, "headers");
            write_map(out, 3);
            for name in ["gone", "x-ttl-ms", "new"] {
                write_str(out, name);
                if name == "gone" { write_nil(out) } else { write_uint(out, 5) }
            }
        });
        let before = record(&[("kept", 1), ("gone", 2), ("x-message-id", 3), ("x-delay-ms", 4), ("x-ttl-ms", 9)]);
        let after = edit.unwrap().apply(&read_record(&before).unwrap());
        let after = read_record(&after).unwrap();
        assert_eq!((after.key, after.value, after.timestamp), (Some(&b"key"[..]), Some(&b"value"[..]), Some(0)));
        let mut reader = Reader::new(after.headers);
        let headers: Vec<_> =
            (0..reader.map().unwrap()).map(|_| (reader.str().unwrap(), reader.uint().unwrap())).collect();
        assert_eq!(headers, [("kept", 1), ("new", 5), ("x-ttl-ms", 5)]);
    }

    #[test]
    fn key_and_value_are_replaced_and_headers_that_are_all_gone_are_nil() {
        let edit = edit(|out| {
            write_map(out, 2);
            write_str(out, "key");
            write_bin(out, b"other");
            write_str(out, "value");
            write_str(out, "text");
        });
        let before = record(&[("x-message-id", 3)]);
        let after = edit.unwrap().apply(&read_record(&before).unwrap());
        let after = read_record(&after).unwrap();
        assert_eq!((after.key, after.value, after.headers), (Some(&b"other"[..]), Some(&b"text"[..]), NIL));
    }

    #[test]
    fn an_edit_of_something_else_is_refused() {
        let of = |name: &str, value: &[u8]| {
            edit(|out| {
                write_map(out, 1);
                write_str(out, name);
                out.extend_from_slice(value);
            })
        };
        assert!(of("values", &[0xc0]).is_err());
        assert!(of("value", &[0x05]).is_err(), "a number is no content");
        assert!(of("headers", &[0x81, 0xa1, b'a', 0x90]).is_err(), "an array is no header");
        assert!(of("headers", &[0x81, 0x01, 0x01]).is_err());
    }
}
