//! What a message says of itself in its headers, as far as queues go by it.
//!
//! ```text
//! x-priority       int 0..=31
//! x-ttl-ms         int: how long it may wait
//! x-delay-ms       int: from the broker's time of its append
//! x-deliver-at-ms  int: ms since the epoch
//! x-message-id     str or bin: found again within a queue's dedup window
//! x-group          str or bin: what an ordered queue keeps in order
//! ```
//!
//! A header of another type than the one it should have counts as absent: the message
//! is not the broker's to judge.

use crate::batch::Record;
use crate::queue::Arrival;
use crate::route::Message;
use crate::stdx::fnv::{fnv64, fnv128};
use crate::stdx::msgpack::{Fault, Reader};

const NAME_PREFIX: &[u8] = b"x-";
const PRIORITY_MAX: u64 = 31;

/// What stands in the headers; all absent for most messages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Properties<'a> {
    pub priority: u8,
    pub ttl_ms: Option<u64>,
    pub delay_ms: Option<u64>,
    pub deliver_at_ms: Option<u64>,
    pub message_id: Option<&'a [u8]>,
    pub group: Option<&'a [u8]>,
}

impl<'a> Properties<'a> {
    /// Reads a record's headers: nil, or a map that was checked before.
    #[inline]
    pub fn of(headers: &'a [u8]) -> Self {
        if headers.len() <= 1 {
            return Self::default();
        }
        Self::read(headers).unwrap_or_default()
    }

    fn read(headers: &'a [u8]) -> Result<Self, Fault> {
        let mut properties = Self::default();
        let mut reader = Reader::new(headers);
        for _ in 0..reader.map()? {
            let name = reader.blob()?;
            let mut value = reader;
            reader.skip_scalar()?;
            if name.starts_with(NAME_PREFIX) {
                properties.take(name, &mut value);
            }
        }
        Ok(properties)
    }

    fn take(&mut self, name: &[u8], value: &mut Reader<'a>) {
        match name {
            b"x-priority" => self.priority = value.uint().unwrap_or(0).min(PRIORITY_MAX) as u8,
            b"x-ttl-ms" => self.ttl_ms = value.uint().ok(),
            b"x-delay-ms" => self.delay_ms = value.uint().ok(),
            b"x-deliver-at-ms" => self.deliver_at_ms = value.uint().ok(),
            b"x-message-id" => self.message_id = value.blob().ok(),
            b"x-group" => self.group = value.blob().ok(),
            _ => {}
        }
    }

    /// Whether a queue can take the message as one of a run.
    #[inline]
    pub fn is_plain(&self) -> bool {
        *self == Self::default()
    }

    /// Of a message that has been in a queue: its time to live, its delay and its id counted
    /// there.
    pub fn of_moved(headers: &'a [u8]) -> Self {
        let Self { priority, group, .. } = Self::of(headers);
        Self { priority, group, ..Self::default() }
    }

    /// How the message comes to a queue at `now_ms`; `key` is its routing key.
    pub fn arrival(&self, number: u64, bytes: u32, key: &[u8], now_ms: u64) -> Arrival {
        let due_ms = self.deliver_at_ms.or(self.delay_ms.map(|delay_ms| now_ms.saturating_add(delay_ms)));
        let from_ms = due_ms.map_or(now_ms, |due_ms| due_ms.max(now_ms));
        Arrival {
            number,
            bytes,
            priority: self.priority,
            expires_ms: self.ttl_ms.map(|ttl_ms| from_ms.saturating_add(ttl_ms)),
            due_ms: due_ms.filter(|due_ms| *due_ms > now_ms),
            group: fnv64(self.group.unwrap_or(key)),
            message_id: self.message_id.map_or(0, fnv128),
        }
    }
}

/// What the routes look at in a record.
#[inline]
pub(super) fn message_of<'a>(record: &Record<'a>) -> Message<'a> {
    Message {
        routing_key: record.key.unwrap_or(&[]),
        // One byte is nil.
        headers: if record.headers.len() > 1 { record.headers } else { &[] },
        value: record.value.unwrap_or(&[]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stdx::msgpack::{write_map, write_str, write_uint};

    fn headers(entries: &[(&str, u64)]) -> Vec<u8> {
        let mut out = Vec::new();
        write_map(&mut out, entries.len());
        for (name, value) in entries {
            write_str(&mut out, name);
            write_uint(&mut out, *value);
        }
        out
    }

    #[test]
    fn headers_of_the_application_leave_a_message_plain() {
        assert!(Properties::of(&[0xc0]).is_plain());
        assert!(Properties::of(&headers(&[("trace", 7), ("x-other", 1)])).is_plain());
    }

    #[test]
    fn a_ttl_counts_from_when_the_message_is_due() {
        let headers = headers(&[("x-delay-ms", 500), ("x-ttl-ms", 100), ("x-priority", 99)]);
        let arrival = Properties::of(&headers).arrival(7, 10, b"key", 1_000);
        assert_eq!((arrival.due_ms, arrival.expires_ms, arrival.priority), (Some(1_500), Some(1_600), 31));
    }

    #[test]
    fn a_header_of_the_wrong_type_counts_as_absent() {
        let mut out = Vec::new();
        write_map(&mut out, 1);
        write_str(&mut out, "x-ttl-ms");
        write_str(&mut out, "soon");
        assert_eq!(Properties::of(&out).ttl_ms, None);
    }
}
