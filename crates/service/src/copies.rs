//! Who gets a copy of a call's record: the caller's account, and every other account whose key let the caller in.
//!
//! The copies are CloudTrail's twin events: each has an ID and a recipient of its own, and one `sharedEventID` joins them. An account
//! whose key did not admit the caller is told nothing; from the moment a key admitted the caller, its account is told how the call
//! ended, as an attempt on a key that waits for deletion must be seen by those who delete it.
//!
//! Source: AWS CloudTrail User Guide, `sharedEventID`; AWS KMS Developer Guide, "Logging AWS KMS API calls with CloudTrail".

use std::borrow::Cow;

use api::{AccountId, Fault, KeyId};

use crate::call::Call;
use crate::fault::ACCESS_DENIED;
use crate::hash::fnv1a;

/// One copy of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Copy<'a> {
    /// The account it is delivered to.
    pub(crate) recipient: AccountId,
    /// Its `eventID`.
    pub(crate) event_id: Cow<'a, str>,
    /// Its `sharedEventID`, where the call has several copies.
    pub(crate) shared_event_id: Option<String>,
}

/// The copies of a call's record, the caller's first; `admitted` are the accounts whose keys let the caller in.
pub(crate) fn copies<'a>(call: &Call<'a>, admitted: &[AccountId], outcome: Result<(), &Fault>) -> Vec<Copy<'a>> {
    let own = call.caller.account;
    let denied = outcome.is_err_and(|fault| fault.code == ACCESS_DENIED);
    let mut others: Vec<AccountId> = admitted.iter().copied().filter(|account| *account != own && !denied).collect();
    others.sort_unstable();
    others.dedup();
    let shared = (!others.is_empty()).then(|| derived(call.event_id, "shared"));
    let first = Copy { recipient: own, event_id: Cow::Borrowed(call.event_id), shared_event_id: shared.clone() };
    let twin = |recipient| Copy {
        recipient,
        event_id: Cow::Owned(event_id(call, recipient)),
        shared_event_id: shared.clone(),
    };
    std::iter::once(first).chain(others.into_iter().map(twin)).collect()
}

/// The ID of the copy that `recipient` gets of a call's record.
pub(crate) fn event_id(call: &Call<'_>, recipient: AccountId) -> String {
    if recipient == call.caller.account {
        return call.event_id.to_owned();
    }
    derived(call.event_id, &recipient.to_string())
}

/// Another UUID than `id`, for `purpose`, always the same (FNV-1a): as random as `id` is, so that a call needs one random number.
fn derived(id: &str, purpose: &str) -> String {
    let hash = fnv1a(id.bytes().chain([b'/']).chain(purpose.bytes()));
    // A key ID is a UUID as well, so its form serves.
    KeyId::single_region(hash.to_be_bytes()).to_string()
}
