use super::kit::{Body, FieldOf, Table, field, tick};
use crate::schema::{Schema, TABLE_BYTES_MAX, TYPES_MAX};

#[test]
fn no_beginning_of_a_table_is_a_table_and_nothing_may_follow_it() {
    let table = tick().0.bytes();
    assert!(Schema::read(&table).is_ok());
    for cut in 0..table.len() {
        assert!(Schema::read(&table[..cut]).is_err(), "cut at {cut}");
    }
    assert!(Schema::read(&[&table[..], &[0xc0]].concat()).is_err());
    assert!(Schema::read(&vec![0; TABLE_BYTES_MAX + 1]).is_err());
}

#[test]
fn a_table_that_names_what_it_has_not_is_refused() {
    let refused = |table: Table| Schema::read(&table.bytes()).unwrap_err().message;
    assert!(refused(Table::new(8)).contains("does not have"));
    assert!(refused(Table::new(8).array(9)).contains("does not have"));
    assert!(refused(Table::new(8).map(u64::from(u32::MAX))).contains("does not have"));
    assert!(refused(Table::new(8).union(&[0, 9]).union(&[0, 1])).contains("a union in a union"));
    assert!(refused(Table::new(8).symbols("E", &["A"], Some(1))).contains("malformed"));
    assert!(refused(Table::new(8).fixed("F", u64::from(u32::MAX))).contains("malformed"));
    assert!(refused((0..=TYPES_MAX).fold(Table::new(8), |table, _| table.array(0))).contains("malformed"));
}

#[test]
fn a_default_has_to_be_of_its_fields_type() {
    let with = |default: &[u8]| {
        let field = FieldOf { name: "price", aliases: &["cost"], of: 5, default: Some(default) };
        Schema::read(&Table::new(8).record("Tick", &[field]).bytes())
    };
    assert!(with(&Body::new().double(1.5).0).is_ok());
    let refused = with(&[0; 7]).unwrap_err().message;
    assert!(refused.contains("the default of field price of Tick"), "{refused}");
    assert!(with(&[0; 9]).is_err());
}

#[test]
fn a_chain_of_types_in_the_worst_order_is_read_in_bounded_time() {
    let longest = TYPES_MAX as u64;
    let chain = |next: &dyn Fn(u64) -> u64| {
        (0..longest).fold(Table::new(8), |table, index| table.record("R", &[field("f", next(index))])).schema()
    };
    let forward = chain(&|index| if index + 1 == longest { 0 } else { 8 + index + 1 });
    assert!(forward.validate(&[]).is_err(), "it is nested deeper than anything may be");
    let backward = chain(&|index| if index == 0 { 0 } else { 8 + index - 1 });
    assert_eq!(backward.validate(&[]), Ok(()));
    assert!(forward.memory_bytes() > longest as usize);
}
