//! From text to tree, by recursive descent:
//!
//! ```text
//! any     = all  { ("or" | "||") all }
//! all     = not  { ("and" | "&&") not }
//! not     = ("not" | "!") not | term
//! term    = "(" any ")" | "exists" "(" field ")" | "prefix" "(" operand "," text ")" | operand [ compare operand ]
//! compare = "==" | "!=" | "<" | "<=" | ">" | ">="
//! operand = field | text | number | "true" | "false" | "null"
//! field   = ( "$" | name ) { "." name | "[" index "]" | "[" text "]" } | "header" "(" text ")" | "key"
//! ```

use super::super::fields::Field;
use super::super::scalar::{Literal, Operator};
use super::lexer::{Lexer, Token, fault};
use super::{EXPRESSION_BYTES_MAX, EXPRESSION_DEPTH_MAX, EXPRESSION_FIELDS_MAX, FieldIndex, Node, Operand};
use crate::error::{CoreError, Result};

/// Parses `text`; its fields are added to `fields`, where they do not stand yet.
pub fn parse_into(text: &str, fields: &mut Vec<Field>) -> Result<Node> {
    if text.len() > EXPRESSION_BYTES_MAX {
        return Err(fault(EXPRESSION_BYTES_MAX, format_args!("more than {EXPRESSION_BYTES_MAX} bytes")));
    }
    let mut lexer = Lexer::new(text);
    let (at, token) = lexer.next()?;
    let mut parser = Parser { lexer, at, token, fields, depth: 0 };
    let root = parser.any()?;
    if parser.token != Token::End {
        return Err(parser.unexpected("the end"));
    }
    Ok(root)
}

/// The field's place in `fields`.
pub fn field_index(fields: &mut Vec<Field>, field: Field) -> Option<FieldIndex> {
    let index = fields.iter().position(|other| *other == field).unwrap_or_else(|| {
        fields.push(field);
        fields.len() - 1
    });
    (index < EXPRESSION_FIELDS_MAX).then_some(index as FieldIndex)
}

struct Parser<'t, 'f> {
    lexer: Lexer<'t>,
    /// The next token and where it begins.
    at: usize,
    token: Token<'t>,
    fields: &'f mut Vec<Field>,
    depth: usize,
}

impl<'t> Parser<'t, '_> {
    fn advance(&mut self) -> Result<Token<'t>> {
        let (at, next) = self.lexer.next()?;
        self.at = at;
        Ok(std::mem::replace(&mut self.token, next))
    }

    fn unexpected(&self, wanted: &str) -> CoreError {
        let found = match &self.token {
            Token::End => "the end".to_owned(),
            Token::Symbol(text) | Token::Word(text) => format!("{text:?}"),
            Token::Text(_) => "a text".to_owned(),
            Token::Number(_) => "a number".to_owned(),
            Token::Path(_) => "a path".to_owned(),
        };
        fault(self.at, format_args!("expected {wanted}, found {found}"))
    }

    /// Whether one of these stands here; it is passed.
    fn passes(&mut self, symbol: &str, word: &str) -> Result<bool> {
        let is_here = self.token == Token::Symbol(symbol) || self.token == Token::Word(word);
        if is_here {
            self.advance()?;
        }
        Ok(is_here)
    }

    fn expect(&mut self, symbol: &'static str) -> Result<()> {
        if self.token != Token::Symbol(symbol) {
            return Err(self.unexpected(symbol));
        }
        self.advance().map(|_| ())
    }

    fn deeper<T>(&mut self, parse: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        if self.depth == EXPRESSION_DEPTH_MAX {
            return Err(fault(self.at, format_args!("nested deeper than {EXPRESSION_DEPTH_MAX}")));
        }
        self.depth += 1;
        let parsed = parse(self)?;
        self.depth -= 1;
        Ok(parsed)
    }

    fn any(&mut self) -> Result<Node> {
        let first = self.all()?;
        let mut nodes = vec![first];
        while self.passes("||", "or")? {
            nodes.push(self.all()?);
        }
        Ok(one_or(nodes, Node::Any))
    }

    fn all(&mut self) -> Result<Node> {
        let first = self.not()?;
        let mut nodes = vec![first];
        while self.passes("&&", "and")? {
            nodes.push(self.not()?);
        }
        Ok(one_or(nodes, Node::All))
    }

    fn not(&mut self) -> Result<Node> {
        if self.passes("!", "not")? {
            let node = self.deeper(Self::not)?;
            return Ok(Node::Not(Box::new(node)));
        }
        self.term()
    }

    fn term(&mut self) -> Result<Node> {
        match self.token {
            Token::Symbol("(") => {
                self.advance()?;
                let node = self.deeper(Self::any)?;
                self.expect(")")?;
                Ok(node)
            }
            Token::Word("exists") => {
                self.advance()?;
                self.expect("(")?;
                let Some(field) = self.field()? else { return Err(self.unexpected("a field")) };
                self.expect(")")?;
                Ok(Node::Exists(field))
            }
            Token::Word("prefix") => {
                self.advance()?;
                self.expect("(")?;
                let of = self.operand()?;
                self.expect(",")?;
                let prefix = self.text()?;
                self.expect(")")?;
                Ok(Node::Prefix(of, prefix))
            }
            _ => self.comparison(),
        }
    }

    fn comparison(&mut self) -> Result<Node> {
        let left = self.operand()?;
        let operator = match self.token {
            Token::Symbol(symbol) => operator_of(symbol),
            _ => None,
        };
        let Some(operator) = operator else { return Ok(Node::True(left)) };
        self.advance()?;
        let right = self.operand()?;
        Ok(Node::Compare(left, operator, right))
    }

    fn text(&mut self) -> Result<Box<[u8]>> {
        if !matches!(self.token, Token::Text(_)) {
            return Err(self.unexpected("a text"));
        }
        match self.advance()? {
            Token::Text(text) => Ok(text),
            _ => Ok(Box::default()),
        }
    }

    fn operand(&mut self) -> Result<Operand> {
        if let Some(field) = self.field()? {
            return Ok(Operand::Field(field));
        }
        let literal = match &self.token {
            Token::Text(text) => Literal::Text(text.clone()),
            Token::Number(number) => number.clone(),
            Token::Word("true") => Literal::Bool(true),
            Token::Word("false") => Literal::Bool(false),
            Token::Word("null") => Literal::Null,
            _ => return Err(self.unexpected("a field or a value")),
        };
        self.advance()?;
        Ok(Operand::Literal(literal))
    }

    /// The field that stands here, if one does.
    fn field(&mut self) -> Result<Option<FieldIndex>> {
        let at = self.at;
        let field = match &self.token {
            Token::Path(_) => match self.advance()? {
                Token::Path(path) => Field::Body(path),
                _ => return Ok(None),
            },
            Token::Word("key") => {
                self.advance()?;
                Field::Key
            }
            Token::Word("header") => {
                self.advance()?;
                self.expect("(")?;
                let name = self.text()?;
                self.expect(")")?;
                Field::Header(name)
            }
            _ => return Ok(None),
        };
        let index = field_index(self.fields, field);
        index.map(Some).ok_or_else(|| fault(at, format_args!("more than {EXPRESSION_FIELDS_MAX} fields")))
    }
}

fn one_or(mut nodes: Vec<Node>, join: impl FnOnce(Vec<Node>) -> Node) -> Node {
    match nodes.pop() {
        Some(only) if nodes.is_empty() => only,
        Some(last) => {
            nodes.push(last);
            join(nodes)
        }
        None => join(nodes),
    }
}

fn operator_of(symbol: &str) -> Option<Operator> {
    Some(match symbol {
        "==" => Operator::Equal,
        "!=" => Operator::NotEqual,
        "<" => Operator::Less,
        "<=" => Operator::LessOrEqual,
        ">" => Operator::Greater,
        ">=" => Operator::GreaterOrEqual,
        _ => return None,
    })
}
