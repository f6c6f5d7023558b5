//! The routing result of a batch, as it stands in the journal: a control batch of one
//! record right in front of the batch that it is about.
//!
//! ```text
//! value  [version, base number, count, sets, runs, replaced?]
//! sets   [set id, [destination...], set id, ...]     those not named since the last snapshot
//!        destination  queue id | [log id] for a topic
//! runs   [count, set id, count, set id, ...]          together `count` records, in order
//! replaced  [queue id, acks next, [number...]]        messages that left a queue for these; it was before the entries
//!                                                     of the ack log from that offset on
//! ```
//!
//! Its base timestamp is the broker's time of the append: what arrivals go by.

use crate::batch::{Attributes, BatchHeader, BodyCrc};
use crate::log::BatchIn;
use crate::route::{SetId, Target};
use crate::stdx::msgpack::{Fault, Kind, Reader, write_array, write_bin, write_nil, write_uint};

const VERSION: u64 = 1;
const FIELDS: usize = 5;

/// Consecutive records with the same destinations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RouteRun {
    pub count: u32,
    pub set: SetId,
}

/// Messages of a queue that others were stored in place of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Replaced {
    pub queue: u32,
    /// Where the ack log ended then.
    pub acks_next: u64,
    pub numbers: Vec<u64>,
}

/// The record that tells of `runs`, as the body of a control batch.
pub(super) fn write_body(
    out: &mut Vec<u8>,
    base: u64,
    runs: &[RouteRun],
    new_sets: &[SetId],
    replaced: Option<&Replaced>,
    targets: impl Fn(SetId) -> Vec<Target>,
) {
    let mut value = Vec::with_capacity(32 + runs.len() * 6);
    write_array(&mut value, FIELDS + usize::from(replaced.is_some()));
    write_uint(&mut value, VERSION);
    write_uint(&mut value, base);
    write_uint(&mut value, runs.iter().map(|run| u64::from(run.count)).sum());
    write_array(&mut value, new_sets.len() * 2);
    for set in new_sets {
        write_uint(&mut value, u64::from(*set));
        write_targets(&mut value, &targets(*set));
    }
    write_array(&mut value, runs.len() * 2);
    for run in runs {
        write_uint(&mut value, u64::from(run.count));
        write_uint(&mut value, u64::from(run.set));
    }
    if let Some(Replaced { queue, acks_next, numbers }) = replaced {
        write_array(&mut value, 3);
        write_uint(&mut value, u64::from(*queue));
        write_uint(&mut value, *acks_next);
        write_array(&mut value, numbers.len());
        for number in numbers {
            write_uint(&mut value, *number);
        }
    }
    write_record(out, &value);
}

/// A record with no key whose value is `value`.
pub(super) fn write_record(out: &mut Vec<u8>, value: &[u8]) {
    write_array(out, 4);
    write_uint(out, 0);
    write_nil(out);
    write_bin(out, value);
    write_nil(out);
}

pub(super) fn write_targets(out: &mut Vec<u8>, targets: &[Target]) {
    write_array(out, targets.len());
    for target in targets {
        match target {
            Target::Queue(id) => write_uint(out, u64::from(*id)),
            Target::Topic(log) => {
                write_array(out, 1);
                write_uint(out, *log);
            }
        }
    }
}

/// A control batch of one record, in parts.
pub(super) fn control<'a>(now_ms: u64, body: &'a [&'a [u8]]) -> BatchIn<'a> {
    let header = BatchHeader {
        attributes: Attributes::PLAIN.with_control(),
        record_count: 1,
        base_timestamp: now_ms,
        records_bytes: body.iter().map(|part| part.len()).sum::<usize>() as u32,
        ..BatchHeader::EMPTY
    };
    BatchIn { header, body, body_crc: BodyCrc::of_parts(body), expect_next: None, expect_key: None }
}

/// What a control record says.
pub(super) struct Routing {
    pub base: u64,
    pub count: u64,
    pub sets: Vec<(SetId, Vec<Target>)>,
    pub runs: Vec<RouteRun>,
    pub replaced: Option<Replaced>,
}

/// Reads a control record's value; `None` for one of another version.
pub(super) fn read(value: &[u8]) -> Option<Routing> {
    read_value(&mut Reader::new(value)).ok().flatten()
}

fn read_value(reader: &mut Reader<'_>) -> Result<Option<Routing>, Fault> {
    let fields = reader.array()?;
    if !(FIELDS..=FIELDS + 1).contains(&fields) || reader.uint()? != VERSION {
        return Ok(None);
    }
    let (base, count) = (reader.uint()?, reader.uint()?);
    let mut sets = Vec::new();
    for _ in 0..reader.array()? / 2 {
        sets.push((reader.uint32()?, read_targets(reader)?));
    }
    let mut runs = Vec::new();
    for _ in 0..reader.array()? / 2 {
        runs.push(RouteRun { count: reader.uint32()?, set: reader.uint32()? });
    }
    let replaced = if fields > FIELDS { Some(read_replaced(reader)?) } else { None };
    Ok(Some(Routing { base, count, sets, runs, replaced }))
}

fn read_replaced(reader: &mut Reader<'_>) -> Result<Replaced, Fault> {
    if reader.array()? != 3 {
        return Err(Fault::Malformed);
    }
    let (queue, acks_next) = (reader.uint32()?, reader.uint()?);
    let numbers = (0..reader.array()?).map(|_| reader.uint()).collect::<Result<_, _>>()?;
    Ok(Replaced { queue, acks_next, numbers })
}

pub(super) fn read_targets(reader: &mut Reader<'_>) -> Result<Vec<Target>, Fault> {
    let mut targets = Vec::new();
    for _ in 0..reader.array()? {
        if reader.kind()? == Kind::Array {
            reader.array()?;
            targets.push(Target::Topic(reader.uint()?));
        } else {
            targets.push(Target::Queue(reader.uint32()?));
        }
    }
    Ok(targets)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::read_record;

    #[test]
    fn what_is_written_comes_back() {
        let runs = [RouteRun { count: 3, set: 1 }, RouteRun { count: 1, set: 0 }];
        let mut body = Vec::new();
        let replaced = Replaced { queue: 3, acks_next: 17, numbers: vec![5, 9] };
        write_body(&mut body, 42, &runs, &[1], Some(&replaced), |_| vec![Target::Queue(7), Target::Topic(99)]);
        let record = read_record(&body).unwrap();
        assert_eq!(record.raw.len(), body.len());
        let routing = read(record.value.unwrap()).unwrap();
        assert_eq!((routing.base, routing.count), (42, 4));
        assert_eq!(routing.sets, [(1, vec![Target::Queue(7), Target::Topic(99)])]);
        assert_eq!(routing.runs, runs);
        assert_eq!(routing.replaced, Some(replaced));
    }
}
