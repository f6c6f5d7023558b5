//! What the control plane asks of a worker: logs, publishers, subscriptions, and
//! appends and reads of the broker's own logs.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::acks::Waiting;
use super::cold::Warm;
use super::connection::{Connection, Peer, Publisher, Ready};
use super::credit::{Pressure, refusal};
use super::deliver;
use super::drain;
use super::partition_state::{Watch, state_of};
use super::source::{Source, State, Subscription};
use super::spaces;
use super::worker::{Worker, no_connection, refusal_of};
use crate::batch::{HEADER_BYTES, verify};
use crate::clock::Stamp;
use crate::error::{CoreError, ErrorCode, Result};
use crate::log::{AppendOutcome, BatchIn, Log, LogConfig, Partition};
use crate::route::{Filter, Permitted};
use crate::schema::Taker;

/// Where a source begins and ends.
#[derive(Clone, Copy, Debug)]
pub struct SourceRange {
    pub from: u64,
    /// Stop before this offset; `None` follows.
    pub until: Option<u64>,
}

impl Worker {
    /// Creates, opens, grows or alters a log.
    ///
    /// # Errors
    /// `disk_full`, `storage_failed`, `invalid_argument`.
    pub fn ensure_log(&self, id: u64, partitions: u32, config: LogConfig) -> Result<()> {
        self.engine().store.ensure_log(id, partitions, config).map(|_| ())
    }

    /// Deletes a log; its readers are told by their next turn.
    ///
    /// # Errors
    /// `storage_failed`.
    pub fn delete_log(&self, id: u64) -> Result<()> {
        let Some(log) = self.engine().store.log(id) else { return Ok(()) };
        self.engine().store.delete_log(id)?;
        self.engine().enforce_no_more(Taker::Topic(id));
        for partition in (0..log.partition_count()).filter_map(|index| log.partition(index)) {
            self.engine().inboxes.wake_watchers(&partition);
        }
        Ok(())
    }

    /// A partition of a log.
    ///
    /// # Errors
    /// `topic_not_found`, `partition_not_found`.
    pub fn partition(&self, log_id: u64, index: u32) -> Result<Arc<Partition>> {
        self.log(log_id)?.partition(index).ok_or_else(|| {
            CoreError::new(ErrorCode::PARTITION_NOT_FOUND, format!("log {log_id} has no partition {index}"))
        })
    }

    fn log(&self, id: u64) -> Result<Arc<Log>> {
        let log = self.engine().store.log(id);
        log.ok_or_else(|| CoreError::new(ErrorCode::TOPIC_NOT_FOUND, format!("there is no log {id}")))
    }

    /// Appends one batch of the control plane.
    ///
    /// Returns its base offset.
    ///
    /// # Errors
    /// `offset_conflict` when the log's next offset is not `expect_next`;
    /// `bad_batch`, `bad_crc`, `disk_full`, `storage_failed`.
    pub fn append(&mut self, log_id: u64, index: u32, batch: &[u8], expect_next: Option<u64>) -> Result<u64> {
        let partition = self.partition(log_id, index)?;
        let (header, body_crc) = verify(batch)?;
        let body = [&batch[HEADER_BYTES..header.batch_bytes()]];
        let batch = BatchIn { header, body: &body, body_crc, expect_next, expect_key: None };
        let now_ns = self.engine().clock.ticks_ns();
        drain::partition(&mut self.hub, &partition, now_ns);
        let mut outcomes = Vec::with_capacity(1);
        let summary = partition.appender().append(&[batch], &mut outcomes);
        self.hub.appended = Stamp::default();
        if summary.committed {
            self.hub.wake_watchers(&partition);
        }
        self.hub.turn_for_own();
        match outcomes.pop() {
            Some(AppendOutcome::Appended { base_offset }) => Ok(base_offset),
            Some(AppendOutcome::Duplicate { base_offset }) => Ok(base_offset.unwrap_or(0)),
            Some(AppendOutcome::Rejected(error)) => Err(error),
            None => Err(CoreError::new(ErrorCode::INTERNAL, "the appender gave no outcome")),
        }
    }

    /// Asks for a sync of everything appended so far; the plan of a later turn
    /// has SYNCED with the token that is returned.
    ///
    /// # Errors
    /// `topic_not_found`, `partition_not_found`.
    pub fn sync(&mut self, log_id: u64, index: u32) -> Result<u64> {
        let partition = self.partition(log_id, index)?;
        let token = self.next_token;
        self.next_token += 1;
        let waiting = Waiting::Token { worker: self.index(), token };
        if partition.is_memory() {
            self.engine().inboxes.answer([waiting], None);
            return Ok(token);
        }
        state_of(&partition).wait_for_sync(partition.next_offset(), waiting);
        self.engine().store.request_sync(&partition);
        Ok(token)
    }

    /// Lets a connection publish to a log under the number `id`.
    ///
    /// # Errors
    /// `publisher_exists`, `limit_exceeded`, `topic_not_found`.
    pub fn publisher_open(
        &mut self,
        connection: u32,
        id: u32,
        log_id: u64,
        producer_id: u64,
        producer_epoch: u16,
    ) -> Result<()> {
        let limit = self.engine().options.publishers_per_connection_max;
        let log = self.log(log_id)?;
        let enforced = Arc::clone(&self.engine().enforced);
        let Connection { input, peer } = self.connection(connection)?;
        input.greeted = true;
        if peer.publishers.contains(id) {
            return Err(CoreError::new(ErrorCode::PUBLISHER_EXISTS, format!("publisher {id} is open already")));
        }
        check_room(peer.publishers.len(), limit, "publishersPerConnectionMax")?;
        let mut publisher = Publisher::new(log, producer_id, producer_epoch, connection);
        publisher.refresh(&enforced);
        peer.publishers.insert(id, publisher);
        Ok(())
    }

    /// Says which keys a publisher may use from now on; without rules all of them.
    ///
    /// # Errors
    /// `publisher_not_found`, `invalid_argument` for a malformed rule.
    pub fn publisher_permit(&mut self, connection: u32, id: u32, rules: Option<&[String]>) -> Result<()> {
        let read = |rules: &[String]| Permitted::read(rules.iter().map(String::as_str)).map(Arc::new);
        let permitted = rules.map(read).transpose()?;
        self.connection(connection)?.peer.publisher(id)?.permitted = permitted;
        Ok(())
    }

    /// Closes a publisher; one that is not open is closed already.
    ///
    /// # Errors
    /// `invalid_argument` for a connection that is not open.
    pub fn publisher_close(&mut self, connection: u32, id: u32) -> Result<()> {
        self.connection(connection)?.peer.publishers.remove(id);
        Ok(())
    }

    /// Has a connection count for these buckets, of which those count that have a quota now.
    ///
    /// # Errors
    /// `quota_exceeded` for a new connection where one has no place left;
    /// `invalid_argument` for a connection that is not open.
    pub fn connection_quotas(&mut self, connection: u32, buckets: Vec<String>, is_new: bool) -> Result<()> {
        let engine = Arc::clone(self.engine());
        let found = buckets.into_iter().filter_map(|name| engine.quotas.find(&name));
        self.connection(connection)?.peer.meter.join(found, is_new)
    }

    /// Charges a connection for what it published through the control plane. Returns whether
    /// it is to be read no further; a turn resumes it.
    ///
    /// # Errors
    /// `low_resources`, `quota_exceeded` where it may publish nothing now; `invalid_argument`
    /// for a connection that is not open.
    pub fn connection_charge(&mut self, connection: u32, messages: u64, bytes: u64) -> Result<bool> {
        let engine = Arc::clone(self.engine());
        let now_ms = engine.now_ms();
        let peer = &mut self.connection(connection)?.peer;
        // There is no credit to keep back from requests.
        let held = (engine.pressure() > Pressure::None).then_some(ErrorCode::LOW_RESOURCES);
        if let Some(code) = held.or_else(|| refusal_of(&engine, peer)) {
            return Err(refusal(code));
        }
        peer.meter.messages += messages;
        if peer.meter.is_free() || !peer.meter.charge(now_ms, bytes) {
            return Ok(false);
        }
        peer.credit.paused = true;
        if !std::mem::replace(&mut peer.credit.listed, true) {
            self.withheld.push(connection);
        }
        Ok(true)
    }

    /// Opens a subscription without sources.
    ///
    /// # Errors
    /// `subscription_exists`, `limit_exceeded`.
    pub fn subscription_open(
        &mut self,
        connection: u32,
        id: u32,
        credit_bytes: u64,
        buffer_bytes_max: u64,
    ) -> Result<()> {
        let options = &self.engine().options;
        let limit = options.subscriptions_per_connection_max;
        let credit_bytes = credit_bytes.min(options.subscription_credit_bytes_max);
        let Connection { input, peer } = self.connection(connection)?;
        input.greeted = true;
        if peer.subscriptions.contains(id) || peer.queues.contains(id) {
            return Err(CoreError::new(ErrorCode::SUBSCRIPTION_EXISTS, format!("subscription {id} is open already")));
        }
        check_room(peer.subscriptions.len(), limit, "subscriptionsPerConnectionMax")?;
        let subscription = Subscription {
            credit_bytes: i64::try_from(credit_bytes).unwrap_or(i64::MAX),
            buffer_bytes_max,
            filter: None,
            sources: HashMap::new(),
            starved: Vec::new(),
        };
        peer.subscriptions.insert(id, subscription);
        Ok(())
    }

    /// Has a subscription get only the records that a rule takes.
    ///
    /// # Errors
    /// `subscription_not_found`, `bad_expression`.
    pub fn subscription_filter(&mut self, connection: u32, id: u32, rule: &str) -> Result<()> {
        let found = self.connection(connection)?.peer.subscription(id).ok_or_else(|| no_subscription(id))?;
        found.filter = Some(Filter::parse(rule)?);
        Ok(())
    }

    /// Has the records of a source delivered in the schema of this id, where it can read them.
    ///
    /// # Errors
    /// `subscription_not_found` when there is no such source.
    pub fn source_reader(&mut self, connection: u32, subscription: u32, source: u32, schema_id: u32) -> Result<()> {
        let peer = &mut self.connection(connection)?.peer;
        let found = peer.subscription(subscription).ok_or_else(|| no_subscription(subscription))?;
        let found = found.sources.get_mut(&source).ok_or_else(|| no_subscription(subscription))?;
        found.reader = Some(schema_id);
        Ok(())
    }

    /// Closes a subscription; one that is not open is closed already.
    ///
    /// # Errors
    /// `invalid_argument` for a connection that is not open.
    pub fn subscription_close(&mut self, connection: u32, id: u32) -> Result<()> {
        let Self { hub, connections, .. } = self;
        let found = connections.get_mut(connection as usize).and_then(Option::as_mut);
        let peer = &mut found.ok_or_else(|| no_connection(connection))?.peer;
        spaces::close(hub, peer, id);
        close_subscription(peer, id);
        Ok(())
    }

    /// Adds a partition to a subscription; its deliveries begin with the next turn.
    ///
    /// # Errors
    /// `subscription_not_found`, `limit_exceeded`, `topic_not_found`,
    /// `partition_not_found`.
    pub fn source_add(
        &mut self,
        connection: u32,
        subscription: u32,
        source: u32,
        log_id: u64,
        index: u32,
        range: SourceRange,
    ) -> Result<()> {
        let partition = self.partition(log_id, index)?;
        let limit = self.engine().options.sources_per_subscription_max;
        let peer = &mut self.connection(connection)?.peer;
        let found = peer.subscription(subscription).ok_or_else(|| no_subscription(subscription))?;
        if found.sources.len() >= limit {
            return Err(CoreError::new(ErrorCode::LIMIT_EXCEEDED, format!("sourcesPerSubscriptionMax is {limit}")));
        }
        let priority = partition.config().delivery_priority;
        let reached_bytes = partition.metrics.bytes_in.load(Ordering::Relaxed);
        found.sources.insert(
            source,
            Source {
                partition,
                cursor: None,
                next_offset: range.from,
                until: range.until,
                state: State::Ready,
                reader: None,
                priority,
                warm: Some(Warm::default()),
                stamp: Stamp::default(),
                reached_bytes,
            },
        );
        peer.ready.push(priority, Ready::Source { subscription, source });
        self.enqueue(connection);
        Ok(())
    }

    /// Stops a source.
    ///
    /// Returns the next offset it would have delivered.
    ///
    /// # Errors
    /// `subscription_not_found` when there is no such source.
    pub fn source_remove(&mut self, connection: u32, subscription: u32, source: u32) -> Result<u64> {
        let peer = &mut self.connection(connection)?.peer;
        let sender = peer.sender;
        let found = peer.subscription(subscription).ok_or_else(|| no_subscription(subscription))?;
        let removed = found.sources.remove(&source).ok_or_else(|| no_subscription(subscription))?;
        let watch = Watch {
            worker: sender.worker,
            connection: sender.connection,
            generation: sender.generation,
            subscription,
            source,
        };
        deliver::forget(&removed, watch);
        found.starved.retain(|other| *other != source);
        peer.ready.retain(|other| *other != Ready::Source { subscription, source });
        Ok(removed.next_offset)
    }
}

pub(super) fn close_subscription(peer: &mut Peer, id: u32) {
    let sender = peer.sender;
    let Some(closed) = peer.subscriptions.remove(id) else { return };
    for (number, source) in &closed.sources {
        let watch = Watch {
            worker: sender.worker,
            connection: sender.connection,
            generation: sender.generation,
            subscription: id,
            source: *number,
        };
        deliver::forget(source, watch);
    }
    peer.ready.retain(|other| other.subscription() != id);
}

/// The limit counts what is open: numbers are the peer's to choose.
pub(super) fn check_room(open: usize, limit: usize, name: &str) -> Result<()> {
    if open < limit {
        return Ok(());
    }
    Err(CoreError::new(ErrorCode::LIMIT_EXCEEDED, format!("{open} are open, {name} is {limit}")))
}

fn no_subscription(id: u32) -> CoreError {
    CoreError::new(ErrorCode::SUBSCRIPTION_NOT_FOUND, format!("no such subscription or source: {id}"))
}
