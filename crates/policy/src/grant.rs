//! Grants: what one says, and whether it lets a request pass.
//!
//! A grant only ever allows. What it allows is a list of operations, under constraints, to one grantee; who may create grants by
//! grace of a grant hands on no more than that grant gives. Nothing here knows where grants are kept or which key they are of:
//! the caller brings the grants of the key that a request is about.
//!
//! Source: AWS KMS Developer Guide, "Grants in AWS KMS"; KMS API Reference, CreateGrant and GrantConstraints.

use std::borrow::Cow;
use std::collections::BTreeMap;

use api::{AccountId, GrantOperation};

use crate::authorize::{Because, Decision, Why, authorize, authorize_in_account};
use crate::document::Document;
use crate::evaluate::Request;
use crate::principal::{Form, Match, Named, Principal};

/// Pairs of an encryption context that a constraint asks for.
pub type Pairs = BTreeMap<String, String>;

/// What a grant gives, and to whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Terms {
    /// Who may.
    pub grantee: Named,
    /// What: sorted, each once.
    pub operations: Vec<GrantOperation>,
    /// When.
    pub constraints: Constraints,
}

/// Under which circumstances a grant speaks. All that are there must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Constraints {
    /// The encryption context must be exactly this.
    pub equals: Option<Pairs>,
    /// The encryption context must hold these pairs.
    pub subset: Option<Pairs>,
    /// The request must be made on behalf of this resource.
    pub source_arn: Option<String>,
}

/// What a request shows to constraints.
#[derive(Debug, Clone, Copy, Default)]
pub struct Presented<'a> {
    /// The encryption context; empty where the request has none.
    pub context: &'a [(Cow<'a, str>, Cow<'a, str>)],
    /// `aws:SourceArn`: the resource on whose behalf a service makes the request.
    pub source_arn: Option<&'a str>,
    /// The grant that a CreateGrant request asks for.
    pub child: Option<&'a Terms>,
}

impl Terms {
    /// Whether the grant allows `operation` to a grantee who makes a request that shows this.
    pub fn allow(&self, operation: GrantOperation, shown: &Presented<'_>) -> bool {
        self.operations.contains(&operation)
            && self.constraints.hold(operation, shown)
            && self.hands_on(operation, shown)
    }

    /// A grant that lets its grantee create grants bounds them by itself.
    fn hands_on(&self, operation: GrantOperation, shown: &Presented<'_>) -> bool {
        operation != GrantOperation::CreateGrant || shown.child.is_some_and(|child| child.is_within(self))
    }

    /// Whether this grant gives no more than `parent`: some of its operations, under constraints as strict or stricter.
    pub fn is_within(&self, parent: &Terms) -> bool {
        self.operations.iter().all(|operation| parent.operations.contains(operation))
            && self.constraints.are_within(&parent.constraints)
    }
}

impl Constraints {
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        *self == Constraints::default()
    }

    fn hold(&self, operation: GrantOperation, shown: &Presented<'_>) -> bool {
        let (asks_context, asks_source) = match operation {
            GrantOperation::RetireGrant => (false, false),
            // An encryption context is no part of them; what CreateGrant hands on is looked at on its own.
            GrantOperation::DescribeKey | GrantOperation::CreateGrant => (false, true),
            _ => (true, true),
        };
        let equals = |wanted: &Pairs| normal(wanted) == normal(shown.context);
        let subset = |wanted: &Pairs| wanted.iter().all(|(key, value)| has(shown.context, key, value));
        let context = self.equals.as_ref().is_none_or(equals) && self.subset.as_ref().is_none_or(subset);
        let source = self.source_arn.as_deref().is_none_or(|wanted| shown.source_arn == Some(wanted));
        (context || !asks_context) && (source || !asks_source)
    }

    fn are_within(&self, parent: &Constraints) -> bool {
        let holds = |ours: &Pairs, wanted: &Pairs| wanted.iter().all(|(key, value)| has(ours, key, value));
        let equals = |wanted: &Pairs| self.equals.as_ref().is_some_and(|ours| normal(ours) == normal(wanted));
        let subset =
            |wanted: &Pairs| [&self.equals, &self.subset].into_iter().flatten().any(|ours| holds(ours, wanted));
        parent.equals.as_ref().is_none_or(equals)
            && parent.subset.as_ref().is_none_or(subset)
            && (parent.source_arn.is_none() || parent.source_arn == self.source_arn)
    }
}

/// Whether `pairs` hold this one. Keys of constraints are compared without case, values with it.
///
/// Source: KMS API Reference, GrantConstraints.
fn has<'p, P>(pairs: P, key: &str, value: &str) -> bool
where
    P: IntoIterator,
    P::Item: Pair<'p>,
{
    pairs.into_iter().map(Pair::texts).any(|(known, its)| known.eq_ignore_ascii_case(key) && its == value)
}

/// The pairs in one order, their keys in one case: two contexts are equal when these are.
fn normal<'p, P>(pairs: P) -> Vec<(String, &'p str)>
where
    P: IntoIterator,
    P::Item: Pair<'p>,
{
    let lower = |(key, value): (&str, &'p str)| (key.to_ascii_lowercase(), value);
    let mut pairs: Vec<_> = pairs.into_iter().map(Pair::texts).map(lower).collect();
    pairs.sort_unstable();
    pairs
}

/// A pair of an encryption context, of a request or of a constraint.
trait Pair<'p> {
    fn texts(self) -> (&'p str, &'p str);
}

impl<'p> Pair<'p> for (&'p String, &'p String) {
    fn texts(self) -> (&'p str, &'p str) {
        (self.0, self.1)
    }
}

impl<'p> Pair<'p> for &'p (Cow<'_, str>, Cow<'_, str>) {
    fn texts(self) -> (&'p str, &'p str) {
        (&self.0, &self.1)
    }
}

/// As [`authorize`], and where the policies deny nothing but do not allow either, with the key's `grants`.
///
/// A grant to the caller itself is enough, in whatever account the caller is; a grant to an account speaks for its root user, and
/// for those to whom the account's identity policies give the action.
pub fn authorize_with_grants<'g>(
    key_policy: &Document,
    key_account: AccountId,
    identity: &[Document],
    grants: impl IntoIterator<Item = &'g Terms>,
    shown: &Presented<'_>,
    request: &Request<'_>,
) -> Decision {
    let decision = authorize(key_policy, key_account, identity, request);
    let Decision::Denied(Why::KeyPolicySilent | Why::IdentityPoliciesSilent) = decision else { return decision };
    let Some(operation) = GrantOperation::of_action(request.action) else { return decision };
    let mut grants = grants.into_iter();
    let found = grants.position(|terms| reaches(&terms.grantee, identity, request) && terms.allow(operation, shown));
    found.map_or(decision, |grant| Decision::Allowed(Because::Granted { grant }))
}

/// Whether `request`, a RetireGrant, may retire the grant of these terms.
///
/// Its retiring principal may, its grantee where the grant says so, and the root user of the account that issued it; each account
/// can hand that on by identity policies. The key policy has no say.
pub fn may_retire(
    terms: &Terms,
    retiring: Option<&Named>,
    issuing_account: AccountId,
    identity: &[Document],
    request: &Request<'_>,
) -> bool {
    let retires = |named: &Named| reaches(named, identity, request);
    let of_issuer = request.principal.account() == Some(issuing_account);
    let grantee = terms.operations.contains(&GrantOperation::RetireGrant) && retires(&terms.grantee);
    retiring.is_some_and(retires) || grantee || of_issuer && authorize_in_account(identity, request).is_allowed()
}

/// Whether `named` means the caller, or the caller's account and that lets the caller.
fn reaches(named: &Named, identity: &[Document], request: &Request<'_>) -> bool {
    match named.matches(request.principal) {
        Match::Itself => true,
        Match::Account => authorize_in_account(identity, request).is_allowed(),
        Match::No => false,
    }
}

impl Named {
    /// A grantee or retiring principal: an account, a user, a role, a session, a federated user, by ARN; or an AWS service, by its
    /// host name. `None` where the text names none of them.
    pub fn party(text: &str) -> Option<Named> {
        if text.ends_with(".amazonaws.com") || text.ends_with(".amazonaws.com.cn") {
            return Some(Named::service(text)).filter(|named| named.form == Form::Service);
        }
        let named = Named::aws(text);
        let takes = match named.form {
            Form::Account(_) => text.starts_with("arn:"),
            Form::User(_) | Form::Role(_) | Form::Session(_) | Form::FederatedUser(_) => true,
            Form::Everyone | Form::Service | Form::Federated | Form::CanonicalUser | Form::Dead | Form::Invalid => {
                false
            }
        };
        takes.then_some(named)
    }

    /// The name by which [`Principal::names`] finds this entry: an account by its ID, all else as it is written.
    pub fn index(&self) -> Cow<'_, str> {
        match self.form {
            Form::Account(account) => Cow::Owned(account.to_string()),
            _ => Cow::Borrowed(&self.text),
        }
    }
}

impl Principal<'_> {
    /// Every name ([`Named::index`]) by which an entry can reach the caller.
    pub fn names(&self) -> impl Iterator<Item = Cow<'_, str>> {
        let account = self.account().map(|account| Cow::Owned(account.to_string()));
        let own: [Option<&str>; 2] = match self {
            Principal::Root { .. } => [None, None],
            Principal::User { arn, .. } => [Some(arn), None],
            Principal::Session { role_arn, session_arn, .. } => [Some(session_arn), Some(role_arn)],
            Principal::Service(name) => [Some(name), None],
        };
        own.into_iter().flatten().map(Cow::Borrowed).chain(account)
    }
}
