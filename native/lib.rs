//! The N-API binding: converts arguments, calls the core, maps errors. No logic.
#![deny(clippy::unwrap_used, clippy::undocumented_unsafe_blocks)]
#![allow(clippy::missing_errors_doc, reason = "each method throws what the core's method of its name returns")]

pub mod backup;
mod convert;
mod figures;
mod limits;
pub mod passwords;
mod registry;
pub mod schemas;
mod views;

use std::sync::Arc;

use millrace_core::engine::{Engine, EngineOptions, QueueConsumer, SourceRange, Worker};
use napi::bindgen_prelude::{AsyncTask, BufferSlice, Float64Array, Function, Uint8Array};
use napi::threadsafe_function::ThreadsafeFunctionCallMode;
use napi::{Env, Task};
use napi_derive::napi;

use convert::{LogConfig, Options, Partition, Recovery, Stats, failed, integer, offset_or_none};

/// One worker's engine. All of them in a process share one core.
#[napi]
pub struct NativeEngine {
    worker: Worker,
    id: u32,
    views: views::PlanViews,
}

/// Opens a data directory on a thread of the pool, because recovery may read for
/// seconds and the loop has health checks to answer. Resolves to the core's number.
#[napi]
pub fn open_core(options: Options) -> napi::Result<AsyncTask<Opening>> {
    Ok(AsyncTask::new(Opening(options.try_into()?)))
}

/// Tells a supervisor how the broker fares: `address` is its `NOTIFY_SOCKET`. The error's text is the system's.
#[napi]
#[allow(clippy::needless_pass_by_value, reason = "napi hands strings over as values")]
pub fn notify(address: String, state: String) -> napi::Result<()> {
    millrace_core::stdx::notify::notify(&address, &state).map_err(|error| napi::Error::from_reason(error.to_string()))
}

pub struct Opening(EngineOptions);

impl Task for Opening {
    type Output = u32;
    type JsValue = u32;

    fn compute(&mut self) -> napi::Result<u32> {
        Engine::open(self.0.clone()).map(registry::add).map_err(failed)
    }

    fn resolve(&mut self, _env: Env, id: u32) -> napi::Result<u32> {
        Ok(id)
    }
}

#[napi]
impl NativeEngine {
    /// Opens a data directory for worker 0.
    #[napi(factory)]
    pub fn open(options: Options) -> napi::Result<Self> {
        let id = registry::add(Engine::open(options.try_into()?).map_err(failed)?);
        Self::attach(id, 0)
    }

    /// A worker's handle of a core that this process has opened.
    #[napi(factory)]
    pub fn attach(engine_id: u32, worker: u32) -> napi::Result<Self> {
        let engine = registry::find(engine_id)?;
        Ok(Self { worker: Worker::new(engine, worker), id: engine_id, views: views::PlanViews::default() })
    }

    #[napi(getter)]
    pub fn engine_id(&self) -> u32 {
        self.id
    }

    #[napi(getter)]
    pub fn workers(&self) -> u32 {
        self.engine().options.workers as u32
    }

    #[napi(getter)]
    pub fn epoch(&self) -> u32 {
        self.engine().store.epoch()
    }

    #[napi]
    pub fn recovery(&self) -> Recovery {
        (&self.engine().recovery).into()
    }

    #[napi]
    pub fn on_wake(&self, callback: Function<'_, (), ()>) -> napi::Result<()> {
        let wake = callback.build_threadsafe_function().weak::<true>().callee_handled::<false>().build()?;
        self.engine().on_wake(
            self.worker.index() as usize,
            Box::new(move || {
                wake.call((), ThreadsafeFunctionCallMode::NonBlocking);
            }),
        );
        Ok(())
    }

    #[napi]
    pub fn ensure_log(&self, log_id: f64, partitions: u32, config: LogConfig) -> napi::Result<()> {
        self.worker.ensure_log(integer(log_id)?, partitions, config.try_into()?).map_err(failed)
    }

    #[napi]
    pub fn delete_log(&self, log_id: f64) -> napi::Result<()> {
        self.worker.delete_log(integer(log_id)?).map_err(failed)
    }

    #[napi]
    pub fn log_ids(&self) -> Vec<f64> {
        self.engine().store.log_ids().into_iter().map(convert::number).collect()
    }

    #[napi]
    pub fn partition(&self, log_id: f64, partition: u32) -> napi::Result<Partition> {
        let partition = self.worker.partition(integer(log_id)?, partition).map_err(failed)?;
        Ok((&*partition).into())
    }

    #[napi]
    pub fn offset_at(&self, log_id: f64, partition: u32, timestamp_ms: f64) -> napi::Result<f64> {
        let partition = self.worker.partition(integer(log_id)?, partition).map_err(failed)?;
        Ok(convert::number(partition.offset_at(integer(timestamp_ms)?).map_err(failed)?))
    }

    #[napi]
    pub fn timestamp_at(&self, log_id: f64, partition: u32, offset: f64) -> napi::Result<f64> {
        let partition = self.worker.partition(integer(log_id)?, partition).map_err(failed)?;
        Ok(partition.timestamp_at(integer(offset)?).map_err(failed)?.map_or(-1.0, convert::number))
    }

    #[napi]
    pub fn append(&mut self, log_id: f64, partition: u32, batch: &[u8], expect_next: f64) -> napi::Result<f64> {
        let base = self.worker.append(integer(log_id)?, partition, batch, offset_or_none(expect_next)?);
        base.map(convert::number).map_err(failed)
    }

    #[napi]
    pub fn read(&self, log_id: f64, partition: u32, offset: f64, bytes_max: u32) -> napi::Result<Uint8Array> {
        let partition = self.worker.partition(integer(log_id)?, partition).map_err(failed)?;
        let bytes = partition.read_copy(integer(offset)?, bytes_max as usize).map_err(failed)?;
        Ok(bytes.into())
    }

    #[napi]
    pub fn sync(&mut self, log_id: f64, partition: u32) -> napi::Result<f64> {
        self.worker.sync(integer(log_id)?, partition).map(convert::number).map_err(failed)
    }

    #[napi]
    pub fn connection_open(&mut self) -> u32 {
        self.worker.connection_open()
    }

    #[napi]
    pub fn connection_close(&mut self, connection: u32) {
        self.worker.connection_close(connection);
    }

    /// A slice of a buffer, because a typed array would be asked for its `ArrayBuffer`: that makes an object a chunk.
    #[napi]
    #[allow(clippy::needless_pass_by_value, reason = "napi hands buffers over as values")]
    pub fn ingest(&mut self, connection: u32, chunk: BufferSlice) -> napi::Result<u32> {
        self.worker.ingest(connection, &chunk).map_err(failed)
    }

    #[napi]
    pub fn take_control(&mut self, connection: u32) -> napi::Result<Uint8Array> {
        Ok(self.worker.take_control(connection).map_err(failed)?.into())
    }

    #[napi]
    pub fn fatal_frame(&mut self, connection: u32) -> napi::Result<Uint8Array> {
        Ok(self.worker.fatal_frame(connection).map_err(failed)?.into())
    }

    #[napi]
    pub fn publisher_open(
        &mut self,
        connection: u32,
        publisher: u32,
        log_id: f64,
        producer_id: f64,
        producer_epoch: u16,
    ) -> napi::Result<()> {
        let opened =
            self.worker.publisher_open(connection, publisher, integer(log_id)?, integer(producer_id)?, producer_epoch);
        opened.map_err(failed)
    }

    #[napi]
    pub fn publisher_close(&mut self, connection: u32, publisher: u32) -> napi::Result<()> {
        self.worker.publisher_close(connection, publisher).map_err(failed)
    }

    #[napi]
    pub fn subscription_open(
        &mut self,
        connection: u32,
        subscription: u32,
        credit_bytes: f64,
        buffer_bytes_max: f64,
    ) -> napi::Result<()> {
        let opened =
            self.worker.subscription_open(connection, subscription, integer(credit_bytes)?, integer(buffer_bytes_max)?);
        opened.map_err(failed)
    }

    #[napi]
    #[allow(clippy::needless_pass_by_value, reason = "N-API hands over strings of its own")]
    pub fn subscription_filter(&mut self, connection: u32, subscription: u32, rule: String) -> napi::Result<()> {
        self.worker.subscription_filter(connection, subscription, &rule).map_err(failed)
    }

    #[napi]
    pub fn source_reader(
        &mut self,
        connection: u32,
        subscription: u32,
        source: u32,
        schema_id: u32,
    ) -> napi::Result<()> {
        self.worker.source_reader(connection, subscription, source, schema_id).map_err(failed)
    }

    #[napi]
    pub fn subscription_close(&mut self, connection: u32, subscription: u32) -> napi::Result<()> {
        self.worker.subscription_close(connection, subscription).map_err(failed)
    }

    #[napi]
    #[allow(clippy::too_many_arguments, reason = "an object would cost an allocation in both languages")]
    pub fn source_add(
        &mut self,
        connection: u32,
        subscription: u32,
        source: u32,
        log_id: f64,
        partition: u32,
        from: f64,
        until: f64,
    ) -> napi::Result<()> {
        let range = SourceRange { from: integer(from)?, until: offset_or_none(until)? };
        let added = self.worker.source_add(connection, subscription, source, integer(log_id)?, partition, range);
        added.map_err(failed)
    }

    #[napi]
    pub fn source_remove(&mut self, connection: u32, subscription: u32, source: u32) -> napi::Result<f64> {
        self.worker.source_remove(connection, subscription, source).map(convert::number).map_err(failed)
    }

    #[napi]
    pub fn space_open(&self, space: u32, journal_log: f64, ack_log: f64) -> napi::Result<()> {
        self.worker.space_open(space, integer(journal_log)?, integer(ack_log)?).map_err(failed)
    }

    #[napi]
    pub fn space_apply(&self, space: u32, version: f64, change: &[u8]) -> napi::Result<()> {
        self.worker.space_apply(space, integer(version)?, change).map_err(failed)
    }

    #[napi]
    pub fn space_request(&self, space: u32, request: &[u8]) -> napi::Result<Uint8Array> {
        Ok(self.worker.space_request(space, request).map_err(failed)?.into())
    }

    #[napi]
    pub fn space_transact(&mut self, space: u32, request: &[u8]) -> napi::Result<Uint8Array> {
        Ok(self.worker.space_transact(space, request).map_err(failed)?.into())
    }

    #[napi]
    pub fn batch_check(&mut self, log_id: f64, is_exchange: bool, batch: &[u8]) -> napi::Result<u32> {
        self.worker.batch_check(integer(log_id)?, is_exchange, batch).map_err(failed)
    }

    /// Whether the keys of a batch, which was checked, are among those that rules permit.
    #[napi]
    #[allow(clippy::needless_pass_by_value, reason = "the binding hands over what it made")]
    pub fn batch_permitted(&self, batch: &[u8], rules: Vec<String>) -> napi::Result<()> {
        Worker::batch_permitted(batch, &rules).map_err(failed)
    }

    #[napi]
    #[allow(clippy::needless_pass_by_value, reason = "the binding hands over what it made")]
    pub fn publisher_permit(
        &mut self,
        connection: u32,
        publisher: u32,
        rules: Option<Vec<String>>,
    ) -> napi::Result<()> {
        self.worker.publisher_permit(connection, publisher, rules.as_deref()).map_err(failed)
    }

    #[napi]
    pub fn connection_quotas(&mut self, connection: u32, buckets: Vec<String>, is_new: bool) -> napi::Result<()> {
        self.worker.connection_quotas(connection, buckets, is_new).map_err(failed)
    }

    #[napi]
    pub fn connection_charge(&mut self, connection: u32, messages: u32, bytes: f64) -> napi::Result<bool> {
        self.worker.connection_charge(connection, u64::from(messages), integer(bytes)?).map_err(failed)
    }

    #[napi]
    #[allow(clippy::too_many_arguments, reason = "an object would cost an allocation in both languages")]
    pub fn exchange_publisher_open(
        &mut self,
        connection: u32,
        publisher: u32,
        space: u32,
        exchange: u32,
        flags: u32,
        producer_id: f64,
        producer_epoch: u16,
    ) -> napi::Result<()> {
        let producer_id = integer(producer_id)?;
        let opened = self.worker.exchange_publisher_open(
            connection,
            publisher,
            space,
            exchange,
            flags,
            producer_id,
            producer_epoch,
        );
        opened.map_err(failed)
    }

    #[napi]
    #[allow(clippy::too_many_arguments, reason = "an object would cost an allocation in both languages")]
    pub fn queue_subscribe(
        &mut self,
        connection: u32,
        subscription: u32,
        space: u32,
        queue: u32,
        prefetch: u32,
        priority: i32,
        flags: u32,
        lease_ms: f64,
    ) -> napi::Result<()> {
        let consumer = QueueConsumer { queue, prefetch, priority, flags, lease_ms: integer(lease_ms)? };
        self.worker.queue_subscribe(connection, subscription, space, consumer).map_err(failed)
    }

    #[napi]
    pub fn schema_put(&self, id: u32, table: &[u8]) -> napi::Result<()> {
        self.engine().schema_put(id, table).map_err(failed)
    }

    #[napi]
    pub fn schema_known(&self, id: u32) -> bool {
        self.engine().schema_known(id)
    }

    #[napi]
    pub fn schema_remove(&self, id: u32) {
        self.engine().schema_remove(id);
    }

    #[napi]
    #[allow(clippy::needless_pass_by_value, reason = "N-API hands over strings of its own")]
    pub fn enforce(&self, taker: String, id: f64, version: f64, mode: String, ids: Vec<u32>) -> napi::Result<()> {
        let enforcement = schemas::enforcement(&mode, ids)?;
        self.engine().enforce(schemas::taker(&taker, id)?, integer(version)?, enforcement);
        Ok(())
    }

    #[napi]
    #[allow(clippy::needless_pass_by_value, reason = "N-API hands over strings of its own")]
    pub fn enforce_no_more(&self, taker: String, id: f64) -> napi::Result<()> {
        self.engine().enforce_no_more(schemas::taker(&taker, id)?);
        Ok(())
    }

    #[napi]
    pub fn new_producer_id(&self) -> f64 {
        convert::number(self.engine().new_producer_id())
    }

    /// Bit 0: more is ready. Bit 1: take the plan's views again (`plan_words`, `plan_arena`).
    #[napi]
    pub fn turn(&mut self) -> u32 {
        let more = self.worker.turn();
        let moved = self.views.have_moved(self.worker.plan());
        u32::from(more) | u32::from(moved) << 1
    }

    #[napi]
    pub fn plan_words(&mut self) -> Float64Array {
        self.views.words(self.worker.plan())
    }

    #[napi]
    pub fn plan_arena(&mut self) -> Uint8Array {
        self.views.arena(self.worker.plan())
    }

    #[napi]
    pub fn map_view(&self, slot: u32) -> napi::Result<Uint8Array> {
        let map = self.worker.map_view(slot).ok_or_else(|| convert::misuse("no map in that slot"))?;
        Ok(views::of_map(&map))
    }

    #[napi]
    pub fn map_release(&mut self, slot: u32) {
        self.worker.map_release(slot);
    }

    #[napi]
    pub fn written(&mut self, connection: u32) -> bool {
        self.worker.written(connection)
    }

    #[napi]
    pub fn post(&self, worker: u32, message: &[u8]) -> napi::Result<()> {
        self.engine().post(worker as usize, message.to_vec()).map_err(failed)
    }

    #[napi]
    pub fn take_mail(&mut self) -> Vec<Uint8Array> {
        self.worker.take_mail().into_iter().map(Uint8Array::from).collect()
    }

    #[napi]
    pub fn stages(&self) -> Vec<figures::StageCounts> {
        figures::stages(&self.worker)
    }

    #[napi]
    pub fn trace(&self, log_id: f64, partition: u32, offset: f64) -> napi::Result<figures::Traced> {
        Ok(self.worker.trace(integer(log_id)?, partition, integer(offset)?).into())
    }

    #[napi]
    pub fn noted_since(&self, arrivals_seen: f64, sent_seen: f64, max: u32) -> napi::Result<figures::Noted> {
        let seen = (integer(arrivals_seen)?, integer(sent_seen)?);
        Ok(self.worker.noted_since(seen, max as usize).into())
    }

    #[napi]
    pub fn locate(&self, log_id: f64, partition: u32, offset: f64) -> napi::Result<figures::Location> {
        let partition = self.worker.partition(integer(log_id)?, partition).map_err(failed)?;
        Ok((&partition.place_of(integer(offset)?).map_err(failed)?).into())
    }

    #[napi]
    pub fn connection_generation(&mut self, connection: u32) -> napi::Result<u32> {
        self.worker.connection_generation(connection).map_err(failed)
    }

    #[napi]
    pub fn stats(&self) -> Stats {
        (&self.worker).into()
    }

    #[napi]
    pub fn now(&self) -> f64 {
        convert::number(self.engine().now_ms())
    }

    #[napi]
    pub fn set_clock(&self, now_ms: f64) -> napi::Result<()> {
        self.engine().set_clock(integer(now_ms)?).map_err(failed)
    }

    /// Files of the backup under way that are done, and all that are known of.
    #[napi]
    pub fn backup_files(&self) -> Vec<f64> {
        let (done, total) = self.engine().store.progress.files();
        vec![convert::number(done), convert::number(total)]
    }

    /// Syncs, leaves the clean mark and joins the core's threads.
    #[napi]
    pub fn close(&mut self) -> napi::Result<()> {
        registry::remove(self.id);
        self.engine().close().map_err(failed)
    }

    pub(crate) fn engine(&self) -> &Arc<Engine> {
        self.worker.engine()
    }
}
