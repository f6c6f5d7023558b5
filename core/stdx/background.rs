//! A thread for what can wait until nobody else wants the processor (`SCHED_IDLE`, sched(7)): whatever else wakes up on
//! the machine goes before it at once, while a thread of the usual kind may first use up its slice of some milliseconds.

use std::sync::LazyLock;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use thread_priority::{
    NormalThreadSchedulePolicy, ThreadPriority, ThreadSchedulePolicy, set_thread_priority_and_policy, thread_native_id,
};

type Job = Box<dyn FnOnce() + Send>;

/// Jobs that wait besides the one that runs.
const WAITING_JOBS_MAX: usize = 8;

static JOBS: LazyLock<SyncSender<Job>> = LazyLock::new(|| {
    let (sender, jobs) = sync_channel(WAITING_JOBS_MAX);
    // Where no thread can be had its end of the channel is gone, and no job is taken.
    let _ = thread::Builder::new().name("millrace-idle".into()).spawn(move || work(&jobs));
    sender
});

/// Has the thread do this after what it was given before. On a busy machine that may take as long as it is busy.
///
/// Returns whether the job was taken: not where too many wait.
pub fn run(job: impl FnOnce() + Send + 'static) -> bool {
    JOBS.try_send(Box::new(job)).is_ok()
}

fn work(jobs: &Receiver<Job>) {
    let policy = ThreadSchedulePolicy::Normal(NormalThreadSchedulePolicy::Idle);
    // Where the system forbids it the work is done all the same, at the cost of others.
    let _ = set_thread_priority_and_policy(thread_native_id(), ThreadPriority::Min, policy);
    while let Ok(job) = jobs.recv() {
        job();
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::sync::mpsc::channel;

    use thread_priority::thread_schedule_policy;

    use super::*;

    #[test]
    fn a_job_runs_where_everything_else_goes_before_it() {
        let (tell, told) = channel();
        assert!(run(move || tell.send(thread_schedule_policy().unwrap()).unwrap()));
        assert_eq!(told.recv().unwrap(), ThreadSchedulePolicy::Normal(NormalThreadSchedulePolicy::Idle));
    }
}
