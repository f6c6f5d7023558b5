//! The language of rules: what it takes, what it refuses, and that it decides as the model does.

use super::kit::Random;
use super::values::{Content, Rule};
use crate::route::{
    EXPRESSION_BYTES_MAX, EXPRESSION_DEPTH_MAX, EXPRESSION_FIELDS_MAX, Message, PATH_STEPS_MAX, Predicate,
};

fn holds(rule: &str, message: &Message<'_>) -> bool {
    Predicate::parse(rule).unwrap_or_else(|error| panic!("{rule}: {error}")).holds(message)
}

#[test]
fn a_rule_decides_by_body_headers_and_key() {
    let body = br#"{"priority": "urgent", "amount": 120.5, "user": {"tags": ["new", "eu"], "vip": true, "x": null}}"#;
    // {"x": 1, "name": "Ada"}
    let headers = b"\x82\xa1x\x01\xa4name\xa3Ada";
    let message = Message { routing_key: b"a.b", headers, value: body };
    for rule in [
        r#"$.priority == "urgent" && $.amount > 100"#,
        r#"header("x") == 1 and key == "a.b""#,
        "prefix(key, 'a.') and prefix(header('name'), \"Ad\")",
        r#"$.user.tags[1] == "eu" and $["user"]["tags"][0] == 'new'"#,
        "exists($.user.x) and $.user.x == null and not exists($.user.y)",
        "$.user.vip and !$.user.x and ($.user.vip == true)",
        "$.nothing != 1 and not ($.nothing == 1) and not $.nothing < 1",
        r#"false or true and 1 == 1.0 and "a" < "b" and 2 >= -2e0"#,
        "100 < $.amount && $.amount < 120.75",
        r#"$.user != null && $.user.tags != "new" && exists($)"#,
        r#""\u0061\n\ud83d\ude00\'" == 'a\n😀\''"#,
    ] {
        assert!(holds(rule, &message), "{rule}");
        assert!(!holds(&format!("not ({rule})"), &message), "not {rule}");
    }
}

#[test]
fn and_binds_stronger_than_or_and_not_strongest() {
    let message = Message::default();
    assert!(holds("true or false and false", &message));
    assert!(!holds("(true or false) and false", &message));
    assert!(holds("not false or true", &message));
    assert!(!holds("not (false or true)", &message));
    assert!(holds("! 1 == 2", &message), "the opposite of the comparison");
}

#[test]
fn what_is_no_rule_is_refused_with_its_place() {
    for (rule, place) in [
        ("", 0),
        ("$.a =", 4),
        ("$.a = 1", 4),
        ("$.a == ", 7),
        ("$.a == 1 $.b", 9),
        ("($.a == 1", 9),
        ("$.a == 1)", 8),
        ("$. == 1", 2),
        ("$[x] == 1", 2),
        ("$[1 == 1", 3),
        ("$[99999999999] == 1", 2),
        ("header(x) == 1", 7),
        ("header('x' == 1", 11),
        ("exists(1)", 7),
        ("prefix($.a, 1)", 12),
        ("prefix('a')", 10),
        ("'open", 0),
        (r"'\x'", 1),
        (r"'\ud83d'", 1),
        ("1.2.3 == 1", 0),
        ("- == 1", 0),
        ("1e999 == 1", 0),
        ("0x10 == 1", 0),
        ("and == 1", 0),
        ("exists == 1", 7),
        ("key.a == 1", 3),
        ("headers('x') == 1", 7),
        ("a. == 1", 2),
        ("a b", 2),
        ("1 < 2 < 3", 6),
        ("not", 3),
        ("true and", 8),
        ("\u{e4} == 1", 0),
        ("$.a == 1; drop", 8),
    ] {
        let error = Predicate::parse(rule).expect_err(rule);
        assert!(error.message.ends_with(&format!("at position {place}")), "{rule}: {error}");
    }
}

#[test]
fn an_expression_is_bounded_in_length_depth_fields_and_steps() {
    let nested = |depth: usize| format!("{}true{}", "(".repeat(depth), ")".repeat(depth));
    assert!(holds(&nested(EXPRESSION_DEPTH_MAX), &Message::default()));
    assert!(Predicate::parse(&nested(EXPRESSION_DEPTH_MAX + 1)).is_err());
    assert!(Predicate::parse(&"!".repeat(EXPRESSION_BYTES_MAX)).is_err());
    assert!(Predicate::parse(&"(".repeat(EXPRESSION_BYTES_MAX)).is_err());
    let long = format!("true{}", " ".repeat(EXPRESSION_BYTES_MAX));
    assert!(Predicate::parse(&long[..EXPRESSION_BYTES_MAX]).is_ok() && Predicate::parse(&long).is_err());
    let fields = |count: usize| (0..count).map(|field| format!("$.f{field}")).collect::<Vec<_>>().join(" or ");
    assert!(Predicate::parse(&fields(EXPRESSION_FIELDS_MAX)).is_ok());
    assert!(Predicate::parse(&fields(EXPRESSION_FIELDS_MAX + 1)).is_err());
    assert!(Predicate::parse(&format!("${}", ".a".repeat(PATH_STEPS_MAX))).is_ok());
    assert!(Predicate::parse(&format!("${}", ".a".repeat(PATH_STEPS_MAX + 1))).is_err());
}

#[test]
fn random_rules_decide_random_messages_as_the_model_does() {
    let mut random = Random::seeded(0x7275_6c65);
    let (mut held, rounds) = (0, 30_000);
    for _ in 0..rounds {
        let content = Content::random(&mut random, "a.b".to_owned());
        let (headers, value) = content.bytes(&mut random);
        let message = Message { routing_key: b"a.b", headers: &headers, value: &value };
        let rule = Rule::random(&mut random, 3);
        let text = rule.text(&mut random);
        let expected = rule.holds(&content);
        assert_eq!(holds(&text, &message), expected, "{text}\n{content:?}\n{}", String::from_utf8_lossy(&value));
        held += usize::from(expected);
    }
    assert!((rounds / 8..rounds * 7 / 8).contains(&held), "{held} of {rounds} hold: the test shows both");
}
