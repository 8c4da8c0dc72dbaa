//! The operator over HTTP, through the SDK, against a server that says what the test wants.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use operator::aws::{Aws, Credentials, Error, Target};
use operator::{Act, Answer, Ask, World};
use procedure::observation::Hole;
use procedure::span::{before, days};
use procedure::{Depth, Gap, KeyState, Observation, Own, Presence, Seen};
use serde_json::{Value, json};

use crate::world::{ACCOUNT, KEY, epoch};

/// What the server says to an operation: a status, a body. No body: the connection breaks.
type Says = Box<dyn Fn(&str, &Value) -> (u16, Option<Value>) + Send + Sync>;

/// A server on this machine.
struct Server {
    url: String,
    /// Operations that were called, in their order.
    calls: Arc<Mutex<Vec<String>>>,
}

impl Server {
    fn start(says: impl Fn(&str, &Value) -> (u16, Option<Value>) + Send + Sync + 'static) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let calls = Arc::new(Mutex::new(Vec::new()));
        let (heard, says): (_, Arc<Says>) = (Arc::clone(&calls), Arc::new(Box::new(says)));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (heard, says) = (Arc::clone(&heard), Arc::clone(&says));
                std::thread::spawn(move || serve(stream, &heard, &says));
            }
        });
        Server { url, calls }
    }

    fn connect(&self) -> Result<Aws, Error> {
        Aws::open(&Target {
            endpoint_url: Some(self.url.clone()),
            region: Some("eu-west-1".to_owned()),
            credentials: Some(Credentials::new("id", "secret", None, None, "test")),
            ..Target::default()
        })
    }

    fn calls(&self, operation: &str) -> usize {
        self.calls.lock().unwrap().iter().filter(|call| *call == operation).count()
    }
}

/// One request after the other, until the other side has no more.
fn serve(stream: TcpStream, heard: &Mutex<Vec<String>>, says: &Says) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut writer = stream;
    loop {
        let (mut operation, mut length) = (String::new(), 0);
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line).unwrap_or(0) == 0 {
                return;
            }
            let lower = line.to_ascii_lowercase();
            if let Some(target) = lower.strip_prefix("x-amz-target:") {
                let at = line.len() - target.trim_start().len();
                operation = line[at..].trim().rsplit('.').next().unwrap().to_owned();
            }
            if let Some(value) = lower.strip_prefix("content-length:") {
                length = value.trim().parse().unwrap();
            }
            if line == "\r\n" {
                break;
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).unwrap();
        let (status, answer) = if operation.is_empty() {
            operation = "GetCallerIdentity".to_owned();
            let arn = format!("arn:aws:sts::{ACCOUNT}:assumed-role/quietus/s");
            let xml = format!(
                "<GetCallerIdentityResponse><GetCallerIdentityResult><Arn>{arn}</Arn><UserId>x</UserId><Account>{ACCOUNT}</Account></GetCallerIdentityResult></GetCallerIdentityResponse>"
            );
            (200, Some(xml))
        } else {
            let (status, answer) = says(&operation, &serde_json::from_slice(&body).unwrap());
            (status, answer.map(|answer| answer.to_string()))
        };
        heard.lock().unwrap().push(operation);
        let Some(answer) = answer else { return };
        let head = format!(
            "HTTP/1.1 {status} X\r\ncontent-length: {}\r\nx-amzn-requestid: request-9\r\ndate: Mon, 01 Jun 2026 00:00:00 GMT\r\n\r\n",
            answer.len()
        );
        if writer.write_all((head + &answer).as_bytes()).is_err() {
            return;
        }
    }
}

fn refusal(code: &str, message: &str) -> (u16, Option<Value>) {
    (400, Some(json!({ "__type": code, "message": message })))
}

fn described(state: &str) -> (u16, Option<Value>) {
    described_as(state, "SYMMETRIC_DEFAULT", "ENCRYPT_DECRYPT")
}

fn described_as(state: &str, spec: &str, usage: &str) -> (u16, Option<Value>) {
    let metadata = json!({
        "KeyId": &KEY[KEY.len() - 36..], "Arn": KEY, "CreationDate": 1_700_000_000.123, "KeyState": state, "KeyManager": "CUSTOMER",
        "KeyUsage": usage, "KeySpec": spec, "Origin": "AWS_KMS",
        "DeletionDate": if state == "PendingDeletion" { json!(1_800_000_000) } else { Value::Null },
    });
    (200, Some(json!({ "KeyMetadata": metadata })))
}

/// A key without anything special.
fn plain(operation: &str, request: &Value) -> (u16, Option<Value>) {
    match operation {
        "DescribeKey" => described("Enabled"),
        "ListKeyPolicies" => (200, Some(json!({ "PolicyNames": ["default", "AWS_RAM"], "Truncated": false }))),
        "GetKeyPolicy" => (200, Some(json!({ "Policy": format!("policy {}", request["PolicyName"]) }))),
        "ListGrants" => match request["Marker"].as_str() {
            None => (
                200,
                Some(
                    json!({ "Grants": [{ "GrantId": "g1", "GranteePrincipal": "p", "Operations": ["Decrypt"] }], "Truncated": true, "NextMarker": "m" }),
                ),
            ),
            Some(_) => (
                200,
                Some(
                    json!({ "Grants": [{ "GrantId": "g2", "GranteePrincipal": "p", "Operations": ["Encrypt"] }], "Truncated": false }),
                ),
            ),
        },
        "ListAliases" => (200, Some(json!({ "Aliases": [{ "AliasName": "alias/app" }], "Truncated": false }))),
        "ListResourceTags" => (200, Some(json!({ "Tags": [{ "TagKey": "a", "TagValue": "b" }], "Truncated": false }))),
        "GetKeyLastUsage" => (
            200,
            Some(
                json!({ "KeyId": KEY, "KeyLastUsage": {}, "TrackingStartDate": 1_700_000_000, "KeyCreationDate": 1_700_000_000 }),
            ),
        ),
        "LookupEvents" => (200, Some(json!({ "Events": [] }))),
        "DescribeTrails" => (200, Some(json!({ "trailList": [{ "Name": "t", "KmsKeyId": "arn:other" }] }))),
        other => panic!("{other}"),
    }
}

fn look(aws: &Aws) -> Observation {
    let (own, probes) = (Own::default(), BTreeMap::new());
    aws.observe(&Ask {
        key: KEY.parse().unwrap(),
        depth: Depth::Full,
        now: epoch(),
        since: before(epoch(), days(7)),
        lookback: before(epoch(), days(30)),
        own: &own,
        probes: &probes,
        notebook: None,
    })
}

#[test]
fn everything_is_asked_to_its_end() {
    let server = Server::start(plain);
    let aws = server.connect().unwrap();
    assert_eq!(aws.operator(), "arn:aws:iam::111122223333:role/quietus");
    assert_eq!(aws.resolve("alias/app").unwrap().to_string(), KEY);
    let seen = look(&aws);
    let Some(Presence::Present(facts)) = seen.key.seen() else { panic!("{:?}", seen.key) };
    assert_eq!((facts.state, facts.created.to_string().as_str()), (KeyState::Enabled, "2023-11-14T22:13:20.123Z"));
    let policies: Vec<_> = seen.policies.seen().unwrap().iter().map(|policy| policy.name.as_str()).collect();
    assert_eq!(policies, ["AWS_RAM", "default"]);
    assert_eq!(seen.grants.seen().unwrap().len(), 2);
    assert_eq!(seen.last_usage.seen().unwrap().last, None);
    assert_eq!(seen.evidence_keys, Seen::Seen(vec!["arn:other".to_owned()]));
    assert_eq!(seen.sources[0].spans.len(), 1);
    assert!(seen.sources[0].holes.is_empty());
    assert!(seen.clock_skew.seen().is_some());
}

#[test]
fn what_is_refused_is_unknown_and_says_why() {
    let server = Server::start(|operation, request| match operation {
        "ListGrants" => refusal("AccessDeniedException", "not you"),
        "GetKeyLastUsage" => refusal("UnknownOperationException", ""),
        "GetKeyPolicy" if request["PolicyName"] == "AWS_RAM" => refusal("AccessDeniedException", "nor that"),
        "LookupEvents" => refusal("AccessDeniedException", "no events for you"),
        _ => plain(operation, request),
    });
    let seen = look(&server.connect().unwrap());
    assert!(matches!(seen.grants.gap(), Some(Gap::Denied { action, .. }) if action == "kms:ListGrants"));
    assert!(matches!(seen.policies.gap(), Some(Gap::Denied { action, .. }) if action == "kms:GetKeyPolicy"));
    assert!(matches!(seen.last_usage.gap(), Some(Gap::Failed { message, .. }) if message.contains("does not offer")));
    let [Hole { span, why: Gap::Denied { action, .. } }] = seen.sources[0].holes.as_slice() else {
        panic!("{:?}", seen.sources)
    };
    assert_eq!((action.as_str(), span.length()), ("cloudtrail:LookupEvents", days(30)));
    assert!(seen.sources[0].spans.is_empty());
}

#[test]
fn a_key_that_is_gone_is_not_unknown() {
    let gone = |operation: &str, request: &Value| match operation {
        "DescribeKey" => refusal("NotFoundException", "does not exist"),
        _ => plain(operation, request),
    };
    let server = Server::start(gone);
    let aws = server.connect().unwrap();
    assert_eq!(look(&aws).key, Seen::Seen(Presence::Gone));
    assert!(aws.resolve(KEY).unwrap_err().to_string().contains("does not exist"));
}

#[test]
fn history_that_breaks_off_is_seen_as_far_as_it_was_read() {
    let server = Server::start(|operation, request| match (operation, request["NextToken"].as_str()) {
        ("LookupEvents", None) if request["LookupAttributes"][0]["AttributeKey"] == "EventSource" => {
            let at = before(epoch(), days(3));
            let event = crate::world::foreign_event("e1", at, "Decrypt");
            let listed = json!({ "EventId": "e1", "EventTime": at.as_second(), "EventSource": "kms.amazonaws.com", "ReadOnly": "true", "CloudTrailEvent": event });
            (200, Some(json!({ "Events": [listed], "NextToken": "more" })))
        }
        ("LookupEvents", Some(_)) => refusal("InvalidNextTokenException", "no more for you"),
        _ => plain(operation, request),
    });
    let seen = look(&server.connect().unwrap());
    assert_eq!(seen.usage.iter().map(|row| row.operation.as_str()).collect::<Vec<_>>(), ["Decrypt"]);
    assert_eq!(seen.attempts.len(), 1);
    let source = &seen.sources[0];
    assert_eq!(source.spans.len(), 1);
    assert!(source.spans[0].length() < days(3));
    assert!(source.holes.iter().any(|hole| hole.span.length() >= days(27) - jiff::SignedDuration::from_secs(2)));
    assert_eq!(source.background.len(), 1);
}

#[test]
fn an_act_is_tried_once_and_what_came_of_it_is_not_guessed() {
    for (says, expected) in [
        ((500, Some(json!({ "__type": "KMSInternalException" }))), "unclear"),
        ((200, None), "unclear"),
        (refusal("AccessDeniedException", "no"), "refused AccessDeniedException"),
        (refusal("ThrottlingException", "slow down"), "refused ThrottlingException"),
        ((200, Some(json!({ "KeyId": KEY, "DeletionDate": 1_800_000_000 }))), "done request-9 2027-01-15T08:00:00Z"),
    ] {
        let server = Server::start(move |operation, request| match operation {
            "ScheduleKeyDeletion" => {
                assert_eq!(request["PendingWindowInDays"], 7);
                says.clone()
            }
            _ => plain(operation, request),
        });
        let answer = match server.connect().unwrap().act(KEY.parse().unwrap(), &Act::Schedule { window_days: 7 }) {
            Answer::Unclear { .. } => "unclear".to_owned(),
            Answer::Refused { code, .. } => format!("refused {code}"),
            Answer::Done { request_id, deletion_date } => {
                format!("done {} {}", request_id.unwrap(), deletion_date.unwrap())
            }
            other => format!("{other:?}"),
        };
        assert_eq!((answer.as_str(), server.calls("ScheduleKeyDeletion")), (expected, 1));
    }
}

#[test]
fn a_key_is_probed_only_while_it_cannot_be_used() {
    let probe = Act::Probe { probe: "p-1".to_owned() };
    for (state, says, expected, sent) in [
        ("Enabled", refusal("DisabledException", "is disabled."), "not tried", 0),
        ("Disabled", refusal("DisabledException", "is disabled."), "done", 1),
        ("PendingDeletion", refusal("KMSInvalidStateException", "is pending deletion."), "done", 1),
        ("Disabled", refusal("AccessDeniedException", "not you"), "refused", 1),
        (
            "Disabled",
            (200, Some(json!({ "KeyId": KEY, "CiphertextBlob": "AA==", "Plaintext": "AA==" }))),
            "admitted",
            1,
        ),
    ] {
        let server = Server::start(move |operation, request| match operation {
            "DescribeKey" => described(state),
            "GenerateDataKey" => {
                assert_eq!(request["EncryptionContext"], json!({ "quietus:probe": "p-1" }));
                says.clone()
            }
            _ => plain(operation, request),
        });
        let answer = match server.connect().unwrap().act(KEY.parse().unwrap(), &probe) {
            Answer::NotTried { .. } => "not tried",
            Answer::Done { .. } => "done",
            Answer::Refused { .. } => "refused",
            Answer::Admitted { .. } => "admitted",
            Answer::Unclear { .. } => "unclear",
        };
        assert_eq!((answer, server.calls("GenerateDataKey")), (expected, sent), "{state}");
    }
}

#[test]
fn every_kind_of_key_has_a_probe_that_fits() {
    let probe = Act::Probe { probe: "p-1".to_owned() };
    for (spec, usage, call, algorithm) in [
        ("RSA_2048", "ENCRYPT_DECRYPT", "Encrypt", "RSAES_OAEP_SHA_256"),
        ("SM2", "ENCRYPT_DECRYPT", "Encrypt", "SM2PKE"),
        ("RSA_4096", "SIGN_VERIFY", "Sign", "RSASSA_PSS_SHA_256"),
        ("ECC_NIST_P521", "SIGN_VERIFY", "Sign", "ECDSA_SHA_512"),
        ("ECC_NIST_EDWARDS25519", "SIGN_VERIFY", "Sign", "ED25519_SHA_512"),
        ("ML_DSA_65", "SIGN_VERIFY", "Sign", "ML_DSA_SHAKE_256"),
        ("SM2", "SIGN_VERIFY", "Sign", "SM2DSA"),
        ("HMAC_384", "GENERATE_VERIFY_MAC", "GenerateMac", "HMAC_SHA_384"),
        ("ECC_NIST_P384", "KEY_AGREEMENT", "DeriveSharedSecret", "ECDH"),
        ("ML_KEM_768", "ENCAPSULATE_DECAPSULATE", "Encapsulate", "ML_KEM"),
    ] {
        let server = Server::start(move |operation, request| match operation {
            "DescribeKey" => described_as("Disabled", spec, usage),
            operation if operation == call => {
                let mut members = request.as_object().unwrap().iter();
                let named = members.find(|(member, _)| member.ends_with("Algorithm"));
                assert_eq!(named.unwrap().1, algorithm);
                refusal("DisabledException", "is disabled.")
            }
            _ => plain(operation, request),
        });
        let answer = server.connect().unwrap().act(KEY.parse().unwrap(), &probe);
        assert!(matches!(answer, Answer::Done { .. }), "{spec} {usage}: {answer:?}");
        assert_eq!(server.calls(call), 1, "{spec} {usage}");
    }
}

#[test]
fn nobody_there_is_said_at_once_with_what_to_do() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let server = Server { url, calls: Arc::default() };
    let error = server.connect().unwrap_err().to_string();
    assert!(error.contains("does not answer") && error.contains("check the endpoint"), "{error}");
    let nonsense = Server { url: "127.0.0.1".to_owned(), calls: Arc::default() };
    assert!(nonsense.connect().unwrap_err().to_string().contains("is not an endpoint URL"));
}
