use std::sync::Arc;

use super::kit::{Body, FieldOf, Table, field, tick};
use crate::error::ErrorCode;
use crate::schema::{EMPTY_ITEMS_MAX, PAIRS_MAX, RESOLUTIONS_MAX, RESOLVED_BYTES_MAX, Reason, Resolution, Schemas};

fn between(writer: &Table, reader: &Table) -> Resolution {
    Resolution::new(Arc::new(writer.schema()), &reader.schema()).unwrap()
}

/// The body in the reader's schema, which is a body of it.
#[allow(clippy::needless_pass_by_value, reason = "bodies are built in the call")]
fn read(writer: &Table, reader: &Table, body: Body) -> Result<Vec<u8>, (String, Reason)> {
    let mut out = b"before".to_vec();
    let done = between(writer, reader).apply(&body.0, &mut out);
    assert!(out.starts_with(b"before"), "what was in `out` stays");
    let body = out.split_off(6);
    match done {
        Ok(()) => {
            assert_eq!(reader.schema().validate(&body), Ok(()));
            Ok(body)
        }
        Err(invalid) => {
            assert!(body.is_empty(), "nothing is left of a body that could not be read");
            Err((invalid.path, invalid.reason))
        }
    }
}

fn with_default<'a>(name: &'a str, of: u64, default: &'a [u8]) -> FieldOf<'a> {
    FieldOf { name, aliases: &[], of, default: Some(default) }
}

#[test]
fn the_same_schema_copies_bodies_and_checks_them() {
    let (table, body) = tick();
    let resolution = between(&table, &table);
    assert!(resolution.is_identity() && resolution.is_total());
    assert_eq!(read(&table, &table, body.clone()), Ok(body.0.clone()));
    let cut = Body(body.0[..20].to_vec());
    assert_eq!(read(&table, &table, cut), Err(("bid".to_owned(), Reason::Truncated("double"))));
}

#[test]
fn primitives_are_promoted() {
    let promote = |from: u64, to: u64, body: Body| read(&Table::new(from), &Table::new(to), body);
    let int = || Body::new().long(-70_000);
    assert_eq!(promote(2, 3, int()), Ok(int().0));
    assert_eq!(promote(2, 4, int()), Ok((-70_000_f32).to_le_bytes().to_vec()));
    assert_eq!(promote(2, 5, int()), Ok((-70_000_f64).to_le_bytes().to_vec()));
    let long = || Body::new().long(1 << 40);
    assert_eq!(promote(3, 4, long()), Ok((2_f32.powi(40)).to_le_bytes().to_vec()));
    assert_eq!(promote(3, 5, long()), Ok((2_f64.powi(40)).to_le_bytes().to_vec()));
    assert_eq!(promote(4, 5, Body::new().raw(&1.5_f32.to_le_bytes())), Ok(1.5_f64.to_le_bytes().to_vec()));
    assert_eq!(promote(7, 6, Body::new().text("a")), Ok(Body::new().text("a").0));
    assert_eq!(promote(6, 7, Body::new().text("ü")), Ok(Body::new().text("ü").0));
    assert_eq!(promote(6, 7, Body::new().long(1).raw(&[0xff])), Err((String::new(), Reason::Utf8)));
    for (from, to) in [(3, 2), (5, 4), (4, 3), (0, 1), (1, 2), (7, 3)] {
        let refused = Resolution::new(Arc::new(Table::new(from).schema()), &Table::new(to).schema()).unwrap_err();
        assert_eq!(refused.code, ErrorCode::SCHEMA_INCOMPATIBLE, "{from} {to}");
    }
}

#[test]
fn fields_go_by_name_and_alias_into_the_readers_order_and_missing_ones_get_their_default() {
    let writer = Table::new(8).record("R", &[field("a", 2), field("gone", 7), field("b", 7), field("c", 1)]);
    let body = || Body::new().long(5).text("nobody reads this").text("text").raw(&[1]);
    let seven = Body::new().long(7).0;
    let in_order = Table::new(8).record("R", &[with_default("x", 3, &seven), field("a", 3), field("b", 7)]);
    assert_eq!(read(&writer, &in_order, body()), Ok(Body::new().long(7).long(5).text("text").0));
    let at_end = Table::new(8).record("R", &[field("b", 7), with_default("x", 3, &seven)]);
    assert_eq!(read(&writer, &at_end, body()), Ok(Body::new().text("text").long(7).0));
    let renamed = FieldOf { name: "flag", aliases: &["unknown", "c"], of: 1, default: None };
    let other_order = Table::new(8).record("R", &[renamed, with_default("x", 3, &seven), field("b", 7), field("a", 5)]);
    let wanted = Body::new().raw(&[1]).long(7).text("text").double(5.0);
    assert_eq!(read(&writer, &other_order, body()), Ok(wanted.0));
    let twice = FieldOf { name: "again", aliases: &["a"], of: 5, default: None };
    let doubled = Table::new(8).record("R", &[field("a", 2), twice]);
    assert_eq!(read(&writer, &doubled, body()), Ok(Body::new().long(5).double(5.0).0));
    let maybe = Table::new(8).record("R", &[field("a", 9), field("b", 7)]).union(&[0, 2]);
    let strict = FieldOf { name: "strict", aliases: &["a"], of: 2, default: None };
    let doubled = Table::new(8).record("R", &[field("a", 9), strict]).union(&[0, 2]);
    let null = Body::new().long(0).text("b");
    assert_eq!(read(&maybe, &doubled, null), Err(("a".to_owned(), Reason::NoMatch)), "by the writer's name");
    let either = FieldOf { name: "a", aliases: &["d", "b"], of: 3, default: Some(&seven) };
    let itself = FieldOf { name: "a", aliases: &["a", "d"], of: 3, default: None };
    for refused in [field("missing", 2), either] {
        let reader = Table::new(8).record("R", &[refused]);
        assert!(Resolution::new(Arc::new(writer.schema()), &reader.schema()).is_err());
    }
    assert_eq!(read(&writer, &Table::new(8).record("R", &[itself]), body()), Ok(Body::new().long(5).0));
}

#[test]
fn a_record_in_another_order_may_lie_in_another_and_hold_itself() {
    let writer = Table::new(8).record("List", &[field("value", 2), field("next", 9), field("last", 7)]).union(&[0, 8]);
    let reader = Table::new(8).record("List", &[field("last", 7), field("next", 9), field("value", 3)]).union(&[8, 0]);
    let node = |value: i64, next: Body| Body::new().long(value).raw(&next.0).text("z");
    let body = node(1, Body::new().long(1).raw(&node(2, Body::new().long(0)).0));
    let wanted = |value: i64, next: Body| Body::new().text("z").raw(&next.0).long(value);
    let inner = wanted(2, Body::new().long(1));
    assert_eq!(read(&writer, &reader, body), Ok(wanted(1, Body::new().long(0).raw(&inner.0)).0));
}

#[test]
fn names_match_in_full_by_alias_or_without_namespace_and_nearest_first() {
    let writer = Table::new(8).record("b.R", &[]);
    let reads = |reader: &Table| read(&writer, reader, Body::new());
    assert_eq!(reads(&Table::new(8).record_as("S", &["b.R"], &[])), Ok(vec![]));
    assert_eq!(reads(&Table::new(8).record("other.R", &[])), Ok(vec![]));
    let union = Table::new(8).union(&[9, 10]).record("a.R", &[]).record("b.R", &[]);
    assert_eq!(reads(&union), Ok(Body::new().long(1).0), "the same full name goes before the same last word");
    let other = Table::new(8).record("b.S", &[]);
    assert!(Resolution::new(Arc::new(writer.schema()), &other.schema()).is_err());
}

#[test]
fn enums_go_by_symbol_and_unknown_ones_to_the_default() {
    let writer = Table::new(8).symbols("E", &["A", "B", "C"], None);
    let plain = Table::new(8).symbols("E", &["C", "A"], None);
    assert_eq!(read(&writer, &plain, Body::new().long(2)), Ok(Body::new().long(0).0));
    assert_eq!(read(&writer, &plain, Body::new().long(1)), Err((String::new(), Reason::NoMatch)));
    assert!(!between(&writer, &plain).is_total());
    let with_default = Table::new(8).symbols("E", &["C", "A"], Some(1));
    assert_eq!(read(&writer, &with_default, Body::new().long(1)), Ok(Body::new().long(1).0));
    assert!(between(&writer, &with_default).is_total());
    let turned = Table::new(8).symbols("E", &["C", "B", "A"], None);
    assert_eq!(read(&writer, &turned, Body::new().long(0)), Ok(Body::new().long(2).0));
    let longer = Table::new(8).symbols("E", &["A", "B", "C", "D"], None);
    assert!(between(&writer, &longer).is_identity());
}

#[test]
fn unions_lead_from_branch_to_branch() {
    let writer = Table::new(8).union(&[0, 2, 7]);
    let reader = Table::new(8).union(&[5, 6, 0]);
    let branch = |branch: i64| Body::new().long(branch);
    assert_eq!(read(&writer, &reader, branch(0)), Ok(branch(2).0));
    assert_eq!(read(&writer, &reader, branch(1).long(3)), Ok(branch(0).double(3.0).0));
    assert_eq!(read(&writer, &reader, branch(2).text("a")), Ok(branch(1).text("a").0));
    assert_eq!(read(&writer, &reader, branch(3)), Err((String::new(), Reason::Branch(3, 3))));
    assert_eq!(read(&Table::new(2), &reader, branch(3)), Ok(branch(0).double(3.0).0), "from no union into one");
    let turned = Table::new(8).union(&[7, 2, 0]);
    assert_eq!(read(&writer, &turned, branch(0)), Ok(branch(2).0));
    let exact = Table::new(8).union(&[4, 2]);
    assert_eq!(read(&Table::new(2), &exact, branch(3)), Ok(branch(1).long(3).0), "its own type before a promotion");
    let single = Table::new(3);
    assert_eq!(read(&writer, &single, branch(1).long(9)), Ok(Body::new().long(9).0), "from a union into none");
    assert_eq!(read(&writer, &single, branch(0)), Err((String::new(), Reason::NoMatch)));
    assert!(!between(&writer, &single).is_total());
    assert!(between(&writer, &Table::new(8).union(&[0, 2, 7, 1])).is_identity());
}

#[test]
fn a_branch_that_reads_everything_goes_before_one_that_might() {
    let writer = Table::new(8).record("R", &[field("a", 9)]).union(&[2, 7]);
    let reader =
        Table::new(8).union(&[9, 10]).record("R", &[field("a", 2)]).record("R", &[field("a", 11)]).union(&[2, 7]);
    assert_eq!(read(&writer, &reader, Body::new().long(0).long(4)), Ok(Body::new().long(1).long(0).long(4).0));
}

#[test]
fn arrays_and_maps_are_read_item_by_item_and_faults_name_them() {
    let writer = Table::new(8).array(9).map(10).union(&[0, 2]);
    let reader = Table::new(8).array(9).map(3);
    let sized = Body::new().long(-1).long(8).long(1).text("key").long(1).long(6).long(0).long(0);
    assert_eq!(read(&writer, &reader, sized), Ok(Body::new().long(1).long(1).text("key").long(6).long(0).long(0).0));
    let unread = Body::new().long(1).long(1).text("key").long(0).long(0).long(0);
    assert_eq!(read(&writer, &reader, unread), Err(("[0][\"key\"]".to_owned(), Reason::NoMatch)));
    let longs = Table::new(8).array(3);
    let texts = Table::new(8).array(7);
    assert_eq!(read(&longs, &texts, Body::new().long(0)), Ok(vec![0]), "an empty array has no item in the way");
    assert_eq!(read(&longs, &texts, Body::new().long(1).long(1).long(0)), Err(("[0]".to_owned(), Reason::NoMatch)));
}

#[test]
fn a_body_that_grows_without_bounds_is_given_up() {
    let writer = Table::new(8).array(9).record("R", &[]);
    let long = Body::new().text(&"x".repeat(1 << 20)).0;
    let reader = Table::new(8).array(9).record("R", &[with_default("text", 7, &long)]);
    let items = |count: u64| Body::new().long(count.cast_signed()).long(0);
    assert_eq!(read(&writer, &reader, items(2)).map(|body| body.len()), Ok(2 + 2 * long.len()));
    let count = (RESOLVED_BYTES_MAX >> 20) as u64;
    assert_eq!(read(&writer, &reader, items(count)).unwrap_err().1, Reason::Growth);
    assert_eq!(read(&writer, &reader, items(EMPTY_ITEMS_MAX + 1)).unwrap_err().1, Reason::EmptyItems);
    let swapped = Table::new(8).array(9).record("R", &[field("b", 0), field("a", 0)]);
    let source = Table::new(8).array(9).record("R", &[field("a", 0), field("b", 0)]);
    assert_eq!(read(&source, &swapped, items(EMPTY_ITEMS_MAX)).map(|body| body.len()), Ok(4));
}

#[test]
fn schemas_that_are_too_much_together_are_refused_in_time() {
    let of = |count: u64| {
        let names: Vec<String> = (0..count).map(|index| format!("f{index}")).collect();
        let branches: Vec<u64> = (0..count).map(|index| 9 + index).collect();
        names.iter().fold(Table::new(8).union(&branches), |table, name| table.record(name, &[]))
    };
    let many = of(1_000);
    let refused = Resolution::new(Arc::new(many.schema()), &many.schema());
    assert!(refused.is_ok(), "records of other names never meet");
    let fixed = |count: u64| {
        (0..count).fold(Table::new(8).union(&(9..9 + count).collect::<Vec<_>>()), |table, _| table.array(0))
    };
    let refused = Resolution::new(Arc::new(fixed(200).schema()), &fixed(200).schema()).unwrap_err();
    assert!(200 * 200 > PAIRS_MAX && refused.code == ErrorCode::SCHEMA_UNSUPPORTED);
}

#[test]
fn resolutions_are_made_once_and_no_more_are_kept_than_the_limit_says() {
    let schemas = Schemas::default();
    for id in 0..=RESOLUTIONS_MAX as u32 {
        schemas.put(id, Table::new(u64::from(id % 8)).schema()).unwrap();
    }
    let first = schemas.resolution(2, 3).unwrap().unwrap();
    assert!(Arc::ptr_eq(&first, &schemas.resolution(2, 3).unwrap().unwrap()));
    assert!(schemas.resolution(3, 2).unwrap().is_err() && schemas.resolution(1, u32::MAX).is_none());
    for id in 0..=RESOLUTIONS_MAX as u32 {
        assert!(schemas.resolution(id, id).unwrap().is_ok());
    }
    assert!(!Arc::ptr_eq(&first, &schemas.resolution(2, 3).unwrap().unwrap()), "it was let go and made again");
    let mut memo = crate::schema::Memo::default();
    assert!(memo.resolution(&schemas, 2, 3).is_some_and(Resolution::is_identity));
    assert!(memo.resolution(&schemas, 3, 2).is_none() && memo.resolution(&schemas, 1, u32::MAX).is_none());
}
