//! Values that rules compare: what a message holds, what an expression states, and how they relate.

use std::cmp::Ordering;

use crate::error::Result;
use crate::stdx::msgpack::{Fault, Kind, Reader};

use super::refused;

type Read<T> = std::result::Result<T, Fault>;

/// A value that a rule states.
#[derive(Clone, Debug, PartialEq)]
pub enum Literal {
    Null,
    Bool(bool),
    Int(i128),
    Float(f64),
    Text(Box<[u8]>),
}

impl Literal {
    /// Reads a nil, bool, number, str or bin.
    ///
    /// # Errors
    /// `invalid_argument` for another type.
    pub fn read(reader: &mut Reader<'_>) -> Result<Self> {
        let bytes = reader.rest();
        let mut at_zero = Reader::new(bytes);
        let stored = read_stored(&mut at_zero, Source::Headers).map_err(|_| refused("a value of a binding"))?;
        let _ = reader.take(at_zero.position());
        Ok(match stored {
            Stored::Null => Self::Null,
            Stored::Bool(value) => Self::Bool(value),
            Stored::Int(value) => Self::Int(value.into()),
            Stored::Big(value) => Self::Int(value.into()),
            Stored::Float(value) if !value.is_nan() => Self::Float(value),
            Stored::Text { start, end, .. } => Self::Text(bytes[start as usize..end as usize].into()),
            Stored::Missing | Stored::Other | Stored::Float(_) => {
                return Err(refused("a value of a binding is a nil, bool, number or string"));
            }
        })
    }

    #[inline]
    pub fn scalar(&self) -> Scalar<'_> {
        match self {
            Self::Null => Scalar::Null,
            Self::Bool(value) => Scalar::Bool(*value),
            Self::Int(value) => Scalar::Int(*value),
            Self::Float(value) => Scalar::Float(*value),
            Self::Text(text) => Scalar::Text(text),
        }
    }
}

/// Which bytes a text that was found lies in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    Key,
    Headers,
    Value,
    /// Texts that had escapes, with them resolved.
    Scratch,
}

/// What a field holds, kept without borrowing the message.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Stored {
    Missing,
    Null,
    Bool(bool),
    Int(i64),
    /// Above what `Int` holds.
    Big(u64),
    Float(f64),
    Text {
        source: Source,
        start: u32,
        end: u32,
    },
    /// A map, an array, an extension type: it is there, and equals nothing.
    Other,
}

/// A value to compare.
#[derive(Clone, Copy, Debug)]
pub enum Scalar<'a> {
    Missing,
    Null,
    Bool(bool),
    Int(i128),
    Float(f64),
    Text(&'a [u8]),
    Other,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operator {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Operator {
    /// Numbers compare with numbers and texts, byte by byte, with texts; everything else only equals its like. What is
    /// missing equals nothing, and `!=` is always the opposite of `==`.
    #[inline]
    pub fn holds(self, left: Scalar<'_>, right: Scalar<'_>) -> bool {
        match self {
            Self::Equal => equal(left, right),
            Self::NotEqual => !equal(left, right),
            Self::Less => order(left, right).is_some_and(Ordering::is_lt),
            Self::LessOrEqual => order(left, right).is_some_and(Ordering::is_le),
            Self::Greater => order(left, right).is_some_and(Ordering::is_gt),
            Self::GreaterOrEqual => order(left, right).is_some_and(Ordering::is_ge),
        }
    }
}

#[inline]
fn equal(left: Scalar<'_>, right: Scalar<'_>) -> bool {
    match (left, right) {
        (Scalar::Null, Scalar::Null) => true,
        (Scalar::Bool(left), Scalar::Bool(right)) => left == right,
        (Scalar::Text(left), Scalar::Text(right)) => left == right,
        _ => order(left, right).is_some_and(Ordering::is_eq),
    }
}

#[inline]
fn order(left: Scalar<'_>, right: Scalar<'_>) -> Option<Ordering> {
    match (left, right) {
        (Scalar::Int(left), Scalar::Int(right)) => Some(left.cmp(&right)),
        (Scalar::Text(left), Scalar::Text(right)) => Some(left.cmp(right)),
        (Scalar::Float(left), Scalar::Float(right)) => left.partial_cmp(&right),
        (Scalar::Int(left), Scalar::Float(right)) => order_mixed(left, right),
        (Scalar::Float(left), Scalar::Int(right)) => order_mixed(right, left).map(Ordering::reverse),
        _ => None,
    }
}

/// Exact, where a conversion to f64 would make neighbours of 2^53 equal. Integers are of 64 bits.
fn order_mixed(int: i128, float: f64) -> Option<Ordering> {
    if float.is_nan() {
        return None;
    }
    // Saturates for what is beyond every 64-bit integer.
    let whole = float.trunc() as i128;
    Some(int.cmp(&whole).then_with(|| 0.0.partial_cmp(&float.fract()).unwrap_or(Ordering::Equal)))
}

/// Reads one scalar of msgpack; `reader` begins where `source` begins.
pub fn read_stored(reader: &mut Reader<'_>, source: Source) -> Read<Stored> {
    Ok(match reader.kind()? {
        Kind::Nil => {
            reader.take(1)?;
            Stored::Null
        }
        Kind::Bool => Stored::Bool(reader.take(1)? == [0xc3]),
        Kind::Uint => match reader.uint()? {
            value @ 0..=0x7fff_ffff_ffff_ffff => Stored::Int(value.cast_signed()),
            value => Stored::Big(value),
        },
        Kind::NegativeInt => Stored::Int(signed(reader)?),
        Kind::Float => Stored::Float(float(reader)?),
        Kind::Str | Kind::Bin => {
            let length = reader.blob()?.len();
            let end = reader.position();
            let (Ok(start), Ok(end)) = (u32::try_from(end - length), u32::try_from(end)) else {
                return Err(Fault::Malformed);
            };
            Stored::Text { source, start, end }
        }
        Kind::Array | Kind::Map | Kind::Ext => {
            reader.skip(super::BODY_DEPTH_MAX)?;
            Stored::Other
        }
    })
}

fn fixed<const N: usize>(reader: &mut Reader<'_>) -> Read<[u8; N]> {
    reader.take(N)?.try_into().map_err(|_| Fault::Malformed)
}

fn signed(reader: &mut Reader<'_>) -> Read<i64> {
    let [head] = fixed(reader)?;
    Ok(match head {
        0xd0 => i8::from_be_bytes(fixed(reader)?).into(),
        0xd1 => i16::from_be_bytes(fixed(reader)?).into(),
        0xd2 => i32::from_be_bytes(fixed(reader)?).into(),
        0xd3 => i64::from_be_bytes(fixed(reader)?),
        fix => i64::from(fix.cast_signed()),
    })
}

fn float(reader: &mut Reader<'_>) -> Read<f64> {
    match fixed(reader)? {
        [0xca] => Ok(f32::from_be_bytes(fixed(reader)?).into()),
        _ => Ok(f64::from_be_bytes(fixed(reader)?)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_and_floats_compare_exactly_around_two_to_the_53() {
        let big = 1_i128 << 53;
        assert!(Operator::Greater.holds(Scalar::Int(big + 1), Scalar::Float(9_007_199_254_740_992.0)));
        assert!(Operator::Equal.holds(Scalar::Int(big), Scalar::Float(9_007_199_254_740_992.0)));
        assert!(Operator::Less.holds(Scalar::Float(2.5), Scalar::Int(3)));
        assert!(Operator::Greater.holds(Scalar::Int(-2), Scalar::Float(-2.5)));
        assert!(Operator::Less.holds(Scalar::Int(i128::from(u64::MAX)), Scalar::Float(f64::INFINITY)));
        assert!(Operator::Greater.holds(Scalar::Int(i128::from(i64::MIN)), Scalar::Float(f64::NEG_INFINITY)));
    }

    #[test]
    fn what_cannot_be_compared_is_unequal_and_in_no_order() {
        for (left, right) in [
            (Scalar::Text(b"1"), Scalar::Int(1)),
            (Scalar::Missing, Scalar::Missing),
            (Scalar::Missing, Scalar::Null),
            (Scalar::Other, Scalar::Other),
            (Scalar::Float(f64::NAN), Scalar::Float(f64::NAN)),
            (Scalar::Int(1), Scalar::Float(f64::NAN)),
            (Scalar::Bool(true), Scalar::Int(1)),
        ] {
            assert!(Operator::NotEqual.holds(left, right), "{left:?} {right:?}");
            for operator in
                [Operator::Equal, Operator::Less, Operator::LessOrEqual, Operator::Greater, Operator::GreaterOrEqual]
            {
                assert!(!operator.holds(left, right), "{left:?} {operator:?} {right:?}");
            }
        }
    }

    #[test]
    fn scalars_of_every_encoding_are_read() {
        let read = |bytes: &[u8]| read_stored(&mut Reader::new(bytes), Source::Value);
        assert_eq!(read(&[0xff]), Ok(Stored::Int(-1)));
        assert_eq!(read(&[0xd0, 0x80]), Ok(Stored::Int(-128)));
        assert_eq!(read(&[0xd1, 0xff, 0x00]), Ok(Stored::Int(-256)));
        assert_eq!(read(&[0xd2, 0xff, 0xff, 0xff, 0xff]), Ok(Stored::Int(-1)));
        assert_eq!(read(&[0xd3, 0x80, 0, 0, 0, 0, 0, 0, 0]), Ok(Stored::Int(i64::MIN)));
        assert_eq!(read(&[0xd0, 0x05]), Ok(Stored::Int(5)));
        assert_eq!(read(&[0xcf, 0xff, 0, 0, 0, 0, 0, 0, 0]), Ok(Stored::Big(0xff << 56)));
        assert_eq!(read(&[0xca, 0x3f, 0x80, 0, 0]), Ok(Stored::Float(1.0)));
        assert_eq!(read(&[0xcb, 0x3f, 0xf8, 0, 0, 0, 0, 0, 0]), Ok(Stored::Float(1.5)));
        assert_eq!(read(&[0xa2, b'a', b'b']), Ok(Stored::Text { source: Source::Value, start: 1, end: 3 }));
        assert_eq!(read(&[0x91, 0xc0]), Ok(Stored::Other));
        assert_eq!(read(&[0xd3, 0x80]), Err(Fault::NeedMore));
    }
}
