//! What is a policy document, and what is said of a text that is none.

#![allow(clippy::unwrap_used, reason = "a test that is written wrong may panic")]

mod notation;

use notation::{Caller, KEY, key};
use policy::{Document, Effect, MAX_BYTES, Request, Unknown, Version, authorize, explain, reach, validate_key_policy};
use proptest::prelude::*;

fn error(text: &str) -> String {
    Document::parse(text).unwrap_err().to_string()
}

/// The error of a document with this one statement.
fn statement_error(statement: &str) -> String {
    error(&format!(r#"{{"Version":"2012-10-17","Statement":[{statement}]}}"#))
}

#[test]
fn every_element_is_kept() {
    let text = r#"{
        "Version": "2012-10-17", "Id": "key-policy",
        "Statement": [
            {"Sid": "Use", "Effect": "Allow", "Principal": {"AWS": ["111122223333", "arn:aws:iam::111122223333:user/ann"],
             "Service": "logs.amazonaws.com", "Federated": "example.com", "CanonicalUser": "abc"},
             "Action": ["kms:Decrypt", "kms:Re*"], "Resource": "*",
             "Condition": {"NumericLessThan": {"k": [7, "8"]}, "ForAnyValue:StringLike": {"aws:TagKeys": "q*"}}},
            {"Effect": "Deny", "NotPrincipal": "*", "NotAction": "kms:*", "NotResource": ["arn:aws:kms:::key/1"]}
        ]}"#;
    let document = Document::parse(text).unwrap();
    assert_eq!((document.version, document.id.as_deref()), (Version::V2012, Some("key-policy")));
    let [first, second] = &document.statements[..] else { panic!("two statements") };
    assert_eq!((first.sid.as_deref(), first.effect), (Some("Use"), Effect::Allow));
    let names: Vec<&str> = first.principals.as_ref().unwrap().entries.iter().map(|entry| &*entry.text).collect();
    assert_eq!(
        names,
        ["111122223333", "arn:aws:iam::111122223333:user/ann", "logs.amazonaws.com", "example.com", "abc"]
    );
    let actions: Vec<&str> = first.actions.as_ref().unwrap().patterns.iter().map(|pattern| pattern.as_str()).collect();
    assert_eq!(actions, ["kms:Decrypt", "kms:Re*"]);
    let conditions: Vec<String> = first.conditions.iter().map(ToString::to_string).collect();
    assert_eq!(conditions, ["NumericLessThan k `7` or `8`", "ForAnyValue:StringLike aws:TagKeys `q*`"]);
    assert_eq!((second.sid.as_deref(), second.effect), (None, Effect::Deny));
    assert!(second.principals.as_ref().unwrap().not);
    assert!(second.actions.as_ref().unwrap().not);
    assert_eq!(second.resources.as_ref().unwrap().patterns[0].as_str(), "arn:aws:kms:::key/1");
}

#[test]
fn a_document_without_version_is_of_2008() {
    let document = Document::parse(r#"{"Statement":{"Effect":"Deny"}}"#).unwrap();
    assert_eq!(document.version, Version::V2008);
    assert_eq!(document.statements.len(), 1);
}

#[test]
fn what_is_wrong_is_said() {
    for (text, expected) in [
        ("", "policy is not valid JSON: EOF while parsing a value at line 1 column 0"),
        ("{", "policy is not valid JSON: EOF while parsing an object at line 1 column 1"),
        ("[]", "`policy` of the policy is not an object"),
        ("{}", "the policy has no `Statement`"),
        (r#"{"Statement":[]}"#, "the policy has no `Statement`"),
        (r#"{"Statement":["x"]}"#, "`Statement` of statement 1 is not an object"),
        (r#"{"Version":20121017,"Statement":[]}"#, "`Version` of the policy is not a string"),
        (r#"{"Version":"2013","Statement":[]}"#, "policy version `2013` is neither `2012-10-17` nor `2008-10-17`"),
        (
            r#"{"statement":[]}"#,
            "the policy has an element `statement`, which policies do not have; remove it, or correct its spelling and case",
        ),
    ] {
        assert_eq!(error(text), expected, "{text}");
    }
    for (statement, expected) in [
        (r#"{}"#, "statement 1 has no `Effect`"),
        (r#"{"Effect":"allow"}"#, "effect `allow` of statement 1 is neither `Allow` nor `Deny`"),
        (r#"{"Effect":"Allow"},{"Effect":1}"#, "`Effect` of statement 2 is not a string"),
        (
            r#"{"Effect":"Allow","Actions":"*"}"#,
            "statement 1 has an element `Actions`, which policies do not have; remove it, or correct its spelling and case",
        ),
        (r#"{"Effect":"Allow","Action":{"a":1}}"#, "`Action` of statement 1 is not a string or a list of strings"),
        (r#"{"Effect":"Allow","Action":[null]}"#, "`Action` of statement 1 is not a string or a list of strings"),
        (
            r#"{"Effect":"Allow","Action":"*","NotAction":"*"}"#,
            "statement 1 has both `Action` and `NotAction`; keep one",
        ),
        (
            r#"{"Effect":"Allow","NotPrincipal":"*","Principal":"*"}"#,
            "statement 1 has both `Principal` and `NotPrincipal`; keep one",
        ),
        (
            r#"{"Effect":"Allow","Principal":"111122223333"}"#,
            "`Principal` of statement 1 is not `\"*\"`, or an object such as `{\"AWS\": …}`",
        ),
        (
            r#"{"Effect":"Allow","Principal":{"Aws":"*"}}"#,
            "statement 1 has an element `Principal.Aws`, which policies do not have; remove it, or correct its spelling and case",
        ),
        (
            r#"{"Effect":"Allow","Principal":{"AWS":[1]}}"#,
            "`Principal.AWS` of statement 1 is not a string or a list of strings",
        ),
        (r#"{"Effect":"Allow","Condition":[]}"#, "`Condition` of statement 1 is not an object"),
        (r#"{"Effect":"Allow","Condition":{"Bool":"x"}}"#, "`Bool` of statement 1 is not an object"),
        (
            r#"{"Effect":"Allow","Condition":{"Bool":{"k":null}}}"#,
            "`k` of statement 1 is not a string, number or truth value, or a list of them",
        ),
        (
            r#"{"Effect":"Allow","Condition":{"StringIs":{"k":"a"}}}"#,
            "statement 1 has a condition operator `StringIs`, which does not exist",
        ),
        (
            r#"{"Effect":"Allow","Condition":{"NullIfExists":{"k":"true"}}}"#,
            "statement 1 has a condition operator `NullIfExists`, which does not exist",
        ),
        (
            r#"{"Effect":"Allow","Condition":{"NumericEquals":{"k":["1","one"]}}}"#,
            "value `one` of `NumericEquals` `k` in statement 1 is not a number",
        ),
        (
            r#"{"Effect":"Allow","Condition":{"NotIpAddress":{"aws:SourceIp":"10.0.0.0/40"}}}"#,
            "value `10.0.0.0/40` of `NotIpAddress` `aws:SourceIp` in statement 1 is not an IP address or range",
        ),
        (
            r#"{"Effect":"Allow","Condition":{"StringEquals":{"k":"${a"}}}"#,
            "value `${a` of `StringEquals` `k` in statement 1 is not a text in which `${` begins a variable",
        ),
        (
            r#"{"Effect":"Allow","Resource":"${"}"#,
            "resource `${` of statement 1 has a `${` that begins no variable; write `${$}{` for the two characters",
        ),
    ] {
        assert_eq!(statement_error(statement), expected, "{statement}");
    }
    assert_eq!(error(&" ".repeat(MAX_BYTES + 1)), "policy of 131073 bytes is longer than 131072");
}

#[test]
fn nesting_has_a_bound() {
    assert!(error(&"[".repeat(100_000)).contains("recursion limit exceeded"));
}

/// Asks everything there is to ask of a document; nothing may panic.
fn use_up(document: &Document) {
    let caller = Caller::named("user/ann");
    let principal = caller.principal();
    let request = Request { principal: &principal, action: "kms:Decrypt", resource: KEY, context: &Unknown };
    let account = notation::home();
    assert_eq!(authorize(document, account, &[], &request), explain(document, account, &[], &request).0);
    let reach = reach(document, &key());
    reach.can("kms:Decrypt");
    reach.can_all(policy::RESCUE);
    let _ = validate_key_policy(document);
}

/// Text that is often almost a policy.
fn almost_a_policy() -> impl Strategy<Value = String> {
    let word = prop_oneof![
        Just("*".to_owned()),
        Just("2012-10-17".to_owned()),
        Just("arn:aws:iam::111122223333:root".to_owned()),
        Just("kms:*".to_owned()),
        "[a-z:*?${}',/é]{0,12}",
    ];
    let scalar = prop_oneof![word.prop_map(serde_json::Value::from), any::<i64>().prop_map(serde_json::Value::from)];
    let value = scalar.prop_recursive(3, 24, 4, |inner| {
        let name = proptest::sample::select(NAMES.as_slice());
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(serde_json::Value::from),
            prop::collection::vec((name, inner), 0..4)
                .prop_map(|members| members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()),
        ]
    });
    let members = prop::collection::vec((proptest::sample::select(NAMES.as_slice()), value), 0..6);
    members.prop_map(|members| {
        let mut statement: serde_json::Map<String, serde_json::Value> =
            members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        statement.insert("Effect".into(), "Allow".into());
        serde_json::json!({ "Version": "2012-10-17", "Statement": statement }).to_string()
    })
}

const NAMES: [&str; 14] = [
    "Sid",
    "Principal",
    "NotPrincipal",
    "AWS",
    "Service",
    "Action",
    "NotAction",
    "Resource",
    "NotResource",
    "Condition",
    "StringLike",
    "ForAllValues:ArnLike",
    "NumericEquals",
    "Null",
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_text_makes_it_panic(text in any::<String>()) {
        if let Ok(document) = Document::parse(&text) {
            use_up(&document);
        }
    }

    #[test]
    fn no_almost_policy_makes_it_panic(text in almost_a_policy()) {
        if let Ok(document) = Document::parse(&text) {
            use_up(&document);
        }
    }

    #[test]
    fn no_cut_or_changed_policy_makes_it_panic(at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let policy = policy::default_key_policy(notation::home(), "aws");
        let at = at.index(policy.len());
        let _ = Document::parse(&policy[..at]);
        let mut bytes = policy.into_bytes();
        bytes[at] = byte;
        if let Ok(document) = Document::parse(&String::from_utf8_lossy(&bytes)) {
            use_up(&document);
        }
    }
}
