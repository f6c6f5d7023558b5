//! One worker's half of the engine: its connections and the turn of its loop.

use std::ops::ControlFlow;
use std::sync::Arc;

use super::Engine;
use super::acks::{AckEvent, LEVEL_NONE, Sender, UNREAD_BYTES_FATAL};
use super::connection::{Connection, Flags, Input, Peer};
use super::credit::Pressure;
use super::deliver;
use super::drain;
use super::exchange;
use super::hub::Hub;
use super::inbox::Items;
use super::lanes::{Lanes, is_above};
use super::partition_state::{Watch, state_of};
use super::plan::{Plan, op};
use super::publish;
use super::spaces;
use super::stages::Stages;
use crate::error::{CoreError, ErrorCode, Result};
use crate::log::DeliveryPriority;
use crate::wire::Frame;
use crate::wire::out;

/// A worker thread's handle; not shared between threads.
pub struct Worker {
    pub(super) hub: Hub,
    pub(super) connections: Vec<Option<Connection>>,
    generations: Vec<u32>,
    free: Vec<u32>,
    /// Connections with something to send, round robin.
    queue: Lanes<(DeliveryPriority, u32)>,
    /// Connections whose credit is due but withheld, or paused.
    pub(super) withheld: Vec<u32>,
    pub(super) next_token: u64,
    /// Messages of other workers that TypeScript has not taken yet.
    mail: Vec<Vec<u8>>,
}

impl Worker {
    pub fn new(engine: Arc<Engine>, index: u32) -> Self {
        Self {
            hub: Hub::new(engine, index),
            connections: Vec::new(),
            generations: Vec::new(),
            free: Vec::new(),
            queue: Lanes::default(),
            withheld: Vec::new(),
            next_token: 1,
            mail: Vec::new(),
        }
    }

    pub fn engine(&self) -> &Arc<Engine> {
        &self.hub.engine
    }

    pub fn index(&self) -> u32 {
        self.hub.index
    }

    pub fn connection_count(&self) -> usize {
        self.connections.len() - self.free.len()
    }

    pub fn stages(&self) -> &Stages {
        &self.hub.stages
    }

    /// Names a connection among all that this worker has had; with its id, which is used again.
    ///
    /// # Errors
    /// `invalid_argument` for a connection that is not open.
    pub fn connection_generation(&mut self, id: u32) -> Result<u32> {
        Ok(self.connection(id)?.peer.sender.generation)
    }

    pub fn records_dropped(&self) -> u64 {
        self.hub.records_dropped
    }

    /// Registers a connection. How many there may be is the caller's limit
    /// (`connectionsMax`).
    pub fn connection_open(&mut self) -> u32 {
        let index = self.free.pop().unwrap_or(self.connections.len() as u32);
        if index as usize == self.connections.len() {
            self.connections.push(None);
            self.generations.push(0);
        }
        let generation = self.generations[index as usize].wrapping_add(1);
        self.generations[index as usize] = generation;
        let sender = Sender { worker: self.hub.index, connection: index, generation };
        self.connections[index as usize] = Some(Connection::new(sender, &self.hub.engine.options));
        index
    }

    /// Forgets a connection and what it subscribed to. Records that it staged
    /// are appended all the same.
    pub fn connection_close(&mut self, id: u32) {
        let Some(mut connection) = self.connections.get_mut(id as usize).and_then(Option::take) else { return };
        let peer = &mut connection.peer;
        for subscription in peer.queues.numbers().collect::<Vec<_>>() {
            spaces::close(&self.hub, peer, subscription);
        }
        for subscription in peer.subscriptions.numbers().collect::<Vec<_>>() {
            super::control::close_subscription(peer, subscription);
        }
        self.queue.retain(|(_, other)| *other != id);
        self.withheld.retain(|other| *other != id);
        self.free.push(id);
    }

    pub(super) fn connection(&mut self, id: u32) -> Result<&mut Connection> {
        self.connections.get_mut(id as usize).and_then(Option::as_mut).ok_or_else(|| no_connection(id))
    }

    /// Takes in one chunk of a connection's bytes, however many frames it holds.
    ///
    /// Returns bits of `Flags`.
    ///
    /// # Errors
    /// `invalid_argument` for a connection that is not open.
    pub fn ingest(&mut self, id: u32, chunk: &[u8]) -> Result<u32> {
        let Self { hub, connections, .. } = self;
        let slot = connections.get_mut(id as usize).and_then(Option::as_mut);
        let Connection { input, peer } = slot.ok_or_else(|| no_connection(id))?;
        if input.fatal.is_some() {
            return Ok(Flags::FATAL);
        }
        let used_bytes = peer.credit.used_bytes();
        hub.refusal = refusal_of(&hub.engine, peer);
        hub.chunk_ns = 0;
        for publisher in peer.publishers.values_mut() {
            publisher.refresh(&hub.engine.enforced);
        }
        let Input { control, greeted, .. } = input;
        let mut broken = None;
        let flow_bytes_max = hub.engine.options.subscription_credit_bytes_max;
        let prefetch_max = hub.engine.options.prefetch_max;
        let mut whole = Vec::new();
        let mut pending = publish::Pending::default();
        let scanned = input.scanner.feed_into(chunk, &mut whole, &mut |frame| {
            *greeted |= matches!(frame, Frame::Control { .. });
            if !*greeted {
                broken = Some(CoreError::new(ErrorCode::HANDSHAKE_REQUIRED, "the first frame must be HELLO"));
                return ControlFlow::Break(());
            }
            if !matches!(frame, Frame::Publish(_)) {
                publish::flush(hub, peer, &mut pending);
            }
            match frame {
                Frame::Publish(frame) => publish::batch(hub, peer, &mut pending, &frame),
                Frame::PublishOne(frame) => publish::one(hub, peer, &frame),
                Frame::BadPublish(bad) => publish::refuse(peer, bad),
                Frame::Settle(frame) => spaces::settle(hub, peer, &frame),
                Frame::Prefetch { subscription, prefetch } => {
                    spaces::set_prefetch(peer, subscription, prefetch.min(prefetch_max));
                }
                Frame::Flow { subscription, bytes } => deliver::flow(peer, subscription, bytes, flow_bytes_max),
                Frame::Control { bytes, .. } => control.extend_from_slice(bytes),
            }
            if peer.answers.bytes() > UNREAD_BYTES_FATAL {
                broken = Some(CoreError::new(ErrorCode::SLOW_CONSUMER, "the answers to what was sent are not read"));
                return ControlFlow::Break(());
            }
            ControlFlow::Continue(())
        });
        publish::flush(hub, peer, &mut pending);
        drop(pending);
        input.scanner.reuse(whole);
        input.fatal = broken.or(scanned.err().map(CoreError::from));
        let over = peer.credit.overdraft_bytes();
        let overdraft_max = hub.engine.options.publish_overdraft_bytes_max;
        if over > overdraft_max {
            let message = format!("{over} bytes past the publish credit, publishOverdraftBytesMax is {overdraft_max}");
            input.fatal = Some(CoreError::new(ErrorCode::CREDIT_EXCEEDED, message));
        }
        if !peer.meter.is_free() {
            peer.meter.charge(hub.engine.now_ms(), peer.credit.used_bytes() - used_bytes);
        }
        Ok(self.after_ingest(id))
    }

    fn after_ingest(&mut self, id: u32) -> u32 {
        let Some(Connection { input, peer }) = self.connections[id as usize].as_mut() else { return 0 };
        let mut flags = 0;
        if peer.credit.is_overdrawn() || !peer.reads_answers() || peer.meter.waits(self.hub.engine.now_ms()) {
            peer.credit.paused = true;
            flags |= Flags::PAUSE;
        }
        if (peer.credit.is_due() || peer.credit.paused) && !std::mem::replace(&mut peer.credit.listed, true) {
            self.withheld.push(id);
        }
        if !input.control.is_empty() {
            flags |= Flags::CONTROL;
        }
        if input.fatal.is_some() {
            flags |= Flags::FATAL;
        }
        enqueue(&mut self.queue, peer);
        if self.has_work() {
            flags |= Flags::TURN;
        }
        flags
    }

    fn has_work(&self) -> bool {
        let hub = &self.hub;
        !self.queue.is_empty()
            || !hub.staged.is_empty()
            || !hub.answers.is_empty()
            || !hub.woken.is_empty()
            || !hub.exchange_staged.is_empty()
            || hub.spaces.iter().any(|space| space.is_dirty())
            || !self.withheld.is_empty()
            || hub.engine.inboxes.get(hub.index as usize).is_some_and(super::inbox::Inbox::has_items)
    }

    /// The GOODBYE frame that says why a connection ends; empty while it does not.
    ///
    /// # Errors
    /// `invalid_argument` for a connection that is not open.
    pub fn fatal_frame(&mut self, id: u32) -> Result<Vec<u8>> {
        Ok(self.connection(id)?.fatal_frame())
    }

    /// The control frames of a connection, whole, one after another.
    ///
    /// # Errors
    /// `invalid_argument` for a connection that is not open.
    pub fn take_control(&mut self, id: u32) -> Result<Vec<u8>> {
        Ok(std::mem::take(&mut self.connection(id)?.input.control))
    }

    /// One turn: appends staged records, answers, delivers. The plan holds what to
    /// write until the next turn.
    ///
    /// Returns whether more is ready.
    pub fn turn(&mut self) -> bool {
        self.hub.plan.clear();
        self.hub.serving_ns = 0;
        for (partition, arrived_ns) in std::mem::take(&mut self.hub.staged) {
            state_of(&partition).unstage();
            drain::partition(&mut self.hub, &partition, arrived_ns);
        }
        exchange::flush(&mut self.hub);
        self.take_inbox();
        self.turn_spaces();
        for watch in std::mem::take(&mut self.hub.woken) {
            self.make_ready(watch);
        }
        for event in std::mem::take(&mut self.hub.answers) {
            self.receive(&event);
        }
        self.return_credit();
        self.serve();
        let more = !self.queue.is_empty() || !self.hub.staged.is_empty();
        for operands in std::mem::take(&mut self.hub.source_ends) {
            self.hub.plan.push(op::SOURCE_END, operands);
        }
        self.hub.plan.finish();
        more
    }

    fn take_inbox(&mut self) {
        let inboxes = self.hub.engine.inboxes.clone();
        let Some(items) = inboxes.get(self.hub.index as usize).and_then(super::inbox::Inbox::take) else { return };
        let Items { ready, warmed, acks, queues, frames, synced, retired_maps, mail } = items;
        for (address, stamp) in queues {
            self.make_queue_ready(address, stamp);
        }
        for (address, frame) in frames {
            self.receive_frame(address, &frame);
        }
        for event in acks {
            self.receive(&event);
        }
        for warmed in warmed {
            if let Some(peer) = self.peer(warmed.watch.connection, warmed.watch.generation) {
                deliver::warmed(peer, &warmed);
                self.enqueue(warmed.watch.connection);
            }
        }
        for watch in ready {
            self.make_ready(watch);
        }
        for (token, error) in synced {
            self.hub.plan.push(op::SYNCED, [token, error.map_or(0, |error| u64::from(error.code.0))]);
        }
        for map_id in retired_maps {
            if let Some(slot) = self.hub.maps.find(map_id) {
                self.hub.plan.push(op::MAP_RETIRE, [u64::from(slot)]);
            }
        }
        if !mail.is_empty() {
            self.mail.extend(mail);
            self.hub.plan.push(op::MAIL, []);
        }
    }

    fn make_ready(&mut self, watch: Watch) {
        let Some(peer) = self.peer(watch.connection, watch.generation) else { return };
        deliver::make_ready(peer, watch.subscription, watch.source);
        self.enqueue(watch.connection);
    }

    pub(super) fn peer(&mut self, connection: u32, generation: u32) -> Option<&mut Peer> {
        let peer = &mut self.connections.get_mut(connection as usize)?.as_mut()?.peer;
        (peer.sender.generation == generation).then_some(peer)
    }

    fn receive(&mut self, event: &AckEvent) {
        let Some(peer) = self.peer(event.sender.connection, event.sender.generation) else { return };
        if let Some(code) = event.returned.filter(|_| event.error.is_none()) {
            out::write_returned(peer.answers.frame(), event.run.publisher, event.run.correlation, code, &[0]);
            if event.run.level != LEVEL_NONE {
                out::write_acks(peer.answers.frame(), &[event.run]);
            }
            self.enqueue(event.sender.connection);
            return;
        }
        match &event.error {
            None => peer.answers.ack(event.run),
            Some(error) => peer.answers.nack(&event.run, error),
        }
        self.enqueue(event.sender.connection);
    }

    pub(super) fn enqueue(&mut self, id: u32) {
        let Self { connections, queue, .. } = self;
        if let Some(connection) = connections.get_mut(id as usize).and_then(Option::as_mut) {
            enqueue(queue, &mut connection.peer);
        }
    }

    /// Serves the connections that have something to send, round robin, each up
    /// to its budget, until the turn's budget is spent.
    fn serve(&mut self) {
        let bytes_max = self.hub.engine.options.turn_bytes_max;
        let mut planned = 0;
        for _ in 0..self.queue.len() {
            if planned >= bytes_max || self.hub.arena_room() <= self.hub.engine.options.write_bytes_per_turn {
                return;
            }
            let Some((lane, id)) = self.queue.pop() else { return };
            let Some(connection) = self.connections[id as usize].as_mut() else { continue };
            let peer = &mut connection.peer;
            // It has moved up since.
            if peer.queued != Some(lane) {
                continue;
            }
            peer.queued = None;
            if peer.writing {
                continue;
            }
            planned += deliver::connection(&mut self.hub, peer);
        }
    }

    /// Everything planned for the connection has left the process.
    ///
    /// Returns whether a turn has more for it.
    pub fn written(&mut self, id: u32) -> bool {
        let Some(connection) = self.connections.get_mut(id as usize).and_then(Option::as_mut) else { return false };
        connection.peer.writing = false;
        connection.peer.timing.written(&mut self.hub);
        // Credit may have waited for the answers that are out now.
        let more = connection.peer.has_output() || connection.peer.credit.listed;
        self.enqueue(id);
        more
    }

    pub fn plan(&self) -> &Plan {
        &self.hub.plan
    }

    pub fn take_mail(&mut self) -> Vec<Vec<u8>> {
        std::mem::take(&mut self.mail)
    }

    /// The map in a slot, for a view of it; the slot keeps it alive.
    pub fn map_view(&self, slot: u32) -> Option<Arc<crate::mmap::SegmentMap>> {
        self.hub.maps.get(slot).cloned()
    }

    pub fn map_release(&mut self, slot: u32) {
        self.hub.maps.release(slot);
    }
}

/// Lists a connection that has something to send, in the lane of the most urgent of it.
fn enqueue(queue: &mut Lanes<(DeliveryPriority, u32)>, peer: &mut Peer) {
    if peer.writing || !peer.has_output() {
        return;
    }
    let priority = peer.ready.highest().unwrap_or_default();
    let moves_up = peer.queued.is_some_and(|queued| is_above(priority, queued));
    if peer.queued.is_none() || moves_up {
        peer.queued = Some(priority);
        queue.push(priority, (priority, peer.sender.connection));
    }
}

/// Why what the peer publishes now is not taken.
#[inline]
pub(super) fn refusal_of(engine: &Engine, peer: &Peer) -> Option<ErrorCode> {
    if engine.pressure() == Pressure::Refuse {
        return Some(ErrorCode::LOW_RESOURCES);
    }
    (!peer.meter.is_free() && peer.meter.is_full()).then_some(ErrorCode::QUOTA_EXCEEDED)
}

pub(super) fn no_connection(id: u32) -> CoreError {
    CoreError::new(ErrorCode::INVALID_ARGUMENT, format!("connection {id} is not open"))
}
