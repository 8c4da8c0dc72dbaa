//! Stories of who is let in, and by which statement.

#![allow(clippy::unwrap_used, reason = "a test that is written wrong may panic")]

mod notation;

use notation::{Caller, KEY, document, facts, home, identity_statement, statement};
use policy::{Because, Decision, Grant, Request, Why, authorize, authorize_in_account, default_key_policy, explain};

/// `key` lines are the key policy, `identity` lines one identity policy of the caller, and `caller action facts -> answer`
/// asks. Statements count from 1, as in explanations.
fn check(story: &str) {
    let lines = || story.lines().map(str::trim).filter(|line| !line.is_empty());
    let key: Vec<_> = lines().filter_map(|line| line.strip_prefix("key ")).map(statement).collect();
    let identity: Vec<_> = lines().filter_map(|line| line.strip_prefix("identity ")).map(identity_statement).collect();
    let key = document(&key);
    let identity = if identity.is_empty() { Vec::new() } else { vec![document(&identity)] };
    for (question, expected) in lines().filter_map(|line| line.split_once(" -> ")) {
        let mut words = question.split_whitespace();
        let caller = Caller::named(words.next().unwrap());
        let action = words.next().unwrap();
        let facts = facts(words);
        let principal = caller.principal();
        let request = Request { principal: &principal, action, resource: KEY, context: &facts };
        let decision = authorize(&key, home(), &identity, &request);
        assert_eq!(told(decision), expected.trim(), "{question}");
        assert_eq!(explain(&key, home(), &identity, &request).0, decision, "{question}");
    }
}

fn told(decision: Decision) -> String {
    let grant = |grant| match grant {
        Grant::Root => "root".to_owned(),
        Grant::Policy { policy: _, statement } => format!("identity {}", statement + 1),
    };
    match decision {
        Decision::Allowed(Because::KeyPolicy { statement }) => format!("key {}", statement + 1),
        Decision::Allowed(Because::KeyPolicyAndAccount { statement, grant: of }) => {
            format!("key {} and {}", statement + 1, grant(of))
        }
        Decision::Allowed(Because::Account(of)) => grant(of),
        Decision::Allowed(Because::Granted { grant }) => format!("grant {}", grant + 1),
        Decision::Denied(Why::KeyPolicyDenies { statement }) => format!("denied by key {}", statement + 1),
        Decision::Denied(Why::IdentityPolicyDenies { statement, .. }) => {
            format!("denied by identity {}", statement + 1)
        }
        Decision::Denied(Why::KeyPolicySilent) => "key silent".to_owned(),
        Decision::Denied(Why::IdentityPoliciesSilent) => "identity silent".to_owned(),
    }
}

#[test]
fn the_default_policy_leaves_it_to_the_account() {
    check(
        "
        key allow root kms:*
        root             kms:Decrypt -> key 1
        user/ann         kms:Decrypt -> identity silent
        session/app/i-1  kms:Decrypt -> identity silent
        other:root       kms:Decrypt -> key silent
        other:user/bob   kms:Decrypt -> key silent
        service/logs.amazonaws.com kms:Decrypt -> key silent
        ",
    );
    check(
        "
        key allow account kms:*
        identity allow kms:Decrypt
        identity deny kms:Sign
        root     kms:Decrypt -> key 1
        user/ann kms:Decrypt -> key 1 and identity 1
        user/ann kms:Encrypt -> identity silent
        user/ann kms:Sign    -> denied by identity 2
        ",
    );
}

#[test]
fn an_identity_policy_alone_opens_no_key() {
    check(
        "
        key allow user/ops kms:*
        identity allow kms:*
        user/ann kms:Decrypt -> key silent
        root     kms:Decrypt -> key silent
        user/ops kms:Decrypt -> key 1
        ",
    );
}

#[test]
fn a_caller_that_is_named_needs_nothing_else_at_home() {
    check(
        "
        key allow root kms:*
        key allow user/ann,role/app kms:Decrypt
        key allow session/deploy/ci kms:Encrypt
        user/ann           kms:Decrypt -> key 2
        user/annie         kms:Decrypt -> identity silent
        session/app/i-1    kms:Decrypt -> key 2
        session/deploy/ci  kms:Encrypt -> key 3
        session/deploy/cd  kms:Encrypt -> identity silent
        ",
    );
}

#[test]
fn another_account_must_allow_too() {
    check(
        "
        key allow other:root kms:Decrypt
        key allow other:user/bob kms:Encrypt
        identity allow kms:Decrypt
        other:root     kms:Decrypt -> key 1 and root
        other:user/bob kms:Decrypt -> key 1 and identity 1
        other:user/bob kms:Encrypt -> identity silent
        other:user/eve kms:Encrypt -> key silent
        root           kms:Decrypt -> key silent
        ",
    );
    check(
        "
        key allow everyone kms:Decrypt
        user/ann       kms:Decrypt -> key 1
        other:user/bob kms:Decrypt -> identity silent
        other:root     kms:Decrypt -> key 1 and root
        service/logs.amazonaws.com kms:Decrypt -> key 1
        ",
    );
}

#[test]
fn an_explicit_deny_wins_wherever_it_stands() {
    check(
        "
        key allow everyone kms:*
        key deny user/ann kms:Decrypt
        key deny other:root kms:Encrypt
        identity allow kms:*
        root           kms:Decrypt -> key 1
        user/ann       kms:Decrypt -> denied by key 2
        user/ann       kms:Encrypt -> key 1
        other:user/bob kms:Encrypt -> denied by key 3
        other:root     kms:Encrypt -> denied by key 3
        ",
    );
    check(
        "
        key deny everyone kms:ScheduleKeyDeletion
        key allow root kms:*
        root kms:ScheduleKeyDeletion -> denied by key 1
        root kms:DisableKey          -> key 2
        ",
    );
}

#[test]
fn not_action_is_everything_else() {
    check(
        "
        key allow root not kms:Decrypt,kms:ReEncrypt*
        root kms:Encrypt       -> key 1
        root kms:Decrypt       -> key silent
        root KMS:reencryptfrom -> key silent
        ",
    );
}

#[test]
fn not_principal_spares_only_who_is_listed_by_all_names() {
    check(
        "
        key allow everyone kms:*
        key deny not root,user/ann kms:Decrypt
        root            kms:Decrypt -> key 1
        user/ann        kms:Decrypt -> key 1
        user/bob        kms:Decrypt -> denied by key 2
        other:root      kms:Decrypt -> denied by key 2
        ",
    );
    check(
        "
        key allow everyone kms:*
        key deny not root,role/app,session/app/i-1 kms:Decrypt
        session/app/i-1 kms:Decrypt -> key 1
        session/app/i-2 kms:Decrypt -> denied by key 2
        ",
    );
    check(
        "
        key allow everyone kms:*
        key deny not user/ann kms:Decrypt
        user/ann kms:Decrypt -> denied by key 2
        ",
    );
    check(
        "
        key allow not other:root kms:Decrypt
        root           kms:Decrypt -> key 1
        user/ann       kms:Decrypt -> key 1
        other:root     kms:Decrypt -> key silent
        other:user/bob kms:Decrypt -> key silent
        ",
    );
}

#[test]
fn a_resource_that_is_not_the_key_gives_nothing() {
    check(
        "
        key allow root kms:Decrypt on arn:aws:kms:eu-west-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab
        key allow root kms:Encrypt on arn:aws:kms:*:111122223333:key/*
        key allow root kms:Sign on arn:aws:kms:eu-west-1:111122223333:key/00000000-0000-0000-0000-000000000000
        key allow root kms:Verify on arn:aws:kms:eu-west-1:111122223333:alias/app
        root kms:Decrypt -> key 1
        root kms:Encrypt -> key 2
        root kms:Sign    -> key silent
        root kms:Verify  -> key silent
        ",
    );
}

#[test]
fn services_are_named_as_services() {
    check(
        "
        key allow service/logs.eu-west-1.amazonaws.com kms:Decrypt
        service/logs.eu-west-1.amazonaws.com kms:Decrypt -> key 1
        service/logs.eu-west-2.amazonaws.com kms:Decrypt -> key silent
        user/ann kms:Decrypt -> key silent
        ",
    );
}

#[test]
fn deletion_waits_for_disuse_and_a_long_window() {
    check(
        "
        key allow root kms:*
        key deny everyone kms:DisableKey,kms:ScheduleKeyDeletion if NumericLessThanEquals kms:TrailingDaysWithoutKeyUsage 90
        key deny everyone kms:ScheduleKeyDeletion if NumericLessThanEquals kms:ScheduleKeyDeletionPendingWindowInDays 21
        root kms:DisableKey kms:TrailingDaysWithoutKeyUsage=90 -> denied by key 2
        root kms:DisableKey kms:TrailingDaysWithoutKeyUsage=91 -> key 1
        root kms:ScheduleKeyDeletion kms:TrailingDaysWithoutKeyUsage=91 kms:ScheduleKeyDeletionPendingWindowInDays=7  -> denied by key 3
        root kms:ScheduleKeyDeletion kms:TrailingDaysWithoutKeyUsage=91 kms:ScheduleKeyDeletionPendingWindowInDays=30 -> key 1
        root kms:Decrypt kms:TrailingDaysWithoutKeyUsage=0 -> key 1
        ",
    );
}

#[test]
fn approval_by_tag_is_asked_of_the_operator() {
    check(
        "
        key allow root kms:*
        identity allow kms:DisableKey if NumericGreaterThanEquals kms:TrailingDaysWithoutKeyUsage 30 and StringEquals aws:ResourceTag/quietus:approved disable|delete
        user/op kms:DisableKey kms:TrailingDaysWithoutKeyUsage=30 aws:ResourceTag/quietus:approved=delete -> key 1 and identity 1
        user/op kms:DisableKey kms:TrailingDaysWithoutKeyUsage=29 aws:ResourceTag/quietus:approved=delete -> identity silent
        user/op kms:DisableKey kms:TrailingDaysWithoutKeyUsage=30 -> identity silent
        user/op kms:DisableKey aws:ResourceTag/quietus:approved=delete -> identity silent
        ",
    );
}

#[test]
fn use_through_a_service_only() {
    check(
        "
        key allow everyone kms:Decrypt if StringEquals kms:ViaService rds.eu-west-1.amazonaws.com and StringEquals kms:CallerAccount 111122223333
        user/ann kms:Decrypt kms:ViaService=rds.eu-west-1.amazonaws.com kms:CallerAccount=111122223333 -> key 1
        user/ann kms:Decrypt kms:CallerAccount=111122223333 -> key silent
        other:user/bob kms:Decrypt kms:ViaService=rds.eu-west-1.amazonaws.com kms:CallerAccount=444455556666 -> key silent
        ",
    );
}

#[test]
fn the_encryption_context_can_be_asked_for() {
    check(
        "
        key allow user/ann kms:Decrypt if StringEquals kms:EncryptionContext:App web and ForAllValues:StringEquals kms:EncryptionContextKeys App|Env
        user/ann kms:Decrypt kms:encryptioncontext:app=web kms:EncryptionContextKeys=[App] -> key 1
        user/ann kms:Decrypt kms:EncryptionContext:App=web kms:EncryptionContextKeys=[App,Owner] -> key silent
        user/ann kms:Decrypt kms:EncryptionContext:App=db kms:EncryptionContextKeys=[App] -> key silent
        user/ann kms:Decrypt -> key silent
        ",
    );
}

#[test]
fn without_a_key_the_account_decides_alone() {
    let identity = [document(&[identity_statement("allow kms:CreateKey"), identity_statement("deny kms:ListKeys")])];
    let ask = |name: &str, action| {
        let caller = Caller::named(name);
        let principal = caller.principal();
        let request = Request { principal: &principal, action, resource: "*", context: &policy::Unknown };
        told(authorize_in_account(&identity, &request))
    };
    assert_eq!(ask("user/ann", "kms:CreateKey"), "identity 1");
    assert_eq!(ask("user/ann", "kms:GenerateRandom"), "identity silent");
    assert_eq!(ask("user/ann", "kms:ListKeys"), "denied by identity 2");
    assert_eq!(ask("root", "kms:GenerateRandom"), "root");
}

#[test]
fn a_principal_in_an_identity_policy_gives_nothing() {
    let identity = [document(&[statement("allow everyone kms:CreateKey"), statement("deny user/ann kms:ListKeys")])];
    let caller = Caller::named("user/ann");
    let principal = caller.principal();
    let ask = |action| {
        let request = Request { principal: &principal, action, resource: "*", context: &policy::Unknown };
        told(authorize_in_account(&identity, &request))
    };
    assert_eq!(ask("kms:CreateKey"), "identity silent");
    assert_eq!(ask("kms:ListKeys"), "denied by identity 2");
}

#[test]
fn refusals_read_as_aws_writes_them() {
    let caller = "arn:aws:iam::111122223333:user/ann";
    let text = |why: Why| why.message(caller, "kms:Decrypt", KEY);
    let start = format!("User: {caller} is not authorized to perform: kms:Decrypt on resource: {KEY}");
    let cases = [
        (Why::IdentityPoliciesSilent, "because no identity-based policy allows the kms:Decrypt action"),
        (Why::KeyPolicySilent, "because no resource-based policy allows the kms:Decrypt action"),
        (Why::KeyPolicyDenies { statement: 0 }, "with an explicit deny in a resource-based policy"),
        (Why::IdentityPolicyDenies { policy: 0, statement: 0 }, "with an explicit deny in an identity-based policy"),
    ];
    for (why, end) in cases {
        assert_eq!(text(why), format!("{start} {end}"));
    }
}

#[test]
fn every_rung_is_explained() {
    let key = policy::Document::parse(&default_key_policy(home(), "aws")).unwrap();
    let identity = [document(&[identity_statement("allow kms:Encrypt")])];
    let steps = |name: &str, action| {
        let caller = Caller::named(name);
        let principal = caller.principal();
        let request = Request { principal: &principal, action, resource: KEY, context: &policy::Unknown };
        explain(&key, home(), &identity, &request).1
    };
    assert_eq!(
        steps("user/ann", "kms:Decrypt"),
        [
            "the key policy leaves kms:Decrypt to the caller's account by statement 1 (Allow, `Enable IAM User Permissions`)",
            "identity policy 1 says nothing to kms:Decrypt",
            "no identity policy of the caller allows kms:Decrypt",
        ]
    );
    assert_eq!(
        steps("other:root", "kms:Encrypt"),
        [
            "no statement of the key policy allows kms:Encrypt to the caller",
            "identity policy 1 allows kms:Encrypt by statement 1 (Allow)",
        ]
    );
}
