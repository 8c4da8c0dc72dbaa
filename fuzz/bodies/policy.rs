//! What must hold of the policy language for any text: reading a document never panics, nor does asking it anything; and no request is
//! both denied and let through.

use api::AccountId;
use policy::{Attached, Document, Facts, Outcome, Principal, Request, authorize, explain, reach, validate_key_policy};

const KEY: &str = "arn:aws:kms:eu-west-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab";
const USER: &str = "arn:aws:iam::111122223333:user/ada";
const START: &str = r#"{"Version":"2012-10-17","Statement":["#;

/// Words that documents are made of.
const WORDS: &[&str] = &[
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "\"Effect\":\"Allow\"",
    "\"Effect\":\"Deny\"",
    "\"Principal\":\"*\"",
    "\"Principal\":{\"AWS\":\"arn:aws:iam::111122223333:root\"}",
    "\"NotPrincipal\":{\"AWS\":\"arn:aws:iam::111122223333:user/ada\"}",
    "\"Action\":\"kms:*\"",
    "\"NotAction\":[\"kms:D?crypt*\"]",
    "\"Resource\":\"*\"",
    "\"NotResource\":\"arn:aws:kms:*:*:key/*\"",
    "\"Condition\":{\"StringLike\":{\"aws:PrincipalArn\":\"*${aws:username}*\"}}",
    "\"Condition\":{\"Bool\":{\"a:b\":\"true\"}}",
    "\"Condition\":{\"ForAnyValue:StringEqualsIfExists\":{\"kms:EncryptionContextKeys\":[\"a\",\"b\"]}}",
    "\"Condition\":{\"NumericLessThan\":{\"kms:ScheduleKeyDeletionPendingWindowInDays\":\"7.5\"}}",
    "\"Condition\":{\"DateGreaterThan\":{\"aws:CurrentTime\":\"2026-01-01T00:00:00Z\"}}",
    "\"Condition\":{\"IpAddress\":{\"aws:SourceIp\":\"2001:db8::/33\"}}",
    "\"Condition\":{\"Null\":{\"a\":\"true\"}}",
    "\"Sid\":\"${*}${\"",
    "},{",
];

/// Reads the bytes as a text, and then as the numbers of words.
pub(crate) fn run(bytes: &[u8]) {
    ask(&String::from_utf8_lossy(bytes));
    let words: String = bytes.iter().take(64).map(|byte| WORDS[usize::from(*byte) % WORDS.len()]).collect();
    ask(&words);
    let members: Vec<&str> =
        bytes.iter().take(16).map(|byte| WORDS[6 + usize::from(*byte) % (WORDS.len() - 6)]).collect();
    ask(&format!("{START}{{{}}}]}}", members.join(",").replace(",},{,", "},{")));
}

fn ask(text: &str) {
    let Ok(document) = Document::parse(text) else { return };
    // Good or not, a document may be asked.
    let _ = validate_key_policy(&document);
    let account: AccountId = "111122223333".parse().expect("an account");
    let facts = Facts::new()
        .with("aws:PrincipalArn", USER)
        .with("aws:username", "ada")
        .with("aws:SourceIp", "2001:db8::1")
        .with("aws:CurrentTime", "2026-05-20T20:45:00Z")
        .with("kms:ScheduleKeyDeletionPendingWindowInDays", 7)
        .with("a:b", true);
    let callers = [Principal::Root { account }, Principal::User { account, arn: USER }];
    for principal in &callers {
        for action in ["kms:Decrypt", "kms:PutKeyPolicy"] {
            let request = Request { principal, action, resource: KEY, context: &facts };
            let outcome = document.evaluate(Attached::ToResource, &request);
            let decision = authorize(&document, account, &[], &request);
            assert!(!(matches!(outcome, Outcome::Deny(_)) && decision.is_allowed()), "denied and let through: {text}");
            assert_eq!(explain(&document, account, &[], &request).0.is_allowed(), decision.is_allowed());
            let identity = std::slice::from_ref(&document);
            assert!(!decision.is_allowed() || !matches!(outcome, Outcome::Silent), "nobody lets through: {text}");
            let _ = authorize(&document, account, identity, &request);
        }
    }
    let row = reach(&document, &KEY.parse().expect("a key ARN"));
    let _ = (row.can("kms:Decrypt"), row.can_all(&["kms:Decrypt", "kms:PutKeyPolicy"]));
}
