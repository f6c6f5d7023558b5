//! When and how fast a queue gives messages out: a token bucket, and a daily window.

use super::config::{ReleaseConfig, Window};

/// Tokens are counted in millionths: at any whole rate a millisecond adds a whole number of them.
const TOKEN: u64 = 1_000_000;
const MINUTE_MS: u64 = 60_000;
const DAY_MINUTES: i64 = 1440;

#[derive(Clone, Copy, Default)]
pub(super) struct Release {
    pub millionths: u64,
    pub at_ms: u64,
    /// Bytes given out since the last `spend`.
    pub given_bytes: u64,
    /// When the bytes given out so far are paid for. A restart forgets it.
    bytes_paid_ms: u64,
}

/// At most so much of a second's bytes goes at once: how large messages are is known when they have gone.
const BYTES_PART: u64 = 10;

impl Release {
    /// How many messages may go now, of which each has about `mean_bytes`.
    pub fn available(&mut self, config: &ReleaseConfig, mean_bytes: u64, now_ms: u64) -> u64 {
        if config.window.is_some_and(|window| !is_open(window, now_ms)) {
            return 0;
        }
        let by_bytes = config.bytes_per_sec.map_or(u64::MAX, |rate| {
            if self.bytes_paid_ms > now_ms { 0 } else { (rate / BYTES_PART / mean_bytes.max(1)).max(1) }
        });
        by_bytes.min(self.tokens(config, now_ms))
    }

    fn tokens(&mut self, config: &ReleaseConfig, now_ms: u64) -> u64 {
        let Some(rate) = config.rate_per_sec else { return u64::MAX };
        let burst = if config.burst == 0 { rate } else { config.burst };
        let elapsed_ms = now_ms.saturating_sub(self.at_ms);
        let added = elapsed_ms.saturating_mul(rate).saturating_mul(TOKEN / 1000);
        self.millionths = self.millionths.saturating_add(added).min(burst.saturating_mul(TOKEN));
        self.at_ms = self.at_ms.max(now_ms);
        self.millionths / TOKEN
    }

    pub fn spend(&mut self, config: &ReleaseConfig, count: u64, now_ms: u64) {
        let bytes = std::mem::take(&mut self.given_bytes);
        if let Some(rate) = config.bytes_per_sec {
            let cost_ms = bytes.saturating_mul(1000).div_ceil(rate);
            self.bytes_paid_ms = self.bytes_paid_ms.max(now_ms).saturating_add(cost_ms);
        }
        if config.rate_per_sec.is_some() {
            self.millionths -= self.millionths.min(count.saturating_mul(TOKEN));
        }
    }

    /// When messages may go that may not at `now_ms`; None where they may.
    pub fn next_ms(&self, config: &ReleaseConfig, now_ms: u64) -> Option<u64> {
        if let Some(window) = config.window.filter(|window| !is_open(*window, now_ms)) {
            return Some(opens_ms(window, now_ms));
        }
        let by_bytes = Some(self.bytes_paid_ms).filter(|paid_ms| config.bytes_per_sec.is_some() && *paid_ms > now_ms);
        by_bytes.max(self.token_ms(config))
    }

    /// When there is a token, where there is none.
    fn token_ms(&self, config: &ReleaseConfig) -> Option<u64> {
        let rate = config.rate_per_sec?;
        let missing = TOKEN.checked_sub(self.millionths).filter(|missing| *missing > 0)?;
        Some(self.at_ms + missing.div_ceil(rate * (TOKEN / 1000)))
    }
}

fn minute_of_day(window: Window, now_ms: u64) -> i64 {
    let minute = i64::try_from(now_ms / MINUTE_MS).unwrap_or(0) + i64::from(window.utc_offset_minutes);
    minute.rem_euclid(DAY_MINUTES)
}

fn is_open(window: Window, now_ms: u64) -> bool {
    let (from, to) = (i64::from(window.from_minute), i64::from(window.to_minute));
    let minute = minute_of_day(window, now_ms);
    if from == to {
        return true;
    }
    if from < to { (from..to).contains(&minute) } else { minute >= from || minute < to }
}

fn opens_ms(window: Window, now_ms: u64) -> u64 {
    let wait = (i64::from(window.from_minute) - minute_of_day(window, now_ms)).rem_euclid(DAY_MINUTES);
    let minutes = now_ms / MINUTE_MS + if wait == 0 { DAY_MINUTES.cast_unsigned() } else { wait.cast_unsigned() };
    minutes * MINUTE_MS
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR_MS: u64 = 3_600_000;
    const DAY_MS: u64 = 24 * HOUR_MS;

    #[test]
    fn a_window_opens_and_closes_to_the_minute() {
        let window = Window { from_minute: 540, to_minute: 600, utc_offset_minutes: 60 };
        let config = ReleaseConfig { window: Some(window), ..ReleaseConfig::default() };
        let mut release = Release::default();
        let opens = 20_000 * DAY_MS + 8 * HOUR_MS;
        assert_eq!(release.available(&config, 1, opens - 1), 0);
        assert_eq!(release.next_ms(&config, opens - 1), Some(opens));
        assert_eq!(release.available(&config, 1, opens), u64::MAX);
        assert_eq!(release.available(&config, 1, opens + HOUR_MS - 1), u64::MAX);
        assert_eq!(release.available(&config, 1, opens + HOUR_MS), 0);
        assert_eq!(release.next_ms(&config, opens + HOUR_MS), Some(opens + DAY_MS));
    }

    #[test]
    fn a_window_may_span_midnight() {
        let window = Window { from_minute: 1380, to_minute: 60, utc_offset_minutes: 0 };
        let hours: Vec<u64> = (0..24).filter(|hour| is_open(window, hour * HOUR_MS)).collect();
        assert_eq!(hours, [0, 23]);
        assert_eq!(opens_ms(window, HOUR_MS), 23 * HOUR_MS);
    }

    #[test]
    fn a_rate_gives_its_burst_and_then_its_rate() {
        let config = ReleaseConfig { rate_per_sec: Some(3), burst: 5, ..ReleaseConfig::default() };
        let mut release = Release::default();
        let (mut now_ms, mut given) = (DAY_MS, Vec::new());
        for _ in 0..3 {
            let count = release.available(&config, 1, now_ms);
            release.spend(&config, count, now_ms);
            given.push(count);
            now_ms = release.next_ms(&config, now_ms).unwrap();
        }
        assert_eq!((given, now_ms), (vec![5, 1, 1], DAY_MS + 334 + 333 + 333));
    }

    #[test]
    fn bytes_are_paid_for_after_they_have_gone() {
        let config = ReleaseConfig { bytes_per_sec: Some(1_000), ..ReleaseConfig::default() };
        let mut release = Release::default();
        assert_eq!(release.available(&config, 10, DAY_MS), 10, "a tenth of a second's bytes at once");
        release.given_bytes = 100;
        release.spend(&config, 10, DAY_MS);
        assert_eq!(release.available(&config, 10, DAY_MS + 99), 0);
        assert_eq!(release.next_ms(&config, DAY_MS + 99), Some(DAY_MS + 100));
        assert_eq!(release.available(&config, 5_000, DAY_MS + 100), 1, "one that is larger goes alone");
    }
}
