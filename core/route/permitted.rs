//! Which routing keys a publisher may use. The control plane compiles the rules of its principal to this: a key that the
//! default exchange routes by is the name of a queue, and names no one can know before the message comes.

use std::collections::HashSet;

use crate::batch::{Attributes, records_of};
use crate::error::{CoreError, ErrorCode, Result};

/// Words of a pattern; a set of places in it, and the one behind it, is 65 bits.
const WORDS_MAX: usize = 64;

/// Allowed and denied names; denying wins, and what nothing allows is not permitted.
#[derive(Debug, Default)]
pub struct Permitted {
    allowed: Names,
    denied: Names,
}

#[derive(Debug, Default)]
struct Names {
    literal: HashSet<Box<[u8]>>,
    prefixes: Vec<Box<[u8]>>,
    patterns: Vec<Box<[Word]>>,
}

#[derive(Debug, PartialEq, Eq)]
enum Word {
    Text(Box<[u8]>),
    /// `*`
    One,
    /// `#`
    Many,
}

impl Permitted {
    /// Reads texts of an effect, a match and a name: `+` allows or `-` denies, `=` literal, `^` prefix or `~` pattern.
    ///
    /// # Errors
    /// `invalid_argument`.
    pub fn read<'a>(rules: impl IntoIterator<Item = &'a str>) -> Result<Self> {
        let mut permitted = Self::default();
        for rule in rules {
            let malformed = || CoreError::new(ErrorCode::INVALID_ARGUMENT, format!("no rule about a name: {rule}"));
            let (effect, rest) = rule.split_at_checked(1).ok_or_else(malformed)?;
            let (kind, name) = rest.split_at_checked(1).ok_or_else(malformed)?;
            let names = match effect {
                "+" => &mut permitted.allowed,
                "-" => &mut permitted.denied,
                _ => return Err(malformed()),
            };
            names.add(kind, name).ok_or_else(malformed)?;
        }
        Ok(permitted)
    }

    pub fn holds(&self, key: &[u8]) -> bool {
        self.allowed.has(key) && !self.denied.has(key)
    }

    /// # Errors
    /// `unauthorized`.
    pub fn check(&self, key: Option<&[u8]>) -> Result<()> {
        self.check_any()?;
        self.check_key(key.unwrap_or(&[]))
    }

    fn check_key(&self, key: &[u8]) -> Result<()> {
        if self.holds(key) { Ok(()) } else { Err(refusal(key)) }
    }

    /// Whether there is any key that is permitted: a publisher that has lost its right has none, and nothing of what
    /// it sends has to be read.
    fn check_any(&self) -> Result<()> {
        if self.allowed.is_empty() {
            return Err(CoreError::new(ErrorCode::UNAUTHORIZED, "the right to write is missing".to_owned()));
        }
        Ok(())
    }

    /// Checks the keys of records, which are plain wherever some keys are permitted and others are not: a batch for
    /// an exchange is not compressed.
    ///
    /// # Errors
    /// `unauthorized`, `bad_record`.
    pub fn check_records(&self, records: &[u8], attributes: Attributes) -> Result<()> {
        self.check_any()?;
        for record in records_of(records, attributes)? {
            self.check_key(record?.key.unwrap_or(&[]))?;
        }
        Ok(())
    }
}

fn refusal(key: &[u8]) -> CoreError {
    let name = String::from_utf8_lossy(&key[..key.len().min(249)]);
    CoreError::new(ErrorCode::UNAUTHORIZED, format!("the right to write to the queue \"{name}\" is missing"))
}

impl Names {
    fn is_empty(&self) -> bool {
        self.literal.is_empty() && self.prefixes.is_empty() && self.patterns.is_empty()
    }

    fn add(&mut self, kind: &str, name: &str) -> Option<()> {
        match kind {
            "=" => {
                self.literal.insert(name.as_bytes().into());
            }
            "^" => self.prefixes.push(name.as_bytes().into()),
            "~" => self.patterns.push(pattern(name)?),
            _ => return None,
        }
        Some(())
    }

    fn has(&self, key: &[u8]) -> bool {
        self.literal.contains(key)
            || self.prefixes.iter().any(|prefix| key.starts_with(prefix))
            || self.patterns.iter().any(|words| matches(words, key))
    }
}

fn pattern(text: &str) -> Option<Box<[Word]>> {
    let words: Box<[Word]> = words_of(text.as_bytes())
        .map(|word| match word {
            b"*" => Word::One,
            b"#" => Word::Many,
            text => Word::Text(text.into()),
        })
        .collect();
    (words.len() <= WORDS_MAX).then_some(words)
}

fn words_of(name: &[u8]) -> impl Iterator<Item = &[u8]> {
    name.split(|byte| matches!(byte, b'.' | b'/'))
}

/// Walks all ways through the pattern at once: bit n of `places` says that its first n words may have been used up.
fn matches(words: &[Word], key: &[u8]) -> bool {
    if key.is_empty() {
        return words == [Word::Many];
    }
    let mut places = past_many(words, 1);
    for found in words_of(key) {
        let mut next: u128 = 0;
        for (at, word) in words.iter().enumerate() {
            if places & (1 << at) == 0 {
                continue;
            }
            match word {
                Word::Many => next |= 1 << at,
                Word::One => next |= 1 << (at + 1),
                Word::Text(text) if **text == *found => next |= 1 << (at + 1),
                Word::Text(_) => {}
            }
        }
        places = past_many(words, next);
    }
    places & (1 << words.len()) != 0
}

/// `#` stands for no word as well.
fn past_many(words: &[Word], mut places: u128) -> u128 {
    for (at, word) in words.iter().enumerate() {
        if *word == Word::Many && places & (1 << at) != 0 {
            places |= 1 << (at + 1);
        }
    }
    places
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holds(rules: &[&str], key: &str) -> bool {
        Permitted::read(rules.iter().copied()).unwrap().holds(key.as_bytes())
    }

    #[test]
    fn nothing_is_permitted_that_nothing_allows() {
        assert!(!holds(&[], "orders"));
        assert!(!holds(&["+=orders"], "order"));
        assert!(!holds(&["-=orders"], "orders"));
    }

    #[test]
    fn where_nothing_is_permitted_records_are_not_read() {
        let nothing = Permitted::read([]).unwrap();
        let refused = nothing.check_records(b"compressed, say", Attributes(0)).unwrap_err();
        assert_eq!(refused.code, ErrorCode::UNAUTHORIZED);
    }

    #[test]
    fn denying_wins() {
        assert!(holds(&["+^orders.", "-=orders.secret"], "orders.eu"));
        assert!(!holds(&["+^orders.", "-=orders.secret"], "orders.secret"));
        assert!(!holds(&["-~#", "+=a"], "a"));
    }

    #[test]
    fn patterns_are_those_of_topics() {
        for (pattern, key, expected) in [
            ("#", "", true),
            ("#", "a.b/c", true),
            ("*", "", false),
            ("*", "a", true),
            ("*", "a.b", false),
            ("a.#", "a", true),
            ("a.#.z", "a.z", true),
            ("a.#.z", "a.b/c.z", true),
            ("a.#.z", "a.b.c", false),
            ("*.b", "a/b", true),
            ("#.b.#", "x.b.y.z", true),
        ] {
            assert_eq!(holds(&[&format!("+~{pattern}")], key), expected, "{pattern} {key}");
        }
    }

    #[test]
    fn a_malformed_rule_is_refused() {
        let many = format!("+~{}", vec!["a"; WORDS_MAX + 1].join("."));
        for rule in ["", "+", "=a", "+?a", "x=a", "é=a", many.as_str()] {
            assert_eq!(Permitted::read([rule]).unwrap_err().code, ErrorCode::INVALID_ARGUMENT, "{rule}");
        }
    }

    #[test]
    fn a_pattern_of_the_most_words_matches() {
        let words = vec!["a"; WORDS_MAX].join(".");
        assert!(holds(&[&format!("+~{words}")], &words));
    }
}
