//! A space with an exchange and a queue, and the frames of their clients.

use super::kit::*;
use crate::engine::QueueConsumer;

pub const SPACE: u32 = 1;
pub const JOURNAL: u64 = 100;
pub const ACKS: u64 = 101;
pub const EXCHANGE: u32 = 7;
pub const QUEUE: u32 = 8;

pub const MESSAGES: u64 = 28;
pub const OK: u64 = 5;
pub const ERROR: u64 = 6;
pub const SETTLE_FAILED: u64 = 18;
pub const RETURNED: u64 = 29;

/// A change of a space, as src/routing writes it.
pub fn change(write: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut out = Vec::new();
    write(&mut out);
    out
}

pub fn exchange(id: u32, kind: &str) -> Vec<u8> {
    change(|out| {
        msgpack::write_array(out, 5);
        msgpack::write_str(out, "exchange");
        msgpack::write_uint(out, u64::from(id));
        msgpack::write_str(out, kind);
        msgpack::write_nil(out);
        msgpack::write_map(out, 0);
    })
}

/// A queue's configuration as src/routing hands it on.
#[derive(Default)]
pub struct Config<'a> {
    pub numbers: &'a [(&'a str, u64)],
    pub flags: &'a [(&'a str, bool)],
    pub texts: &'a [(&'a str, &'a str)],
    /// Exchange id and routing key.
    pub dead_letter: Option<(u32, &'a str)>,
}

pub fn queue(id: u32, name: &str, config: &Config<'_>) -> Vec<u8> {
    change(|out| {
        let dead_letter = if config.dead_letter.is_some() { 3 } else { 0 };
        msgpack::write_array(out, 4);
        msgpack::write_str(out, "queue");
        msgpack::write_uint(out, u64::from(id));
        msgpack::write_str(out, name);
        msgpack::write_map(out, config.numbers.len() + config.flags.len() + config.texts.len() + dead_letter);
        for (key, value) in config.numbers {
            msgpack::write_str(out, key);
            msgpack::write_uint(out, *value);
        }
        for (key, value) in config.flags {
            msgpack::write_str(out, key);
            msgpack::write_bool(out, *value);
        }
        for (key, value) in config.texts {
            msgpack::write_str(out, key);
            msgpack::write_str(out, value);
        }
        if let Some((exchange, key)) = config.dead_letter {
            msgpack::write_str(out, "hasDeadLetter");
            msgpack::write_bool(out, true);
            msgpack::write_str(out, "deadLetterExchange");
            msgpack::write_uint(out, u64::from(exchange));
            msgpack::write_str(out, "deadLetterRoutingKey");
            msgpack::write_str(out, key);
        }
    })
}

pub fn bind(exchange: u32, queue: u32, key: &str) -> Vec<u8> {
    change(|out| {
        msgpack::write_array(out, 6);
        msgpack::write_str(out, "bind");
        msgpack::write_uint(out, u64::from(exchange));
        msgpack::write_str(out, "queue");
        msgpack::write_uint(out, u64::from(queue));
        msgpack::write_str(out, key);
        msgpack::write_nil(out);
    })
}

pub fn bind_topic(exchange: u32, log: u64, key: &str) -> Vec<u8> {
    change(|out| {
        msgpack::write_array(out, 6);
        msgpack::write_str(out, "bind");
        msgpack::write_uint(out, u64::from(exchange));
        msgpack::write_str(out, "topic");
        msgpack::write_uint(out, log);
        msgpack::write_str(out, key);
        msgpack::write_nil(out);
    })
}

pub fn settle(correlation: Option<u64>, outcome: u64, ranges: &[u64]) -> Vec<u8> {
    frame(|out| {
        msgpack::write_array(out, 6);
        msgpack::write_uint(out, 13);
        msgpack::write_uint(out, 1);
        msgpack::write_optional_uint(out, correlation);
        msgpack::write_uint(out, outcome);
        msgpack::write_nil(out);
        msgpack::write_array(out, ranges.len());
        for value in ranges {
            msgpack::write_uint(out, *value);
        }
    })
}

/// `[14, 1, prefetch]`.
pub fn prefetch(prefetch: u64) -> Vec<u8> {
    frame(|out| {
        msgpack::write_array(out, 3);
        for value in [14, 1, prefetch] {
            msgpack::write_uint(out, value);
        }
    })
}

/// A batch for an exchange: partition nil.
pub fn publish_to(correlation: u64, batch: &[u8]) -> Vec<u8> {
    frame(|out| {
        msgpack::write_array(out, 6);
        for value in [10, 1, correlation] {
            msgpack::write_uint(out, value);
        }
        msgpack::write_nil(out);
        msgpack::write_uint(out, 2);
        msgpack::write_nil(out);
        out.extend_from_slice(batch);
    })
}

pub fn keyed(records: &[(&str, &str)]) -> Vec<u8> {
    let mut builder = BatchBuilder::new(1_000_000);
    for (key, value) in records {
        builder.push(0, Some(key.as_bytes()), Some(value.as_bytes()));
    }
    builder.build()
}

/// A space with a direct exchange and one queue bound to it by "k".
pub fn rig_with(engine: &Arc<Engine>, config: &[(&str, u64)]) -> Rig {
    let log = if engine.options.data_dir.is_some() { LogConfig::default() } else { memory() };
    rig_on(engine, &log, config)
}

/// The same on logs with these settings.
pub fn rig_on(engine: &Arc<Engine>, log: &LogConfig, config: &[(&str, u64)]) -> Rig {
    let rig = Rig::new(engine, 0);
    rig.worker.ensure_log(JOURNAL, 1, log.clone()).unwrap();
    rig.worker.ensure_log(ACKS, 1, log.clone()).unwrap();
    rig.worker.space_open(SPACE, JOURNAL, ACKS).unwrap();
    let changes = [
        exchange(EXCHANGE, "direct"),
        queue(QUEUE, "q", &Config { numbers: config, ..Config::default() }),
        bind(EXCHANGE, QUEUE, "k"),
    ];
    for (version, change) in changes.iter().enumerate() {
        rig.worker.space_apply(SPACE, version as u64, change).unwrap();
    }
    rig
}

pub fn in_memory() -> Rig {
    rig_with(&Engine::open(options(None, 1)).unwrap(), &[])
}

pub fn connect(rig: &mut Rig, flags: u32) -> u32 {
    let connection = rig.worker.connection_open();
    rig.worker.exchange_publisher_open(connection, 1, SPACE, EXCHANGE, flags, 0, 0).unwrap();
    rig.sent.resize(rig.sent.len().max(connection as usize + 1), Vec::new());
    connection
}

pub fn consume(rig: &mut Rig, connection: u32, prefetch: u32) {
    consume_from(rig, connection, QUEUE, prefetch);
}

pub fn consume_from(rig: &mut Rig, connection: u32, queue: u32, prefetch: u32) {
    let consumer = QueueConsumer { queue, prefetch, priority: 0, flags: 0, lease_ms: 0 };
    rig.worker.queue_subscribe(connection, 1, SPACE, consumer).unwrap();
}

/// First tag and values of each MESSAGES frame.
pub fn messages(frames: &[Got]) -> Vec<(u64, Vec<Vec<u8>>)> {
    let found = frames.iter().filter(|got| got.op == MESSAGES);
    found.map(|got| (got.numbers[1], values(&got.batches))).collect()
}

/// A batch of records with headers of whole numbers.
pub fn with_headers(key: &str, values: &[&str], headers: &[(&str, u64)]) -> Vec<u8> {
    let mut records = Vec::new();
    for value in values {
        msgpack::write_array(&mut records, 4);
        msgpack::write_uint(&mut records, 0);
        msgpack::write_str(&mut records, key);
        msgpack::write_str(&mut records, value);
        msgpack::write_map(&mut records, headers.len());
        for (name, number) in headers {
            msgpack::write_str(&mut records, name);
            msgpack::write_uint(&mut records, *number);
        }
    }
    let (mut header, _) = verify(&keyed(&[(key, "x")])).unwrap();
    header.record_count = values.len() as u32;
    crate::batch::finish(header, &records)
}

/// A request of the control plane about a queue.
pub fn request(rig: &Rig, what: &str, queue: u32, rest: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let request = change(|out| {
        msgpack::write_array(out, 4);
        msgpack::write_str(out, what);
        msgpack::write_uint(out, u64::from(queue));
        rest(out);
    });
    rig.worker.space_request(SPACE, &request).unwrap()
}

/// One of a queue's counts.
pub fn count(rig: &Rig, queue: u32, name: &str) -> u64 {
    let answer = request(rig, "stats", queue, |_| {});
    let mut reader = Reader::new(&answer);
    for _ in 0..reader.map().unwrap() {
        let found = reader.str().unwrap() == name;
        let value = reader.uint().unwrap();
        if found {
            return value;
        }
    }
    panic!("no count {name}");
}
