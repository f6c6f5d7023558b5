//! The walk over a JSON body (RFC 8259). Strings are not checked to be UTF-8: they are compared as bytes.

use smallvec::SmallVec;

use super::{BODY_DEPTH_MAX, Sink, Stop};
use crate::route::fields::PathNode;
use crate::route::scalar::{Source, Stored};

type Walk<T = ()> = Result<T, Stop>;

/// A string's bytes between its quotes.
#[derive(Clone, Copy)]
struct Text {
    start: usize,
    end: usize,
    is_escaped: bool,
}

struct Json<'b, 's, 'v> {
    bytes: &'b [u8],
    at: usize,
    sink: &'s mut Sink<'v>,
}

pub fn read(body: &[u8], paths: &PathNode, sink: &mut Sink<'_>) -> Walk {
    Json { bytes: body, at: 0, sink }.value(Some(paths), 0)
}

impl Json<'_, '_, '_> {
    #[inline]
    fn peek(&self) -> Walk<u8> {
        self.bytes.get(self.at).copied().ok_or(Stop::Broken)
    }

    /// The next byte that is no blank; it is not passed.
    #[inline]
    fn next_token(&mut self) -> Walk<u8> {
        loop {
            match self.peek()? {
                b' ' | b'\t' | b'\n' | b'\r' => self.at += 1,
                byte => return Ok(byte),
            }
        }
    }

    #[inline]
    fn expect(&mut self, byte: u8) -> Walk {
        if self.next_token()? != byte {
            return Err(Stop::Broken);
        }
        self.at += 1;
        Ok(())
    }

    fn value(&mut self, node: Option<&PathNode>, depth: usize) -> Walk {
        let stored = match self.next_token()? {
            head @ (b'{' | b'[') => {
                if depth == BODY_DEPTH_MAX {
                    return Err(Stop::Broken);
                }
                if let Some(node) = node {
                    self.sink.put(node, Stored::Other)?;
                }
                self.at += 1;
                return if head == b'{' { self.object(node, depth) } else { self.array(node, depth) };
            }
            b'"' => {
                let text = self.text()?;
                match node {
                    Some(node) if node.slot().is_some() => self.stored_text(text),
                    _ => return Ok(()),
                }
            }
            b't' => self.word(b"true", Stored::Bool(true))?,
            b'f' => self.word(b"false", Stored::Bool(false))?,
            b'n' => self.word(b"null", Stored::Null)?,
            _ => {
                let (start, is_whole) = (self.at, self.number()?);
                match node {
                    Some(node) if node.slot().is_some() => number_of(&self.bytes[start..self.at], is_whole),
                    _ => return Ok(()),
                }
            }
        };
        node.map_or(Ok(()), |node| self.sink.put(node, stored))
    }

    fn object(&mut self, node: Option<&PathNode>, depth: usize) -> Walk {
        if self.next_token()? == b'}' {
            self.at += 1;
            return Ok(());
        }
        loop {
            if self.next_token()? != b'"' {
                return Err(Stop::Broken);
            }
            let name = self.text()?;
            let child = node.and_then(|node| self.child(node, name));
            self.expect(b':')?;
            self.value(child, depth + 1)?;
            if self.is_last(b'}')? {
                return Ok(());
            }
        }
    }

    fn array(&mut self, node: Option<&PathNode>, depth: usize) -> Walk {
        if self.next_token()? == b']' {
            self.at += 1;
            return Ok(());
        }
        let mut index = 0;
        loop {
            self.value(node.and_then(|node| node.index(index)), depth + 1)?;
            if self.is_last(b']')? {
                return Ok(());
            }
            index += 1;
        }
    }

    /// Passes the comma behind an element, or the end of the container.
    #[inline]
    fn is_last(&mut self, end: u8) -> Walk<bool> {
        let byte = self.next_token()?;
        self.at += 1;
        if byte == end {
            return Ok(true);
        }
        if byte == b',' { Ok(false) } else { Err(Stop::Broken) }
    }

    /// Passes a string.
    #[inline]
    fn text(&mut self) -> Walk<Text> {
        let start = self.at + 1;
        let mut at = start;
        let mut is_escaped = false;
        loop {
            match self.bytes.get(at).ok_or(Stop::Broken)? {
                b'"' => break,
                b'\\' => {
                    is_escaped = true;
                    at += 2;
                }
                0x00..=0x1f => return Err(Stop::Broken),
                _ => at += 1,
            }
        }
        self.at = at + 1;
        Ok(Text { start, end: at, is_escaped })
    }

    #[inline]
    fn child<'p>(&self, node: &'p PathNode, name: Text) -> Option<&'p PathNode> {
        let raw = &self.bytes[name.start..name.end];
        if !name.is_escaped {
            return node.name(raw);
        }
        let mut plain = SmallVec::<[u8; 64]>::new();
        unescape(raw, |bytes| plain.extend_from_slice(bytes))?;
        node.name(&plain)
    }

    /// A string with an escape that is none is there, and equals nothing.
    fn stored_text(&mut self, text: Text) -> Stored {
        if !text.is_escaped {
            return Stored::Text { source: Source::Value, start: text.start as u32, end: text.end as u32 };
        }
        let scratch = &mut *self.sink.scratch;
        let start = scratch.len();
        match unescape(&self.bytes[text.start..text.end], |bytes| scratch.extend_from_slice(bytes)) {
            Some(()) => Stored::Text { source: Source::Scratch, start: start as u32, end: scratch.len() as u32 },
            None => Stored::Other,
        }
    }

    #[inline]
    fn word(&mut self, word: &[u8], stored: Stored) -> Walk<Stored> {
        if !self.bytes[self.at..].starts_with(word) {
            return Err(Stop::Broken);
        }
        self.at += word.len();
        Ok(stored)
    }

    /// Passes a number; whether it has neither fraction nor exponent.
    fn number(&mut self) -> Walk<bool> {
        if self.peek()? == b'-' {
            self.at += 1;
        }
        if self.peek()? == b'0' {
            self.at += 1;
        } else {
            self.digits()?;
        }
        let mut is_whole = true;
        if self.bytes.get(self.at) == Some(&b'.') {
            self.at += 1;
            self.digits()?;
            is_whole = false;
        }
        if let Some(b'e' | b'E') = self.bytes.get(self.at) {
            self.at += 1;
            if let Some(b'+' | b'-') = self.bytes.get(self.at) {
                self.at += 1;
            }
            self.digits()?;
            is_whole = false;
        }
        Ok(is_whole)
    }

    #[inline]
    fn digits(&mut self) -> Walk {
        let count = self.bytes[self.at..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        self.at += count;
        if count == 0 { Err(Stop::Broken) } else { Ok(()) }
    }
}

/// The value of a well-formed number; integers beyond 64 bits are floats.
fn number_of(text: &[u8], is_whole: bool) -> Stored {
    let Ok(text) = std::str::from_utf8(text) else { return Stored::Other };
    if is_whole {
        if let Ok(value) = text.parse() {
            return Stored::Int(value);
        }
        if let Ok(value) = text.parse() {
            return Stored::Big(value);
        }
    }
    text.parse().map_or(Stored::Other, Stored::Float)
}

/// Gives the text of a string with its escapes resolved, piece by piece. `None` for an escape that JSON does not have
/// and for half of a surrogate pair.
pub fn unescape(raw: &[u8], mut push: impl FnMut(&[u8])) -> Option<()> {
    let mut rest = raw;
    while let Some(at) = rest.iter().position(|&byte| byte == b'\\') {
        push(&rest[..at]);
        let escape = *rest.get(at + 1)?;
        rest = &rest[at + 2..];
        let plain = match escape {
            b'"' | b'\\' | b'/' => escape,
            b'b' => 0x08,
            b'f' => 0x0c,
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'u' => {
                push(code_point(&mut rest)?.encode_utf8(&mut [0; 4]).as_bytes());
                continue;
            }
            _ => return None,
        };
        push(&[plain]);
    }
    push(rest);
    Some(())
}

fn code_point(rest: &mut &[u8]) -> Option<char> {
    let first = four_digits(rest)?;
    if !(0xd800..0xdc00).contains(&first) {
        return char::from_u32(first);
    }
    *rest = rest.strip_prefix(b"\\u")?;
    let second = four_digits(rest)?;
    let low = second.checked_sub(0xdc00).filter(|&low| low < 0x400)?;
    char::from_u32(0x1_0000 + ((first - 0xd800) << 10) + low)
}

fn four_digits(rest: &mut &[u8]) -> Option<u32> {
    let (digits, after) = rest.split_at_checked(4)?;
    *rest = after;
    digits.iter().try_fold(0, |value, &digit| Some(value << 4 | char::from(digit).to_digit(16)?))
}
