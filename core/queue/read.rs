//! Reads the maps of a queue's configuration, with errors that name the key.

#![allow(clippy::cast_precision_loss, reason = "only jitter and small offsets are read as floats")]

use crate::error::{CoreError, ErrorCode, Result};
use crate::stdx::msgpack::{Kind, Reader};

/// Nesting of a value that nobody knows.
const DEPTH_MAX: usize = 16;

pub(super) fn invalid(key: &str, what: &str) -> CoreError {
    CoreError::new(ErrorCode::INVALID_CONFIG, format!("queue config: `{key}` {what}"))
}

pub(super) fn in_range(value: u64, least: u64, most: u64, key: &str) -> Result<u64> {
    if (least..=most).contains(&value) {
        return Ok(value);
    }
    Err(invalid(key, &format!("is {value}, not {least} to {most}")))
}

/// A map's values one after the other, and the key of the one that stands here.
pub(super) struct Fields<'a> {
    reader: Reader<'a>,
    key: String,
}

impl<'a> Fields<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { reader: Reader::new(bytes), key: "config".to_owned() }
    }

    fn fault(&self, wanted: &str) -> CoreError {
        invalid(&self.key, &format!("is not {wanted}"))
    }

    /// Calls `set` with every key of the map that stands here, at its value. nil is an empty map.
    pub fn each(&mut self, mut set: impl FnMut(&str, &mut Self) -> Result<()>) -> Result<()> {
        if self.nil()? {
            return Ok(());
        }
        let length = self.reader.map().map_err(|_| self.fault("a map"))?;
        for _ in 0..length {
            let key = self.reader.str().map_err(|_| self.fault("a map of strings to values"))?;
            let outer = std::mem::replace(&mut self.key, key.to_owned());
            set(key, self)?;
            self.key = outer;
        }
        Ok(())
    }

    pub fn nil(&mut self) -> Result<bool> {
        self.reader.nil().map_err(|_| self.fault("there"))
    }

    pub fn skip(&mut self) -> Result<()> {
        self.reader.skip(DEPTH_MAX).map_err(|_| self.fault("msgpack"))
    }

    pub fn bool(&mut self) -> Result<bool> {
        match self.reader.take(1) {
            Ok([0xc2]) => Ok(false),
            Ok([0xc3]) => Ok(true),
            _ => Err(self.fault("true or false")),
        }
    }

    /// Anything but nil and false stands here.
    pub fn is_given(&mut self) -> Result<bool> {
        let given = !matches!(self.reader.peek(), Ok(0xc0 | 0xc2));
        self.skip()?;
        Ok(given)
    }

    pub fn uint(&mut self) -> Result<u64> {
        self.reader.uint().map_err(|_| self.fault("a whole number from 0"))
    }

    pub fn optional_uint(&mut self) -> Result<Option<u64>> {
        if self.nil()? { Ok(None) } else { self.uint().map(Some) }
    }

    pub fn optional_uint32(&mut self) -> Result<Option<u32>> {
        let Some(value) = self.optional_uint()? else { return Ok(None) };
        u32::try_from(value).map(Some).map_err(|_| self.fault("below 2^32"))
    }

    pub fn int(&mut self, least: i64, most: i64) -> Result<i64> {
        let value = self.number().ok_or_else(|| self.fault("a whole number"))?;
        if value.fract() != 0.0 || value < least as f64 || value > most as f64 {
            return Err(self.fault(&format!("a whole number from {least} to {most}")));
        }
        Ok(value as i64)
    }

    /// 0 to 1.
    pub fn share(&mut self) -> Result<f64> {
        let value = self.number().ok_or_else(|| self.fault("a number"))?;
        if (0.0..=1.0).contains(&value) { Ok(value) } else { Err(self.fault("0 to 1")) }
    }

    pub fn choice<T: Copy>(&mut self, choices: &[(&str, T)]) -> Result<T> {
        let name = self.reader.str().map_err(|_| self.fault("a string"))?;
        let found = choices.iter().find(|(choice, _)| *choice == name);
        found.map(|(_, value)| *value).ok_or_else(|| {
            let names: Vec<&str> = choices.iter().map(|(name, _)| *name).collect();
            self.fault(&format!("one of {}", names.join(", ")))
        })
    }

    /// Any msgpack number. Configured numbers are small, so a float holds them exactly.
    fn number(&mut self) -> Option<f64> {
        if self.reader.kind().ok()? == Kind::Uint {
            return self.reader.uint().ok().map(|value| value as f64);
        }
        let head = self.reader.take(1).ok()?[0];
        Some(match head {
            0xe0..=0xff => f64::from(head.cast_signed()),
            0xd0 => f64::from(i8::from_be_bytes(self.be()?)),
            0xd1 => f64::from(i16::from_be_bytes(self.be()?)),
            0xd2 => f64::from(i32::from_be_bytes(self.be()?)),
            0xd3 => i64::from_be_bytes(self.be()?) as f64,
            0xca => f64::from(f32::from_be_bytes(self.be()?)),
            0xcb => f64::from_be_bytes(self.be()?),
            _ => return None,
        })
    }

    fn be<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.reader.take(N).ok()?.try_into().ok()
    }
}
