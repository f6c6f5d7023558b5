//! What a binding asks for besides its key: headers, or a rule.

use super::expression::{Condition, EXPRESSION_FIELDS_MAX, Node, Operand, Predicate, field_index, parse_into};
use super::fields::Field;
use super::refused;
use super::scalar::{Literal, Operator};
use crate::error::Result;
use crate::stdx::msgpack::{Fault, Reader};

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum HeadersMatch {
    /// Every test holds; so it does when there is none.
    All,
    /// One test holds.
    Any,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum HeaderOp {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    Exists,
    Prefix,
}

impl HeaderOp {
    pub fn from_name(name: &str) -> Option<Self> {
        Some(match name {
            "=" => Self::Equal,
            "!=" => Self::NotEqual,
            "<" => Self::Less,
            "<=" => Self::LessOrEqual,
            ">" => Self::Greater,
            ">=" => Self::GreaterOrEqual,
            "exists" => Self::Exists,
            "prefix" => Self::Prefix,
            _ => return None,
        })
    }
}

/// What one header has to be.
#[derive(Clone, Debug, PartialEq)]
pub struct HeaderTest {
    pub name: Box<[u8]>,
    pub op: HeaderOp,
    /// `exists` with `false` asks that it is not there.
    pub value: Literal,
}

/// A binding's arguments. Two bindings are the same when exchange, destination, key and these are.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Arguments {
    pub(super) condition: Option<Condition>,
}

impl Arguments {
    pub fn none() -> Self {
        Self::default()
    }

    pub fn filter(predicate: Predicate) -> Self {
        Self { condition: Some(predicate.into_condition()) }
    }

    /// # Errors
    /// `invalid_argument` for more headers than `EXPRESSION_FIELDS_MAX`, and a prefix that is no text.
    pub fn headers(mode: HeadersMatch, tests: &[HeaderTest]) -> Result<Self> {
        let mut fields = Vec::new();
        let root = headers_node(mode, tests, &mut fields)?;
        Ok(Self { condition: Some(Condition { root, fields }) })
    }

    /// Reads nil, or a map with `{match: "all" | "any", headers: [[name, op, value]...]}`, `{where: text}` or both, of which
    /// then both have to hold. Other keys are passed over.
    ///
    /// # Errors
    /// `invalid_argument` or `bad_expression`, with what is wrong.
    pub fn read(reader: &mut Reader<'_>) -> Result<Self> {
        if reader.nil().map_err(malformed)? {
            return Ok(Self::none());
        }
        let (mut mode, mut tests, mut rule) = (HeadersMatch::All, None, None);
        for _ in 0..reader.map().map_err(malformed)? {
            match reader.str().map_err(malformed)? {
                "match" => mode = read_mode(reader)?,
                "headers" => tests = Some(read_tests(reader)?),
                "where" => rule = Some(reader.str().map_err(malformed)?),
                _ => reader.skip(super::BODY_DEPTH_MAX).map_err(malformed)?,
            }
        }
        let (mut fields, mut nodes) = (Vec::new(), Vec::new());
        if let Some(tests) = tests {
            nodes.push(headers_node(mode, &tests, &mut fields)?);
        }
        if let Some(rule) = rule {
            nodes.push(parse_into(rule, &mut fields)?);
        }
        let root = if nodes.len() > 1 { Some(Node::All(nodes)) } else { nodes.pop() };
        Ok(Self { condition: root.map(|root| Condition { root, fields }) })
    }
}

fn malformed(_: Fault) -> crate::error::CoreError {
    refused("a binding's arguments are nil or a map of match, headers and where")
}

fn read_mode(reader: &mut Reader<'_>) -> Result<HeadersMatch> {
    match reader.str() {
        Ok("all") => Ok(HeadersMatch::All),
        Ok("any") => Ok(HeadersMatch::Any),
        _ => Err(refused("match is \"all\" or \"any\"")),
    }
}

fn read_tests(reader: &mut Reader<'_>) -> Result<Vec<HeaderTest>> {
    let mut tests = Vec::new();
    for _ in 0..reader.array().map_err(malformed)? {
        if tests.len() == EXPRESSION_FIELDS_MAX {
            return Err(refused(format!("a binding has at most {EXPRESSION_FIELDS_MAX} tests of headers")));
        }
        if reader.array().map_err(malformed)? != 3 {
            return Err(refused("a test of a header is [name, operator, value]"));
        }
        let name = reader.blob().map_err(malformed)?.into();
        let op = reader.str().ok().and_then(HeaderOp::from_name);
        let op = op.ok_or_else(|| refused("a header's operator is =, !=, <, <=, >, >=, exists or prefix"))?;
        tests.push(HeaderTest { name, op, value: Literal::read(reader)? });
    }
    Ok(tests)
}

fn headers_node(mode: HeadersMatch, tests: &[HeaderTest], fields: &mut Vec<Field>) -> Result<Node> {
    let nodes = tests.iter().map(|test| test_node(test, fields)).collect::<Result<_>>()?;
    Ok(match mode {
        HeadersMatch::All => Node::All(nodes),
        HeadersMatch::Any => Node::Any(nodes),
    })
}

fn test_node(test: &HeaderTest, fields: &mut Vec<Field>) -> Result<Node> {
    let field = field_index(fields, Field::Header(test.name.clone()));
    let field = field.ok_or_else(|| refused("a binding has too many headers"))?;
    let operator = match test.op {
        HeaderOp::Equal => Operator::Equal,
        HeaderOp::NotEqual => Operator::NotEqual,
        HeaderOp::Less => Operator::Less,
        HeaderOp::LessOrEqual => Operator::LessOrEqual,
        HeaderOp::Greater => Operator::Greater,
        HeaderOp::GreaterOrEqual => Operator::GreaterOrEqual,
        HeaderOp::Exists if test.value == Literal::Bool(false) => {
            return Ok(Node::Not(Box::new(Node::Exists(field))));
        }
        HeaderOp::Exists => return Ok(Node::Exists(field)),
        HeaderOp::Prefix => {
            let Literal::Text(prefix) = &test.value else { return Err(refused("a prefix is a text")) };
            return Ok(Node::Prefix(Operand::Field(field), prefix.clone()));
        }
    };
    Ok(Node::Compare(Operand::Field(field), operator, Operand::Literal(test.value.clone())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorCode;
    use crate::route::Predicate;
    use crate::stdx::msgpack::{write_array, write_map, write_nil, write_str, write_uint};

    fn read(write: impl Fn(&mut Vec<u8>)) -> Result<Arguments> {
        let mut bytes = Vec::new();
        write(&mut bytes);
        for cut in 0..bytes.len() {
            assert!(Arguments::read(&mut Reader::new(&bytes[..cut])).is_err(), "cut at {cut}");
        }
        let mut reader = Reader::new(&bytes);
        let read = Arguments::read(&mut reader);
        assert!(read.is_err() || reader.is_at_end(), "all of it is read, and nothing more");
        read
    }

    fn write_test(out: &mut Vec<u8>, op: &str, value: u64) {
        write_array(out, 3);
        write_str(out, "x");
        write_str(out, op);
        write_uint(out, value);
    }

    #[test]
    fn headers_and_a_rule_are_read_and_both_have_to_hold() {
        assert_eq!(read(write_nil).unwrap(), Arguments::none());
        let by_rule = |rule: &str| Arguments::filter(Predicate::parse(rule).unwrap());
        let only_rule = read(|out| {
            write_map(out, 1);
            write_str(out, "where");
            write_str(out, "$.a == 1");
        });
        assert_eq!(only_rule.unwrap(), by_rule("$.a==1"));
        let both = read(|out| {
            write_map(out, 4);
            for (name, value) in [("where", "$.a == 1"), ("match", "any"), ("other", "passed over")] {
                write_str(out, name);
                write_str(out, value);
            }
            write_str(out, "headers");
            write_array(out, 2);
            write_test(out, "=", 1);
            write_test(out, "<", 9);
        });
        let same = by_rule("(header('x') == 1 or header('x') < 9) and $.a == 1");
        assert_eq!(both.unwrap(), same);
    }

    #[test]
    fn bad_arguments_are_refused() {
        let code_of = |write: &dyn Fn(&mut Vec<u8>)| read(|out| write(out)).unwrap_err().code;
        let pair = |name: &'static str, value: &'static str| {
            move |out: &mut Vec<u8>| {
                write_map(out, 1);
                write_str(out, name);
                write_str(out, value);
            }
        };
        let headers = |op: &'static str, count: usize| {
            move |out: &mut Vec<u8>| {
                write_map(out, 1);
                write_str(out, "headers");
                write_array(out, count);
                (0..count).for_each(|_| write_test(out, op, 1));
            }
        };
        assert_eq!(code_of(&pair("where", "$.a =")), ErrorCode::BAD_EXPRESSION);
        assert_eq!(code_of(&pair("match", "some")), ErrorCode::INVALID_ARGUMENT);
        assert_eq!(code_of(&pair("headers", "x")), ErrorCode::INVALID_ARGUMENT);
        assert_eq!(code_of(&|out| write_uint(out, 1)), ErrorCode::INVALID_ARGUMENT);
        assert_eq!(code_of(&headers("~", 1)), ErrorCode::INVALID_ARGUMENT);
        assert_eq!(code_of(&headers("prefix", 1)), ErrorCode::INVALID_ARGUMENT);
        assert_eq!(code_of(&headers("=", EXPRESSION_FIELDS_MAX + 1)), ErrorCode::INVALID_ARGUMENT);
        assert!(read(headers("=", EXPRESSION_FIELDS_MAX)).is_ok());
    }
}
