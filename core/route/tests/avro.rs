//! Rules over Avro bodies, and filters over records however they are written.

use super::kit::Random;
use super::values::{Content, Rule, Value};
use crate::route::{Filter, Message, Predicate};
use crate::schema::tests::kit::{Body, FieldOf, Table, field, tick};
use crate::schema::{EMPTY_ITEMS_MAX, Memo, Schemas};

/// A type for the value, in the table, and the value as a body of it.
struct Writer<'r> {
    random: &'r mut Random,
    table: Table,
    body: Body,
}

impl Writer<'_> {
    fn add(&mut self, add: impl FnOnce(Table) -> Table) -> u64 {
        let id = self.table.next();
        self.table = add(std::mem::replace(&mut self.table, Table::new(0)));
        id
    }

    fn put(&mut self, put: impl FnOnce(Body) -> Body) {
        self.body = put(std::mem::take(&mut self.body));
    }

    /// Now and then in a union, where it does not lie in one.
    fn value(&mut self, value: &Value, in_union: bool) -> u64 {
        if in_union || !self.random.once(3) {
            return self.plain(value);
        }
        self.put(|body| body.long(1));
        let branch = self.plain(value);
        self.add(|table| table.union(&[0, branch]))
    }

    fn plain(&mut self, value: &Value) -> u64 {
        match value {
            Value::Null => 0,
            Value::Bool(value) => {
                self.put(|body| body.raw(&[u8::from(*value)]));
                1
            }
            Value::Int(value) => {
                self.put(|body| body.long(*value));
                if self.random.once(2) { 2 } else { 3 }
            }
            Value::Float(value) if self.random.once(2) => {
                self.put(|body| body.raw(&(*value as f32).to_le_bytes()));
                4
            }
            Value::Float(value) => {
                self.put(|body| body.double(*value));
                5
            }
            Value::Text(text) => self.text(text),
            Value::Array(items) => {
                self.put(|body| if items.is_empty() { body } else { body.count(items.len()) });
                let items = self.branches(items.iter().map(|item| (None, item)));
                self.add(|table| table.array(items))
            }
            Value::Object(members) if self.random.once(4) => {
                self.put(|body| if members.is_empty() { body } else { body.count(members.len()) });
                let values = self.branches(members.iter().map(|(name, value)| (Some(&**name), value)));
                self.add(|table| table.map(values))
            }
            Value::Object(members) => {
                let types: Vec<u64> = members.iter().map(|(_, value)| self.value(value, false)).collect();
                let field = |((name, _), &of): (&'_ (String, Value), _)| (name.clone(), of);
                let fields: Vec<(String, u64)> = members.iter().zip(&types).map(field).collect();
                let fields: Vec<FieldOf<'_>> =
                    fields.iter().map(|(name, of)| FieldOf { name, aliases: &[], of: *of, default: None }).collect();
                self.add(|table| table.record("R", &fields))
            }
        }
    }

    fn text(&mut self, text: &str) -> u64 {
        match self.random.below(4) {
            0 => {
                self.put(|body| body.raw(text.as_bytes()));
                self.add(|table| table.fixed("F", text.len() as u64))
            }
            1 => {
                self.put(|body| body.long(1));
                self.add(|table| table.symbols("E", &["other", text], None))
            }
            kind => {
                self.put(|body| body.text(text));
                4 + kind as u64
            }
        }
    }

    /// The items of an array or map, and the end of it; each is of a branch of its own.
    fn branches<'v>(&mut self, items: impl Iterator<Item = (Option<&'v str>, &'v Value)>) -> u64 {
        let mut branches = Vec::new();
        for (key, item) in items {
            self.put(|body| key.map_or(body.clone(), |key| body.text(key)).count(branches.len()));
            branches.push(self.value(item, true));
        }
        self.put(|body| body.long(0));
        self.add(|table| table.union(&branches))
    }
}

#[test]
fn random_rules_decide_avro_bodies_as_the_model_does() {
    let mut random = Random::seeded(0x6176_726f);
    let (mut held, rounds) = (0, 30_000);
    for _ in 0..rounds {
        let content = Content::random(&mut random, "a.b".to_owned());
        let (headers, _) = content.bytes(&mut random);
        let mut writer = Writer { random: &mut random, table: Table::new(0), body: Body::new() };
        let root = writer.value(&content.body, false);
        let (table, body) = (writer.table.rooted(root), writer.body.0);
        let schema = table.schema();
        assert_eq!(schema.validate(&body), Ok(()));
        let rule = Rule::random(&mut random, 3);
        let text = rule.text(&mut random);
        let message = Message { routing_key: b"a.b", headers: &headers, value: &body };
        let expected = rule.holds(&content);
        assert_eq!(
            Predicate::parse(&text).unwrap().holds_whole(&message, Some(&schema)),
            expected,
            "{text}\n{content:?}"
        );
        held += usize::from(expected);
    }
    assert!((rounds / 8..rounds * 7 / 8).contains(&held), "{held} of {rounds} hold: the test shows both");
}

/// A table of schemas in which the tick has the id 7.
fn house() -> (Schemas, Memo, Vec<u8>) {
    let (table, body) = tick();
    let schemas = Schemas::default();
    schemas.put(7, table.schema()).unwrap();
    (schemas, Memo::default(), body.0)
}

#[test]
fn a_filter_reads_avro_json_and_msgpack_by_the_same_words() {
    let (schemas, mut memo, body) = house();
    let filter = Filter::parse(r#"price > 190 and symbol == "AAPL" and not venue == "XNAS""#).unwrap();
    let mut takes =
        |value: &[u8], headers: &[u8]| filter.takes(&Message { routing_key: b"", headers, value }, &schemas, &mut memo);
    let prefixed = |id: u8, body: &[u8]| [&[0, 0, 0, 0, id], body].concat();
    assert!(takes(&prefixed(7, &body), &[]));
    // {"x-schema-id": 7}
    assert!(takes(&body, b"\x81\xabx-schema-id\x07"));
    let json = br#"{"symbol": "AAPL", "price": 190.5, "venue": "XNYS"}"#;
    assert!(takes(json, &[0xc0]) && takes(&prefixed(9, json), &[]), "JSON may have an id as well");
    assert!(takes(b"\x83\xa6symbol\xa4AAPL\xa5price\xcc\xc8\xa5venue\xa1x", &[]));
    assert!(!takes(br#"{"symbol": "AAPL", "price": 190}"#, &[]));
    assert!(!takes(&prefixed(8, &body), &[]), "a schema that is not known");
}

#[test]
fn what_a_filter_cannot_read_it_does_not_take() {
    let (schemas, mut memo, body) = house();
    let mut takes = |rule: &str, value: &[u8]| {
        let message = Message { routing_key: b"k", headers: &[], value };
        Filter::parse(rule).unwrap().takes(&message, &schemas, &mut memo)
    };
    let prefixed = |body: &[u8]| [&[0, 0, 0, 0, 7], body].concat();
    for rule in ["note != 'x'", "not exists(nothing)", "not price > 1000000"] {
        assert!(takes(rule, &prefixed(&body)), "{rule}");
        assert!(!takes(rule, &prefixed(&body[..7])), "{rule}: cut in the price");
        assert!(!takes(rule, b"no json"), "{rule}: text");
        assert!(!takes(rule, b""), "{rule}: a tombstone");
    }
    assert!(takes("price > 190", &prefixed(&body[..20])), "what is found before the break is enough");
    assert!(takes("key == 'k'", b"") && takes("true", b"no json"), "no field is asked for");
}

#[test]
fn an_array_of_nothing_is_not_walked_without_end() {
    let schema =
        Table::new(8).record("R", &[FieldOf { name: "a", aliases: &[], of: 9, default: None }]).array(0).schema();
    let body = |count: u64| Body::new().long(count.cast_signed()).long(0).0;
    let takes = |value: &[u8]| {
        let rule = Predicate::parse("a[2] == null and not exists(a[70000])").unwrap();
        rule.holds_whole(&Message { value, ..Message::default() }, Some(&schema))
    };
    assert!(takes(&body(3)) && takes(&body(EMPTY_ITEMS_MAX)) && !takes(&body(2)));
    assert!(!takes(&body(1 << 60)));
}

#[test]
fn fields_are_found_through_unions_and_records_that_hold_themselves() {
    let list = Table::new(8).record("List", &[field("value", 3), field("next", 9)]);
    let schema = list.union(&[0, 8]).schema();
    let body = Body::new().long(1).long(1).long(2).long(1).long(3).long(0).0;
    let holds = |rule: &str| {
        Predicate::parse(rule).unwrap().holds_whole(&Message { value: &body, ..Message::default() }, Some(&schema))
    };
    assert!(holds("value == 1 and next.value == 2 and next.next.value == 3"));
    assert!(holds("next.next.next == null and not exists(next.next.next.value) and exists(next)"));
    assert!(holds("$.next.next[\"value\"] == 3 and $ != 1"));
}
