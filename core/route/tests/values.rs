//! Values, messages and rules of the model: plain trees, that can be written in every way and decided by looking.

use std::cmp::Ordering;
use std::fmt::Write;

use super::kit::Random;
use crate::stdx::msgpack::{write_array, write_bin, write_bool, write_map, write_nil, write_str, write_uint};

#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(String),
    Array(Vec<Value>),
    Object(Vec<(String, Value)>),
}

const NAMES: [&str; 6] = ["a", "b", "c", "long name", "\u{e4}\"\\", ""];
const TEXTS: [&str; 7] = ["", "a", "ab", "abc", "b\n\u{1}", "\u{1f600}x", "\"'\\/"];

impl Value {
    pub fn scalar(random: &mut Random) -> Self {
        match random.below(6) {
            0 => Self::Null,
            1 => Self::Bool(random.once(2)),
            2 => Self::Float(f64::from(random.below(9) as u32) / 2.0 - 2.0),
            3 => Self::Text((*random.pick(&TEXTS)).to_owned()),
            _ => Self::Int(i64::from(random.below(9) as u32) - 4),
        }
    }

    pub fn random(random: &mut Random, depth: usize) -> Self {
        match random.below(if depth == 0 { 4 } else { 8 }) {
            0..=3 => Self::scalar(random),
            4 => Self::Array((0..random.below(4)).map(|_| Self::random(random, depth - 1)).collect()),
            _ => Self::object(random, depth - 1),
        }
    }

    pub fn object(random: &mut Random, depth: usize) -> Self {
        let mut members = Vec::new();
        for name in NAMES {
            if random.once(2) {
                members.push((name.to_owned(), Self::random(random, depth)));
            }
        }
        if random.once(2) {
            members.reverse();
        }
        Self::Object(members)
    }

    fn at(&self, step: &Step) -> Option<&Self> {
        match (self, step) {
            (Self::Object(members), Step::Name(name)) => {
                members.iter().find(|(other, _)| other == name).map(|(_, value)| value)
            }
            (Self::Array(items), Step::Index(index)) => items.get(*index),
            _ => None,
        }
    }

    pub fn write_json(&self, random: &mut Random, out: &mut String) {
        blank(random, out);
        match self {
            Self::Null => out.push_str("null"),
            Self::Bool(value) => write!(out, "{value}").unwrap(),
            Self::Int(value) => write!(out, "{value}").unwrap(),
            Self::Float(value) if random.once(3) => write!(out, "{}e-1", value * 10.0).unwrap(),
            Self::Float(value) => write!(out, "{value:?}").unwrap(),
            Self::Text(text) => write_text(random, text, out),
            Self::Array(items) => {
                out.push('[');
                for (index, item) in items.iter().enumerate() {
                    out.push_str(if index == 0 { "" } else { "," });
                    item.write_json(random, out);
                }
                blank(random, out);
                out.push(']');
            }
            Self::Object(members) => {
                out.push('{');
                for (index, (name, value)) in members.iter().enumerate() {
                    out.push_str(if index == 0 { "" } else { "," });
                    blank(random, out);
                    write_text(random, name, out);
                    blank(random, out);
                    out.push(':');
                    value.write_json(random, out);
                }
                blank(random, out);
                out.push('}');
            }
        }
        blank(random, out);
    }

    pub fn write_msgpack(&self, random: &mut Random, out: &mut Vec<u8>) {
        match self {
            Self::Null => write_nil(out),
            Self::Bool(value) => write_bool(out, *value),
            Self::Int(value) if *value >= 0 && random.once(2) => write_uint(out, value.cast_unsigned()),
            Self::Int(value) if random.once(2) => out.extend_from_slice(&[0xd0, (*value as i8).cast_unsigned()]),
            Self::Int(value) => {
                out.push(0xd3);
                out.extend_from_slice(&value.to_be_bytes());
            }
            Self::Float(value) => {
                out.push(0xcb);
                out.extend_from_slice(&value.to_be_bytes());
            }
            Self::Text(text) if random.once(4) => write_bin(out, text.as_bytes()),
            Self::Text(text) => write_str(out, text),
            Self::Array(items) => {
                write_array(out, items.len());
                for item in items {
                    item.write_msgpack(random, out);
                }
            }
            Self::Object(members) => {
                write_map(out, members.len());
                for (name, value) in members {
                    write_str(out, name);
                    value.write_msgpack(random, out);
                }
            }
        }
    }

    fn order(&self, other: &Self) -> Option<Ordering> {
        match (self, other) {
            (Self::Text(left), Self::Text(right)) => Some(left.as_bytes().cmp(right.as_bytes())),
            _ => self.number()?.partial_cmp(&other.number()?),
        }
    }

    fn number(&self) -> Option<f64> {
        match self {
            Self::Int(value) => Some(f64::from(*value as i32)),
            Self::Float(value) => Some(*value),
            _ => None,
        }
    }
}

fn blank(random: &mut Random, out: &mut String) {
    if random.once(3) {
        out.push(*random.pick(&[' ', '\n', '\t', '\r']));
    }
}

/// In quotes, with whatever has to be escaped escaped, and other characters now and then.
fn write_text(random: &mut Random, text: &str, out: &mut String) {
    out.push('"');
    for letter in text.chars() {
        if letter < ' ' || matches!(letter, '"' | '\\') || random.once(4) {
            for unit in letter.encode_utf16(&mut [0; 2]) {
                write!(out, "\\u{unit:04x}").unwrap();
            }
        } else {
            out.push(letter);
        }
    }
    out.push('"');
}

#[derive(Clone, Debug)]
pub enum Step {
    Name(String),
    Index(usize),
}

#[derive(Clone, Debug)]
pub enum Operand {
    Key,
    Header(String),
    Body(Vec<Step>),
    Literal(Value),
}

/// A message before it is bytes.
#[derive(Clone, Debug)]
pub struct Content {
    pub key: String,
    pub headers: Vec<(String, Value)>,
    pub body: Value,
}

impl Content {
    pub fn random(random: &mut Random, key: String) -> Self {
        let mut headers = Vec::new();
        for name in NAMES {
            if random.once(2) {
                headers.push((name.to_owned(), Value::scalar(random)));
            }
        }
        Self { key, headers, body: Value::object(random, 3) }
    }

    /// Headers and value.
    pub fn bytes(&self, random: &mut Random) -> (Vec<u8>, Vec<u8>) {
        let (mut headers, mut value) = (Vec::new(), Vec::new());
        if !self.headers.is_empty() || random.once(2) {
            Value::Object(self.headers.clone()).write_msgpack(random, &mut headers);
        }
        if random.once(2) {
            self.body.write_msgpack(random, &mut value);
        } else {
            let mut text = String::new();
            self.body.write_json(random, &mut text);
            value = text.into_bytes();
        }
        (headers, value)
    }
}

impl Operand {
    pub fn field(random: &mut Random) -> Self {
        match random.below(8) {
            0 => Self::Key,
            1 | 2 => Self::Header((*random.pick(&NAMES)).to_owned()),
            _ => Self::Body((0..random.below(4)).map(|_| step(random)).collect()),
        }
    }

    fn random(random: &mut Random) -> Self {
        if random.once(2) { Self::field(random) } else { Self::Literal(Value::scalar(random)) }
    }

    fn get(&self, content: &Content) -> Option<Value> {
        match self {
            Self::Key => Some(Value::Text(content.key.clone())),
            Self::Header(name) => {
                content.headers.iter().find(|(other, _)| other == name).map(|(_, value)| value.clone())
            }
            Self::Body(path) => path.iter().try_fold(&content.body, |value, step| value.at(step)).cloned(),
            Self::Literal(value) => Some(value.clone()),
        }
    }

    fn write(&self, random: &mut Random, out: &mut String) {
        match self {
            Self::Key => out.push_str("key"),
            Self::Header(name) => {
                out.push_str("header(");
                write_text(random, name, out);
                out.push(')');
            }
            Self::Body(path) => {
                let (bare, path) = match path.split_first() {
                    Some((Step::Name(name), rest)) if name.len() == 1 && random.once(2) => (Some(name), rest),
                    _ => (None, &path[..]),
                };
                out.push_str(bare.map_or("$", |name| name));
                for step in path {
                    match step {
                        Step::Name(name) if name.len() == 1 && random.once(2) => write!(out, ".{name}").unwrap(),
                        Step::Name(name) => {
                            out.push('[');
                            write_text(random, name, out);
                            out.push(']');
                        }
                        Step::Index(index) => write!(out, "[{index}]").unwrap(),
                    }
                }
            }
            Self::Literal(value) => value.write_json(random, out),
        }
    }
}

fn step(random: &mut Random) -> Step {
    if random.once(5) { Step::Index(random.below(3)) } else { Step::Name((*random.pick(&NAMES)).to_owned()) }
}

pub const OPERATORS: [&str; 6] = ["==", "!=", "<", "<=", ">", ">="];

#[derive(Clone, Debug)]
pub enum Rule {
    Any(Vec<Rule>),
    All(Vec<Rule>),
    Not(Box<Rule>),
    Compare(Operand, &'static str, Operand),
    Prefix(Operand, String),
    Exists(Operand),
    True(Operand),
}

impl Rule {
    pub fn random(random: &mut Random, depth: usize) -> Self {
        let some = |random: &mut Random| (0..2 + random.below(2)).map(|_| Self::random(random, depth - 1)).collect();
        match random.below(if depth == 0 { 6 } else { 10 }) {
            // Equality with a value most of all: that is what rules are filed under.
            0..=2 => Self::Compare(Operand::field(random), "==", Operand::Literal(Value::scalar(random))),
            3 => Self::Compare(Operand::random(random), random.pick::<&str>(&OPERATORS), Operand::random(random)),
            4 => Self::Prefix(Operand::random(random), (*random.pick(&TEXTS)).to_owned()),
            5 if random.once(2) => Self::Exists(Operand::field(random)),
            5 => Self::True(Operand::random(random)),
            6 => Self::Not(Box::new(Self::random(random, depth - 1))),
            7 | 8 => Self::All(some(random)),
            _ => Self::Any(some(random)),
        }
    }

    pub fn holds(&self, content: &Content) -> bool {
        match self {
            Self::Any(rules) => rules.iter().any(|rule| rule.holds(content)),
            Self::All(rules) => rules.iter().all(|rule| rule.holds(content)),
            Self::Not(rule) => !rule.holds(content),
            Self::Compare(left, operator, right) => compare(left.get(content), operator, right.get(content)),
            Self::Prefix(of, prefix) => matches!(of.get(content), Some(Value::Text(text)) if text.starts_with(prefix)),
            Self::Exists(of) => of.get(content).is_some(),
            Self::True(of) => of.get(content) == Some(Value::Bool(true)),
        }
    }

    /// As text, with parentheses where they are needed, and elsewhere now and then.
    pub fn text(&self, random: &mut Random) -> String {
        let mut out = String::new();
        self.write(random, 0, &mut out);
        out
    }

    /// `level` is what surrounds it: 0 nothing or an or, 1 an and, 2 a not.
    fn write(&self, random: &mut Random, level: usize, out: &mut String) {
        let own = match self {
            Self::Any(_) => 0,
            Self::All(_) => 1,
            _ => 2,
        };
        if own < level || random.once(6) {
            out.push('(');
            self.write(random, 0, out);
            return out.push(')');
        }
        let mut join = |rules: &[Self], words: [&str; 2], inner: usize| {
            for (index, rule) in rules.iter().enumerate() {
                if index > 0 {
                    out.push_str(random.pick::<&str>(&words));
                }
                rule.write(random, inner, out);
            }
        };
        match self {
            Self::Any(rules) => join(rules, ["||", " or "], 1),
            Self::All(rules) => join(rules, [" && ", " and "], 2),
            Self::Not(rule) => {
                out.push_str(random.pick::<&str>(&["!", "not "]));
                rule.write(random, 2, out);
            }
            Self::Compare(left, operator, right) => {
                left.write(random, out);
                out.push_str(operator);
                right.write(random, out);
            }
            Self::Prefix(of, prefix) => {
                out.push_str("prefix(");
                of.write(random, out);
                out.push_str(", ");
                write_text(random, prefix, out);
                out.push(')');
            }
            Self::Exists(of) => {
                out.push_str("exists(");
                of.write(random, out);
                out.push(')');
            }
            Self::True(of) => of.write(random, out),
        }
    }
}

fn compare(left: Option<Value>, operator: &str, right: Option<Value>) -> bool {
    let (Some(left), Some(right)) = (left, right) else { return operator == "!=" };
    let is_tree = matches!(left, Value::Array(_) | Value::Object(_));
    let is_equal = !is_tree && (left == right || left.order(&right) == Some(Ordering::Equal));
    match operator {
        "==" => is_equal,
        "!=" => !is_equal,
        "<" => left.order(&right).is_some_and(Ordering::is_lt),
        "<=" => left.order(&right).is_some_and(Ordering::is_le),
        ">" => left.order(&right).is_some_and(Ordering::is_gt),
        _ => left.order(&right).is_some_and(Ordering::is_ge),
    }
}
