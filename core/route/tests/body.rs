//! Bodies at their edges: what is broken, doubled, deep, or neither JSON nor msgpack.

use crate::route::{BODY_DEPTH_MAX, Message, Predicate};

fn holds(rule: &str, value: &[u8]) -> bool {
    Predicate::parse(rule).unwrap().holds(&Message { value, ..Message::default() })
}

#[test]
fn a_broken_body_has_the_fields_before_the_break() {
    for breaks in [
        r"[1, 2,]",
        r#"{"x" 1}"#,
        "tru",
        "01",
        "1.",
        "1e",
        "-",
        "'x'",
        "\"\n\"",
        "[1 2]",
        "{,}",
        "[}",
        "+1",
        ".5",
        "\"open",
    ] {
        let body = format!(r#"{{"a": 1, "b": {breaks}, "c": 3}}"#);
        assert!(holds("$.a == 1", body.as_bytes()), "{body}");
        assert!(!holds("exists($.c)", body.as_bytes()), "{body}");
        assert!(!holds("$.b.x == 1 or exists($.c)", body.as_bytes()), "{body}: asking for more changes nothing");
    }
    assert!(!holds("exists($.a)", br#"{"a": "\u00zz"#));
    assert!(holds(r"exists($.a) and $.b == 1", br#"{"a": "\u00zz", "b": 1}"#), "no escape, but the string ends");
    assert!(!holds(r"$.a == 'x'", br#"{"a": "\q"}"#));
    // {"a": 1, "b": <no msgpack>, "c": 3}
    let packed = b"\x83\xa1a\x01\xa1b\xc1\xa1c\x03";
    assert!(holds("$.a == 1 and not exists($.c)", packed));
}

#[test]
fn the_first_of_two_members_of_one_name_counts() {
    for body in [&br#"{"a": 1, "a": 3, "b": 2}"#[..], b"\x83\xa1a\x01\xa1a\x03\xa1b\x02"] {
        assert!(holds("$.a == 1 and $.b == 2", body));
    }
    let rule = Predicate::parse("header('a') == 1 and header('b') == 2").unwrap();
    assert!(rule.holds(&Message { headers: b"\x83\xa1a\x01\xa1a\x03\xa1b\x02", ..Message::default() }));
}

#[test]
fn a_body_may_be_a_value_alone() {
    assert!(holds("$ == 'x'", br#" "x" "#));
    assert!(holds("$ == 12", b"12"));
    assert!(holds("$ == true", b"true"));
    assert!(holds("$ == 'x'", b"\xa1x"));
    assert!(holds("$[1] == 2", b"\x92\x01\x02"));
    assert!(holds("$[1] == 2", b"[1,2]"));
    assert!(!holds("exists($)", b""));
    assert!(!holds("exists($)", b"plain text"));
    assert!(!holds("exists($.a)", &[0xc1, 0xa1, b'a', 1]));
}

#[test]
fn numbers_of_json_keep_their_value() {
    let body =
        br#"{"a": 9007199254740993, "b": 18446744073709551615, "c": -9223372036854775808, "d": 1e2, "e": -0.5E+1,
        "f": 340282366920938463463374607431768211456, "g": -0}"#;
    assert!(holds("$.a == 9007199254740993 and $.a != 9007199254740992", body));
    assert!(holds("$.b == 18446744073709551615 and $.b > 18446744073709551614", body));
    assert!(holds("$.c == -9223372036854775808", body));
    assert!(holds("$.d == 100 and $.e == -5 and $.g == 0", body));
    assert!(holds("$.f > $.b and $.f > 1e38", body));
}

#[test]
fn a_body_nested_too_deep_is_broken_there() {
    let json = |depth: usize| format!(r#"{{"a": 1, "b": {}1{}, "c": 2}}"#, "[".repeat(depth), "]".repeat(depth));
    assert!(holds("$.a == 1 and $.c == 2", json(BODY_DEPTH_MAX - 1).as_bytes()));
    assert!(holds("$.a == 1 and not exists($.c)", json(BODY_DEPTH_MAX).as_bytes()));
    assert!(holds("$.a == 1", json(100_000).as_bytes()));
    let packed = |depth: usize| [b"\x83\xa1a\x01\xa1b".as_slice(), &vec![0x91; depth], b"\x01\xa1c\x02"].concat();
    assert!(holds("$.a == 1 and $.c == 2", &packed(BODY_DEPTH_MAX - 1)));
    assert!(holds("$.a == 1 and not exists($.c)", &packed(BODY_DEPTH_MAX)));
    assert!(holds("$.a == 1 and not exists($.b[0][0][0][0]) or true", &packed(100_000)));
    assert!(holds("$.c == 2 and exists($.b[0][0])", &packed(BODY_DEPTH_MAX - 1)));
    assert!(holds("not exists($.c) and exists($.b[0][0])", &packed(BODY_DEPTH_MAX)));
}
