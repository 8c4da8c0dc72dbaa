//! STS GetCallerIdentity: who the access key belongs to. Nobody needs permission to ask.

use serde::Serialize;

use crate::decide::{Asked, Done};

/// The answer of GetCallerIdentity; the server writes it as XML.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct CallerIdentity {
    user_id: String,
    account: String,
    arn: String,
}

pub(super) fn get_caller_identity(asked: &Asked<'_>) -> Done {
    let caller = asked.call.caller;
    Done::answer(&CallerIdentity {
        user_id: caller.unique_id(),
        account: caller.account.to_string(),
        arn: caller.arn.clone(),
    })
}
