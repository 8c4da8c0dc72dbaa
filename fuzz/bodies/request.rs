//! What must hold of every operation for any request body: `service::decide` never panics, answers and records are JSON, a refusal
//! changes nothing, and nothing that a caller can say is an internal error.

use std::cell::RefCell;

use api::{OPERATIONS, Service};
use serde_json::{Value, json};
use service::Commit;

#[path = "../../crates/service/tests/world/mod.rs"]
mod world;
use world::{ACCOUNT, World, root};

/// Values that requests are made of; `~0` to `~9` stand for what is in the world: see [`populated`].
const VALUES: &[&str] = &[
    "null",
    "true",
    "0",
    "-1",
    "7",
    "30",
    "32",
    "1024",
    "4096",
    "99999999999999999999",
    "1e308",
    "0.5",
    "\"\"",
    "\"~0\"",
    "\"~1\"",
    "\"~2\"",
    "\"~3\"",
    "\"~4\"",
    "\"~5\"",
    "\"~6\"",
    "\"~7\"",
    "\"~8\"",
    "\"~9\"",
    "\"alias/a\"",
    "\"alias/b\"",
    "\"default\"",
    "\"AQID\"",
    "\"\u{10ffff}\"",
    "[]",
    "{}",
    "[\"Decrypt\"]",
    "[\"Decrypt\",\"CreateGrant\"]",
    "{\"a\":\"b\"}",
    "[{\"TagKey\":\"a\",\"TagValue\":\"b\"}]",
    "[\"~0\"]",
    "\"SYMMETRIC_DEFAULT\"",
    "\"AES_256\"",
    "\"ECC_NIST_P256\"",
    "\"HMAC_256\"",
    "\"ECDSA_SHA_256\"",
    "\"HMAC_SHA_256\"",
    "\"RSAES_OAEP_SHA_256\"",
    "\"RSA_2048\"",
    "\"EXTERNAL\"",
    "\"ENCRYPT_DECRYPT\"",
    "\"SIGN_VERIFY\"",
    "\"GENERATE_VERIFY_MAC\"",
    "\"us-east-1\"",
    "\"eu-west-1\"",
    "\"arn:aws:iam::111122223333:user/a\"",
    "\"RAW\"",
    "\"DIGEST\"",
    "\"ECDH\"",
    "\"{\\\"Version\\\":\\\"2012-10-17\\\",\\\"Statement\\\":[]}\"",
    "{\"EncryptionContextSubset\":{\"a\":\"b\"}}",
];

/// Members beside those that an operation's records show.
const NAMES: &[&str] = &[
    "KeyId",
    "Plaintext",
    "CiphertextBlob",
    "Message",
    "Mac",
    "Signature",
    "Policy",
    "GrantTokens",
    "Tags",
    "EncryptedKeyMaterial",
    "ImportToken",
    "ValidTo",
    "PublicKey",
    "Description",
    "Marker",
    "Limit",
    "Origin",
    "KeySpec",
    "KeyUsage",
    "MultiRegion",
];

thread_local! {
    static WORLD: RefCell<(World, Vec<String>)> = RefCell::new(populated());
}

/// The first byte is the operation; with an even second byte the rest is the body, else it says what the body is put together from.
pub(crate) fn run(bytes: &[u8]) {
    let [operation, kind, rest @ ..] = bytes else { return };
    let operations: Vec<_> = OPERATIONS.iter().filter(|row| row.service == Service::Kms).collect();
    let row = operations[usize::from(*operation) % operations.len()];
    WORLD.with_borrow_mut(|(world, things)| {
        let mut body = if kind % 2 == 0 { rest.to_vec() } else { put_together(row.recorded, rest).into_bytes() };
        if let Ok(text) = std::str::from_utf8(&body) {
            body = things
                .iter()
                .enumerate()
                .fold(text.to_owned(), |text, (at, thing)| text.replace(&format!("~{at}"), thing))
                .into_bytes();
        }
        // Decided, and not committed: each input finds the same world.
        let (_, effect) = world.effect(&root(ACCOUNT), row.name, &body);
        let records = match (&effect.commit, &effect.reply) {
            (Commit::Append(records), _) => records,
            (Commit::Batch(batch), Ok(_)) => &batch.append,
            (Commit::Batch(_), Err(fault)) => panic!("{} was refused with {fault} and changes something", row.name),
        };
        assert!(!records.is_empty(), "{} leaves no record", row.name);
        for record in records {
            serde_json::from_slice::<Value>(record).expect("records are JSON");
        }
        match &effect.reply {
            Ok(reply) if reply.is_empty() => {}
            Ok(reply) => drop(serde_json::from_slice::<Value>(reply).expect("answers are JSON")),
            Err(fault) => assert_eq!(fault.status, 400, "{} fails with {fault}", row.name),
        }
    });
}

/// A request of members that the operation has and values that somebody might give: two bytes for each member.
fn put_together(members: &[&str], bytes: &[u8]) -> String {
    let names: Vec<&str> = members.iter().chain(NAMES).copied().collect();
    let members = bytes.chunks_exact(2).take(16).map(|pair| {
        let value = VALUES[usize::from(pair[1]) % VALUES.len()];
        format!("\"{}\":{value}", names[usize::from(pair[0]) % names.len()])
    });
    format!("{{{}}}", members.collect::<Vec<_>>().join(","))
}

/// A world, and what its callers know: keys of several kinds and states, and what was made with them.
fn populated() -> (World, Vec<String>) {
    let mut world = World::new();
    let symmetric = world.create_key().to_string();
    let mut things = vec![symmetric.clone()];
    for request in [
        json!({ "KeySpec": "ECC_NIST_P256", "KeyUsage": "SIGN_VERIFY" }),
        json!({ "KeySpec": "HMAC_256", "KeyUsage": "GENERATE_VERIFY_MAC" }),
        json!({ "KeySpec": "ECC_NIST_P256", "KeyUsage": "KEY_AGREEMENT" }),
        json!({ "MultiRegion": true }),
        json!({ "Origin": "EXTERNAL" }),
    ] {
        things.push(world.create_key_with(request).to_string());
    }
    let doomed = world.create_key().to_string();
    let mut call = |operation: &str, body: Value| world.call(operation, body).expect("the world can be made");
    call("ScheduleKeyDeletion", json!({ "KeyId": doomed }));
    call("CreateAlias", json!({ "AliasName": "alias/a", "TargetKeyId": symmetric }));
    let text = |answer: Value, member: &str| answer[member].as_str().expect("a text").to_owned();
    let sealed = call("Encrypt", json!({ "KeyId": symmetric, "Plaintext": "AQID" }));
    let grantee = format!("arn:aws:iam::{ACCOUNT}:user/a");
    let grant =
        call("CreateGrant", json!({ "KeyId": symmetric, "GranteePrincipal": grantee, "Operations": ["Decrypt"] }));
    let wrapping =
        json!({ "KeyId": things[5], "WrappingAlgorithm": "RSAES_OAEP_SHA_256", "WrappingKeySpec": "RSA_2048" });
    let parameters = call("GetParametersForImport", wrapping);
    things.extend([doomed, text(sealed, "CiphertextBlob"), text(grant, "GrantToken"), text(parameters, "ImportToken")]);
    (world, things)
}
