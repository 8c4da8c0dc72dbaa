//! Whether a request may pass, from all policies that speak to it, and why.
//!
//! The ladder, first rung that decides: an explicit deny in the key policy; an explicit deny in an identity policy; no allow in
//! the key policy; an allow to a caller of the key's account; and where the key policy leaves it to the account, or the caller
//! is of another account, an allow in the caller's identity policies, which the root user of an account need not have.
//!
//! Unlike other resource policies, a key policy must allow: identity policies alone never do.
//! Source: AWS KMS Developer Guide, "Key policies in AWS KMS", "Default key policy", "Allowing users in other accounts to use a
//! KMS key"; IAM User Guide, "Policy evaluation logic".

use api::AccountId;

use crate::document::{Document, Effect};
use crate::evaluate::{Attached, Outcome, Request};
use crate::principal::Principal;

/// The answer to a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// It may pass.
    Allowed(Because),
    /// It may not.
    Denied(Why),
}

impl Decision {
    /// Whether the request may pass.
    pub fn is_allowed(&self) -> bool {
        matches!(self, Decision::Allowed(_))
    }
}

/// What allowed a request. Statements are counted from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Because {
    /// The key policy, to a caller of the key's account or to a service.
    KeyPolicy {
        /// The statement.
        statement: usize,
    },
    /// The key policy together with what the caller's own account gives the caller: where the key policy leaves it to the
    /// account, and for callers of other accounts.
    KeyPolicyAndAccount {
        /// The key policy's statement.
        statement: usize,
        /// What the caller's account gives.
        grant: Grant,
    },
    /// A grant on the key, counted from 0 as the grants were given.
    Granted {
        /// Which of them.
        grant: usize,
    },
    /// The caller's account alone: the action is on no key.
    Account(Grant),
}

/// What a caller's own account gives the caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Grant {
    /// Everything: the caller is the account's root user.
    Root,
    /// A statement of one of its identity policies, both counted from 0.
    Policy {
        /// Which of the policies.
        policy: usize,
        /// Which statement.
        statement: usize,
    },
}

/// What kept a request from passing. Statements are counted from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// A statement of the key policy denies it.
    KeyPolicyDenies {
        /// The statement.
        statement: usize,
    },
    /// A statement of an identity policy denies it.
    IdentityPolicyDenies {
        /// Which of the policies.
        policy: usize,
        /// Which statement.
        statement: usize,
    },
    /// No statement of the key policy allows it.
    KeyPolicySilent,
    /// It was left to the caller's identity policies, and none allows it.
    IdentityPoliciesSilent,
}

impl Why {
    /// The end of AWS's sentence, after the resource.
    ///
    /// Source: recorded AccessDeniedException messages.
    pub fn explain(&self, action: &str) -> String {
        match self {
            Why::KeyPolicyDenies { .. } => "with an explicit deny in a resource-based policy".to_owned(),
            Why::IdentityPolicyDenies { .. } => "with an explicit deny in an identity-based policy".to_owned(),
            Why::KeyPolicySilent => format!("because no resource-based policy allows the {action} action"),
            Why::IdentityPoliciesSilent => format!("because no identity-based policy allows the {action} action"),
        }
    }

    /// AWS's whole sentence, the message of AccessDeniedException; `caller` is the ARN that called (a session's own, not its
    /// role's).
    pub fn message(&self, caller: &str, action: &str, resource: &str) -> String {
        let end = self.explain(action);
        format!("User: {caller} is not authorized to perform: {action} on resource: {resource} {end}")
    }
}

/// Whether `request`, about a key of `key_account` with `key_policy`, may pass; `identity` are the caller's identity policies.
///
/// Does not allocate, unless a condition or resource holds a variable, or asks for a multivalued key.
pub fn authorize(
    key_policy: &Document,
    key_account: AccountId,
    identity: &[Document],
    request: &Request<'_>,
) -> Decision {
    climb(key_policy, key_account, identity, request, &mut |_| {})
}

/// Whether `request`, about no key (`kms:CreateKey`, `kms:ListKeys`), may pass in the caller's own account.
pub fn authorize_in_account(identity: &[Document], request: &Request<'_>) -> Decision {
    let ignore = &mut |_: Rung<'_>| {};
    match deny_of_identity(identity, request, ignore) {
        Some(why) => Decision::Denied(why),
        None => grant(identity, request, ignore)
            .map_or(Decision::Denied(Why::IdentityPoliciesSilent), |grant| Decision::Allowed(Because::Account(grant))),
    }
}

/// As [`authorize`], and with the rungs that were climbed, one sentence each.
pub fn explain(
    key_policy: &Document,
    key_account: AccountId,
    identity: &[Document],
    request: &Request<'_>,
) -> (Decision, Vec<String>) {
    let mut steps = Vec::new();
    let decision = climb(key_policy, key_account, identity, request, &mut |rung| steps.push(rung.sentence(request)));
    (decision, steps)
}

/// The ladder itself; `witness` sees each rung.
fn climb(
    key_policy: &Document,
    key_account: AccountId,
    identity: &[Document],
    request: &Request<'_>,
    witness: &mut impl FnMut(Rung<'_>),
) -> Decision {
    let said = key_policy.evaluate(Attached::ToResource, request);
    witness(Rung::KeyPolicy(key_policy, said));
    if let Outcome::Deny(statement) = said {
        return Decision::Denied(Why::KeyPolicyDenies { statement });
    }
    if let Some(why) = deny_of_identity(identity, request, witness) {
        return Decision::Denied(why);
    }
    let (statement, to_caller) = match said {
        Outcome::Allow(statement) => (statement, true),
        Outcome::Delegate(statement) => (statement, false),
        Outcome::Deny(_) | Outcome::Silent => return Decision::Denied(Why::KeyPolicySilent),
    };
    let at_home = request.principal.account().is_none_or(|account| account == key_account);
    if to_caller && at_home {
        return Decision::Allowed(Because::KeyPolicy { statement });
    }
    if !at_home {
        witness(Rung::OtherAccount(key_account));
    }
    match grant(identity, request, witness) {
        Some(grant) => Decision::Allowed(Because::KeyPolicyAndAccount { statement, grant }),
        None => Decision::Denied(Why::IdentityPoliciesSilent),
    }
}

fn deny_of_identity(identity: &[Document], request: &Request<'_>, witness: &mut impl FnMut(Rung<'_>)) -> Option<Why> {
    identity.iter().enumerate().find_map(|(policy, document)| {
        let said = document.evaluate(Attached::ToIdentity, request);
        witness(Rung::IdentityPolicy(policy, document, said));
        match said {
            Outcome::Deny(statement) => Some(Why::IdentityPolicyDenies { policy, statement }),
            Outcome::Allow(_) | Outcome::Delegate(_) | Outcome::Silent => None,
        }
    })
}

/// What the caller's account gives it, once no identity policy denies.
fn grant(identity: &[Document], request: &Request<'_>, witness: &mut impl FnMut(Rung<'_>)) -> Option<Grant> {
    if let Principal::Root { account } = request.principal {
        witness(Rung::Root(*account));
        return Some(Grant::Root);
    }
    let found = identity.iter().enumerate().find_map(|(policy, document)| {
        match document.evaluate(Attached::ToIdentity, request) {
            Outcome::Allow(statement) => Some(Grant::Policy { policy, statement }),
            Outcome::Deny(_) | Outcome::Delegate(_) | Outcome::Silent => None,
        }
    });
    if found.is_none() {
        witness(Rung::NoGrant);
    }
    found
}

/// One rung of the ladder, as it was found.
enum Rung<'d> {
    KeyPolicy(&'d Document, Outcome),
    IdentityPolicy(usize, &'d Document, Outcome),
    OtherAccount(AccountId),
    Root(AccountId),
    NoGrant,
}

impl Rung<'_> {
    fn sentence(&self, request: &Request<'_>) -> String {
        let action = request.action;
        match self {
            Rung::KeyPolicy(document, said) => match said {
                Outcome::Deny(at) => format!("the key policy denies {action} by {}", statement(document, *at)),
                Outcome::Allow(at) => {
                    format!("the key policy allows {action} to the caller by {}", statement(document, *at))
                }
                Outcome::Delegate(at) => {
                    format!("the key policy leaves {action} to the caller's account by {}", statement(document, *at))
                }
                Outcome::Silent => format!("no statement of the key policy allows {action} to the caller"),
            },
            Rung::IdentityPolicy(policy, document, said) => {
                let policy = policy + 1;
                match said {
                    Outcome::Deny(at) => {
                        format!("identity policy {policy} denies {action} by {}", statement(document, *at))
                    }
                    Outcome::Allow(at) | Outcome::Delegate(at) => {
                        format!("identity policy {policy} allows {action} by {}", statement(document, *at))
                    }
                    Outcome::Silent => format!("identity policy {policy} says nothing to {action}"),
                }
            }
            Rung::OtherAccount(key_account) => {
                format!(
                    "the key is of account {key_account} and the caller is not, so the caller's account must allow too"
                )
            }
            Rung::Root(account) => {
                format!("the caller is the root user of account {account}, who needs no identity policy")
            }
            Rung::NoGrant => format!("no identity policy of the caller allows {action}"),
        }
    }
}

/// A statement by number and name, for people, who count from 1.
fn statement(document: &Document, at: usize) -> String {
    let statement = &document.statements[at];
    let effect = match statement.effect {
        Effect::Allow => "Allow",
        Effect::Deny => "Deny",
    };
    match &statement.sid {
        Some(sid) => format!("statement {} ({effect}, `{sid}`)", at + 1),
        None => format!("statement {} ({effect})", at + 1),
    }
}
