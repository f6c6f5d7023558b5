//! Spaces in the engine: what the control plane asks of them, their consumers on
//! connections, and their part of the turn.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::connection::{Connection, ExchangeTarget, Peer, QueueSubscription, Ready};
use super::control::check_room;
use super::exchange;
use super::hub::Hub;
use super::publish;
use super::worker::Worker;
use crate::batch::{HEADER_BYTES, verify};
use crate::clock::Stamp;
use crate::error::{CoreError, ErrorCode, Result};
use crate::route::Permitted;
use crate::schema::Taker;
use crate::space::{Address, ConsumerOptions, NEVER_MS, PublishTo, Space, SpaceOptions, SpaceTurn};
use crate::wire::{SettleFrame, out};

/// Folder of the snapshots, which are replaced as a whole.
pub(super) const SNAPSHOTS: &str = "spaces";
/// Of `QueueConsumer::flags`.
const EXCLUSIVE: u32 = 1;

/// A consumer of a queue, as the control plane asks for one.
#[derive(Clone, Copy, Debug)]
pub struct QueueConsumer {
    pub queue: u32,
    pub prefetch: u32,
    pub priority: i32,
    /// 1: no other consumer beside it.
    pub flags: u32,
    /// 0: the queue's own.
    pub lease_ms: u64,
}

impl Worker {
    /// Opens a namespace's space over its journal and its ack log; idempotent.
    ///
    /// # Errors
    /// `topic_not_found` when one of the logs is not there.
    pub fn space_open(&self, id: u32, journal_log: u64, ack_log: u64) -> Result<()> {
        let engine = self.engine();
        engine.spaces.open(id, || {
            let data_dir = engine.options.data_dir.as_ref();
            Ok(SpaceOptions {
                id,
                journal: self.partition(journal_log, 0)?,
                acks: self.partition(ack_log, 0)?,
                snapshot_path: data_dir.map(|data_dir| data_dir.join(SNAPSHOTS).join(id.to_string())),
                checkpoint_bytes: engine.options.checkpoint_bytes,
                store: Arc::clone(&engine.store),
                enforced: Arc::clone(&engine.enforced),
                flight_recorder_bytes: engine.options.flight_recorder_bytes,
            })
        })?;
        Ok(())
    }

    /// Applies a change of the metadata log to a space.
    ///
    /// # Errors
    /// As `Space::apply`.
    pub fn space_apply(&self, id: u32, version: u64, change: &[u8]) -> Result<()> {
        let engine = self.engine();
        engine.spaces.get(id)?.apply(version, change, engine.now_ms())?;
        self.hub.wake_own();
        Ok(())
    }

    /// # Errors
    /// As `Space::request`.
    pub fn space_request(&self, id: u32, request: &[u8]) -> Result<Vec<u8>> {
        let engine = self.engine();
        let answer = engine.spaces.get(id)?.request(request, self.index(), engine.now_ms())?;
        self.hub.wake_own();
        Ok(answer)
    }

    /// What a transaction's coordinator asks of a space.
    ///
    /// # Errors
    /// As `Space::transact`.
    pub fn space_transact(&mut self, id: u32, request: &[u8]) -> Result<Vec<u8>> {
        let engine = Arc::clone(self.engine());
        // What came before it as single records is stored before it.
        exchange::flush(&mut self.hub);
        let (answer, touched) = engine.spaces.get(id)?.transact(request, self.index(), engine.now_ms());
        self.hub.appended = Stamp::default();
        for partition in &touched {
            self.hub.wake_watchers(partition);
        }
        self.hub.wake_own();
        answer
    }

    /// Whether a client's batch could be appended to a log, or published to an exchange whose journal the log is.
    /// Returns how many records it has.
    ///
    /// # Errors
    /// `topic_not_found`, `bad_batch`, `bad_crc`, `bad_record`, `batch_too_large`, `message_too_large`,
    /// `compression_refused`; `schema_violation` (of a topic: what an exchange routes to is looked at by its space).
    pub fn batch_check(&mut self, log_id: u64, is_exchange: bool, batch: &[u8]) -> Result<u32> {
        let config = self.partition(log_id, 0)?.config();
        let enforcement = self.engine().enforced.get(Taker::Topic(log_id));
        let checked = publish::check_content(&mut self.hub, &config, enforcement.as_deref(), is_exchange, batch);
        checked.map(|(header, _)| header.record_count)
    }

    /// Whether the keys of a client's batch, which was checked, are among those that rules permit.
    ///
    /// # Errors
    /// `unauthorized`, `bad_batch`, `bad_record`, `invalid_argument` for a malformed rule.
    pub fn batch_permitted(batch: &[u8], rules: &[String]) -> Result<()> {
        let permitted = Permitted::read(rules.iter().map(String::as_str))?;
        let (header, _) = verify(batch)?;
        permitted.check_records(&batch[HEADER_BYTES..], header.attributes)
    }

    /// Lets a connection publish to an exchange under the number `id`; `flags` are 1 to
    /// return what reaches nobody, 2 to return what finds no consumer.
    ///
    /// # Errors
    /// `publisher_exists`, `limit_exceeded`, `exchange_not_found`.
    #[allow(clippy::too_many_arguments, reason = "one for each of the request's values")]
    pub fn exchange_publisher_open(
        &mut self,
        connection: u32,
        id: u32,
        space: u32,
        exchange_id: u32,
        flags: u32,
        producer_id: u64,
        producer_epoch: u16,
    ) -> Result<()> {
        let space = self.engine().spaces.get(space)?;
        let target = ExchangeTarget { to: PublishTo::of(exchange_id, flags), space };
        let log = target.space.journal.log_id;
        self.publisher_open(connection, id, log, producer_id, producer_epoch)?;
        if let Some(publisher) = self.connection(connection)?.peer.publishers.get_mut(id) {
            publisher.exchange = Some(target);
        }
        Ok(())
    }

    /// Makes a subscription of a connection a consumer of a queue.
    ///
    /// # Errors
    /// `subscription_exists`, `limit_exceeded`, `queue_not_found`.
    pub fn queue_subscribe(&mut self, connection: u32, id: u32, space: u32, consumer: QueueConsumer) -> Result<()> {
        let engine = Arc::clone(self.engine());
        let space = engine.spaces.get(space)?;
        let limit = engine.options.subscriptions_per_connection_max;
        let Connection { input, peer } = self.connection(connection)?;
        input.greeted = true;
        if peer.subscriptions.contains(id) || peer.queues.contains(id) {
            return Err(CoreError::new(ErrorCode::SUBSCRIPTION_EXISTS, format!("subscription {id} is open already")));
        }
        check_room(peer.subscriptions.len() + peer.queues.len(), limit, "subscriptionsPerConnectionMax")?;
        let QueueConsumer { queue, prefetch, priority, flags, lease_ms } = consumer;
        let lease_ms = Some(lease_ms).filter(|lease_ms| *lease_ms > 0);
        let options = ConsumerOptions { prefetch, priority, lease_ms, exclusive: flags & EXCLUSIVE != 0 };
        let address =
            Address { worker: peer.sender.worker, connection, generation: peer.sender.generation, subscription: id };
        let consumer = space.subscribe(queue, address, options, engine.now_ms())?;
        let priority = space.delivery_priority(queue);
        peer.queues.insert(id, QueueSubscription { space, consumer, priority, stamp: Stamp::default() });
        self.hub.wake_own();
        Ok(())
    }

    /// The spaces' part of a turn.
    pub(super) fn turn_spaces(&mut self) {
        let now_ms = self.hub.engine.now_ms();
        let generation = self.hub.engine.spaces.generation.load(Ordering::Acquire);
        if generation != self.hub.spaces_generation {
            self.hub.spaces = self.hub.engine.spaces.all();
            self.hub.spaces_generation = generation;
        }
        let mut next_ms = NEVER_MS;
        for at in 0..self.hub.spaces.len() {
            let space = Arc::clone(&self.hub.spaces[at]);
            if space.is_due(now_ms) {
                self.turn_space(&space, now_ms);
            }
            next_ms = next_ms.min(space.deadline_ms());
        }
        if self.hub.timer_ms <= now_ms {
            self.hub.timer_ms = NEVER_MS;
        }
        self.hub.turn_at(next_ms);
    }

    fn turn_space(&mut self, space: &Space, now_ms: u64) {
        let mut turn = SpaceTurn::default();
        let published = space.published.take();
        // The ack log could not be written: nothing that depends on it is answered, and
        // the space stays due.
        let written = space.turn(now_ms, &mut turn).is_ok();
        self.hub.appended = published;
        for partition in &turn.topics {
            self.hub.wake_watchers(partition);
        }
        for (address, is_fresh) in turn.woken {
            let stamp = if is_fresh { published } else { Stamp::default() };
            if address.worker == self.index() {
                self.make_queue_ready(address, stamp);
            } else if let Some(inbox) = self.hub.engine.inboxes.get(address.worker as usize) {
                inbox.put(|items| items.queues.push((address, stamp)));
            }
        }
        for (address, frame) in turn.frames {
            if address.worker == self.index() {
                self.receive_frame(address, &frame);
            } else if let Some(inbox) = self.hub.engine.inboxes.get(address.worker as usize) {
                inbox.put(|items| items.frames.push((address, frame)));
            }
        }
        if turn.more && written {
            self.hub.wake_own();
        }
    }

    pub(super) fn make_queue_ready(&mut self, address: Address, stamp: Stamp) {
        let Some(peer) = self.peer(address.connection, address.generation) else { return };
        let subscription = address.subscription;
        if let Some(found) = peer.queues.get_mut(subscription) {
            let priority = found.priority;
            found.stamp = stamp;
            peer.ready.push(priority, Ready::Queue { subscription });
            self.enqueue(address.connection);
        }
    }

    pub(super) fn receive_frame(&mut self, address: Address, frame: &[u8]) {
        let Some(peer) = self.peer(address.connection, address.generation) else { return };
        peer.answers.frame().extend_from_slice(frame);
        self.enqueue(address.connection);
    }
}

/// Settles deliveries of a queue's consumer.
pub(super) fn settle(hub: &Hub, peer: &mut Peer, frame: &SettleFrame<'_>) {
    let now_ms = hub.engine.now_ms();
    let Peer { queues, answers, .. } = peer;
    if let Some(QueueSubscription { space, consumer, .. }) = queues.get_mut(frame.subscription) {
        space.settle(*consumer, frame, now_ms, answers.frame());
        return;
    }
    let message = format!("subscription {} is no consumer of a queue", frame.subscription);
    let error = CoreError::new(ErrorCode::SUBSCRIPTION_NOT_FOUND, message);
    if let Some(correlation) = frame.correlation {
        out::write_error(answers.frame(), correlation, &error);
        return;
    }
    let tags = frame.ranges().next().unwrap_or((0, 0));
    out::write_settle_failed(answers.frame(), frame.subscription, frame.outcome, tags, &error);
}

pub(super) fn set_prefetch(peer: &mut Peer, subscription: u32, prefetch: u32) {
    if let Some(QueueSubscription { space, consumer, .. }) = peer.queues.get_mut(subscription) {
        space.set_prefetch(*consumer, prefetch);
    }
}

/// Ends a consumer; what it has not settled goes back to its queue.
pub(super) fn close(hub: &Hub, peer: &mut Peer, subscription: u32) {
    let Some(QueueSubscription { space, consumer, .. }) = peer.queues.remove(subscription) else { return };
    peer.ready.retain(|other| *other != Ready::Queue { subscription });
    space.unsubscribe(consumer, hub.engine.now_ms());
    hub.wake_own();
}
