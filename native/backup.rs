//! Backups, made on a thread of the pool because they wait for the disk.

use std::path::PathBuf;
use std::sync::Arc;

use millrace_core::engine::Engine;
use millrace_core::log::{Backup, PartitionBackup};
use napi::bindgen_prelude::AsyncTask;
use napi::{Env, Task};
use napi_derive::napi;

use crate::convert::{failed, number};
use crate::registry;

/// Makes a backup of a core in a folder that is not there yet. No method of the engine's handle, because that would be
/// borrowed until the backup is done.
#[napi]
pub fn backup(engine_id: u32, target: String) -> napi::Result<AsyncTask<Backing>> {
    Ok(AsyncTask::new(Backing { engine: registry::find(engine_id)?, target: target.into() }))
}

pub struct Backing {
    engine: Arc<Engine>,
    target: PathBuf,
}

impl Task for Backing {
    type Output = Backup;
    type JsValue = BackupReport;

    fn compute(&mut self) -> napi::Result<Backup> {
        self.engine.backup(&self.target).map_err(failed)
    }

    fn resolve(&mut self, _env: Env, backup: Backup) -> napi::Result<BackupReport> {
        Ok(backup.into())
    }
}

/// `BackupReport` of src/log/engine.ts.
#[napi(object)]
pub struct BackupReport {
    pub at_ms: f64,
    pub epoch: u32,
    pub partitions: Vec<PartitionReport>,
    pub files: Vec<FileReport>,
    pub linked_bytes: f64,
    pub copied_bytes: f64,
    pub stopped_ms: f64,
    pub held_ms: f64,
}

#[napi(object)]
pub struct PartitionReport {
    pub log_id: f64,
    pub partition: u32,
    pub start_offset: f64,
    pub next_offset: f64,
    /// Base, next offset and bytes of one segment after another.
    pub segments: Vec<f64>,
}

#[napi(object)]
pub struct FileReport {
    pub path: String,
    pub bytes: f64,
}

impl From<Backup> for BackupReport {
    fn from(from: Backup) -> Self {
        let file = |file: millrace_core::log::FileBackup| FileReport { path: file.path, bytes: number(file.bytes) };
        Self {
            at_ms: number(from.at_ms),
            epoch: from.epoch,
            partitions: from.partitions.into_iter().map(Into::into).collect(),
            files: from.files.into_iter().map(file).collect(),
            linked_bytes: number(from.linked_bytes),
            copied_bytes: number(from.copied_bytes),
            stopped_ms: number(from.stopped_us) / 1000.0,
            held_ms: number(from.held_us) / 1000.0,
        }
    }
}

impl From<PartitionBackup> for PartitionReport {
    fn from(from: PartitionBackup) -> Self {
        let segments = from.segments.iter().flat_map(|segment| [segment.base, segment.next_offset, segment.bytes]);
        Self {
            log_id: number(from.log_id),
            partition: from.index,
            start_offset: number(from.start_offset),
            next_offset: number(from.next_offset),
            segments: segments.map(number).collect(),
        }
    }
}
