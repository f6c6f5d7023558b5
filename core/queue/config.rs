//! What a queue is declared with. The map comes from a client through the metadata log: unknown keys are
//! ignored, a wrong type is an error that names its key.

use std::collections::BTreeMap;

use super::read::{Fields, in_range, invalid};
use crate::error::Result;
use crate::stdx::fnv::fnv64;

/// Priorities are 0 to 31: a bit mask of 32 lanes finds the highest.
pub const PRIORITY_MAX: u8 = 31;
/// A turn is to stay short.
const WEIGHT_MAX: u64 = 1_000;
const MINUTES_A_DAY: u64 = 1440;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Overflow {
    #[default]
    DropHead,
    Reject,
    DeadLetter,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum RetryKind {
    Fixed,
    Linear,
    #[default]
    Exponential,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RetryPolicy {
    pub kind: RetryKind,
    pub delay_ms: u64,
    pub delay_max_ms: u64,
    /// 0 to 1: a delay is up to this share shorter or longer.
    pub jitter: f64,
    /// Deliveries after which a retry is a dead letter.
    pub attempts_max: Option<u32>,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self { kind: RetryKind::Exponential, delay_ms: 1000, delay_max_ms: 60_000, jitter: 0.0, attempts_max: None }
    }
}

#[derive(Clone, Debug, PartialEq, Default)]
pub struct Retry {
    pub policy: RetryPolicy,
    /// By error class; `policy` is for all others.
    pub classes: BTreeMap<String, RetryPolicy>,
}

/// Minutes of the day, from (included) to (excluded); over midnight where `from` is the later one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    pub from_minute: u16,
    pub to_minute: u16,
    pub utc_offset_minutes: i16,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct ReleaseConfig {
    pub rate_per_sec: Option<u64>,
    /// Of records as they are stored.
    pub bytes_per_sec: Option<u64>,
    /// Messages that may go at once after a pause; a second's worth where it is 0.
    pub burst: u64,
    pub window: Option<Window>,
}

#[derive(Clone, Debug, PartialEq)]
#[allow(clippy::struct_excessive_bools, reason = "each is an argument of its own")]
pub struct QueueConfig {
    /// At most one unsettled message a group, in order of numbers.
    pub ordered: bool,
    /// How long a group stays with the consumer that settled a message of it last; only of an ordered queue.
    pub session_lock_ms: Option<u64>,
    /// Groups take turns, by their weights. Not with `ordered`.
    pub fair_share: bool,
    /// Messages that a group may give out in its turn, by the hash of its name; others have 1.
    pub weights: BTreeMap<u64, u32>,
    pub single_active: bool,
    /// Enforced by who adds consumers.
    pub exclusive: bool,
    pub message_ttl_ms: Option<u64>,
    /// Messages of a higher priority count as this one.
    pub priority_max: u8,
    /// Of ready messages; those in flight, delayed and deferred have limits of their own.
    pub length_max: Option<u64>,
    pub bytes_max: Option<u64>,
    pub overflow: Overflow,
    pub delivery_limit: Option<u32>,
    pub lease_ms: Option<u64>,
    /// How long before the end of a lease its consumer is warned: a quarter of the lease where it is None; 0 is never.
    pub lease_warning_ms: Option<u64>,
    pub dedup_window_ms: Option<u64>,
    /// Ids remembered; the oldest is forgotten for one more.
    pub dedup_entries_max: u64,
    pub retry: Retry,
    pub has_dead_letter: bool,
    pub release: ReleaseConfig,
    /// Of all consumers together.
    pub in_flight_max: u64,
    pub deferred_max: u64,
    /// A delayed message more is a dead letter (reason length); a retry more goes back at once.
    pub delayed_max: u64,
    /// Group hashes are folded to so many: beyond it groups share their order, or their turns.
    pub groups_max: u64,
}

impl Default for QueueConfig {
    fn default() -> Self {
        Self {
            ordered: false,
            session_lock_ms: None,
            fair_share: false,
            weights: BTreeMap::new(),
            single_active: false,
            exclusive: false,
            message_ttl_ms: None,
            priority_max: 0,
            length_max: None,
            bytes_max: None,
            overflow: Overflow::DropHead,
            delivery_limit: None,
            lease_ms: None,
            lease_warning_ms: None,
            dedup_window_ms: None,
            dedup_entries_max: 1 << 20,
            retry: Retry::default(),
            has_dead_letter: false,
            release: ReleaseConfig::default(),
            in_flight_max: 1 << 20,
            deferred_max: 1 << 20,
            delayed_max: 1 << 26,
            groups_max: 1 << 24,
        }
    }
}

impl QueueConfig {
    /// It looks at every message's group.
    #[inline]
    pub fn has_groups(&self) -> bool {
        self.ordered || self.fair_share
    }

    /// How long before its end a lease of this length is warned of; 0 is never.
    #[inline]
    pub fn warning_ms(&self, lease_ms: Option<u64>) -> u64 {
        self.lease_warning_ms.unwrap_or(lease_ms.unwrap_or(0) / 4)
    }

    /// # Errors
    /// `invalid_config`, naming the key whose value is not valid.
    pub fn read(bytes: &[u8]) -> Result<Self> {
        let mut config = Self::default();
        Fields::new(bytes).each(|key, value| config.set(key, value))?;
        if config.fair_share && config.ordered {
            return Err(invalid("fairShare", "is not possible together with ordered"));
        }
        if config.session_lock_ms.is_some() && !config.ordered {
            return Err(invalid("sessionLockMs", "needs ordered"));
        }
        Ok(config)
    }

    fn set(&mut self, key: &str, value: &mut Fields<'_>) -> Result<()> {
        match key {
            "ordered" => self.ordered = value.bool()?,
            "sessionLockMs" => self.session_lock_ms = value.optional_uint()?,
            "fairShare" => self.fair_share = value.bool()?,
            "weights" => value.each(|name, value| {
                let weight = in_range(value.uint()?, 1, WEIGHT_MAX, name)? as u32;
                self.weights.insert(fnv64(name.as_bytes()), weight);
                Ok(())
            })?,
            "singleActive" => self.single_active = value.bool()?,
            "exclusive" => self.exclusive = value.bool()?,
            "messageTtlMs" => self.message_ttl_ms = value.optional_uint()?,
            "priorityMax" => self.priority_max = in_range(value.uint()?, 0, u64::from(PRIORITY_MAX), key)? as u8,
            "lengthMax" => self.length_max = value.optional_uint()?,
            "bytesMax" => self.bytes_max = value.optional_uint()?,
            "overflow" => {
                self.overflow = value.choice(&[
                    ("drop-head", Overflow::DropHead),
                    ("reject", Overflow::Reject),
                    ("dead-letter", Overflow::DeadLetter),
                ])?;
            }
            "deliveryLimit" => self.delivery_limit = value.optional_uint32()?,
            "leaseMs" => self.lease_ms = value.optional_uint()?,
            "leaseWarningMs" => self.lease_warning_ms = value.optional_uint()?,
            "dedupWindowMs" => self.dedup_window_ms = value.optional_uint()?,
            "dedupEntriesMax" => self.dedup_entries_max = value.uint()?,
            "retry" => value.each(|key, value| self.retry.set(key, value))?,
            "deadLetter" | "deadLetterExchange" => self.has_dead_letter |= value.is_given()?,
            "release" => value.each(|key, value| self.release.set(key, value))?,
            "inFlightMax" => self.in_flight_max = value.uint()?,
            "deferredMax" => self.deferred_max = value.uint()?,
            "delayedMax" => self.delayed_max = value.uint()?,
            "groupsMax" => self.groups_max = in_range(value.uint()?, 1, u64::MAX, key)?,
            _ => value.skip()?,
        }
        Ok(())
    }
}

impl Retry {
    fn set(&mut self, key: &str, value: &mut Fields<'_>) -> Result<()> {
        if key != "classes" {
            return self.policy.set(key, value);
        }
        value.each(|class, value| {
            let mut policy = RetryPolicy::default();
            value.each(|key, value| policy.set(key, value))?;
            self.classes.insert(class.to_owned(), policy);
            Ok(())
        })
    }
}

impl RetryPolicy {
    fn set(&mut self, key: &str, value: &mut Fields<'_>) -> Result<()> {
        match key {
            "kind" => {
                self.kind = value.choice(&[
                    ("fixed", RetryKind::Fixed),
                    ("linear", RetryKind::Linear),
                    ("exponential", RetryKind::Exponential),
                ])?;
            }
            "delayMs" => self.delay_ms = value.uint()?,
            "delayMaxMs" => self.delay_max_ms = value.uint()?,
            "jitter" => self.jitter = value.share()?,
            "attemptsMax" => self.attempts_max = value.optional_uint32()?,
            _ => value.skip()?,
        }
        Ok(())
    }
}

impl ReleaseConfig {
    fn set(&mut self, key: &str, value: &mut Fields<'_>) -> Result<()> {
        match key {
            "ratePerSec" => {
                let rate = value.optional_uint()?;
                self.rate_per_sec = rate.map(|rate| in_range(rate, 1, 1 << 32, key)).transpose()?;
            }
            "bytesPerSec" => {
                let rate = value.optional_uint()?;
                self.bytes_per_sec = rate.map(|rate| in_range(rate, 1, 1 << 40, key)).transpose()?;
            }
            "burst" => self.burst = in_range(value.uint()?, 0, 1 << 32, key)?,
            "window" if value.nil()? => self.window = None,
            "window" => {
                let mut window = Window { from_minute: 0, to_minute: 0, utc_offset_minutes: 0 };
                value.each(|key, value| window.set(key, value))?;
                self.window = Some(window);
            }
            _ => value.skip()?,
        }
        Ok(())
    }
}

impl Window {
    fn set(&mut self, key: &str, value: &mut Fields<'_>) -> Result<()> {
        match key {
            "fromMinute" => self.from_minute = in_range(value.uint()?, 0, MINUTES_A_DAY - 1, key)? as u16,
            "toMinute" => self.to_minute = in_range(value.uint()?, 0, MINUTES_A_DAY, key)? as u16,
            "utcOffsetMinutes" => self.utc_offset_minutes = value.int(-1440, 1440)? as i16,
            _ => value.skip()?,
        }
        Ok(())
    }
}
