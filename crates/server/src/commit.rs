//! The commit loop: one thread through which every change of the store goes.
//!
//! It gathers the batches that wait, commits them in one durable write, takes the committed ones into the state, publishes the
//! new snapshot, and only then answers. The records of the changes are committed with them in the store's queue; afterwards this
//! thread pumps them over into the audit log.
//!
//! *Guarantees*
//! - Who is told [`Done::Committed`] finds the change in the published state, and on disk after any crash.
//! - A record of a change reaches the audit log exactly once: the log remembers the sequence it has, and the queue is trimmed
//!   only behind what the log has made durable.

use std::sync::Arc;
use std::thread::JoinHandle;

use arc_swap::ArcSwap;
use service::State;
use store::{Batch, BatchId, Error, Outcome, Store};
use tokio::sync::{mpsc, oneshot};
use tracing::warn;

use crate::error::StartError;
use crate::health::Health;
use crate::ids;
use crate::records::Records;

/// Most batches in one durable write.
const GROUP: usize = 64;
/// Most batches that wait; who comes then waits to be let in.
const QUEUE: usize = 1024;
/// Most records pumped at a time.
const PUMP: usize = 256;
/// The store's queue is trimmed when so many of its records are in the audit log, and whenever all is to be settled.
const TRIM: u64 = 1024;
/// Entries that a page of a scan holds.
const PAGE: usize = 1000;

/// What became of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Done {
    /// It is durable and in the published state.
    Committed,
    /// The world had changed, and nothing happened: decide again.
    Conflict,
    /// It cannot be told, or the store has failed.
    Failed,
}

enum Job {
    Commit(Batch, oneshot::Sender<Done>),
    Settle(oneshot::Sender<()>),
    Reset(oneshot::Sender<Done>),
    Stop,
}

/// The way to the commit loop.
#[derive(Clone)]
pub(crate) struct Committer {
    jobs: mpsc::Sender<Job>,
}

impl Committer {
    /// Commits `batch`.
    pub(crate) async fn commit(&self, batch: Batch) -> Done {
        let (reply, done) = oneshot::channel();
        if self.jobs.send(Job::Commit(batch, reply)).await.is_err() {
            return Done::Failed;
        }
        done.await.unwrap_or(Done::Failed)
    }

    /// Commits several batches side by side, and as one group where they fit; what became of each, in order.
    pub(crate) async fn commit_all(&self, batches: Vec<Batch>) -> Vec<Done> {
        let mut waiting = Vec::with_capacity(batches.len());
        for batch in batches {
            let (reply, done) = oneshot::channel();
            // The answer to a job that was not taken is an error, too.
            let _ = self.jobs.send(Job::Commit(batch, reply)).await;
            waiting.push(done);
        }
        let mut done = Vec::with_capacity(waiting.len());
        for waiting in waiting {
            done.push(waiting.await.unwrap_or(Done::Failed));
        }
        done
    }

    /// As [`Committer::commit`], for a thread that may block.
    pub(crate) fn commit_blocking(&self, batch: Batch) -> Done {
        let (reply, done) = oneshot::channel();
        if self.jobs.blocking_send(Job::Commit(batch, reply)).is_err() {
            return Done::Failed;
        }
        done.blocking_recv().unwrap_or(Done::Failed)
    }

    /// Returns when the record of every change that was answered before is durable in the audit log.
    pub(crate) async fn settle(&self) {
        let (reply, done) = oneshot::channel();
        if self.jobs.send(Job::Settle(reply)).await.is_ok() {
            // An error is a loop that has ended, after it settled.
            let _ = done.await;
        }
    }

    /// Ends the loop when everything that waits is done; who comes later is told [`Done::Failed`].
    pub(crate) async fn stop(&self) {
        // An error is a loop that has ended.
        let _ = self.jobs.send(Job::Stop).await;
    }

    /// Empties the store and the state.
    pub(crate) async fn reset(&self) -> Done {
        let (reply, done) = oneshot::channel();
        if self.jobs.send(Job::Reset(reply)).await.is_err() {
            return Done::Failed;
        }
        done.await.unwrap_or(Done::Failed)
    }
}

/// What the loop works on.
pub(crate) struct Commits {
    pub(crate) store: Box<dyn Store>,
    pub(crate) state: Arc<ArcSwap<State>>,
    pub(crate) records: Arc<Records>,
    pub(crate) health: Arc<Health>,
}

/// The state as it is stored: every entry, read in pages.
pub(crate) fn load(store: &dyn Store) -> Result<State, StartError> {
    let mut state = State::default();
    let mut from = vec![0];
    loop {
        let page = store.scan(&from, &[0xff], PAGE)?;
        for entry in &page {
            state.load(entry)?;
        }
        match page.last() {
            // The next page starts behind the last key.
            Some(last) if page.len() == PAGE => from = [last.key.as_slice(), &[0]].concat(),
            Some(_) | None => return Ok(state),
        }
    }
}

impl Commits {
    /// Takes over the store's queue, then starts the loop.
    pub(crate) fn start(self) -> Result<(Committer, JoinHandle<()>), StartError> {
        let pumped = self.records.last_store_sequence();
        let mut worker = Worker { commits: self, pumped, trimmed: 0 };
        worker.settle();
        let (jobs, waiting) = mpsc::channel(QUEUE);
        let thread = std::thread::Builder::new().name("commit".to_owned()).spawn(move || worker.run(waiting));
        Ok((Committer { jobs }, thread.map_err(StartError::Thread)?))
    }
}

struct Worker {
    commits: Commits,
    /// The last sequence of the queue that the audit log was given.
    pumped: u64,
    /// The last sequence that was trimmed from the queue, as far as is known.
    trimmed: u64,
}

impl Worker {
    fn run(mut self, mut waiting: mpsc::Receiver<Job>) {
        let mut jobs = Vec::with_capacity(GROUP);
        while waiting.blocking_recv_many(&mut jobs, GROUP) > 0 {
            let mut group = Vec::with_capacity(jobs.len());
            for job in jobs.drain(..) {
                match job {
                    Job::Commit(batch, reply) => group.push((batch, reply)),
                    Job::Settle(reply) => {
                        self.commit(std::mem::take(&mut group));
                        self.settle();
                        let _ = reply.send(());
                    }
                    Job::Reset(reply) => {
                        self.commit(std::mem::take(&mut group));
                        let _ = reply.send(self.reset());
                    }
                    Job::Stop => waiting.close(),
                }
            }
            self.commit(group);
            self.pump();
            if self.pumped - self.trimmed >= TRIM {
                self.settle();
            }
        }
        self.settle();
    }

    fn commit(&mut self, group: Vec<(Batch, oneshot::Sender<Done>)>) {
        let (batches, replies): (Vec<Batch>, Vec<_>) = group.into_iter().unzip();
        let done = self.commit_batches(&batches);
        for (reply, done) in replies.into_iter().zip(done) {
            // Who no longer waits has lost interest; the change stays.
            let _ = reply.send(done);
        }
    }

    /// Commits batches, and publishes the state that they lead to.
    fn commit_batches(&mut self, batches: &[Batch]) -> Vec<Done> {
        if batches.is_empty() {
            return Vec::new();
        }
        if self.commits.health.is_broken() {
            return vec![Done::Failed; batches.len()];
        }
        let outcomes = match self.commits.store.commit(batches) {
            Ok(outcomes) => outcomes,
            Err(error) => match self.resolve(batches, &error) {
                Some(outcomes) => outcomes,
                None => {
                    self.commits.health.store_failed(&error);
                    return vec![Done::Failed; batches.len()];
                }
            },
        };
        let mut state = State::clone(&self.commits.state.load());
        let mut done = Vec::with_capacity(batches.len());
        for (batch, outcome) in batches.iter().zip(outcomes) {
            done.push(match outcome {
                Outcome::Conflict { .. } => Done::Conflict,
                Outcome::Committed { revision } => match state.apply(batch, revision) {
                    Ok(()) => Done::Committed,
                    Err(corrupt) => {
                        // What we wrote we cannot read: the state would no longer be the store's.
                        self.commits.health.store_failed(&corrupt);
                        Done::Failed
                    }
                },
            });
        }
        self.commits.state.store(Arc::new(state));
        done
    }

    /// What became of a group whose commit ended in `error`, if that can be found out.
    fn resolve(&self, batches: &[Batch], error: &Error) -> Option<Vec<Outcome>> {
        let Error::Unknown { .. } = error else { return None };
        warn!(%error, "looking for the batches of a commit whose outcome is not known");
        let found: Vec<Option<u64>> =
            batches.iter().map(|batch| self.commits.store.find(batch.id)).collect::<Result<_, _>>().ok()?;
        // All that had no conflict were committed, or none was; where none is found, that cannot be told apart.
        found.iter().any(Option::is_some).then(|| {
            let outcome = |(found, batch): (Option<u64>, &Batch)| match found {
                Some(revision) => Outcome::Committed { revision },
                None => Outcome::Conflict { key: batch.expect.first().map(|(key, _)| key.clone()).unwrap_or_default() },
            };
            found.into_iter().zip(batches).map(outcome).collect()
        })
    }

    /// Hands the queue's new records to the audit log, without waiting for its disk: they are durable in the store.
    fn pump(&mut self) {
        while !self.commits.health.is_broken() {
            let page = match self.commits.store.appended(self.pumped, PUMP) {
                Ok(page) if page.is_empty() => return,
                Ok(page) => page,
                Err(error) => return self.commits.health.store_failed(&error),
            };
            for record in &page {
                if let Err(error) = self.commits.records.append_from_store(record) {
                    return self.commits.health.audit_failed(&error);
                }
                self.pumped = record.sequence;
            }
        }
    }

    /// Pumps, waits for the audit log's disk, and trims what it has.
    fn settle(&mut self) {
        self.pump();
        if self.commits.health.is_broken() {
            return;
        }
        if let Err(error) = self.commits.records.wait() {
            return self.commits.health.audit_failed(&error);
        }
        if self.pumped > self.trimmed {
            match self.commits.store.trim(self.pumped) {
                Ok(()) => self.trimmed = self.pumped,
                Err(error) => self.commits.health.store_failed(&error),
            }
        }
    }

    /// Deletes every entry of the store.
    fn reset(&mut self) -> Done {
        self.settle();
        loop {
            let page = match self.commits.store.scan(&[0], &[0xff], store::BATCH_WRITES) {
                Ok(page) => page,
                Err(error) => {
                    self.commits.health.store_failed(&error);
                    return Done::Failed;
                }
            };
            if page.is_empty() {
                self.commits.state.store(Arc::default());
                return Done::Committed;
            }
            let mut batch = Batch::new(BatchId(ids::fresh()));
            batch.delete = page.into_iter().map(|entry| entry.key).collect();
            if self.commit_batches(&[batch]) != [Done::Committed] {
                return Done::Failed;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use api::{KeyArn, Timestamp};
    use store::{Appended, Entry, Memory, Version};

    use super::*;
    use crate::folder::{Folder, Kind, Wanted};

    /// How a commit of [`Faulty`] ends.
    #[derive(Debug, Clone, Copy)]
    enum Fault {
        /// Nothing was changed.
        Engine,
        /// It was committed, and the answer got lost.
        Committed,
        /// It was not committed, and nobody can tell.
        Lost,
    }

    /// A store that fails once it is told to.
    struct Faulty {
        store: Memory,
        fault: Fault,
        armed: Arc<AtomicBool>,
    }

    impl Store for Faulty {
        fn get(&self, key: &[u8]) -> Result<Option<(Vec<u8>, Version)>, Error> {
            self.store.get(key)
        }

        fn scan(&self, from: &[u8], until: &[u8], limit: usize) -> Result<Vec<Entry>, Error> {
            self.store.scan(from, until, limit)
        }

        fn commit(&self, batches: &[Batch]) -> Result<Vec<Outcome>, Error> {
            if !self.armed.swap(false, Ordering::SeqCst) {
                return self.store.commit(batches);
            }
            let source = || Box::new(redb::Error::Corrupted("for the test".to_owned()));
            match self.fault {
                Fault::Engine => Err(Error::Engine { source: source() }),
                Fault::Committed => self.store.commit(batches).and(Err(Error::Unknown { source: source() })),
                Fault::Lost => Err(Error::Unknown { source: source() }),
            }
        }

        fn find(&self, id: BatchId) -> Result<Option<Version>, Error> {
            self.store.find(id)
        }

        fn appended(&self, after: u64, limit: usize) -> Result<Vec<Appended>, Error> {
            self.store.appended(after, limit)
        }

        fn trim(&self, through: u64) -> Result<(), Error> {
            self.store.trim(through)
        }
    }

    struct Stage {
        committer: Committer,
        state: Arc<ArcSwap<State>>,
        health: Arc<Health>,
        records: Arc<Records>,
        armed: Arc<AtomicBool>,
        _folder: Folder,
    }

    fn stage(fault: Fault) -> Stage {
        let wanted = Wanted { kind: Kind::Dev, account: None, now: Timestamp::UNIX_EPOCH };
        let folder = Folder::temporary(wanted).unwrap();
        let armed = Arc::new(AtomicBool::new(false));
        let store = Box::new(Faulty { store: Memory::new(), fault, armed: armed.clone() });
        let records = Arc::new(Records::open(&folder, true).unwrap());
        let (state, health) = (Arc::<ArcSwap<State>>::default(), Arc::<Health>::default());
        let commits = Commits { store, state: state.clone(), records: records.clone(), health: health.clone() };
        let (committer, _) = commits.start().unwrap();
        Stage { committer, state, health, records, armed, _folder: folder }
    }

    const ARN: &str = "arn:aws:kms:eu-west-1:000000000000:key/00000000-0000-0000-0000-000000000001";

    /// A change that only an empty place takes, with a record.
    fn change(id: u8) -> Batch {
        let key = format!("tombstone/{ARN}").into_bytes();
        let moment = "2026-01-01T00:00:00Z";
        let value = serde_json::json!({ "v": 1, "created": moment, "deletion_date": moment, "deleted": moment });
        let mut batch = Batch::new(BatchId([id; 16]));
        batch.expect = vec![(key.clone(), None)];
        batch.put = vec![(key, value.to_string().into_bytes())];
        batch.append = vec![format!(r#"{{"eventID":"{id}"}}"#).into_bytes()];
        batch
    }

    impl Stage {
        fn is_there(&self) -> bool {
            self.state.load().tombstone(&ARN.parse::<KeyArn>().unwrap()).is_some()
        }

        /// How many records the audit log took over.
        fn recorded(&self) -> u64 {
            self.records.last_store_sequence()
        }
    }

    #[tokio::test]
    async fn a_committed_change_is_published_and_recorded_once() {
        let stage = stage(Fault::Engine);
        assert_eq!(stage.committer.commit_all(vec![change(1), change(2)]).await, [Done::Committed, Done::Conflict]);
        assert!(stage.is_there());
        for _ in 0..2 {
            stage.committer.settle().await;
            assert_eq!(stage.recorded(), 1);
        }
    }

    #[tokio::test]
    async fn a_failed_store_answers_no_one_any_more() {
        let stage = stage(Fault::Engine);
        stage.armed.store(true, Ordering::SeqCst);
        assert_eq!(stage.committer.commit(change(1)).await, Done::Failed);
        assert_eq!(stage.committer.commit(change(2)).await, Done::Failed);
        assert!(!stage.is_there());
        assert!(stage.health.reasons()[0].starts_with("store: storage failed"), "{:?}", stage.health.reasons());
    }

    #[tokio::test]
    async fn an_unknown_outcome_is_looked_up() {
        let stage = stage(Fault::Committed);
        stage.armed.store(true, Ordering::SeqCst);
        assert_eq!(stage.committer.commit(change(1)).await, Done::Committed);
        assert!(stage.is_there() && !stage.health.is_broken());
        stage.committer.settle().await;
        assert_eq!(stage.recorded(), 1);
    }

    #[tokio::test]
    async fn an_outcome_that_stays_unknown_is_a_failure() {
        let stage = stage(Fault::Lost);
        stage.armed.store(true, Ordering::SeqCst);
        assert_eq!(stage.committer.commit(change(1)).await, Done::Failed);
        assert!(!stage.is_there() && stage.health.is_broken());
    }
}
