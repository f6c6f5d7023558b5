//! What only some messages have. A message with an entry here is marked wherever it stands, so plain messages
//! never pay for a look.

use super::ages::Ages;
use super::number_map::NumberMap;
use super::types::Number;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Extra {
    /// Its own expiry; 0 is none.
    pub expires_ms: u64,
    /// From when the queue's TTL counts for it; 0: its number tells.
    pub since_ms: u64,
    /// 0 is none. Only while the message belongs to it: not once deferred.
    pub group: u64,
    /// Earlier ones.
    pub deliveries: u32,
}

impl Extra {
    /// When it expires in a queue with this TTL, if it does.
    pub fn expiry_ms(&self, number: Number, ttl_ms: Option<u64>, ages: &Ages) -> Option<u64> {
        let own = (self.expires_ms > 0).then_some(self.expires_ms);
        let by_age = ttl_ms.map(|ttl_ms| {
            let since_ms = if self.since_ms > 0 { Some(self.since_ms) } else { ages.came_ms(number) };
            since_ms.map_or(0, |since_ms| since_ms.saturating_add(ttl_ms))
        });
        own.into_iter().chain(by_age).min()
    }
}

#[derive(Default)]
pub(super) struct Extras {
    map: NumberMap<Extra>,
    /// How many expire on their own.
    expiring: u64,
}

impl Extras {
    #[inline]
    pub fn get(&self, number: Number) -> Extra {
        self.map.get(&number).copied().unwrap_or_default()
    }

    pub fn put(&mut self, number: Number, extra: Extra) {
        self.expiring += u64::from(extra.expires_ms > 0);
        if let Some(old) = self.map.insert(number, extra) {
            self.expiring -= u64::from(old.expires_ms > 0);
        }
    }

    pub fn remove(&mut self, number: Number) -> Extra {
        let extra = self.map.remove(&number).unwrap_or_default();
        self.expiring -= u64::from(extra.expires_ms > 0);
        if self.map.is_empty() && self.map.capacity() > 1024 {
            self.map = NumberMap::default();
        }
        extra
    }

    /// Changes an entry, or makes one. `change` leaves `expires_ms` alone.
    pub fn update(&mut self, number: Number, change: impl FnOnce(&mut Extra)) -> Extra {
        let extra = self.map.entry(number).or_default();
        change(extra);
        *extra
    }

    /// Some message expires on its own.
    #[inline]
    pub fn may_expire(&self) -> bool {
        self.expiring > 0
    }

    pub fn iter(&self) -> impl Iterator<Item = (Number, Extra)> + '_ {
        self.map.iter().map(|(number, extra)| (*number, *extra))
    }

    pub fn memory_bytes(&self) -> usize {
        self.map.capacity() * (size_of::<Extra>() + 9)
    }
}
