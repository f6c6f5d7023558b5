use super::kit::{Table, tick};
use crate::schema::{
    Enforcement, EnforcementMode, Framed, Memo, Reason, SCHEMAS_MAX, Schemas, Violation, ViolationReason, framed,
};
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

fn prefixed(id: u32, body: &[u8]) -> Vec<u8> {
    [&[0], &id.to_be_bytes()[..], body].concat()
}

struct House {
    schemas: Schemas,
    memo: Memo,
    body: Vec<u8>,
}

impl House {
    /// The tick's schema has id 7.
    fn new() -> Self {
        let (table, body) = tick();
        let schemas = Schemas::default();
        schemas.put(7, table.schema()).unwrap();
        Self { schemas, memo: Memo::default(), body: body.0 }
    }

    fn check(&mut self, mode: EnforcementMode, value: Option<&[u8]>, headers: &[u8]) -> Result<(), Violation> {
        Enforcement::new(mode, vec![9, 7, 7]).check(&self.schemas, value, headers, &mut self.memo)
    }
}

#[test]
fn an_id_is_found_in_the_prefix_or_in_the_header_and_the_header_counts_first() {
    let value = prefixed(7, b"body");
    assert_eq!(framed(&value, &[]), Framed::Schema { id: 7, body: b"body" });
    assert_eq!(framed(&value, &[0xc0]), Framed::Schema { id: 7, body: b"body" });
    assert_eq!(framed(&value, &headers(&[("another header", 1)])), Framed::Schema { id: 7, body: b"body" });
    let stated = headers(&[("another", 1), ("x-schema-id", 70_000)]);
    assert_eq!(framed(&value, &stated), Framed::Schema { id: 70_000, body: &value });
    assert_eq!(framed(&value[..4], &[0xc0]), Framed::Plain);
    assert_eq!(framed(b"{\"a\":1}", &[0xc0]), Framed::Plain);
    let mut text = Vec::new();
    write_map(&mut text, 1);
    write_str(&mut text, "x-schema-id");
    write_str(&mut text, "7");
    assert_eq!(framed(&value, &text), Framed::BadHeader);
    assert_eq!(framed(&value, &headers(&[("x-schema-id", 1 << 32)])), Framed::BadHeader);
    assert_eq!(framed(&value, &[0x8f; 40]), Framed::Schema { id: 7, body: b"body" }, "headers that are none");
}

#[test]
fn ids_alone_are_checked_without_the_body() {
    let mut house = House::new();
    let mut check = |value: Option<&[u8]>| house.check(EnforcementMode::Id, value, &[0xc0]);
    assert_eq!(check(Some(&prefixed(7, b"anything"))), Ok(()));
    assert_eq!(check(Some(&prefixed(9, b"anything"))), Ok(()));
    assert_eq!(check(None), Ok(()), "a tombstone");
    let other = check(Some(&prefixed(8, b""))).unwrap_err();
    assert_eq!((other.schema_id, &*other.reason), (Some(8), &ViolationReason::NotOfSubject));
    let none = check(Some(b"{}")).unwrap_err();
    assert_eq!((none.schema_id, &*none.reason), (None, &ViolationReason::NoSchema));
    assert!(none.repair().contains("x-schema-id"));
}

#[test]
fn full_enforcement_names_the_field_that_is_wrong() {
    let mut house = House::new();
    let body = house.body.clone();
    assert_eq!(house.check(EnforcementMode::Full, Some(&prefixed(7, &body)), &[]), Ok(()));
    assert_eq!(house.check(EnforcementMode::Full, Some(&body), &headers(&[("x-schema-id", 7)])), Ok(()));
    let cut = house.check(EnforcementMode::Full, Some(&prefixed(7, &body[..20])), &[]).unwrap_err();
    assert_eq!((cut.schema_id, cut.field()), (Some(7), "bid"));
    assert!(matches!(&*cut.reason, ViolationReason::Body(invalid) if invalid.reason == Reason::Truncated("double")));
    assert_eq!(
        cut.to_string(),
        "not a value of schema 7: bid: the body ends inside a value of type double (at byte 13)"
    );
    let json = house.check(EnforcementMode::Full, Some(&prefixed(9, b"{}")), &[]).unwrap_err();
    assert_eq!(*json.reason, ViolationReason::NotAvro);
    assert_eq!(house.check(EnforcementMode::Full, None, &[]), Ok(()));
}

#[test]
fn a_schema_that_goes_is_no_longer_given_out_and_an_id_keeps_its_first() {
    let schemas = Schemas::default();
    schemas.put(1, Table::new(2).schema()).unwrap();
    schemas.put(1, Table::new(3).schema()).unwrap();
    assert_eq!(schemas.get(1).as_deref(), Some(&Table::new(2).schema()));
    assert_eq!((schemas.len(), schemas.is_empty()), (1, false));
    schemas.remove(1);
    assert!(schemas.get(1).is_none() && Memo::default().get(&schemas, 1).is_none());
}

#[test]
fn a_memo_keeps_apart_ids_that_share_a_place() {
    let schemas = Schemas::default();
    for id in 0..20_u32 {
        schemas.put(id, Table::new(u64::from(id % 8)).schema()).unwrap();
    }
    let mut memo = Memo::default();
    for id in (0..20_u32).chain((0..20).rev()) {
        assert_eq!(memo.get(&schemas, id), Some(&Table::new(u64::from(id % 8)).schema()), "{id}");
    }
}

#[test]
fn there_are_as_many_schemas_as_the_limit_says() {
    let schemas = Schemas::default();
    for id in 0..SCHEMAS_MAX as u32 {
        schemas.put(id, Table::new(0).schema()).unwrap();
    }
    assert!(schemas.put(u32::MAX, Table::new(0).schema()).is_err());
    assert!(schemas.put(0, Table::new(0).schema()).is_ok());
}
