use super::kit::{Body, Table, field, tick};
use crate::schema::{DEPTH_MAX, EMPTY_ITEMS_MAX, Invalid, PATH_BYTES_MAX, Reason, Schema};

fn fault(schema: &Schema, body: &[u8]) -> Invalid {
    *schema.validate(body).unwrap_err()
}

#[test]
fn a_tick_is_valid_and_no_beginning_of_it_is() {
    let (table, body) = tick();
    let schema = table.schema();
    assert_eq!(body.0.len(), 60, "the tick that the benches measure");
    assert_eq!(schema.validate(&body.0), Ok(()));
    for cut in 0..body.0.len() {
        assert!(schema.validate(&body.0[..cut]).is_err(), "cut at {cut}");
    }
    let longer = body.raw(&[0, 0]);
    assert_eq!(fault(&schema, &longer.0), Invalid { path: String::new(), reason: Reason::Rest(2), at: 60 });
}

#[test]
fn every_primitive_takes_its_values_and_refuses_others() {
    let check = |id: u64, body: &[u8]| Table::new(id).schema().validate(body).map_err(|invalid| invalid.reason);
    assert_eq!(check(0, &[]), Ok(()));
    assert_eq!(check(1, &[1]), Ok(()));
    assert_eq!(check(1, &[2]), Err(Reason::Boolean(2)));
    assert_eq!(check(2, &Body::new().long(i32::MIN.into()).0), Ok(()));
    assert_eq!(check(2, &Body::new().long(i64::from(i32::MAX) + 1).0), Err(Reason::Number("int")));
    assert_eq!(check(2, &[0x80, 0x80, 0x80, 0x80, 0x80, 0]), Err(Reason::Number("int")), "six bytes of padding");
    assert_eq!(check(3, &Body::new().long(i64::MIN).0), Ok(()));
    assert_eq!(check(3, &Body::new().long(i64::MAX).0), Ok(()));
    assert_eq!(check(3, &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2]), Err(Reason::Number("long")));
    assert_eq!(check(3, &[0x80; 11]), Err(Reason::Number("long")));
    assert_eq!(check(3, &[0x80; 9]), Err(Reason::Truncated("long")));
    assert_eq!(check(4, &[0; 4]), Ok(()));
    assert_eq!(check(5, &[0; 7]), Err(Reason::Truncated("double")));
    assert_eq!(check(6, &Body::new().long(3).raw(&[0xff; 3]).0), Ok(()));
    assert_eq!(check(6, &Body::new().long(-1).0), Err(Reason::Length(-1)));
    assert_eq!(check(7, &Body::new().text("zürich").0), Ok(()));
    assert_eq!(check(7, &Body::new().long(1).raw(&[0xff]).0), Err(Reason::Utf8));
    assert_eq!(check(7, &Body::new().long(i64::MAX).0), Err(Reason::Truncated("string")));
}

#[test]
fn faults_say_where_they_are() {
    let table = Table::new(8)
        .record("Order", &[field("id", 3), field("legs", 9), field("tags", 12)])
        .array(10)
        .record("Leg", &[field("symbol", 7), field("side", 11)])
        .symbols("Side", &["BUY", "SELL"], None)
        .map(13)
        .array(14)
        .union(&[0, 2]);
    let schema = table.schema();
    let legs = |side: i64| Body::new().long(1).long(2).text("A").long(0).text("B").long(side).long(0);
    let rest = |body: Body, branch: i64| {
        let tags = body.long(1).text("a b").long(2).long(0).long(branch).long(7).long(0).long(0);
        tags.0
    };
    assert_eq!(schema.validate(&rest(legs(1), 1)), Ok(()));
    let wrong = fault(&schema, &rest(legs(2), 1));
    assert_eq!((wrong.path.as_str(), wrong.reason, wrong.at), ("legs[1].side", Reason::Symbol(2, 2), 7));
    assert_eq!(wrong.to_string(), "legs[1].side: symbol 2 of an enum that has 2 (at byte 7)");
    let wrong = fault(&schema, &rest(legs(1), 2));
    assert_eq!((wrong.path.as_str(), wrong.reason), ("tags[\"a b\"][1]", Reason::Branch(2, 2)));
}

#[test]
fn blocks_may_state_their_size_and_it_has_to_be_right() {
    let schema = Table::new(8).array(3).schema();
    let sized = |size: i64| Body::new().long(-2).long(size).long(1).long(2).long(0).0;
    assert_eq!(schema.validate(&sized(2)), Ok(()));
    for size in [0, 1, 3, 100, -2, i64::MAX, i64::MIN] {
        assert_eq!(fault(&schema, &sized(size)).reason, Reason::BlockSize, "{size}");
    }
    let none = Body::new().long(i64::MIN).long(0).long(0).0;
    assert!(schema.validate(&none).is_err());
}

#[test]
fn bombs_are_refused_at_once() {
    let nulls = Table::new(8).array(9).record("Nothing", &[field("a", 0), field("b", 10)]).fixed("None", 0).schema();
    let items = |count: u64| Body::new().long(count.cast_signed()).long(0).0;
    assert_eq!(nulls.validate(&items(EMPTY_ITEMS_MAX)), Ok(()));
    assert_eq!(fault(&nulls, &items(1 << 60)).reason, Reason::EmptyItems);
    let blocks = Body::new().long(60_000).long(60_000).long(0).0;
    assert_eq!(fault(&nulls, &blocks).reason, Reason::EmptyItems, "in all blocks together");
    let longs = Table::new(8).array(3).schema();
    assert_eq!(fault(&longs, &items(1 << 60)[..9]).reason, Reason::Truncated("long"));

    let list = Table::new(8).record("List", &[field("next", 9)]).union(&[0, 8]).schema();
    let nested = |depth: usize| [vec![2; depth - 1], vec![0]].concat();
    assert_eq!(list.validate(&nested(DEPTH_MAX as usize)), Ok(()));
    assert_eq!(fault(&list, &nested(DEPTH_MAX as usize + 1)).reason, Reason::Depth);
    let wrong = fault(&list, &nested(1_000_000));
    assert_eq!(wrong.reason, Reason::Depth);
    assert!(wrong.path.len() <= PATH_BYTES_MAX + "next.".len() + 3 && wrong.path.starts_with("..."));
    let endless = Table::new(8).record("Endless", &[field("self", 8)]).schema();
    assert_eq!(fault(&endless, &[]).reason, Reason::Depth);
}

#[test]
fn a_path_shows_the_beginning_of_a_long_key() {
    let schema = Table::new(8).map(1).schema();
    let body = Body::new().long(1).text(&"k".repeat(10_000)).raw(&[9]).long(0).0;
    assert_eq!(fault(&schema, &body).path, format!("[\"{}\"]", "k".repeat(32)));
}
