//! What is measured: the hot functions, each as a piece of work that can be repeated.
//! `micro.rs` times them, `instructions.rs` runs them for callgrind to count.

mod engine;
mod fixtures;
mod parts;
mod queue;
mod route;
mod schema;

/// A piece of work, set up and ready to run.
pub struct Prepared {
    /// How many items one run handles; the figures are per item.
    pub items: u64,
    /// Bytes that one run handles, for GB/s; 0 where the bytes say nothing about the cost.
    pub bytes: u64,
    pub run: Box<dyn FnMut()>,
}

impl Prepared {
    fn new(items: usize, bytes: usize, run: impl FnMut() + 'static) -> Self {
        Self { items: items as u64, bytes: bytes as u64, run: Box::new(run) }
    }
}

#[derive(Clone, Copy)]
pub struct Work {
    pub name: &'static str,
    /// What an item is: record, batch, call.
    pub item: &'static str,
    pub prepare: fn() -> Prepared,
}

/// `crc-64k/batch`: what is measured, and what the figure is per.
impl std::fmt::Display for Work {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.name, self.item)
    }
}

const fn work(name: &'static str, item: &'static str, prepare: fn() -> Prepared) -> Work {
    Work { name, item, prepare }
}

pub const WORKS: &[Work] = &[
    work("crc-64k", "batch", parts::crc_64k),
    work("crc-100", "call", parts::crc_100),
    work("crc-combine", "batch", parts::crc_combine),
    work("header-parse", "batch", parts::header_parse),
    work("header-seal", "batch", parts::header_seal),
    work("record-walk", "record", parts::record_walk),
    work("scan-batches", "batch", parts::scan_batches),
    work("scan-singles", "record", parts::scan_singles),
    work("ring-push-drain", "record", parts::ring_push_drain),
    work("append-64k", "batch", parts::append_64k),
    work("append-100", "batch", parts::append_100),
    work("murmur2", "call", parts::murmur2_key),
    work("deliver-head", "call", parts::deliver_head),
    work("zstd-compress", "record", parts::zstd_compress),
    work("zstd-decompress", "record", parts::zstd_decompress),
    work("publish-batches", "batch", engine::publish_batches),
    work("publish-singles", "record", engine::publish_singles),
    work("publish-deliver-one", "record", engine::publish_deliver_one),
    work("catch-up", "batch", engine::catch_up),
    work("route-cached", "route", route::topic_cached),
    work("route-uncached", "route", route::topic_uncached),
    work("route-headers10k", "route", route::headers_10k),
    work("route-where100", "route", route::where_100),
    work("bind-unbind", "pair", route::bind_unbind),
    work("schema-id", "record", schema::id),
    work("schema-validate", "record", schema::validate),
    work("schema-resolve", "record", schema::resolve),
    work("schema-filter", "record", schema::filter),
    work("queue-one", "message", queue::one_consumer),
    work("queue-four", "message", queue::four_consumers),
    work("queue-four-runs", "message", queue::four_consumers_in_runs),
];
