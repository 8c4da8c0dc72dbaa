//! From the text that a caller sent to the key or alias it names.

use std::sync::Arc;

use api::{AliasArn, Fault, KeyArn, KeyRef, Keys};

use crate::call::Call;
use crate::fault::{invalid_key_id, no_such_alias, no_such_key, not_admitted, other_region};
use crate::state::{Key, State};

/// A key that was found, and how the caller named it.
pub(crate) struct Found {
    pub(crate) key: Arc<Key>,
    /// The alias in the request, if it was one: `kms:RequestAlias`.
    pub(crate) alias: Option<String>,
}

/// The key that `given` names in a call of an operation that takes keys as `keys` says.
///
/// # Errors
/// NotFoundException, with the text for what it is that does not exist; of another account AccessDeniedException, which does not
/// tell what exists there, and which an operation that stays in the caller's account always answers.
pub(crate) fn key(state: &State, call: &Call<'_>, given: &str, keys: Keys) -> Result<Found, Fault> {
    let takes_aliases = match keys {
        Keys::IdOrAlias | Keys::Ciphertext | Keys::CiphertextAndDestination => true,
        Keys::Id | Keys::Alias | Keys::Grant | Keys::None => false,
    };
    let (account, region) = (call.caller.account, call.region);
    let (arn, alias) = match KeyRef::parse(given).map_err(|_| invalid_key_id(given))? {
        KeyRef::Key(key) => (KeyArn { account, region, key }, None),
        KeyRef::KeyArn(arn) => (arn, None),
        KeyRef::Alias(alias) if takes_aliases => {
            let arn = AliasArn { account, region, alias };
            (target(state, call, &arn)?, Some(arn.alias.to_string()))
        }
        KeyRef::AliasArn(arn) if takes_aliases => (target(state, call, &arn)?, Some(arn.alias.to_string())),
        KeyRef::Alias(_) | KeyRef::AliasArn(_) => return Err(invalid_key_id(given)),
    };
    if arn.region != region {
        return Err(other_region(&arn.region));
    }
    match state.key(&arn) {
        Some(key) if arn.account == account || call.operation.across_accounts => Ok(Found { key: key.clone(), alias }),
        None if arn.account == account => Err(no_such_key(&arn)),
        Some(_) | None => Err(hidden(call)),
    }
}

/// What a caller reads of whatever is in another account and not given to them.
pub(crate) fn hidden(call: &Call<'_>) -> Fault {
    not_admitted(&call.caller.arn, call.operation.action)
}

fn target(state: &State, call: &Call<'_>, arn: &AliasArn) -> Result<KeyArn, Fault> {
    if arn.region != call.region {
        return Err(other_region(&arn.region));
    }
    let missing = || if arn.account == call.caller.account { no_such_alias(arn) } else { hidden(call) };
    let (_, alias) = state.alias(&(arn.account, arn.region, arn.alias.clone())).ok_or_else(missing)?;
    Ok(KeyArn { account: arn.account, region: arn.region, key: alias.target })
}
