//! What a rule states, as a tree, and how it is decided for a message.

mod lexer;
mod parser;

use super::Message;
use super::fields::{Field, Fields, Found, Slot};
use super::scalar::{Literal, Operator, Scalar};
use crate::error::Result;
use crate::schema::Schema;

pub use parser::{field_index, parse_into};

/// Of an expression's text.
pub const EXPRESSION_BYTES_MAX: usize = 4_096;
/// Of parentheses and `not`s within each other.
pub const EXPRESSION_DEPTH_MAX: usize = 32;
/// Different fields of one expression.
pub const EXPRESSION_FIELDS_MAX: usize = 64;

/// A field's place in its condition.
pub type FieldIndex = u16;

#[derive(Clone, Debug, PartialEq)]
pub enum Operand {
    Field(FieldIndex),
    Literal(Literal),
}

#[derive(Clone, Debug, PartialEq)]
pub enum Node {
    All(Vec<Node>),
    Any(Vec<Node>),
    Not(Box<Node>),
    Compare(Operand, Operator, Operand),
    Prefix(Operand, Box<[u8]>),
    Exists(FieldIndex),
    /// The value itself is `true`.
    True(Operand),
}

/// A tree over fields that it names by their place in `fields`, each of which stands there once.
#[derive(Clone, Debug, PartialEq)]
pub struct Condition {
    pub root: Node,
    pub fields: Vec<Field>,
}

/// What a condition is decided with: the fields of its exchange, or its own.
pub struct Evidence<'e, 'm> {
    pub message: &'e Message<'m>,
    /// Where the message's value is an Avro body.
    pub schema: Option<&'e Schema>,
    pub fields: &'e Fields,
    pub found: &'e mut Found,
    /// By the condition's field index.
    pub slots: &'e [Slot],
}

impl Evidence<'_, '_> {
    #[inline]
    pub fn decide(&mut self, condition: &Condition) -> bool {
        self.holds(&condition.root, &condition.fields)
    }

    /// The parser bounds the depth of the tree.
    fn holds(&mut self, node: &Node, names: &[Field]) -> bool {
        match node {
            Node::All(nodes) => nodes.iter().all(|node| self.holds(node, names)),
            Node::Any(nodes) => nodes.iter().any(|node| self.holds(node, names)),
            Node::Not(node) => !self.holds(node, names),
            Node::Compare(left, operator, right) => {
                self.load(left, names);
                self.load(right, names);
                operator.holds(self.scalar(left), self.scalar(right))
            }
            Node::Prefix(of, prefix) => {
                self.load(of, names);
                matches!(self.scalar(of), Scalar::Text(text) if text.starts_with(prefix))
            }
            Node::Exists(field) => {
                let field = Operand::Field(*field);
                self.load(&field, names);
                !matches!(self.scalar(&field), Scalar::Missing)
            }
            Node::True(of) => {
                self.load(of, names);
                matches!(self.scalar(of), Scalar::Bool(true))
            }
        }
    }

    #[inline]
    fn load(&mut self, operand: &Operand, names: &[Field]) {
        if let Operand::Field(index) = *operand {
            let (field, slot) = (&names[usize::from(index)], self.slots[usize::from(index)]);
            self.found.load(field, slot, self.fields, self.message, self.schema);
        }
    }

    #[inline]
    fn scalar<'a>(&'a self, operand: &'a Operand) -> Scalar<'a> {
        match operand {
            Operand::Field(index) => self.found.scalar(self.slots[usize::from(*index)], self.message),
            Operand::Literal(literal) => literal.scalar(),
        }
    }
}

/// A rule by itself, as the filter of a redrive has one. The language: README.md.
#[derive(Debug)]
pub struct Predicate {
    condition: Condition,
    fields: Fields,
    slots: Vec<Slot>,
}

impl Predicate {
    /// # Errors
    /// `bad_expression` with what is wrong and where.
    pub fn parse(text: &str) -> Result<Self> {
        let mut fields = Vec::new();
        let root = parse_into(text, &mut fields)?;
        Ok(Self::of(Condition { root, fields }))
    }

    fn of(condition: Condition) -> Self {
        let mut fields = Fields::default();
        let slots = condition.fields.iter().map(|field| fields.add(field)).collect();
        Self { condition, fields, slots }
    }

    pub fn holds(&self, message: &Message<'_>) -> bool {
        self.decide(message, None).0
    }

    /// Whether it holds for a message whose value can be read: one that breaks off before all fields were found holds
    /// for nothing that asks for a field of it. With a schema the value is an Avro body, without one JSON or msgpack.
    pub fn holds_whole(&self, message: &Message<'_>, schema: Option<&Schema>) -> bool {
        matches!(self.decide(message, schema), (true, false))
    }

    /// Whether it holds, and whether it looked at a body that is broken.
    fn decide(&self, message: &Message<'_>, schema: Option<&Schema>) -> (bool, bool) {
        let mut found = Found::default();
        found.begin(&self.fields);
        let mut evidence = Evidence { message, schema, fields: &self.fields, found: &mut found, slots: &self.slots };
        (evidence.decide(&self.condition), found.is_body_broken())
    }

    pub(super) fn into_condition(self) -> Condition {
        self.condition
    }
}
