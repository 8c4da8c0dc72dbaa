//! What a call meets behind the door: the funnel from a verified request to an answer that may leave.

use std::sync::Arc;
use std::thread::available_parallelism;

use api::validate::Fields;
use api::{Fault, KeyArn, KeySpec, Service, Timestamp};
use arc_swap::ArcSwap;
use jiff::SignedDuration;
use service::{Call, Caller, Commit, Effect, LastUse, State, Use, Vault};
use store::{BATCH_WRITES, Batch, BatchId};
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::sync::{Mutex, Notify, Semaphore};
use tokio::task::block_in_place;
use tracing::warn;

use crate::audit;
use crate::clock::Clock;
use crate::commit::{Committer, Done};
use crate::folder::Folder;
use crate::health::Health;
use crate::ids;
use crate::lookup::Turns;
use crate::quotas::{self, Buckets, Counted};
use crate::records::Records;
use crate::sigv4::Verifier;
use crate::ticks::Ticker;

/// How often a call is decided again because the world changed under it, before it is given up.
const DECISIONS: usize = 64;

/// One running server, without its sockets.
pub(crate) struct Node {
    pub(crate) state: Arc<ArcSwap<State>>,
    pub(crate) vault: Vault,
    pub(crate) verifier: Verifier<Caller>,
    pub(crate) clock: Clock,
    pub(crate) committer: Committer,
    pub(crate) records: Arc<Records>,
    /// Whose turn it is to look up.
    pub(crate) lookups: Turns,
    pub(crate) health: Arc<Health>,
    /// Whether controls exist.
    pub(crate) dev: bool,
    /// How late keys are deleted.
    pub(crate) deletion_delay_seconds: u32,
    /// How old an unsealed record may become.
    pub(crate) seal_every: SignedDuration,
    /// How many calls each account may make.
    pub(crate) quotas: Buckets,
    /// Places for decisions that take long: while each of them computes, all other calls go on.
    pub(crate) slow: Semaphore,
    /// Wakes the ticks when a custom key store is to be connected.
    pub(crate) connecting: Notify,
    /// Whose turn it is to do what time asks for: one at a time.
    pub(crate) ticker: Mutex<Ticker>,
    /// Wakes the tick's loop when a change made something due soon.
    pub(crate) sooner: Notify,
    /// Lives as long as the server, since a temporary one is removed with it.
    pub(crate) _folder: Folder,
}

impl Node {
    /// Answers a verified call that the service decides.
    ///
    /// INVARIANT: what comes back may leave. The call's record is durable, and so is its change.
    pub(crate) async fn answer(&self, call: &Call<'_>) -> Result<Vec<u8>, Fault> {
        for attempt in 0..DECISIONS {
            let mut effect = if call.operation.slow { self.decide_slowly(call).await } else { self.decide(call) };
            if attempt == 0 && !self.admits(call, &effect) {
                effect = service::refuse(call, quotas::throttled());
            }
            if let Some(reply) = self.carry_out(call, effect).await {
                return reply;
            }
        }
        warn!(operation = call.operation.name, "gave up a call, since what it is about kept changing");
        Err(Fault {
            code: "DependencyTimeoutException",
            message: Some(
                "The system timed out while trying to fulfill the request. You can retry the request.".into(),
            ),
            status: 500,
        })
    }

    /// Whether the caller's account may make this call now. It is asked when the call is decided, since the key that it is about
    /// says which quota counts; an effect that is not carried out leaves no trace.
    fn admits(&self, call: &Call<'_>, effect: &Effect) -> bool {
        if !self.quotas.hold() || call.operation.service != Service::Kms {
            return true;
        }
        let used = effect.uses.first();
        let key = used.and_then(|used| self.state.load().key(&used.key).map(|key| key.spec));
        let pair = Fields::parse(call.body).ok().and_then(|fields| {
            let spec: &str = serde_json::from_str(fields.raw("KeyPairSpec")?.get()).ok()?;
            KeySpec::named(spec)
        });
        let counted =
            Counted { account: call.caller.account, region: call.region, operation: call.operation.name, key, pair };
        // A virtual clock stands still, and the quotas with it: a test sees the same calls throttled each time.
        let now = match self.clock.is_virtual() {
            true => call.now.duration_since(Timestamp::UNIX_EPOCH).unsigned_abs(),
            false => self.clock.monotonic(),
        };
        self.quotas.admit(&counted, now)
    }

    /// Decides a call that may compute for long: on a thread that nobody else needs, and not too many at a time.
    async fn decide_slowly(&self, call: &Call<'_>) -> Effect {
        let _place = self.slow.acquire().await.expect("the semaphore is never closed");
        aside(|| service::decide(&self.state.load_full(), &self.vault, call))
    }

    /// How many decisions may take long at a time: half the processors, so that the other half is there for everybody else.
    pub(crate) fn slow_places() -> Semaphore {
        let processors = available_parallelism().map_or(1, usize::from);
        Semaphore::new((processors / 2).max(1))
    }

    /// Decides a call. Where keys are outside it may have to wait for them, on a thread that nobody else needs meanwhile.
    fn decide(&self, call: &Call<'_>) -> Effect {
        let state = self.state.load();
        let decide = || service::decide(&state, &self.vault, call);
        if state.reaches_outside() { aside(decide) } else { decide() }
    }

    /// Makes an effect durable, then hands out its reply; `None` where the world has changed and the call must be decided again.
    pub(crate) async fn carry_out(&self, call: &Call<'_>, effect: Effect) -> Option<Result<Vec<u8>, Fault>> {
        match effect.commit {
            Commit::Append(records) => {
                if let Err(error) = self.append(call, &records).await {
                    return Some(Err(self.unrecorded(&error)));
                }
            }
            Commit::Batch(batch) => {
                if let Err(error) = batch.check() {
                    // The store's limits are above those of the API, but for requests that use several of those in full.
                    return Some(Err(Fault::new(
                        "LimitExceededException",
                        format!("The request is too large: {error}."),
                    )));
                }
                match self.committer.commit(batch).await {
                    Done::Committed => {
                        self.look_sooner();
                        if service::is_connecting(&self.state.load()) {
                            self.connecting.notify_one();
                        }
                    }
                    Done::Conflict => return None,
                    Done::Failed => return Some(Err(Fault::internal())),
                }
            }
        }
        self.note(call, effect.uses);
        Some(effect.reply)
    }

    /// Returns when every copy of a call's record is durable; they go to the disk together.
    async fn append(&self, call: &Call<'_>, records: &[Vec<u8>]) -> Result<(), audit::Error> {
        let mut receipts = Vec::with_capacity(records.len());
        for record in records {
            receipts.push(self.records.append(&call.region, record)?);
        }
        for receipt in receipts {
            receipt.await?;
        }
        Ok(())
    }

    /// What a caller hears whose record could not be written.
    fn unrecorded(&self, error: &audit::Error) -> Fault {
        match error {
            audit::Error::Full { .. } => Fault::new("ThrottlingException", "Rate exceeded"),
            error => {
                self.health.audit_failed(error);
                Fault::internal()
            }
        }
    }

    fn note(&self, call: &Call<'_>, uses: Vec<Use>) {
        if uses.is_empty() {
            return;
        }
        let state = self.state.load();
        for Use { key, operation, event_id } in uses {
            let (operation, request_id) = (operation.to_owned(), call.request_id.to_owned());
            state.note_use(&key, &LastUse { operation, at: call.now, event_id, request_id });
        }
    }

    /// Writes the last uses of `keys` into the store; whether that is durable. Blocks.
    pub(crate) fn keep_uses(&self, keys: &[KeyArn]) -> bool {
        keys.chunks(BATCH_WRITES).all(|keys| {
            let mut batch = Batch::new(BatchId(ids::fresh()));
            batch.put = service::uses_batch(&self.state.load(), keys);
            batch.put.is_empty() || self.committer.commit_blocking(batch) == Done::Committed
        })
    }
}

/// Does what may take long on a thread that nobody else needs meanwhile, where there are others to go on.
fn aside<T>(work: impl FnOnce() -> T) -> T {
    match Handle::current().runtime_flavor() {
        RuntimeFlavor::MultiThread => block_in_place(work),
        _ => work(),
    }
}
