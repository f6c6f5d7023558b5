//! Subscriptions and their sources. A source is one partition that a
//! subscription reads; it holds a cursor into the log, never messages.

use std::collections::HashMap;
use std::sync::Arc;

use super::cold::Warm;
use crate::clock::Stamp;
use crate::log::{Cursor, DeliveryPriority, Partition};
use crate::route::Filter;

pub(super) struct Subscription {
    /// Frame bytes that the consumer lets us send; may be overdrawn by one batch.
    pub credit_bytes: i64,
    /// How far behind an at-most-once subscriber may fall; 0 means it never drops.
    pub buffer_bytes_max: u64,
    /// Which records it gets; `None`: all.
    pub filter: Option<Filter>,
    pub sources: HashMap<u32, Source>,
    /// Sources that have data but no credit.
    pub starved: Vec<u32>,
}

pub(super) struct Source {
    pub partition: Arc<Partition>,
    /// `None` until the first read, and after the log was cut under it.
    pub cursor: Option<Cursor>,
    /// The next offset to deliver.
    pub next_offset: u64,
    /// Stop before this offset.
    pub until: Option<u64>,
    pub state: State,
    /// The id of the schema in which its records are delivered; `None`: as they are.
    pub reader: Option<u32>,
    pub priority: DeliveryPriority,
    /// Set while it reads what is on disk only, or may.
    pub warm: Option<Warm>,
    /// Of the records that it was woken for, until it has them.
    pub stamp: Stamp,
    /// For subscribers that drop: the partition's bytes-in counter at the place
    /// that has been reached.
    pub reached_bytes: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// On the connection's ready list.
    Ready,
    /// Registered with the partition, at its end.
    Watching,
    /// Waits for credit.
    Starved,
    /// Waits for pages to be read from disk.
    Faulting,
}
