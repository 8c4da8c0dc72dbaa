//! Group commit: one thread writes and syncs for all who wait.
//!
//! Who appends puts a frame into a shared buffer and gets a [`Receipt`]. The writer takes the whole buffer, writes it at
//! once, syncs once and then wakes everyone whose frame was in it; meanwhile the next group gathers in a second buffer.
//!
//! *Guarantees*: a receipt is good only after its record is durable; records become durable in the order in which they were
//! appended; a full buffer refuses, and never drops. After one failed write or sync every receipt and every later append
//! fails: what a file holds after a failed sync cannot be told.

use super::frame::{self, FRAME_BYTES};
use super::{Error, Limits, segment};
use std::collections::BTreeSet;
use std::fs::File;
use std::future::Future;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, JoinHandle, Thread};

/// What a segment's file is asked to do; a test puts one in its place that fails.
pub(super) trait Sink: Send {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()>;
    fn sync(&mut self) -> io::Result<()>;
}

impl Sink for File {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.write_all(bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.sync_data()
    }
}

/// The segment that the writer writes to.
pub(super) struct Active {
    pub(super) sink: Box<dyn Sink>,
    pub(super) number: u64,
    pub(super) length: u64,
    pub(super) holds_records: bool,
}

/// Which segments there are, as far as they are durable.
#[derive(Debug, Clone, Default)]
pub(super) struct Segments {
    /// Those that will never change again.
    pub(super) closed: BTreeSet<u64>,
    /// The one that is written to.
    pub(super) active: u64,
    /// How much of the active one is durable.
    pub(super) active_bytes: u64,
    /// How many calls of [`Group::rotate`] have been carried out.
    rotations: u64,
}

/// The writer and what it shares with those who append.
pub(super) struct Group {
    shared: Arc<Shared>,
    writer: Option<JoinHandle<()>>,
}

struct Shared {
    folder: PathBuf,
    limits: Limits,
    waiting: Mutex<Waiting>,
    /// The writer sleeps on this, with `waiting`.
    work: Condvar,
    segments: Mutex<Segments>,
    /// Who asked for a rotation sleeps on this, with `segments`.
    rotated: Condvar,
    /// How many of the accepted records are durable.
    durable: AtomicU64,
    /// Who waits for the record at a position. INVARIANT: `durable` rises, and `failure` is set, only under this lock.
    wakers: Mutex<Vec<(u64, Waker)>>,
    failure: OnceLock<Arc<Error>>,
}

/// What was appended and not yet taken by the writer.
struct Waiting {
    /// Room for the group's mark, then frames.
    group: Vec<u8>,
    /// How many records were ever accepted; the last one's position.
    accepted: u64,
    last_store_sequence: u64,
    /// How many rotations were asked for.
    rotations: u64,
    closing: bool,
    /// The writer sleeps, and someone has to wake it.
    idle: bool,
}

impl Group {
    pub(super) fn start(
        folder: &Path,
        limits: Limits,
        active: Active,
        closed: BTreeSet<u64>,
        last_store_sequence: u64,
    ) -> Result<Group, Error> {
        let segments = Segments { closed, active: active.number, active_bytes: active.length, rotations: 0 };
        let shared = Arc::new(Shared {
            folder: folder.to_owned(),
            limits,
            waiting: Mutex::new(Waiting {
                group: vec![0; FRAME_BYTES],
                accepted: 0,
                last_store_sequence,
                rotations: 0,
                closing: false,
                idle: false,
            }),
            work: Condvar::new(),
            segments: Mutex::new(segments),
            rotated: Condvar::new(),
            durable: AtomicU64::new(0),
            wakers: Mutex::new(Vec::new()),
            failure: OnceLock::new(),
        });
        let writer = Writer { shared: shared.clone(), active, spare: vec![0; FRAME_BYTES] };
        let thread = thread::Builder::new().name("audit".to_owned()).spawn(|| writer.run());
        let thread = thread.map_err(|source| Error::file("start the writer of", folder, source))?;
        Ok(Group { shared, writer: Some(thread) })
    }

    /// Accepts a record, which has `source` in the store's queue, or 0.
    pub(super) fn append(&self, source: u64, record: &[u8]) -> Result<Receipt, Error> {
        if record.is_empty() || record.len() > frame::RECORD_BYTES {
            return Err(Error::Size { bytes: record.len() });
        }
        self.shared.check()?;
        let head = frame::head(source, record);
        let mut waiting = lock(&self.shared.waiting);
        if source != 0 && source <= waiting.last_store_sequence {
            // It is in already, at or before the last position.
            return Ok(self.shared.receipt(waiting.accepted));
        }
        if waiting.group.len() + FRAME_BYTES + record.len() > self.shared.limits.queue_bytes {
            return Err(Error::Full { bytes: waiting.group.len() });
        }
        waiting.group.extend_from_slice(&head);
        waiting.group.extend_from_slice(record);
        waiting.accepted += 1;
        waiting.last_store_sequence = waiting.last_store_sequence.max(source);
        let (position, idle) = (waiting.accepted, std::mem::take(&mut waiting.idle));
        drop(waiting);
        if idle {
            self.shared.work.notify_one();
        }
        Ok(self.shared.receipt(position))
    }

    pub(super) fn last_store_sequence(&self) -> u64 {
        lock(&self.shared.waiting).last_store_sequence
    }

    /// Closes the active segment if it holds a record, with all that was appended before this call, and waits until it is.
    pub(super) fn rotate(&self) -> Result<(), Error> {
        self.shared.check()?;
        let mut waiting = lock(&self.shared.waiting);
        waiting.rotations += 1;
        let asked = waiting.rotations;
        drop(waiting);
        self.shared.work.notify_one();

        let mut segments = lock(&self.shared.segments);
        while segments.rotations < asked {
            self.shared.check()?;
            segments = self.shared.rotated.wait(segments).expect(NO_PANIC);
        }
        Ok(())
    }

    pub(super) fn segments(&self) -> Segments {
        lock(&self.shared.segments).clone()
    }

    /// Forgets a closed segment; whether it was one.
    pub(super) fn forget(&self, number: u64) -> bool {
        lock(&self.shared.segments).closed.remove(&number)
    }
}

/// Writes what was accepted, then ends.
impl Drop for Group {
    fn drop(&mut self) {
        lock(&self.shared.waiting).closing = true;
        self.shared.work.notify_one();
        if let Some(writer) = self.writer.take() {
            writer.join().expect(NO_PANIC);
        }
    }
}

const NO_PANIC: &str = "no panic happens in the writer or under its locks";

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect(NO_PANIC)
}

impl Shared {
    /// An error if the log has failed.
    fn check(&self) -> Result<(), Error> {
        match self.failure.get() {
            Some(cause) => Err(Error::Failed { cause: cause.clone() }),
            None => Ok(()),
        }
    }

    fn receipt(self: &Arc<Shared>, position: u64) -> Receipt {
        Receipt { shared: self.clone(), position, registered: false }
    }

    /// Everything up to `position` is durable: wakes those who wait for it. `woken` is an empty buffer.
    fn durable(&self, position: u64, woken: &mut Vec<Waker>) {
        let mut wakers = lock(&self.wakers);
        self.durable.store(position, Ordering::Release);
        woken.extend(wakers.extract_if(.., |(waits_for, _)| *waits_for <= position).map(|(_, waker)| waker));
        drop(wakers);
        woken.drain(..).for_each(Waker::wake);
    }

    /// The log has failed for good: wakes everyone.
    fn fail(&self, error: Error) {
        let mut wakers = lock(&self.wakers);
        self.failure.get_or_init(|| Arc::new(error));
        let woken = std::mem::take(&mut *wakers);
        drop(wakers);
        woken.into_iter().for_each(|(_, waker)| waker.wake());
        // Under the lock, so that nobody checks before and falls asleep after.
        let _segments = lock(&self.segments);
        self.rotated.notify_all();
    }
}

/// A promise about one appended record: ready when the record is durable, or when it is certain that it will not be.
#[must_use = "a record is durable only when its receipt says so"]
pub struct Receipt {
    shared: Arc<Shared>,
    position: u64,
    /// A waker of ours may be in the list.
    registered: bool,
}

impl Receipt {
    /// Blocks this thread until the record is durable.
    ///
    /// # Errors
    /// [`Error::Failed`] when the log could not be written.
    pub fn wait(self) -> Result<(), Error> {
        thread_local! {
            static WAKER: Waker = Waker::from(Arc::new(Unpark(thread::current())));
        }
        let mut receipt = pin!(self);
        WAKER.with(|waker| {
            loop {
                match receipt.as_mut().poll(&mut Context::from_waker(waker)) {
                    Poll::Ready(outcome) => return outcome,
                    Poll::Pending => thread::park(),
                }
            }
        })
    }
}

impl Future for Receipt {
    type Output = Result<(), Error>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        if self.shared.durable.load(Ordering::Acquire) >= self.position {
            return Poll::Ready(Ok(()));
        }
        let receipt = &mut *self;
        let mut wakers = lock(&receipt.shared.wakers);
        if receipt.shared.durable.load(Ordering::Acquire) >= receipt.position {
            return Poll::Ready(Ok(()));
        }
        if let Err(failed) = receipt.shared.check() {
            return Poll::Ready(Err(failed));
        }
        // A receipt that is polled again and again must not fill the list.
        let mine = match receipt.registered {
            true => wakers.iter_mut().find(|(position, _)| *position == receipt.position),
            false => None,
        };
        match mine {
            Some((_, waker)) => waker.clone_from(context.waker()),
            None => wakers.push((receipt.position, context.waker().clone())),
        }
        receipt.registered = true;
        Poll::Pending
    }
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// The thread that writes.
struct Writer {
    shared: Arc<Shared>,
    active: Active,
    /// The buffer that is not being filled: room for a mark, otherwise empty.
    spare: Vec<u8>,
}

/// What the writer found to do.
struct Work {
    group: Vec<u8>,
    accepted: u64,
    last_store_sequence: u64,
    rotations: u64,
    closing: bool,
}

impl Writer {
    fn run(mut self) {
        let (mut woken, mut rotations) = (Vec::new(), 0);
        loop {
            let mut work = self.take(rotations);
            let rotate = work.rotations > rotations;
            rotations = work.rotations;
            if let Err(error) = self.carry_out(&mut work, rotate, &mut woken) {
                return self.shared.fail(error);
            }
            if work.closing {
                return;
            }
            work.group.truncate(FRAME_BYTES);
            self.spare = work.group;
        }
    }

    /// Sleeps until there is something to do, and takes all of it.
    fn take(&mut self, rotations: u64) -> Work {
        let mut waiting = lock(&self.shared.waiting);
        while waiting.group.len() == FRAME_BYTES && waiting.rotations == rotations && !waiting.closing {
            waiting.idle = true;
            waiting = self.shared.work.wait(waiting).expect(NO_PANIC);
        }
        waiting.idle = false;
        Work {
            group: std::mem::replace(&mut waiting.group, std::mem::take(&mut self.spare)),
            accepted: waiting.accepted,
            last_store_sequence: waiting.last_store_sequence,
            rotations: waiting.rotations,
            closing: waiting.closing,
        }
    }

    fn carry_out(&mut self, work: &mut Work, rotate: bool, woken: &mut Vec<Waker>) -> Result<(), Error> {
        if work.group.len() > FRAME_BYTES {
            self.write(&mut work.group)?;
            self.active.holds_records = true;
            lock(&self.shared.segments).active_bytes = self.active.length;
            self.shared.durable(work.accepted, woken);
        }
        let full = self.active.length >= self.shared.limits.segment_bytes;
        if (rotate || full) && self.active.holds_records {
            self.begin_next(work.last_store_sequence)?;
        }
        if rotate {
            lock(&self.shared.segments).rotations = work.rotations;
            self.shared.rotated.notify_all();
        }
        if work.closing {
            // A last mark: what is before it was durable.
            self.write(&mut [0; FRAME_BYTES])?;
        }
        Ok(())
    }

    /// Writes a group, its mark filled in, and makes it durable.
    fn write(&mut self, group: &mut [u8]) -> Result<(), Error> {
        let active = &mut self.active;
        group[..FRAME_BYTES].copy_from_slice(&frame::mark(active.length));
        let path = || segment::path(&self.shared.folder, active.number);
        active.sink.write(group).map_err(|source| Error::file("write", &path(), source))?;
        active.sink.sync().map_err(|source| Error::file("sync", &path(), source))?;
        active.length += group.len() as u64;
        Ok(())
    }

    /// Closes the active segment, all of which is durable, and goes on in a new one.
    fn begin_next(&mut self, last_store_sequence: u64) -> Result<(), Error> {
        let number = self.active.number + 1;
        let file = segment::create(&self.shared.folder, number, last_store_sequence)?;
        let length = frame::HEADER_BYTES as u64;
        let closed =
            std::mem::replace(&mut self.active, Active { sink: Box::new(file), number, length, holds_records: false });
        let mut segments = lock(&self.shared.segments);
        segments.closed.insert(closed.number);
        (segments.active, segments.active_bytes) = (number, length);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A disk that fails at its n-th operation, 1 being the first write.
    struct Failing {
        countdown: u32,
    }

    impl Failing {
        fn step(&mut self) -> io::Result<()> {
            self.countdown -= 1;
            if self.countdown == 0 { Err(io::Error::other("no space left")) } else { Ok(()) }
        }
    }

    impl Sink for Failing {
        fn write(&mut self, _: &[u8]) -> io::Result<()> {
            self.step()
        }

        fn sync(&mut self) -> io::Result<()> {
            self.step()
        }
    }

    fn group(countdown: u32, queue_bytes: usize) -> Group {
        let active = Active { sink: Box::new(Failing { countdown }), number: 1, length: 24, holds_records: false };
        let limits = Limits { queue_bytes, ..Limits::default() };
        Group::start(Path::new("log"), limits, active, BTreeSet::new(), 0).unwrap()
    }

    #[test]
    fn a_failed_write_or_sync_fails_the_log_for_good() {
        for (countdown, doing) in [(3, "write"), (4, "sync")] {
            let group = group(countdown, 1 << 20);
            let first = group.append(0, b"{}").unwrap();
            first.wait().unwrap();
            let failed = group.append(0, b"{}").unwrap().wait().unwrap_err();
            assert_eq!(
                failed.to_string(),
                format!(
                    "the audit log has failed and takes no more records: cannot {doing} `log/000000000001.log`: no space left"
                )
            );
            assert!(matches!(group.append(0, b"{}"), Err(Error::Failed { .. })));
            assert!(matches!(group.append(7, b"{}"), Err(Error::Failed { .. })));
            assert!(matches!(group.rotate(), Err(Error::Failed { .. })));
        }
    }

    #[test]
    fn everyone_who_waits_hears_of_a_failure() {
        let group = group(1, 1 << 20);
        let failures = thread::scope(|scope| {
            let append = || group.append(0, b"{}").and_then(Receipt::wait);
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(append)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).filter(Result::is_err).count()
        });
        assert_eq!(failures, 8);
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let group = group(1000, 100);
        assert!(matches!(group.append(0, &[b'x'; 100]), Err(Error::Full { bytes: 16 })));
        assert!(matches!(group.append(0, b""), Err(Error::Size { bytes: 0 })));
        assert!(matches!(group.append(0, &vec![b'x'; (1 << 20) + 1]), Err(Error::Size { bytes: 1_048_577 })));
        group.append(0, b"{}").unwrap().wait().unwrap();
    }

    #[test]
    fn polling_again_registers_no_second_waker() {
        let group = group(1000, 1 << 20);
        // A position that will not come, as of a record that is still waiting.
        let mut receipt = pin!(group.shared.receipt(9));
        for _ in 0..3 {
            assert!(receipt.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        }
        assert_eq!(lock(&group.shared.wakers).len(), 1);
    }
}
