//! Figures and traces as JavaScript's values; src/log/engine.ts has the meaning of each.

use millrace_core::engine::{self, Worker};
use millrace_core::log::Place;
use millrace_core::stdx::histogram::Histogram;
use napi_derive::napi;

use crate::convert::number;

/// The histogram of one stage: bucket and count in turn.
#[napi(object)]
pub struct StageCounts {
    pub stage: String,
    pub counts: Vec<f64>,
    pub sum_us: f64,
    pub max_us: f64,
}

/// Those of a worker, and with worker 0 the one that no worker has.
pub fn stages(worker: &Worker) -> Vec<StageCounts> {
    let mut all: Vec<StageCounts> = worker.stages().each().iter().map(|(name, one)| counts(name, one)).collect();
    if worker.index() == 0 {
        worker.engine().with_commits(|commits| all.push(counts("commit", commits)));
    }
    all
}

fn counts(stage: &str, histogram: &Histogram) -> StageCounts {
    StageCounts {
        stage: stage.to_owned(),
        counts: histogram.filled().flat_map(|(bucket, count)| [number(bucket as u64), number(count)]).collect(),
        sum_us: number(histogram.sum_us()),
        max_us: number(histogram.max_us()),
    }
}

#[napi(object)]
pub struct Arrival {
    pub connection: u32,
    pub generation: u32,
    pub publisher: u32,
    pub received_ms: f64,
    pub appended_ms: f64,
}

#[napi(object)]
pub struct Sent {
    pub connection: u32,
    pub generation: u32,
    pub subscription: u32,
    pub at_ms: f64,
}

#[napi(object)]
pub struct Traced {
    pub arrival: Option<Arrival>,
    pub sent: Vec<Sent>,
    pub since_ms: f64,
}

impl From<engine::Traced> for Traced {
    fn from(from: engine::Traced) -> Self {
        let arrival = from.arrival.map(|(arrival, times)| Arrival {
            connection: arrival.connection,
            generation: arrival.generation,
            publisher: arrival.publisher,
            received_ms: times.received_ms,
            appended_ms: times.appended_ms,
        });
        let sent = from.sent.into_iter().map(|(sent, at_ms)| Sent {
            connection: sent.connection,
            generation: sent.generation,
            subscription: sent.subscription,
            at_ms,
        });
        Self { arrival, sent: sent.collect(), since_ms: from.since_ms }
    }
}

#[napi(object)]
pub struct NotedArrival {
    pub log_id: f64,
    pub partition: u32,
    pub base_offset: f64,
    pub count: u32,
    pub connection: u32,
    pub generation: u32,
    pub received_ms: f64,
    pub appended_ms: f64,
}

#[napi(object)]
pub struct NotedSent {
    pub log_id: f64,
    pub partition: u32,
    pub first_offset: f64,
    pub next_offset: f64,
    pub connection: u32,
    pub generation: u32,
    pub subscription: u32,
    pub at_ms: f64,
}

#[napi(object)]
pub struct Noted {
    pub arrivals: Vec<NotedArrival>,
    pub sent: Vec<NotedSent>,
    pub arrivals_seen: f64,
    pub sent_seen: f64,
}

impl From<engine::Noted> for Noted {
    fn from(from: engine::Noted) -> Self {
        let arrivals = from.arrivals.into_iter().map(|(one, times)| NotedArrival {
            log_id: number(one.log_id),
            partition: one.partition,
            base_offset: number(one.base_offset),
            count: one.count,
            connection: one.connection,
            generation: one.generation,
            received_ms: times.received_ms,
            appended_ms: times.appended_ms,
        });
        let sent = from.sent.into_iter().map(|(one, at_ms)| NotedSent {
            log_id: number(one.log_id),
            partition: one.partition,
            first_offset: number(one.first_offset),
            next_offset: number(one.next_offset),
            connection: one.connection,
            generation: one.generation,
            subscription: one.subscription,
            at_ms,
        });
        Self {
            arrivals: arrivals.collect(),
            sent: sent.collect(),
            arrivals_seen: number(from.next.0),
            sent_seen: number(from.next.1),
        }
    }
}

/// Where a batch lies.
#[napi(object)]
pub struct Location {
    pub segment_offset: f64,
    pub position: f64,
}

impl From<&Place> for Location {
    fn from(from: &Place) -> Self {
        Self { segment_offset: number(from.segment_offset), position: number(from.position) }
    }
}
