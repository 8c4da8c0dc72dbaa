//! The road of every call, written once: parse, find, authorize, ask the lifecycle, act, record.
//!
//! A handler (`ops`) reads its request and says what happens; the steps that must not be forgotten are taken here, driven by the
//! call's row of the operation table.

use std::borrow::Cow;
use std::cell::RefCell;
use std::sync::Arc;

use api::shape::GrantTokens;
use api::validate::{Fields, Request};
use api::{AccountId, AliasArn, Fault, GrantOperation, KeyArn, Service};
use lifecycle::permit;
use serde::Serialize;
use store::{Batch, BatchId, Version};
use trail::record::{Json, Resource};

use crate::authorize::{self, Asks};
use crate::call::{Call, Commit, Effect, Use};
use crate::copies;
use crate::fault::{DRY_RUN, INVALID_GRANT_TOKEN, refused, wrong_usage};
use crate::find::{self, Found};
use crate::ops;
use crate::record;
use crate::state::{Key, Name, State};
use crate::token;
use crate::vault::Vault;

/// What a call does to the state of the world.
///
/// # Guarantees
/// - The effect holds the call's CloudTrail record, whether it succeeded or was refused.
/// - A refused call changes nothing.
/// - A batch expects every record it was decided on, so that it commits only if the world is still the same.
pub fn decide(state: &State, vault: &Vault, call: &Call<'_>) -> Effect {
    let fields = match call.operation.service {
        // STS speaks AWS Query, and its one operation here has no parameters.
        Service::Sts => Ok(Fields::default()),
        Service::Kms | Service::CloudTrail => Fields::parse(call.body),
    };
    let (result, seen, parameters) = match fields {
        Ok(fields) => {
            let asked = Asked { state, vault, call, fields, seen: RefCell::default() };
            let result = ops::answer(&asked);
            let parameters = record::parameters(call.operation, &asked.fields, &asked.seen.borrow());
            (result, asked.seen.into_inner(), parameters)
        }
        Err(fault) => (Err(fault), Seen::default(), None),
    };
    match result {
        Err(fault) => {
            let records = record::call(call, &seen, parameters, Err(&fault));
            Effect { reply: Err(fault), commit: Commit::Append(records), uses: Vec::new() }
        }
        Ok(done) => {
            let mut records = record::call(call, &seen, parameters, Ok(done.shown));
            records.extend(done.further);
            let commit = match done.change {
                None => Commit::Append(records),
                Some(change) => Commit::Batch(change.into_batch(batch_id(call.event_id), records)),
            };
            let used = |key: &KeyArn| Use {
                key: *key,
                operation: call.operation.name,
                event_id: copies::event_id(call, key.account),
            };
            let cryptographic = call.operation.is_cryptographic();
            let uses = seen.keys.iter().filter(|_| cryptographic).map(used).collect();
            Effect { reply: Ok(done.reply), commit, uses }
        }
    }
}

/// An effect for an operation that the server answers itself (LookupEvents): authorized by identity alone, recorded like any
/// other.
///
/// # Errors
/// None: a refusal is in the effect. `reply` is asked only when the caller may call.
pub fn answer_elsewhere(call: &Call<'_>, reply: impl FnOnce(&Fields<'_>) -> Result<Vec<u8>, Fault>) -> Effect {
    let (result, parameters) = match Fields::parse(call.body) {
        Ok(fields) => {
            let result = authorize::in_account(call, call.operation.action, "*").and_then(|()| reply(&fields));
            (result, record::parameters(call.operation, &fields, &Seen::default()))
        }
        Err(fault) => (Err(fault), None),
    };
    let outcome = result.as_ref().map(|_| None);
    let records = record::call(call, &Seen::default(), parameters, outcome);
    Effect { reply: result, commit: Commit::Append(records), uses: Vec::new() }
}

/// An effect for a call that the server refuses before anything is done: recorded like any other refusal, without what it asked.
pub fn refuse(call: &Call<'_>, fault: Fault) -> Effect {
    let records = record::call(call, &Seen::default(), None, Err(&fault));
    Effect { reply: Err(fault), commit: Commit::Append(records), uses: Vec::new() }
}

/// A batch is found again by the ID of its record: both are the same UUID.
fn batch_id(event_id: &str) -> BatchId {
    let digits: String = event_id.chars().filter(char::is_ascii_hexdigit).collect();
    BatchId(u128::from_str_radix(&digits, 16).unwrap_or_default().to_be_bytes())
}

/// What the record tells about a call beside its request.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// Keys that were found, in the order they were found.
    pub(crate) keys: Vec<KeyArn>,
    /// The accounts whose keys let the caller in.
    pub(crate) admitted: Vec<AccountId>,
    /// The alias that an alias operation is about.
    pub(crate) alias: Option<AliasArn>,
    /// `additionalEventData`.
    pub(crate) additional: Option<Json>,
}

impl Seen {
    pub(crate) fn resources(&self) -> Vec<Resource> {
        let keys = self.keys.iter().copied().map(Resource::Key);
        keys.chain(self.alias.clone().map(Resource::Alias)).collect()
    }
}

/// What a handler has done.
pub(crate) struct Done {
    reply: Vec<u8>,
    change: Option<Change>,
    /// `responseElements` of the record.
    shown: Option<Json>,
    /// Records of what follows from the call, after the call's own.
    further: Vec<Vec<u8>>,
}

impl Done {
    /// An answer that changes nothing.
    pub(crate) fn answer<T: Serialize>(answer: &T) -> Done {
        let reply = serde_json::to_vec(answer).expect("answers hold only texts, numbers and lists of them");
        Done { reply, change: None, shown: None, further: Vec::new() }
    }

    /// No answer and no change.
    pub(crate) fn nothing() -> Done {
        Done { reply: Vec::new(), change: None, shown: None, further: Vec::new() }
    }

    /// With this change.
    pub(crate) fn changing(mut self, change: Change) -> Done {
        self.change = Some(change);
        self
    }

    /// With these records behind the call's own.
    pub(crate) fn followed_by(mut self, records: Vec<Vec<u8>>) -> Done {
        self.further.extend(records);
        self
    }

    /// With these `responseElements` in the record.
    pub(crate) fn showing(mut self, shown: &impl Serialize) -> Done {
        self.shown = Some(Json::of(shown));
        self
    }

    /// With the key ARN as `responseElements`, as operations without an answer are recorded since December 2022.
    pub(crate) fn about(self, arn: &KeyArn) -> Done {
        self.showing(&serde_json::json!({ "keyId": arn }))
    }
}

/// What a call changes, all or nothing.
#[derive(Default)]
pub(crate) struct Change {
    expect: Vec<(Name, Option<Version>)>,
    put: Vec<(Name, Vec<u8>)>,
    delete: Vec<Name>,
}

impl Change {
    /// A change that was decided on `name` at `version` (`None`: on its absence).
    pub(crate) fn on(name: Name, version: Option<Version>) -> Change {
        Change::default().and_on(name, version)
    }

    pub(crate) fn and_on(mut self, name: Name, version: Option<Version>) -> Change {
        self.expect.push((name, version));
        self
    }

    pub(crate) fn put(mut self, name: Name, value: Vec<u8>) -> Change {
        self.put.push((name, value));
        self
    }

    pub(crate) fn delete(mut self, name: Name) -> Change {
        self.delete.push(name);
        self
    }

    /// With all that `other` changes, too.
    pub(crate) fn and(mut self, other: Change) -> Change {
        self.expect.extend(other.expect);
        self.put.extend(other.put);
        self.delete.extend(other.delete);
        self
    }

    pub(crate) fn into_batch(self, id: BatchId, records: Vec<Vec<u8>>) -> Batch {
        Batch {
            id,
            expect: self.expect.into_iter().map(|(name, version)| (name.to_bytes(), version)).collect(),
            put: self.put.into_iter().map(|(name, value)| (name.to_bytes(), value)).collect(),
            delete: self.delete.into_iter().map(|name| name.to_bytes()).collect(),
            append: records,
        }
    }
}

/// A call that is being answered, as its handler sees it.
pub(crate) struct Asked<'a> {
    pub(crate) state: &'a State,
    pub(crate) vault: &'a Vault,
    pub(crate) call: &'a Call<'a>,
    pub(crate) fields: Fields<'a>,
    seen: RefCell<Seen>,
}

impl<'a> Asked<'a> {
    /// The request.
    pub(crate) fn request<R: Request<'a>>(&self) -> Result<R, Fault> {
        R::parse(&self.fields)
    }

    /// The key that `given` names, when the caller may do the operation's action with it and its usage and state allow it.
    ///
    /// INVARIANT: find, then authorize, then permit. The first that fails is what the caller sees.
    pub(crate) fn key(&self, given: &str, asks: Asks<'_>) -> Result<Arc<Key>, Fault> {
        let found = find::key(self.state, self.call, given, self.call.operation.keys)?;
        self.admit(&found, self.call.operation.action, asks)?;
        Ok(found.key)
    }

    /// Authorizes `action` on a key that was found, and asks the lifecycle.
    pub(crate) fn admit(&self, found: &Found, action: &str, asks: Asks<'_>) -> Result<(), Fault> {
        self.note_key(found.key.arn);
        self.check_tokens(action)?;
        let asks = Asks { alias: asks.alias.or(found.alias.as_deref()), ..asks };
        authorize::on_key(self.state, self.call, &found.key, action, asks)?;
        self.note_admitted(found.key.arn.account);
        self.permit(&found.key)
    }

    /// Whether the request's grant tokens are tokens of grants, where `action` takes any.
    ///
    /// A grant speaks from the moment it is made, so a token that is valid changes nothing.
    fn check_tokens(&self, action: &str) -> Result<(), Fault> {
        if GrantOperation::of_action(action).is_none() || self.fields.raw("GrantTokens").is_none() {
            return Ok(());
        }
        let GrantTokens(tokens) = self.request()?;
        let names_a_grant = |token: &Cow<'_, str>| {
            token::read(token)
                .and_then(|(key, grant)| self.state.grant(self.state.key(&key)?, &grant))
                .is_some_and(|(_, grant)| grant.key.region == self.call.region)
        };
        if tokens.iter().all(names_a_grant) { Ok(()) } else { Err(INVALID_GRANT_TOKEN) }
    }

    /// Whether the operation may happen with a key of this usage, in this state.
    pub(crate) fn permit(&self, key: &Key) -> Result<(), Fault> {
        let row = self.call.operation;
        if row.usage.is_some_and(|usage| usage != key.usage) {
            return Err(wrong_usage(&key.arn, key.usage, row.name));
        }
        permit(row.needs, &key.state).map_err(|refusal| refused(&key.arn, refusal))
    }

    /// The record shall name this key.
    pub(crate) fn note_key(&self, arn: KeyArn) {
        self.seen.borrow_mut().keys.push(arn);
    }

    /// A key of this account has let the caller in: the account gets a copy of the record.
    pub(crate) fn note_admitted(&self, account: AccountId) {
        self.seen.borrow_mut().admitted.push(account);
    }

    /// The record shall name this alias.
    pub(crate) fn note_alias(&self, arn: AliasArn) {
        self.seen.borrow_mut().alias = Some(arn);
    }

    /// The record shall carry this `additionalEventData`.
    pub(crate) fn note_additional(&self, data: &impl Serialize) {
        self.seen.borrow_mut().additional = Some(Json::of(data));
    }

    /// Refuses with DryRunOperationException when the caller only wanted to know.
    pub(crate) fn unless_dry(&self, dry_run: bool) -> Result<(), Fault> {
        if dry_run { Err(DRY_RUN) } else { Ok(()) }
    }

    /// That the decision depends on who is in `key`'s family, which has no record while it is the primary alone.
    pub(crate) fn expect_family(&self, key: &KeyArn, change: Change) -> Change {
        change.and_on(Name::Family(key.account, key.key), self.state.family_version(key))
    }

    /// A change of `key`'s record that expects it as it was read.
    pub(crate) fn change_key(&self, key: &Key, new: &Key) -> Change {
        let name = Name::Key(key.arn);
        let version = self.state.key_version(&key.arn);
        Change::on(name.clone(), version).put(name, crate::state::encode_key(new))
    }
}

/// Whether operations of `service` are answered by [`decide`]; CloudTrail's need the history, which the server has.
pub fn is_answered_here(service: Service) -> bool {
    match service {
        Service::Kms | Service::Sts => true,
        Service::CloudTrail => false,
    }
}
