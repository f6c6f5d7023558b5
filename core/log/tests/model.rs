//! Random operations against a simple model of one partition.

use std::sync::Arc;

use super::kit::*;
use crate::batch::BatchBuilder;
use crate::error::ErrorCode;
use crate::log::{AppendOutcome, Partition};

/// A record as the model keeps it.
struct Kept {
    value: Vec<u8>,
    timestamp: u64,
}

#[derive(Default, Clone)]
struct Producer {
    next: u32,
    /// Base sequence, count, base offset.
    batches: Vec<(u32, u32, u64)>,
}

struct Model {
    /// Every record ever appended, by offset.
    records: Vec<Kept>,
    /// Base offset of each batch.
    bases: Vec<u64>,
    producers: [Producer; 3],
}

struct Run {
    rig: Rig,
    partition: Arc<Partition>,
    model: Model,
    random: Random,
    now_ms: u64,
}

impl Run {
    fn new(seed: u64) -> Self {
        let mut rig = Rig::new();
        rig.config.segment_bytes = 8192;
        rig.options.index_interval_bytes = 700;
        rig.options.checkpoint_bytes = 20_000;
        let partition = rig.open();
        let model = Model { records: Vec::new(), bases: Vec::new(), producers: Default::default() };
        Self { rig, partition, model, random: Random::seeded(seed), now_ms: START_MS }
    }

    fn step(&mut self) {
        match self.random.below(100) {
            0..=44 => self.append_plain(),
            45..=64 => self.append_produced(),
            65..=69 => self.append_run(),
            70..=84 => self.read(),
            85..=89 => self.seek_time(),
            90..=91 => self.expire(),
            92..=93 => self.reopen(true),
            94..=96 => self.reopen(false),
            97 => drop(self.partition.sync_now().unwrap()),
            _ => self.pass_time(),
        }
        assert_eq!(self.partition.next_offset(), self.model.records.len() as u64);
        assert_eq!(self.partition.high_watermark(), self.model.records.len() as u64);
    }

    fn pass_time(&mut self) {
        self.now_ms += self.random.below(500);
        self.rig.clock.set(self.now_ms);
    }

    /// A batch of random records with rising timestamps, sometimes compressed.
    fn build(&mut self, producer: Option<(u64, u32)>, count: u32) -> (Vec<u8>, Vec<Kept>) {
        let mut builder = BatchBuilder::new(self.now_ms);
        if let Some((id, sequence)) = producer {
            builder = builder.producer(id, 0, sequence);
        }
        let mut kept = Vec::new();
        for n in 0..count {
            let bound = if self.random.below(20) == 0 { 3000 } else { 120 };
            let length = self.random.below(bound);
            let value = self.random.bytes(length as usize);
            builder.push(n, None, Some(&value));
            kept.push(Kept { value, timestamp: self.now_ms + u64::from(n) });
        }
        let built = if self.random.below(5) == 0 { builder.build_compressed().unwrap() } else { builder.build() };
        (built, kept)
    }

    fn keep(&mut self, kept: Vec<Kept>) -> u64 {
        let base = self.model.records.len() as u64;
        self.model.bases.push(base);
        self.model.records.extend(kept);
        base
    }

    fn append_plain(&mut self) {
        let count = 1 + self.random.below(5) as u32;
        let (built, kept) = self.build(None, count);
        let expect = self.model.records.len() as u64;
        if self.random.below(10) == 0 {
            let error = error_of(&append_if(&self.partition, &built, Some(expect + 1), None));
            assert_eq!((error.code, error.offset), (ErrorCode::OFFSET_CONFLICT, Some(expect)));
            return;
        }
        assert_eq!(base_of(&append_if(&self.partition, &built, Some(expect), None)), expect);
        self.keep(kept);
    }

    fn append_run(&mut self) {
        let (batches, kept): (Vec<_>, Vec<_>) = (0..self.random.below(60)).map(|_| self.build(None, 1)).unzip();
        let outcomes = append_all(&self.partition, &batches);
        for (outcome, kept) in outcomes.iter().zip(kept) {
            assert_eq!(base_of(outcome), self.keep(kept));
        }
    }

    /// The next batch of a producer, or a retry, or a gap.
    fn append_produced(&mut self) {
        let which = self.random.below(3) as usize;
        let id = which as u64 + 1;
        let producer = self.model.producers[which].clone();
        match self.random.below(4) {
            0 if !producer.batches.is_empty() => {
                let at = self.random.below(producer.batches.len() as u64) as usize;
                let (sequence, count, base) = producer.batches[at];
                let (built, _) = self.build(Some((id, sequence)), count);
                let known = producer.batches.len() - at <= 5;
                let outcome = append_if(&self.partition, &built, None, None);
                assert_eq!(outcome, AppendOutcome::Duplicate { base_offset: known.then_some(base) });
            }
            1 => {
                let (built, _) = self.build(Some((id, producer.next + 1)), 1);
                let code = error_of(&append_if(&self.partition, &built, None, None)).code;
                let unknown = producer.batches.is_empty();
                assert_eq!(code, if unknown { ErrorCode::UNKNOWN_PRODUCER } else { ErrorCode::SEQUENCE_GAP });
            }
            _ => {
                let count = 1 + self.random.below(4) as u32;
                let (built, kept) = self.build(Some((id, producer.next)), count);
                let base = self.keep(kept);
                assert_eq!(base_of(&append_if(&self.partition, &built, None, None)), base);
                let state = &mut self.model.producers[which];
                state.batches.push((producer.next, count, base));
                state.next += count;
            }
        }
    }

    fn read(&mut self) {
        let (start, end) = (self.partition.start_offset(), self.model.records.len() as u64);
        let offset = start + self.random.below(end - start + 1);
        let limit = (self.random.below(3) == 0).then(|| offset + self.random.below(20));
        let mut cursor = self.partition.cursor_at(offset).unwrap();
        let mut next = self.batch_base(offset);
        for _ in 0..self.random.below(8) {
            let bytes_max = 1 + self.random.below(6000) as usize;
            let Some(run) = self.partition.read_run(&mut cursor, bytes_max, limit).unwrap() else {
                assert!(next.max(offset) >= end.min(limit.unwrap_or(end)), "a run was missing at {next}");
                break;
            };
            assert!(run.batches == 1 || run.len <= bytes_max);
            assert_eq!(run.first_offset, next);
            self.check_run(run.bytes());
            next = run.next_offset;
            assert_eq!(cursor.next_offset(), next);
        }
    }

    /// Base offset of the batch that holds `offset`.
    fn batch_base(&self, offset: u64) -> u64 {
        if offset == self.model.records.len() as u64 {
            return offset;
        }
        let after = self.model.bases.partition_point(|base| *base <= offset);
        after.checked_sub(1).map_or(offset, |at| self.model.bases[at])
    }

    fn check_run(&self, bytes: &[u8]) {
        for (header, batch) in split(bytes) {
            let records = crate::batch::compression::plain_records(&header, &batch[64..], 1 << 24).unwrap();
            for record in crate::batch::records_of(&records, header.attributes).unwrap() {
                let record = record.unwrap();
                let kept = &self.model.records[(header.base_offset + u64::from(record.position)) as usize];
                assert_eq!(record.value, Some(&kept.value[..]));
            }
        }
    }

    fn seek_time(&mut self) {
        let time = START_MS + self.random.below(self.now_ms - START_MS + 50);
        let start = self.partition.start_offset();
        let sought = self.model.records[start as usize..].iter().position(|kept| kept.timestamp >= time);
        let expected = sought.map_or(self.model.records.len() as u64, |at| start + at as u64);
        assert_eq!(self.partition.offset_at(time).unwrap(), expected);
    }

    fn expire(&mut self) {
        let mut config = self.rig.config.clone();
        config.retention_bytes = 10_000 + self.random.below(60_000).cast_signed();
        let store = self.rig.store();
        store.ensure_log(LOG, 1, config.clone()).unwrap();
        store.maintain();
        let info = self.partition.info();
        assert!(info.bytes < config.retention_bytes.cast_unsigned() + 8192 + 16_000);
        assert!(info.start_offset == info.next_offset || self.model.bases.contains(&info.start_offset));
        store.ensure_log(LOG, 1, self.rig.config.clone()).unwrap();
    }

    fn reopen(&mut self, clean: bool) {
        let start = self.partition.start_offset();
        if clean {
            self.rig.close();
        } else {
            self.rig.crash();
        }
        self.partition = self.rig.open();
        assert_eq!(self.rig.report.damage, []);
        assert_eq!((self.rig.report.clean, self.partition.start_offset()), (clean, start));
        assert!(!clean || (self.rig.report.scanned_bytes, self.rig.report.tails_zeroed) == (0, 0));
    }
}

#[test]
fn random_operations_agree_with_a_simple_model() {
    let (runs, steps) = if is_long() { (60, 3000) } else { (4, 600) };
    for seed in 0..runs {
        let mut run = Run::new(0x5eed + seed);
        for _ in 0..steps {
            run.step();
        }
        let records = read_all(&run);
        assert_eq!(records, run.model.records.len() as u64);
    }
}

/// Reads the whole log; returns the offset behind the last record.
fn read_all(run: &Run) -> u64 {
    let mut cursor = run.partition.cursor_at(run.partition.start_offset()).unwrap();
    while let Some(read) = run.partition.read_run(&mut cursor, 1 << 20, None).unwrap() {
        run.check_run(read.bytes());
    }
    cursor.next_offset()
}
