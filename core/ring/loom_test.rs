//! Every interleaving of a small ring, by loom. Run with
//! `RUSTFLAGS="--cfg loom" CARGO_TARGET_DIR=target/loom cargo test --release -p millrace-core --lib ring::loom`

use loom::sync::Arc;
use loom::thread;

use super::{Entry, PushError, Ring};

fn model(check: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    // Bugs of such protocols show within three preemptions. LOOM_MAX_PREEMPTIONS sets
    // another bound; without any the larger models take longer than is useful.
    builder.preemption_bound = builder.preemption_bound.or(Some(3));
    builder.check(check);
}

fn push(ring: &Ring, connection: u32, correlation: u32, len: usize) -> Result<(), PushError> {
    let entry = Entry { connection, correlation, ..Entry::default() };
    ring.push(entry, &vec![mark(connection, correlation); len])
}

fn mark(connection: u32, correlation: u32) -> u8 {
    (connection * 16 + correlation) as u8
}

fn drain(ring: &Ring, seen: &mut Vec<(u32, u32)>) {
    ring.drain(usize::MAX, |drained| {
        for (entry, bytes) in drained.iter() {
            assert!(bytes.iter().all(|byte| *byte == mark(entry.connection, entry.correlation)));
            seen.push((entry.connection, entry.correlation));
        }
    });
}

/// What connection `connection` pushed, in the order in which it was seen.
fn of(seen: &[(u32, u32)], connection: u32) -> Vec<u32> {
    seen.iter().filter(|record| record.0 == connection).map(|record| record.1).collect()
}

#[test]
fn two_pushers_and_a_drain_lose_nothing() {
    model(|| {
        let ring = Arc::new(Ring::with_capacity(16, 4));
        let pushers: Vec<_> = (1..3)
            .map(|connection| {
                let ring = Arc::clone(&ring);
                thread::spawn(move || push(&ring, connection, 0, 3).is_ok())
            })
            .collect();
        let mut seen = Vec::new();
        drain(&ring, &mut seen);
        let taken: Vec<bool> = pushers.into_iter().map(|pusher| pusher.join().unwrap()).collect();
        drain(&ring, &mut seen);
        // There is room for both. Still one may be refused, while the drain has moved
        // `head` to the beginning and not yet `tail`; whoever comes first never is.
        assert!(taken.contains(&true));
        assert_eq!(of(&seen, 1).len(), usize::from(taken[0]));
        assert_eq!(of(&seen, 2).len(), usize::from(taken[1]));
        assert!(ring.is_empty());
    });
}

/// Without a drain there is no rewind, and so no refusal where there is room.
#[test]
fn pushers_alone_are_never_refused_while_there_is_room() {
    model(|| {
        let ring = Arc::new(Ring::with_capacity(8, 4));
        let other = {
            let ring = Arc::clone(&ring);
            thread::spawn(move || [push(&ring, 1, 0, 2), push(&ring, 1, 1, 2)])
        };
        assert_eq!(push(&ring, 2, 0, 2), Ok(()));
        assert_eq!(push(&ring, 2, 1, 2), Ok(()));
        assert_eq!(other.join().unwrap(), [Ok(()), Ok(())]);
        let mut seen = Vec::new();
        drain(&ring, &mut seen);
        assert_eq!(of(&seen, 1), [0, 1]);
        assert_eq!(of(&seen, 2), [0, 1]);
        assert_eq!(push(&ring, 2, 2, 2), Ok(()));
    });
}

/// What a thread has pushed is in its next drain, also behind a slot that another
/// thread is just filling: a batch that it appends afterwards overtakes nothing.
#[test]
fn a_drain_shows_all_that_its_thread_has_pushed() {
    model(|| {
        let ring = Arc::new(Ring::with_capacity(16, 4));
        let other = {
            let ring = Arc::clone(&ring);
            thread::spawn(move || push(&ring, 2, 0, 2))
        };
        push(&ring, 1, 0, 2).unwrap();
        let mut seen = Vec::new();
        drain(&ring, &mut seen);
        assert_eq!(of(&seen, 1), [0]);
        // It may be refused during the drain's rewind, as above.
        let taken = other.join().unwrap().is_ok();
        drain(&ring, &mut seen);
        assert_eq!(of(&seen, 2).len(), usize::from(taken));
    });
}

/// The ring is too small for all: what is taken is seen, what is refused is not, and
/// slots and bytes are written again while the drain works.
#[test]
fn memory_is_reused_only_after_its_release() {
    model(|| {
        let ring = Arc::new(Ring::with_capacity(4, 2));
        let pusher = {
            let ring = Arc::clone(&ring);
            thread::spawn(move || (0..4).filter(|number| push(&ring, 1, *number, 2).is_ok()).collect::<Vec<_>>())
        };
        let mut seen = Vec::new();
        drain(&ring, &mut seen);
        drain(&ring, &mut seen);
        let taken = pusher.join().unwrap();
        drain(&ring, &mut seen);
        assert_eq!(of(&seen, 1), taken);
        assert_eq!(taken.first(), Some(&0));
        assert!(ring.is_empty());
    });
}

/// A slot that held a record before is not taken for ready while it is filled again.
#[test]
fn a_slot_used_before_is_shown_only_when_it_is_filled_again() {
    model(|| {
        let ring = Arc::new(Ring::with_capacity(4, 1));
        let mut seen = Vec::new();
        push(&ring, 1, 0, 2).unwrap();
        drain(&ring, &mut seen);
        let other = {
            let ring = Arc::clone(&ring);
            thread::spawn(move || push(&ring, 1, 1, 2))
        };
        drain(&ring, &mut seen);
        assert_eq!(other.join().unwrap(), Ok(()));
        drain(&ring, &mut seen);
        assert_eq!(of(&seen, 1), [0, 1]);
    });
}

/// The drain empties the ring and rewinds it just when others push.
#[test]
fn a_rewind_and_two_pushes_do_not_disturb_each_other() {
    model(|| {
        let ring = Arc::new(Ring::with_capacity(8, 2));
        push(&ring, 0, 0, 3).unwrap();
        let pushers: Vec<_> = (1..3)
            .map(|connection| {
                let ring = Arc::clone(&ring);
                thread::spawn(move || push(&ring, connection, 0, 2).is_ok())
            })
            .collect();
        let mut seen = Vec::new();
        drain(&ring, &mut seen);
        let taken: Vec<bool> = pushers.into_iter().map(|pusher| pusher.join().unwrap()).collect();
        drain(&ring, &mut seen);
        assert_eq!(of(&seen, 0), [0]);
        assert_eq!(of(&seen, 1).len(), usize::from(taken[0]));
        assert_eq!(of(&seen, 2).len(), usize::from(taken[1]));
        assert!(ring.is_empty());
    });
}

/// Two workers drain the same partition: each record is seen once, in order.
#[test]
fn drains_exclude_each_other() {
    model(|| {
        let ring = Arc::new(Ring::with_capacity(8, 4));
        push(&ring, 1, 0, 1).unwrap();
        push(&ring, 1, 1, 1).unwrap();
        let other = {
            let ring = Arc::clone(&ring);
            thread::spawn(move || {
                let mut seen = Vec::new();
                drain(&ring, &mut seen);
                seen
            })
        };
        let mut seen = Vec::new();
        drain(&ring, &mut seen);
        seen.extend(other.join().unwrap());
        assert_eq!(of(&seen, 1), [0, 1]);
        assert!(ring.is_empty());
    });
}
