//! The service as it runs here: the whole of it over the memory store, with a clock that the hall turns and crashes on demand.
//!
//! What is durable is what the store took and what the audit log took; the rest is gone with a crash. A call that never got its answer
//! may have happened.

use std::collections::BTreeMap;

use api::{KeyArn, Region, Timestamp};
use jiff::SignedDuration;
use lifecycle::State as KeyState;
use procedure::span::after;
use serde_json::{Value, json};
use service::{Call, Caller, CallerKind, Commit, Due, LastUse, Origin, State, Vault};
use store::{Batch, Memory, Outcome, Store};

use crate::checkers::{Checkers, Life};
use crate::delivery::Delivery;
use crate::random::Random;
use crate::run::Subject;
use crate::trace::Trace;

/// The account that everything here belongs to.
pub(crate) const ACCOUNT: &str = "111122223333";
/// The IAM user that the runners call as.
pub(crate) const OPERATOR: &str = "quietus";

/// Most entries of the store that one restart reads; there are only a few keys here.
const MAX_ENTRIES: usize = 10_000;

/// The service, its trail, and who watches both.
pub(crate) struct World {
    pub(crate) now: Timestamp,
    pub(crate) delivery: Delivery,
    pub(crate) checks: Checkers,
    pub(crate) trace: Trace,
    /// Likelihood that a call meets a fault, in thousandths. Most calls are looks, and meet far fewer.
    pub(crate) call_faults: u64,
    random: Random,
    subject: Subject,
    state: State,
    /// The state before the last change, and until when a call that began before it may still be decided on it.
    earlier: (State, Timestamp),
    store: Memory,
    vault: Vault,
    region: Region,
    down_until: Timestamp,
    /// How much later than its date a key is deleted, in seconds.
    deletion_delay_seconds: u32,
    /// Last uses as the durable records tell them: what a restarted service has of them.
    used: BTreeMap<KeyArn, LastUse>,
    names: Vec<(KeyArn, String)>,
    ids: u64,
}

/// What a caller gets.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Answer {
    /// The call was done; `null` where the operation has no answer.
    Reply { body: Value, request_id: String },
    /// The call was refused.
    Refused { code: String, message: String, request_id: String },
    /// No answer came. The call may have happened.
    Silence,
}

/// Of so many faults of looks in a thousand one happens.
const LOOK_FAULTS: u64 = 30;

/// In so many deletions of a thousand somebody cancels at the same moment.
const RACES: u64 = 150;

/// What happens to one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Answered,
    /// It began just before the last change, and is first decided on the state before that.
    BeganEarlier,
    CrashBeforeCommit,
    CrashAfterCommit,
    AnswerLost,
}

impl World {
    pub(crate) fn new(
        now: Timestamp,
        subject: Subject,
        random: &mut Random,
        delivery: Delivery,
        checks: Checkers,
    ) -> World {
        let deletion_delay_seconds = *random.pick(&[0, 0, 3600, 20 * 3600]);
        World {
            now,
            delivery,
            checks,
            trace: Trace::new(now),
            call_faults: 0,
            random: random.branch(),
            subject,
            state: State::default(),
            earlier: (State::default(), now),
            store: Memory::default(),
            vault: Vault::new(crypto::Keyring::in_memory()),
            region: "eu-west-1".parse().expect("the name of a Region"),
            down_until: now,
            deletion_delay_seconds,
            used: BTreeMap::new(),
            names: Vec::new(),
            ids: 0,
        }
    }

    /// Lets the clock stand at `now`, and what is due arrive.
    pub(crate) fn turn_to(&mut self, now: Timestamp) {
        self.now = now;
        self.delivery.arrive(now);
    }

    /// Calls the service. The call may meet a crash.
    pub(crate) fn call(&mut self, caller: &Caller, operation: &'static str, body: &Value) -> Answer {
        let fate = if is_look(operation) && !self.random.chance(LOOK_FAULTS) { Fate::Answered } else { self.fate() };
        self.call_with(caller, operation, body, fate)
    }

    /// Calls the service in a moment without faults.
    pub(crate) fn call_surely(&mut self, caller: &Caller, operation: &'static str, body: &Value) -> Answer {
        self.call_with(caller, operation, body, Fate::Answered)
    }

    fn fate(&mut self) -> Fate {
        if self.call_faults > 0 && self.now <= self.earlier.1 && self.random.chance(300) {
            return Fate::BeganEarlier;
        }
        if !self.random.chance(self.call_faults) {
            return Fate::Answered;
        }
        *self.random.pick(&[Fate::CrashBeforeCommit, Fate::CrashAfterCommit, Fate::AnswerLost, Fate::AnswerLost])
    }

    fn call_with(&mut self, caller: &Caller, operation: &'static str, body: &Value, fate: Fate) -> Answer {
        if self.now < self.down_until {
            return Answer::Silence;
        }
        let (request_id, event_id) = (self.uuid(), self.uuid());
        let body = body.to_string();
        let call = Call {
            operation: api::find(api::Service::Kms, operation).expect("the hall calls what is offered"),
            caller,
            region: self.region,
            body: body.as_bytes(),
            now: self.now,
            request_id: &request_id,
            event_id: &event_id,
            origin: Origin { source_ip: "192.0.2.1", user_agent: "hall", host: "localhost", tls: None },
        };
        // EnableKey of an enabled key changes nothing and so expects nothing: of two calls that overlap, either may be recorded
        // first. A rule that reads records in their order cannot tell, so such calls do not overlap here.
        let overlaps = fate == Fate::BeganEarlier && !matches!(operation, "EnableKey" | "DisableKey");
        let snapshot = if overlaps { &self.earlier.0 } else { &self.state };
        let mut effect = (self.subject.decide)(snapshot, &self.vault, &call);
        if fate == Fate::CrashBeforeCommit {
            self.crash();
            return Answer::Silence;
        }
        if let Commit::Batch(batch) = &effect.commit
            && !self.commit(batch)
        {
            effect = (self.subject.decide)(&self.state, &self.vault, &call);
            if let Commit::Batch(batch) = &effect.commit {
                let committed = self.commit(batch);
                assert!(committed, "a batch decided on the newest state commits: nobody else changes the store");
            }
        }
        match &effect.commit {
            Commit::Append(records) if is_look(operation) => {
                for record in records {
                    // When it arrives is the reader's business.
                    let _ = self.delivery.send(record, self.now);
                }
            }
            Commit::Append(records) => records.iter().for_each(|record| self.keep(record, false)),
            Commit::Batch(_) => {}
        }
        for used in &effect.uses {
            let last = LastUse {
                operation: used.operation.to_owned(),
                at: self.now,
                event_id: used.event_id.clone(),
                request_id: request_id.clone(),
            };
            self.state.note_use(&used.key, &last);
            self.used.insert(used.key, last);
        }
        match fate {
            Fate::CrashAfterCommit => {
                self.crash();
                Answer::Silence
            }
            Fate::AnswerLost => Answer::Silence,
            Fate::CrashBeforeCommit | Fate::BeganEarlier | Fate::Answered => match effect.reply {
                Ok(reply) if reply.is_empty() => Answer::Reply { body: Value::Null, request_id },
                Ok(reply) => {
                    let body = serde_json::from_slice(&reply).expect("an answer is JSON");
                    Answer::Reply { body, request_id }
                }
                Err(fault) => Answer::Refused {
                    code: fault.code.to_owned(),
                    message: fault.message.unwrap_or_default().into_owned(),
                    request_id,
                },
            },
        }
    }

    /// Commits a batch; `false` where the world has changed since it was decided.
    fn commit(&mut self, batch: &Batch) -> bool {
        let outcome = self.store.commit(std::slice::from_ref(batch)).expect("batches keep to the limits").remove(0);
        let Outcome::Committed { revision } = outcome else { return false };
        self.earlier = (self.state.clone(), after(self.now, SignedDuration::from_secs(5)));
        self.state.apply(batch, revision).expect("the service reads what it wrote");
        self.checks.committed(batch.append.len(), self.now);
        // What enables an enabled key is decided on its state, and changes nothing.
        let changes = !(batch.put.is_empty() && batch.delete.is_empty());
        for record in &batch.append {
            self.keep(record, changes);
        }
        true
    }

    /// A record is durable, with or without a change.
    fn keep(&mut self, record: &[u8], changes: bool) {
        let arrives = self.delivery.send(record, self.now);
        let told: Value = serde_json::from_slice(record).expect("a record is JSON");
        let lives = |arn: &KeyArn| life(&self.state, arn);
        self.checks.recorded(&told, changes, arrives, self.now, lives);
    }

    /// Lets time do its work: deletes what is due. The keys that were deleted.
    pub(crate) fn tick(&mut self) -> Vec<KeyArn> {
        if self.now < self.down_until {
            return Vec::new();
        }
        let ids = &mut self.ids;
        let mut fresh = || {
            *ids += 1;
            uuid_bytes(*ids)
        };
        let snapshot = if self.now <= self.earlier.1 { &self.earlier.0 } else { &self.state };
        let mut due = (self.subject.tick)(snapshot, &self.vault, self.now, self.deletion_delay_seconds, &mut fresh);
        // In an order that does not hang on key ids.
        due.sort_by_key(|due| self.names.iter().position(|(known, _)| *known == due.key));
        let mut gone = Vec::new();
        for Due { key: arn, batch, .. } in due {
            let fate = self.fate();
            if fate == Fate::CrashBeforeCommit {
                self.crash();
                return gone;
            }
            if self.call_faults > 0 && self.random.chance(RACES) {
                // Somebody cancels between the decision and its commit: exactly one of the two may win.
                self.call_surely(&root(), "CancelKeyDeletion", &json!({ "KeyId": arn.to_string() }));
            }
            if self.commit(&batch) {
                gone.push(arn);
            }
            if fate == Fate::CrashAfterCommit {
                self.crash();
                return gone;
            }
        }
        gone
    }

    /// The process dies, and is back in a while with what is durable.
    pub(crate) fn crash(&mut self) {
        let away = self.random.length(SignedDuration::from_secs(5), SignedDuration::from_mins(10));
        self.down_until = after(self.now, away);
        self.trace.say(self.now, "service", format_args!("crashes, and is away for {}s", away.as_secs()));
        let mut state = State::default();
        for entry in self.store.scan(&[], &[0xff], MAX_ENTRIES).expect("the memory store reads") {
            state.load(&entry).expect("the service reads what it wrote");
        }
        for (key, used) in &self.used {
            state.note_use(key, used);
        }
        self.state = state;
        self.earlier = (self.state.clone(), self.now);
        self.audit();
    }

    /// Compares the durable records with the durable state.
    pub(crate) fn audit(&mut self) {
        let queued = self.store.appended(0, usize::MAX).expect("the memory store reads").len();
        self.checks.compare(queued, self.now, |arn| life(&self.state, arn));
    }

    /// How the key is, beyond doubt.
    pub(crate) fn life(&self, arn: &KeyArn) -> Life {
        life(&self.state, arn)
    }

    /// Gives a key its nickname.
    pub(crate) fn name(&mut self, arn: KeyArn, name: String) {
        self.checks.name(arn, name.clone());
        self.names.push((arn, name));
    }

    /// `text` with nicknames instead of ARNs.
    pub(crate) fn plain(&self, text: String) -> String {
        self.names.iter().fold(text, |text, (arn, name)| text.replace(&arn.to_string(), name))
    }

    fn uuid(&mut self) -> String {
        self.ids += 1;
        api::KeyId::single_region(uuid_bytes(self.ids)).to_string()
    }
}

/// Whether an operation only looks.
fn is_look(operation: &str) -> bool {
    ["Describe", "List", "GetKey"].iter().any(|verb| operation.starts_with(verb))
}

fn uuid_bytes(number: u64) -> [u8; 16] {
    (u128::from(number) | 0x4000 << 64).to_be_bytes()
}

fn life(state: &State, arn: &KeyArn) -> Life {
    match state.key(arn).map(|key| key.state) {
        None => Life::Gone,
        Some(KeyState::Enabled) => Life::Enabled,
        Some(KeyState::PendingDeletion { deletion_date }) => Life::Pending(deletion_date),
        // No other state is reached here.
        Some(_) => Life::Disabled,
    }
}

/// The account's root user.
pub(crate) fn root() -> Caller {
    Caller {
        account: ACCOUNT.parse().expect("an account"),
        arn: format!("arn:aws:iam::{ACCOUNT}:root"),
        kind: CallerKind::Root,
        access_key_id: "AKIAROOT".to_owned(),
    }
}

/// An IAM user.
pub(crate) fn user(name: &str) -> Caller {
    Caller {
        account: ACCOUNT.parse().expect("an account"),
        arn: user_arn(name),
        kind: CallerKind::User { name: name.to_owned() },
        access_key_id: "AKIAUSER".to_owned(),
    }
}

/// The ARN of an IAM user.
pub(crate) fn user_arn(name: &str) -> String {
    format!("arn:aws:iam::{ACCOUNT}:user/{name}")
}

/// The key policy of the key whose applications these are. `rescue` says whether the operator is in it; `note` makes it another
/// text that allows the same.
pub(crate) fn policy(applications: &[String], rescue: bool, note: &str) -> String {
    let statement = |sid: &str, who: Vec<String>, what: Value| json!({ "Sid": sid, "Effect": "Allow", "Principal": { "AWS": who }, "Action": what, "Resource": "*" });
    let mut statements = vec![statement("root", vec![format!("arn:aws:iam::{ACCOUNT}:root")], json!("kms:*"))];
    if rescue {
        statements.push(statement("operator", vec![user_arn(OPERATOR)], json!("kms:*")));
    }
    if !applications.is_empty() {
        let users = applications.iter().map(|name| user_arn(name)).collect();
        let uses = json!(["kms:Encrypt", "kms:Decrypt", "kms:GenerateDataKey"]);
        statements.push(statement("applications", users, uses));
    }
    json!({ "Version": "2012-10-17", "Id": note, "Statement": statements }).to_string()
}
