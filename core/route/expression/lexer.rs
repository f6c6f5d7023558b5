//! The words of an expression.

use super::super::body::unescape;
use super::super::fields::{PATH_STEPS_MAX, Step};
use super::super::scalar::Literal;
use crate::error::{CoreError, ErrorCode, Result};

#[derive(Clone, Debug, PartialEq)]
pub enum Token<'t> {
    End,
    /// One of `( ) , == != < <= > >= && || !`.
    Symbol(&'t str),
    /// A name that is no path: one of `RESERVED`.
    Word(&'t str),
    Text(Box<[u8]>),
    Number(Literal),
    Path(Box<[Step]>),
}

/// Words of the language; any other name is a field of the body.
const RESERVED: [&str; 10] = ["and", "or", "not", "exists", "prefix", "header", "key", "true", "false", "null"];

/// What is wrong, and at which byte.
pub fn fault(at: usize, what: impl std::fmt::Display) -> CoreError {
    CoreError::new(ErrorCode::BAD_EXPRESSION, format!("where: {what} at position {at}"))
}

pub struct Lexer<'t> {
    text: &'t str,
    at: usize,
}

fn is_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | 0x80..)
}

impl<'t> Lexer<'t> {
    pub fn new(text: &'t str) -> Self {
        Self { text, at: 0 }
    }

    /// The next token and where it begins.
    pub fn next(&mut self) -> Result<(usize, Token<'t>)> {
        self.pass(|byte| byte.is_ascii_whitespace());
        let start = self.at;
        let Some(head) = self.peek() else { return Ok((start, Token::End)) };
        let token = match head {
            b'$' => {
                self.at += 1;
                Token::Path(self.path(Vec::new())?)
            }
            b'"' | b'\'' => Token::Text(self.quoted(head)?),
            b'0'..=b'9' | b'-' | b'.' => Token::Number(self.number()?),
            b'a'..=b'z' | b'A'..=b'Z' | b'_' => {
                self.pass(is_name);
                let word = &self.text[start..self.at];
                if RESERVED.contains(&word) {
                    Token::Word(word)
                } else {
                    Token::Path(self.path(vec![Step::Name(word.as_bytes().into())])?)
                }
            }
            _ => Token::Symbol(self.symbol()?),
        };
        Ok((start, token))
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn pass(&mut self, is_part: impl Fn(u8) -> bool) {
        while self.peek().is_some_and(&is_part) {
            self.at += 1;
        }
    }

    fn symbol(&mut self) -> Result<&'t str> {
        let rest = &self.text[self.at..];
        let known = ["==", "!=", "<=", ">=", "&&", "||", "<", ">", "!", "(", ")", ","];
        let Some(symbol) = known.iter().find(|&&symbol| rest.starts_with(symbol)) else {
            let what = rest.chars().next().unwrap_or_default();
            let hint = if what == '=' { " (a comparison is ==)" } else { "" };
            return Err(fault(self.at, format_args!("unexpected {what:?}{hint}")));
        };
        self.at += symbol.len();
        Ok(&rest[..symbol.len()])
    }

    /// The steps of a path behind those that it begins with: `.name`, `["name"]` and `[index]`.
    fn path(&mut self, mut steps: Vec<Step>) -> Result<Box<[Step]>> {
        loop {
            let step = match self.peek() {
                Some(b'.') => {
                    self.at += 1;
                    Step::Name(self.name()?)
                }
                Some(b'[') => {
                    self.at += 1;
                    self.bracket()?
                }
                _ => return Ok(steps.into()),
            };
            if steps.len() == PATH_STEPS_MAX {
                return Err(fault(self.at, format_args!("a path of more than {PATH_STEPS_MAX} steps")));
            }
            steps.push(step);
        }
    }

    fn name(&mut self) -> Result<Box<[u8]>> {
        let start = self.at;
        self.pass(is_name);
        if self.at == start {
            return Err(fault(start, "a name is missing"));
        }
        Ok(self.text.as_bytes()[start..self.at].into())
    }

    fn bracket(&mut self) -> Result<Step> {
        let start = self.at;
        let step = if let Some(quote @ (b'"' | b'\'')) = self.peek() {
            Step::Name(self.quoted(quote)?)
        } else {
            self.pass(|byte| byte.is_ascii_digit());
            let index = self.text[start..self.at].parse();
            Step::Index(index.map_err(|_| fault(start, "an index or a quoted name is missing"))?)
        };
        if self.peek() != Some(b']') {
            return Err(fault(self.at, "] is missing"));
        }
        self.at += 1;
        Ok(step)
    }

    /// A text in either quotes, with the escapes of JSON and `\'`.
    fn quoted(&mut self, quote: u8) -> Result<Box<[u8]>> {
        let start = self.at;
        self.at += 1;
        let mut text = Vec::new();
        loop {
            let piece = self.at;
            self.pass(|byte| byte != quote && byte != b'\\');
            text.extend_from_slice(&self.text.as_bytes()[piece..self.at]);
            match self.peek() {
                None => return Err(fault(start, "a text without its end")),
                Some(b'\\') => self.escape(&mut text)?,
                Some(_) => break,
            }
        }
        self.at += 1;
        Ok(text.into())
    }

    fn escape(&mut self, text: &mut Vec<u8>) -> Result<()> {
        let rest = &self.text.as_bytes()[self.at..];
        if rest.starts_with(b"\\'") {
            text.push(b'\'');
            self.at += 2;
            return Ok(());
        }
        // Half of a surrogate pair needs the other half, so both lengths of \u are tried.
        for length in [2, 6, 12] {
            let Some(escape) = rest.get(..length) else { break };
            if unescape(escape, |bytes| text.extend_from_slice(bytes)).is_some() {
                self.at += length;
                return Ok(());
            }
        }
        Err(fault(self.at, "no escape of JSON"))
    }

    fn number(&mut self) -> Result<Literal> {
        let start = self.at;
        self.pass(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'+'));
        let text = &self.text[start..self.at];
        let is_number =
            text.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b'-' | b'+' | b'e' | b'E'));
        if let Ok(value) = text.parse::<i128>()
            && (i128::from(i64::MIN)..=i128::from(u64::MAX)).contains(&value)
        {
            return Ok(Literal::Int(value));
        }
        match text.parse::<f64>() {
            Ok(value) if is_number && value.is_finite() => Ok(Literal::Float(value)),
            _ => Err(fault(start, format_args!("{text:?} is no number"))),
        }
    }
}
