//! Grants beside policies: the crate against a naive twin, which says in a few lines what a grant means, on random cases.

#![allow(clippy::unwrap_used, reason = "a test that is written wrong may panic")]

mod notation;

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use api::GrantOperation as Operation;
use notation::{Caller, KEY, document, home, identity_statement, principal_text, statement};
use policy::{
    Constraints, Decision, Document, Facts, Named, Presented, Principal, Request, Terms, Why, authorize,
    authorize_with_grants, may_retire,
};
use proptest::prelude::*;

const CALLERS: [&str; 6] =
    ["root", "user/ann", "session/app/i-1", "other:root", "other:user/bob", "service/s3.amazonaws.com"];
const GRANTEES: [&str; 8] = [
    "root",
    "user/ann",
    "role/app",
    "session/app/i-1",
    "other:root",
    "other:user/bob",
    "other:user/eve",
    "service/s3.amazonaws.com",
];
const OPERATIONS: [Operation; 5] =
    [Operation::Decrypt, Operation::Encrypt, Operation::DescribeKey, Operation::RetireGrant, Operation::CreateGrant];
const ACTIONS: [&str; 7] = [
    "kms:Decrypt",
    "kms:Encrypt",
    "kms:DescribeKey",
    "kms:RetireGrant",
    "kms:CreateGrant",
    "kms:DisableKey",
    "kms:ReEncrypt",
];
const KEY_POLICIES: [&str; 4] = [
    "allow root kms:DisableKey",
    "allow root kms:*",
    "allow other:root kms:Decrypt",
    "deny user/ann,other:root kms:Decrypt",
];
const IDENTITIES: [&str; 4] =
    ["allow kms:DescribeKey", "allow kms:*", "deny kms:Encrypt", "allow kms:Decrypt if Bool aws:SecureTransport true"];

/// A grant, in words.
#[derive(Debug, Clone)]
struct Said {
    grantee: &'static str,
    operations: BTreeSet<Operation>,
    equals: Option<BTreeMap<String, String>>,
    subset: Option<BTreeMap<String, String>>,
    source: Option<&'static str>,
}

impl Said {
    fn terms(&self) -> Terms {
        Terms {
            grantee: Named::party(&principal_text(self.grantee)).unwrap(),
            operations: self.operations.iter().copied().collect(),
            constraints: Constraints {
                equals: self.equals.clone(),
                subset: self.subset.clone(),
                source_arn: self.source.map(str::to_owned),
            },
        }
    }
}

/// What a request is: who, what, and what it shows.
#[derive(Debug, Clone)]
struct Asked {
    caller: &'static str,
    action: &'static str,
    context: BTreeMap<String, String>,
    source: Option<&'static str>,
    child: Option<Said>,
}

// --- the naive twin -----------------------------------------------------------------------------------------------------

fn lower(context: &BTreeMap<String, String>) -> Vec<(String, String)> {
    let mut pairs: Vec<_> = context.iter().map(|(key, value)| (key.to_lowercase(), value.clone())).collect();
    pairs.sort();
    pairs
}

fn constraints_hold(grant: &Said, asked: &Asked) -> bool {
    let name = asked.action.strip_prefix("kms:").unwrap();
    let shown = lower(&asked.context);
    let cryptographic = !["DescribeKey", "RetireGrant", "CreateGrant"].contains(&name);
    let equals = grant.equals.as_ref().is_none_or(|wanted| lower(wanted) == shown);
    let subset = grant.subset.as_ref().is_none_or(|wanted| lower(wanted).iter().all(|pair| shown.contains(pair)));
    let source = grant.source.is_none() || grant.source == asked.source;
    (!cryptographic || (equals && subset)) && (name == "RetireGrant" || source)
}

fn reaches(name: &str, caller: &str, account_allows: bool) -> bool {
    let account = |name: &str| if name.starts_with("other:") { "other" } else { "home" };
    let itself = name == caller || (name == "role/app" && caller.starts_with("session/app/"));
    let is_account = name.ends_with("root") && !caller.starts_with("service/") && account(name) == account(caller);
    itself || (is_account && account_allows)
}

fn twin(policies_say: &Decision, account_allows: bool, grants: &[Said], asked: &Asked) -> bool {
    let silent = matches!(policies_say, Decision::Denied(Why::KeyPolicySilent | Why::IdentityPoliciesSilent));
    let granted = grants.iter().any(|grant| {
        let name = asked.action.strip_prefix("kms:").unwrap();
        let child = asked.child.as_ref();
        grant.operations.iter().any(|operation| operation.as_str() == name)
            && reaches(grant.grantee, asked.caller, account_allows)
            && constraints_hold(grant, asked)
            && (name != "CreateGrant" || child.is_some_and(|child| child.terms().is_within(&grant.terms())))
    });
    policies_say.is_allowed() || (silent && granted)
}

// --- random cases -------------------------------------------------------------------------------------------------------

fn context() -> impl Strategy<Value = BTreeMap<String, String>> {
    let key = prop::sample::select(vec!["a", "A", "b"]);
    let value = prop::sample::select(vec!["1", "2"]);
    prop::collection::btree_map(key.prop_map(str::to_owned), value.prop_map(str::to_owned), 0..3)
}

fn source() -> impl Strategy<Value = Option<&'static str>> {
    prop::sample::select(vec![None, None, None, Some("arn:aws:s3:::one"), Some("arn:aws:s3:::two")])
}

fn said() -> impl Strategy<Value = Said> {
    let operations = prop::collection::btree_set(prop::sample::select(OPERATIONS.to_vec()), 1..5);
    let maybe = || prop::option::weighted(0.3, context());
    (prop::sample::select(GRANTEES.to_vec()), operations, maybe(), maybe(), source())
        .prop_map(|(grantee, operations, equals, subset, source)| Said { grantee, operations, equals, subset, source })
}

fn asked() -> impl Strategy<Value = Asked> {
    let (caller, action) = (prop::sample::select(CALLERS.to_vec()), prop::sample::select(ACTIONS.to_vec()));
    (caller, action, context(), source(), prop::option::of(said()))
        .prop_map(|(caller, action, context, source, child)| Asked { caller, action, context, source, child })
}

fn request<'a>(principal: &'a Principal<'a>, action: &'a str, facts: &'a Facts<'a>) -> Request<'a> {
    Request { principal, action, resource: KEY, context: facts }
}

fn pairs(context: &BTreeMap<String, String>) -> Vec<(Cow<'_, str>, Cow<'_, str>)> {
    context.iter().map(|(key, value)| (Cow::Borrowed(key.as_str()), Cow::Borrowed(value.as_str()))).collect()
}

fn identity_of(line: Option<&str>) -> Vec<Document> {
    line.iter().map(|line| document(&[identity_statement(line)])).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn a_grant_means_what_its_twin_says(
        key in prop::sample::subsequence(KEY_POLICIES.to_vec(), 1..4),
        identity in prop::option::of(prop::sample::select(IDENTITIES.to_vec())),
        grants in prop::collection::vec(said(), 0..4),
        asked in asked(),
    ) {
        let key = document(&key.iter().map(|line| statement(line)).collect::<Vec<_>>());
        let identity = identity_of(identity);
        let caller = Caller::named(asked.caller);
        let (principal, facts) = (caller.principal(), Facts::new().with("aws:SecureTransport", true));
        let request = request(&principal, asked.action, &facts);
        let (child, shown) = (asked.child.as_ref().map(Said::terms), pairs(&asked.context));
        let presented = Presented { context: &shown, source_arn: asked.source, child: child.as_ref() };
        let terms: Vec<Terms> = grants.iter().map(Said::terms).collect();

        let policies_say = authorize(&key, home(), &identity, &request);
        let account_allows = policy::authorize_in_account(&identity, &request).is_allowed();
        let decision = authorize_with_grants(&key, home(), &identity, &terms, &presented, &request);
        let expected = twin(&policies_say, account_allows, &grants, &asked);
        prop_assert_eq!(decision.is_allowed(), expected, "{:?}", decision);
        if !decision.is_allowed() {
            prop_assert_eq!(decision, policies_say, "a refusal is told as if there were no grants");
        }
    }

    /// Whatever a child grant lets pass, its parent would have let pass: grants hand on nothing that they do not give.
    #[test]
    fn a_child_within_its_parent_opens_nothing_more(parent in said(), child in said(), shown in context(), source in source()) {
        let (parent, child) = (parent.terms(), child.terms());
        let shown = pairs(&shown);
        let presented = Presented { context: &shown, source_arn: source, child: None };
        if child.is_within(&parent) {
            for operation in OPERATIONS.into_iter().filter(|operation| child.allow(*operation, &presented)) {
                prop_assert!(parent.allow(operation, &presented), "{operation:?}");
            }
        }
        prop_assert!(parent.is_within(&parent));
    }

    #[test]
    fn a_grant_is_retired_by_those_whom_it_names_and_by_its_issuer(
        grant in said(),
        retiring in prop::option::of(prop::sample::select(GRANTEES.to_vec())),
        issuer_is_home in any::<bool>(),
        caller in prop::sample::select(CALLERS.to_vec()),
        identity in prop::option::of(prop::sample::select(IDENTITIES.to_vec())),
    ) {
        let identity = identity_of(identity);
        let named = Caller::named(caller);
        let (principal, facts) = (named.principal(), Facts::new());
        let request = request(&principal, "kms:RetireGrant", &facts);
        let account_allows = policy::authorize_in_account(&identity, &request).is_allowed();
        let issuer = if issuer_is_home { "root" } else { "other:root" };
        let expected = retiring.is_some_and(|retiring| reaches(retiring, caller, account_allows))
            || (grant.operations.contains(&Operation::RetireGrant) && reaches(grant.grantee, caller, account_allows))
            || reaches(issuer, caller, account_allows);
        let account = if issuer_is_home { home() } else { "444455556666".parse().unwrap() };
        let party = retiring.map(|name| Named::party(&principal_text(name)).unwrap());
        prop_assert_eq!(may_retire(&grant.terms(), party.as_ref(), account, &identity, &request), expected);
    }
}

#[test]
fn grantees_are_principals_by_arn_and_services_by_name() {
    for name in GRANTEES {
        let text = principal_text(name);
        assert_eq!(&*Named::party(&text).unwrap().text, text);
    }
    for text in
        ["*", "111122223333", "AIDACKCEVSQ6C2EXAMPLE", "ann", "", "arn:aws:s3:::bucket", ".amazonaws.com/x", "s3"]
    {
        assert_eq!(Named::party(text), None, "{text}");
    }
}
