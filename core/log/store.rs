//! The store: all logs of a data directory (or of memory), its lock and its two
//! threads.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;
use std::time::Instant;

use parking_lot::{Mutex, RwLock};
use rustix::fs::FlockOperation;
use rustix::io::Errno;

use super::backup::{self, Progress};
use super::config::{LogConfig, Storage, StoreEvents, StoreOptions};
use super::files;
use super::partition::Partition;
use super::recovery::{self, Findings};
use super::shared::Shared;
use super::state;
use super::stats::{RecoveryReport, StoreStats};
use super::{sync, upkeep};
use crate::clock::Clock;
use crate::error::{CoreError, ErrorCode, Result};

pub(super) const LOGS: &str = "logs";
const LOCK: &str = "lock";
pub(super) const EPOCH: &str = "epoch";
const CLEAN: &str = "clean";
/// A log that is being deleted has this at the end of its directory's name.
pub(super) const DELETED: &str = ".deleted";

/// One log: its settings and partitions.
pub struct Log {
    pub id: u64,
    config: RwLock<Arc<LogConfig>>,
    partitions: RwLock<Vec<Arc<Partition>>>,
    /// Somebody has given it settings since the start; until then it is kept as
    /// it was found.
    configured: AtomicBool,
}

impl Log {
    pub fn config(&self) -> Arc<LogConfig> {
        Arc::clone(&self.config.read())
    }

    pub fn partition(&self, index: u32) -> Option<Arc<Partition>> {
        self.partitions.read().get(index as usize).cloned()
    }

    pub fn partition_count(&self) -> u32 {
        self.partitions.read().len() as u32
    }

    pub fn partitions(&self) -> Vec<Arc<Partition>> {
        self.partitions.read().clone()
    }
}

/// The logs, as the threads see them.
pub struct Logs {
    pub shared: Arc<Shared>,
    by_id: RwLock<BTreeMap<u64, Arc<Log>>>,
    /// Directories of deleted logs that are still to be removed.
    deleted: Mutex<Vec<PathBuf>>,
    deletions: AtomicUsize,
}

impl Logs {
    /// All partitions whose settings are known.
    pub fn partitions(&self) -> Vec<Arc<Partition>> {
        let logs: Vec<_> = self.by_id.read().values().cloned().collect();
        let configured = logs.iter().filter(|log| log.configured.load(Ordering::Acquire));
        configured.flat_map(|log| log.partitions()).collect()
    }

    /// Removes the directories of deleted logs. What cannot be removed now is
    /// removed at the next start.
    pub fn remove_deleted(&self) {
        let _held = self.shared.held.read();
        let deleted = std::mem::take(&mut *self.deleted.lock());
        for path in deleted {
            let _ = std::fs::remove_dir_all(path);
        }
    }

    fn all_partitions(&self) -> Vec<Arc<Partition>> {
        self.by_id.read().values().flat_map(|log| log.partitions()).collect()
    }
}

/// Dropping the store without `close` leaves the disk as a crash would.
pub struct LogStore {
    logs: Arc<Logs>,
    report: RecoveryReport,
    threads: Mutex<Vec<JoinHandle<()>>>,
    closed: AtomicBool,
    /// Of the backup that is being made.
    pub progress: Progress,
    /// Held until the store is closed. Not until it is dropped: JavaScript's garbage
    /// collector decides that, and an embedded broker may open the directory again.
    lock: Mutex<Option<File>>,
}

impl LogStore {
    /// Opens a data directory, or a store in memory, and recovers its logs.
    ///
    /// # Errors
    /// `data_dir_locked`, `format_too_new`, `bad_format`, `storage_failed`,
    /// `disk_full`.
    pub fn open(
        options: StoreOptions,
        clock: Arc<dyn Clock>,
        events: Arc<dyn StoreEvents>,
    ) -> Result<(Arc<LogStore>, RecoveryReport)> {
        let started = Instant::now();
        let shared = Shared::new(options, clock, events);
        let mut report = RecoveryReport::default();
        let mut logs = BTreeMap::new();
        let mut lock = None;
        if let Some(data_dir) = shared.options.data_dir.clone() {
            lock = Some(open_directory(&data_dir)?);
            report.clean = data_dir.join(CLEAN).exists();
            logs = recover_all(&shared, &data_dir, &mut report)?;
            let stored = state::read_number(&data_dir.join(EPOCH)).ok().flatten().unwrap_or(0);
            report.epoch = report.epoch.max(u32::try_from(stored).unwrap_or(u32::MAX)).saturating_add(1);
            let what = |error| CoreError::io("note the start in the data directory", &error);
            state::write_number(&data_dir.join(EPOCH), u64::from(report.epoch)).map_err(what)?;
            remove_mark(&data_dir).map_err(what)?;
        } else {
            report.epoch = 1;
        }
        shared.epoch.store(report.epoch, Ordering::Release);
        report.duration_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
        let store = LogStore {
            logs: Arc::new(Logs {
                shared,
                by_id: RwLock::new(logs),
                deleted: Mutex::new(Vec::new()),
                deletions: AtomicUsize::new(0),
            }),
            report: report.clone(),
            threads: Mutex::new(Vec::new()),
            closed: AtomicBool::new(false),
            progress: Progress::default(),
            lock: Mutex::new(lock),
        };
        store.start_threads()?;
        Ok((Arc::new(store), report))
    }

    fn start_threads(&self) -> Result<()> {
        let what = |error| CoreError::io("start a thread", &error);
        let mut threads = self.threads.lock();
        let shared = Arc::clone(&self.logs.shared);
        let sync = std::thread::Builder::new().name("millrace-sync".into()).spawn(move || sync::run(&shared));
        threads.push(sync.map_err(what)?);
        let logs = Arc::clone(&self.logs);
        let upkeep = std::thread::Builder::new().name("millrace-upkeep".into()).spawn(move || upkeep::run(&logs));
        threads.push(upkeep.map_err(what)?);
        Ok(())
    }

    /// Rises with every start; batches carry the one they were appended under.
    pub fn epoch(&self) -> u32 {
        self.logs.shared.epoch.load(Ordering::Acquire)
    }

    pub fn clean_start(&self) -> bool {
        self.report.clean
    }

    pub fn recovery_report(&self) -> &RecoveryReport {
        &self.report
    }

    pub fn options(&self) -> &StoreOptions {
        &self.logs.shared.options
    }

    pub fn log(&self, id: u64) -> Option<Arc<Log>> {
        self.logs.by_id.read().get(&id).cloned()
    }

    pub fn log_ids(&self) -> Vec<u64> {
        self.logs.by_id.read().keys().copied().collect()
    }

    /// Creates a log, opens it under these settings, or grows it.
    ///
    /// # Errors
    /// `invalid_argument` for fewer partitions than there are or another storage
    /// class; `disk_full` or `storage_failed`.
    pub fn ensure_log(&self, id: u64, partitions: u32, config: LogConfig) -> Result<Arc<Log>> {
        let config = Arc::new(config);
        let mut by_id = self.logs.by_id.write();
        let log = by_id.get(&id).cloned().unwrap_or_else(|| {
            let (config, partitions) = (RwLock::new(Arc::clone(&config)), RwLock::new(Vec::new()));
            Arc::new(Log { id, config, partitions, configured: AtomicBool::new(false) })
        });
        let memory = config.storage == Storage::Memory || self.options().data_dir.is_none();
        self.grow(&log, partitions, memory, &config)?;
        by_id.insert(id, Arc::clone(&log));
        drop(by_id);
        *log.config.write() = Arc::clone(&config);
        for partition in log.partitions() {
            partition.configure(&config)?;
        }
        log.configured.store(true, Ordering::Release);
        Ok(log)
    }

    fn grow(&self, log: &Log, count: u32, memory: bool, config: &Arc<LogConfig>) -> Result<()> {
        let mut partitions = log.partitions.write();
        let refuse = |message: &str| Err(CoreError::new(ErrorCode::INVALID_ARGUMENT, message));
        if partitions.first().is_some_and(|first| first.is_memory() != memory) {
            return refuse("the storage class of a log cannot be changed");
        }
        if (count as usize) < partitions.len() {
            return refuse("a log cannot have fewer partitions than it has");
        }
        let what = |error| CoreError::io(&format!("create a partition of log {}", log.id), &error);
        for index in partitions.len() as u32..count {
            let directory = if memory { None } else { self.partition_path(log.id, index) };
            let shared = &self.logs.shared;
            partitions.push(Partition::create(shared, directory, log.id, index, Arc::clone(config)).map_err(what)?);
        }
        Ok(())
    }

    fn log_path(&self, id: u64) -> Option<PathBuf> {
        self.options().data_dir.as_ref().map(|data_dir| data_dir.join(LOGS).join(id.to_string()))
    }

    fn partition_path(&self, id: u64, index: u32) -> Option<PathBuf> {
        self.log_path(id).map(|path| path.join(index.to_string()))
    }

    /// Deletes a log: its directory is renamed away, readers get `topic_deleted`,
    /// and the maintenance thread gives the space back, which is free when the
    /// last reader lets go of its map.
    ///
    /// # Errors
    /// `storage_failed` when the directory cannot be renamed; the log stands then.
    pub fn delete_log(&self, id: u64) -> Result<()> {
        let mut by_id = self.logs.by_id.write();
        let Some(log) = by_id.get(&id).cloned() else { return Ok(()) };
        let what = |error| CoreError::io(&format!("delete log {id}"), &error);
        let away = self.log_path(id).filter(|path| path.exists()).map(|path| {
            let number = self.logs.deletions.fetch_add(1, Ordering::Relaxed);
            (path.with_file_name(format!("{id}.{number}{DELETED}")), path)
        });
        if let Some((away, path)) = &away {
            std::fs::rename(path, away).map_err(what)?;
        }
        by_id.remove(&id);
        // Known before the lock is free: a backup looks for the files there.
        let parent = away.as_ref().and_then(|(_, path)| path.parent().map(Path::to_owned));
        self.logs.deleted.lock().extend(away.map(|(away, _)| away));
        drop(by_id);
        let partitions = log.partitions();
        for partition in &partitions {
            partition.mark_deleted();
        }
        parent.as_deref().map_or(Ok(()), files::sync_directory).map_err(what)?;
        for partition in &partitions {
            self.logs.shared.maintenance.push(partition);
        }
        Ok(())
    }

    /// Asks for everything appended to `partition` so far to be synced; the
    /// answer is `StoreEvents::synced` (or `sync_failed`).
    pub fn request_sync(&self, partition: &Arc<Partition>) {
        self.logs.shared.syncs.push(partition);
    }

    /// True while so much is written and not synced that producers should wait.
    /// Syncs are under way then.
    pub fn is_over_dirty_limit(&self) -> bool {
        let shared = &self.logs.shared;
        let over = shared.dirty_bytes.load(Ordering::Relaxed) >= shared.options.dirty_bytes_max;
        if over {
            shared.sync_all_dirty();
        }
        over
    }

    /// Bytes of logs in memory.
    pub fn memory_bytes(&self) -> u64 {
        self.logs.shared.memory_bytes.load(Ordering::Relaxed)
    }

    /// One round of maintenance on the caller's thread: checkpoints that are
    /// due, retention, compaction.
    pub fn maintain(&self) {
        upkeep::round(&self.logs);
    }

    pub fn stats(&self) -> StoreStats {
        let shared = &self.logs.shared;
        let partitions = self.logs.all_partitions();
        let mut stats = StoreStats {
            dirty_bytes: shared.dirty_bytes.load(Ordering::Relaxed),
            dirty_bytes_max: shared.options.dirty_bytes_max,
            mapped_segments: shared.mapped_segments(),
            open_files: shared.open_files.load(Ordering::Relaxed),
            logs: self.logs.by_id.read().len(),
            partitions: partitions.len(),
            sync: shared.sync_latency.snapshot(),
            ..StoreStats::default()
        };
        for partition in &partitions {
            let info = partition.info();
            stats.segments += info.segments;
            stats.bytes += info.bytes;
            stats.failed_partitions += usize::from(partition.failure().is_some());
        }
        stats
    }

    /// Ends the threads, syncs everything, writes the state files and leaves the
    /// clean mark. Later appends are refused. A second call does nothing.
    ///
    /// # Errors
    /// The first failure; there is no clean mark then.
    pub fn close(&self) -> Result<()> {
        if self.closed.swap(true, Ordering::AcqRel) {
            return Ok(());
        }
        self.progress.cancel();
        let partitions = self.logs.all_partitions();
        for partition in &partitions {
            // Behind the appender's lock nobody is half way through an append.
            let _appender = partition.appender.lock();
            partition.close();
        }
        self.stop_threads();
        self.logs.remove_deleted();
        let result = self.leave_clean(&partitions);
        // Nothing is written from here on, so another broker may have the directory.
        self.lock.lock().take();
        result
    }

    fn leave_clean(&self, partitions: &[Arc<Partition>]) -> Result<()> {
        let mut result = Ok(());
        for partition in partitions.iter().filter(|partition| !partition.is_memory()) {
            result = result.and(partition.leave_no_spares()).and(partition.checkpoint());
        }
        result?;
        match &self.options().data_dir {
            Some(data_dir) => state::write_number(&data_dir.join(CLEAN), u64::from(self.epoch()))
                .map_err(|error| CoreError::io("leave the clean mark", &error)),
            None => Ok(()),
        }
    }

    fn stop_threads(&self) {
        self.logs.shared.syncs.stop();
        self.logs.shared.maintenance.stop();
        let own = std::thread::current().id();
        for thread in self.threads.lock().drain(..).filter(|thread| thread.thread().id() != own) {
            // A thread that panicked has said so; there is nothing left to join.
            let _ = thread.join();
        }
    }

    /// Runs `with` on all partitions in files, in their order; meanwhile no log is made or deleted.
    pub(super) fn with_disk_partitions<T>(&self, with: impl FnOnce(&[Arc<Partition>]) -> T) -> T {
        let by_id = self.logs.by_id.read();
        let all = by_id.values().flat_map(|log| log.partitions());
        with(&all.filter(|partition| !partition.is_memory()).collect::<Vec<_>>())
    }

    /// Where the files of a deleted log lie until they are removed.
    pub(super) fn deleted_path(&self, id: u64) -> Option<PathBuf> {
        let _settled = self.logs.by_id.read();
        let prefix = format!("{id}.");
        let deleted = self.logs.deleted.lock();
        let is_of = |path: &&PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(&prefix));
        deleted.iter().find(is_of).cloned()
    }

    pub(super) fn shared(&self) -> &Arc<Shared> {
        &self.logs.shared
    }
}

impl Drop for LogStore {
    fn drop(&mut self) {
        self.stop_threads();
        for partition in self.logs.all_partitions() {
            partition.close();
        }
    }
}

/// A lock outlives its holder for a moment where that had just started a program:
/// the child has the file open until it executes. So it is tried for 200 ms.
const LOCK_ATTEMPTS: u32 = 40;
const LOCK_WAIT: Duration = Duration::from_millis(5);

/// Makes and locks the data directory and checks its format.
fn open_directory(data_dir: &Path) -> Result<File> {
    let what = |error| CoreError::io(&format!("open the data directory {}", data_dir.display()), &error);
    std::fs::create_dir_all(data_dir.join(LOGS)).map_err(what)?;
    let lock = File::options().create(true).truncate(false).write(true).open(data_dir.join(LOCK)).map_err(what)?;
    for _ in 0..LOCK_ATTEMPTS {
        match rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {
                state::check_format(data_dir)?;
                backup::remove_stage(data_dir).map_err(what)?;
                return Ok(lock);
            }
            Err(Errno::WOULDBLOCK) => std::thread::sleep(LOCK_WAIT),
            Err(error) => return Err(what(error.into())),
        }
    }
    let message = format!("the data directory {} is in use by another broker", data_dir.display());
    Err(CoreError::new(ErrorCode::DATA_DIR_LOCKED, message))
}

fn remove_mark(data_dir: &Path) -> std::io::Result<()> {
    match std::fs::remove_file(data_dir.join(CLEAN)) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
        Ok(()) => files::sync_directory(data_dir),
    }
}

type Recovered = Result<(Arc<Partition>, Findings)>;

/// Recovers all partitions, several at a time.
fn recover_all(shared: &Arc<Shared>, data_dir: &Path, report: &mut RecoveryReport) -> Result<BTreeMap<u64, Arc<Log>>> {
    let what = |error| CoreError::io("list the logs of the data directory", &error);
    let places = recovery::list_places(&data_dir.join(LOGS)).map_err(what)?;
    let config = Arc::new(LogConfig::default());
    let next = AtomicUsize::new(0);
    let results: Mutex<Vec<(usize, Recovered)>> = Mutex::new(Vec::with_capacity(places.len()));
    let work = || {
        while let Some((at, place)) =
            Some(next.fetch_add(1, Ordering::Relaxed)).and_then(|at| Some((at, places.get(at)?)))
        {
            let result = recovery::recover(shared, &place.path, place.log_id, place.index, Arc::clone(&config));
            results.lock().push((at, result));
        }
    };
    let threads = match shared.options.recovery_threads {
        0 => std::thread::available_parallelism().map_or(1, usize::from),
        count => count,
    };
    std::thread::scope(|scope| {
        for _ in 1..threads.min(places.len()) {
            scope.spawn(work);
        }
        work();
    });
    let mut results = results.into_inner();
    results.sort_by_key(|(at, _)| *at);
    let mut logs: BTreeMap<u64, Vec<Arc<Partition>>> = BTreeMap::new();
    for (_, result) in results {
        let (partition, findings) = result?;
        note_findings(report, findings);
        let partitions = logs.entry(partition.log_id).or_default();
        while partitions.len() < partition.index as usize {
            let (log_id, index) = (partition.log_id, partitions.len() as u32);
            let path = data_dir.join(LOGS).join(log_id.to_string()).join(index.to_string());
            partitions.push(Partition::create(shared, Some(path), log_id, index, Arc::clone(&config)).map_err(what)?);
        }
        partitions.push(partition);
    }
    report.logs = logs.len();
    let assemble = |(id, partitions)| {
        let (config, partitions) = (RwLock::new(Arc::clone(&config)), RwLock::new(partitions));
        (id, Arc::new(Log { id, config, partitions, configured: AtomicBool::new(false) }))
    };
    Ok(logs.into_iter().map(assemble).collect())
}

fn note_findings(report: &mut RecoveryReport, findings: Findings) {
    report.partitions += 1;
    report.segments += findings.segments;
    report.bytes += findings.bytes;
    report.scanned_bytes += findings.scanned_bytes;
    report.tails_zeroed += usize::from(findings.tail_zeroed);
    report.epoch = report.epoch.max(findings.last_epoch);
    report.damage.extend(findings.damage);
}
