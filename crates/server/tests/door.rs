//! What goes in and out at the door: protocols, signatures, faults.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::path::Path;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use common::{Client, Signer, dev};
use serde_json::json;
use server::{AccessKey, Config, Principal, Server, TlsFiles};
use tokio::net::TcpStream;

/// Creates a key, encrypts and decrypts with it.
async fn round_trip(client: &mut Client) {
    let key = client.create_key().await;
    let plaintext = STANDARD.encode(b"attack at dawn");
    let sealed = client.kms("Encrypt", json!({ "KeyId": key, "Plaintext": plaintext })).await.ok();
    let opened = client.kms("Decrypt", json!({ "CiphertextBlob": sealed["CiphertextBlob"] })).await.ok();
    assert_eq!(opened["Plaintext"], plaintext.as_str());
    assert_eq!(opened["KeyId"], key.as_str());
}

#[tokio::test]
async fn one_connection_takes_many_calls() {
    let running = dev().await;
    let mut client = Client::connect(&running).await;
    for _ in 0..3 {
        round_trip(&mut client).await;
    }
    running.stop().await;
}

#[tokio::test]
async fn http2_without_tls() {
    let running = dev().await;
    let host = running.addr().to_string();
    let stream = TcpStream::connect(&host).await.unwrap();
    let mut client = Client::over_http2(stream, &host, Signer::of(&running)).await;
    round_trip(&mut client).await;
    running.stop().await;
}

#[tokio::test]
async fn tls_speaks_both_and_is_recorded() {
    use tokio_rustls::TlsConnector;
    use tokio_rustls::rustls::pki_types::ServerName;
    use tokio_rustls::rustls::{ClientConfig, RootCertStore};

    let folder = tempfile::tempdir().unwrap();
    let issued = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let files = TlsFiles { certificate: folder.path().join("cert.pem"), key: folder.path().join("key.pem") };
    std::fs::write(&files.certificate, issued.cert.pem()).unwrap();
    std::fs::write(&files.key, issued.signing_key.serialize_pem()).unwrap();
    let running = Server::start(Config { tls: Some(files), ..Config::ephemeral() }).await.unwrap();
    assert!(running.endpoint_url().starts_with("https://127.0.0.1:"));

    let mut roots = RootCertStore::empty();
    roots.add(issued.cert.der().clone()).unwrap();
    let provider = tokio_rustls::rustls::crypto::aws_lc_rs::default_provider();
    for protocol in ["http/1.1", "h2"] {
        let mut config = ClientConfig::builder_with_provider(Arc::new(provider.clone()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots.clone())
            .with_no_client_auth();
        config.alpn_protocols = vec![protocol.as_bytes().to_vec()];
        let stream = TcpStream::connect(running.addr()).await.unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        let stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await.unwrap();
        let host = format!("localhost:{}", running.addr().port());
        let mut client = match protocol {
            "h2" => Client::over_http2(stream, &host, Signer::of(&running)).await,
            _ => Client::over_http1(stream, &host, Signer::of(&running)).await.unwrap(),
        };
        round_trip(&mut client).await;
        let event: serde_json::Value =
            serde_json::from_str(client.events("EventName", "Decrypt").await[0]["CloudTrailEvent"].as_str().unwrap())
                .unwrap();
        assert_eq!(event["tlsDetails"]["tlsVersion"], "TLSv1.3");
        assert_eq!(event["tlsDetails"]["clientProvidedHostHeader"], host.as_str());
    }
    running.stop().await;
}

#[tokio::test]
async fn answers_have_aws_form() {
    let running = dev().await;
    let mut client = Client::connect(&running).await;
    let key = client.create_key().await;

    let void = client.kms("DisableKey", json!({ "KeyId": key })).await;
    assert_eq!((void.status, void.body.len()), (200, 0));
    assert_eq!(void.headers["content-type"], "application/x-amz-json-1.1");
    assert_eq!(void.request_id().len(), 36);
    assert!(void.headers.contains_key("date"));

    let refused = client.kms("Encrypt", json!({ "KeyId": key, "Plaintext": "AAAA" })).await;
    assert_eq!(refused.status, 400);
    assert_eq!(refused.refusal(), format!("DisabledException: {key} is disabled."));
    assert_eq!(refused.headers["x-amzn-errortype"], "DisabledException");

    let bare = client.kms("Decrypt", json!({ "CiphertextBlob": STANDARD.encode(b"nonsense") })).await;
    assert_eq!(bare.text(), r#"{"__type":"InvalidCiphertextException"}"#);
    running.stop().await;
}

#[tokio::test]
async fn what_is_not_offered_is_unknown() {
    let running = dev().await;
    let mut client = Client::connect(&running).await;
    for target in [
        "TrentService.SignEverything",
        "TrentService.",
        "Other.Encrypt",
        "x.TrentService.Encrypt",
        "Encrypt",
        "CloudTrail_20131101.Encrypt",
    ] {
        let answer = client.try_target("kms", target, &json!({})).await.unwrap();
        assert_eq!(answer.status, 400);
        assert_eq!(answer.refusal(), format!("UnknownOperationException: This server does not offer {target}."));
    }
    let answer = client.plain("GET", "/", "").await;
    assert!(answer.refusal().starts_with("UnknownOperationException"));
    let answer = client.plain("GET", "/nothing", "").await;
    assert_eq!(answer.status, 404);
    // botocore names the service by its full name.
    let target = "com.amazonaws.cloudtrail.v20131101.CloudTrail_20131101.LookupEvents";
    client.try_target("cloudtrail", target, &json!({})).await.unwrap().ok();
    running.stop().await;
}

#[tokio::test]
async fn a_body_is_bounded() {
    let running = dev().await;
    let mut client = Client::connect(&running).await;
    let answer = client.kms("Encrypt", json!({ "KeyId": "a".repeat(600_000) })).await;
    assert_eq!(answer.status, 413);
    assert_eq!(answer.refusal(), "RequestEntityTooLargeException: The request body is larger than 524288 bytes.");
    running.stop().await;
}

#[tokio::test]
async fn only_what_is_signed_is_answered() {
    let running = dev().await;
    let good = Signer::of(&running);
    let mut client = Client::connect(&running).await;
    let headers = [("content-type", "application/x-amz-json-1.1"), ("x-amz-target", "TrentService.ListKeys")];

    let unsigned = client.plain("POST", "/", "{}").await;
    assert!(unsigned.refusal().starts_with("UnknownOperationException"));
    let mut request = good.request(&client.host, "kms", &headers, b"{}");
    request.headers_mut().remove("authorization");
    let answer = client.send(request).await.unwrap();
    assert_eq!(
        (answer.status, answer.refusal().as_str()),
        (400, "MissingAuthenticationTokenException: Missing Authentication Token")
    );

    let wrong = Signer { secret: "wrong".to_owned(), ..good.clone() };
    let answer = client.send(wrong.request(&client.host, "kms", &headers, b"{}")).await.unwrap();
    assert!(
        answer.refusal().starts_with("InvalidSignatureException: The request signature we calculated does not match")
    );

    let stranger = Signer { id: "AKIASTRANGER".to_owned(), ..good.clone() };
    let answer = client.send(stranger.request(&client.host, "kms", &headers, b"{}")).await.unwrap();
    assert_eq!(answer.refusal(), "UnrecognizedClientException: The security token included in the request is invalid.");

    let presigned = good.presigned(&format!("http://{}/", client.host), "POST", "kms", &headers, b"{}");
    client.send(presigned).await.unwrap().ok();
    running.stop().await;
}

#[tokio::test]
async fn sts_speaks_query() {
    let running = dev().await;
    let mut client = Client::connect(&running).await;
    let form = [("content-type", "application/x-www-form-urlencoded; charset=utf-8")];
    let asked = b"Action=GetCallerIdentity&Version=2011-06-15";
    let expected = "<Arn>arn:aws:iam::000000000000:root</Arn>";

    let request = client.signer.request(&client.host, "sts", &form, asked);
    let answer = client.send(request).await.unwrap();
    assert_eq!((answer.status, answer.headers["content-type"].to_str().unwrap()), (200, "text/xml"));
    assert!(answer.text().contains(expected), "{}", answer.text());
    assert!(answer.text().contains(&format!("<RequestId>{}</RequestId>", answer.request_id())));

    let uri = format!("http://{}/?Action=GetCallerIdentity&Version=2011-06-15", client.host);
    let request = client.signer.presigned(&uri, "GET", "sts", &[], b"");
    let answer = client.send(request).await.unwrap();
    assert!(answer.text().contains(expected), "{}", answer.text());

    let wrong = Signer { secret: "wrong".to_owned(), ..client.signer.clone() };
    let request = wrong.request(&client.host, "sts", &form, asked);
    let answer = client.send(request).await.unwrap();
    assert_eq!(answer.status, 403);
    assert!(answer.text().contains("<Type>Sender</Type><Code>SignatureDoesNotMatch</Code>"), "{}", answer.text());

    let request = client.signer.request(&client.host, "sts", &form, b"Action=AssumeRole&Version=2011-06-15");
    let answer = client.send(request).await.unwrap();
    assert_eq!(answer.status, 400);
    assert!(answer.text().contains("<Code>InvalidAction</Code>"), "{}", answer.text());
    running.stop().await;
}

#[tokio::test]
async fn a_user_is_not_the_root() {
    let principal = Principal { account: api::AccountId::ZERO, user: Some("ada".to_owned()) };
    let ada = AccessKey { id: "AKIAADA".to_owned(), secret: "s3cret".to_owned().into(), principal };
    let running = Server::start(Config { extra_keys: vec![ada], ..Config::ephemeral() }).await.unwrap();
    let mut client = Client::connect(&running).await;
    let key = client.create_key().await;
    client.signer = Signer { id: "AKIAADA".to_owned(), secret: "s3cret".to_owned(), ..client.signer };
    let refused = client.kms("DescribeKey", json!({ "KeyId": key })).await.refusal();
    assert!(
        refused.starts_with("AccessDeniedException: User: arn:aws:iam::000000000000:user/ada is not authorized"),
        "{refused}"
    );
    let refused = client.lookup(json!({})).await.refusal();
    assert!(refused.starts_with("AccessDeniedException: User: arn:aws:iam::000000000000:user/ada is not authorized to perform: cloudtrail:LookupEvents"), "{refused}");

    client.signer = Signer::of(&running);
    let events = client.events("Username", "ada").await;
    let names: Vec<&str> = events.iter().map(|event| event["EventName"].as_str().unwrap()).collect();
    assert_eq!(names.len(), 2, "{names:?}");
    assert!(names.contains(&"DescribeKey") && names.contains(&"LookupEvents"), "{names:?}");
    running.stop().await;
}

#[tokio::test]
async fn lookup_validates_as_aws_does() {
    let running = dev().await;
    let mut client = Client::connect(&running).await;
    for (body, expected) in [
        (
            json!({ "LookupAttributes": [{ "AttributeKey": "Colour", "AttributeValue": "red" }] }),
            "ValidationException: 1 validation error detected: Value 'Colour' at 'lookupAttributes.1.member.attributeKey'",
        ),
        (
            json!({ "LookupAttributes": [
                { "AttributeKey": "EventName", "AttributeValue": "Encrypt" },
                { "AttributeKey": "Username", "AttributeValue": "ada" }] }),
            "InvalidLookupAttributesException: ",
        ),
        (json!({ "MaxResults": 51 }), "ValidationException: 1 validation error detected: Value '51' at 'maxResults'"),
        (json!({ "StartTime": 2_000_000_000, "EndTime": 1_000_000_000 }), "InvalidTimeRangeException: "),
        (json!({ "NextToken": "made up" }), "InvalidNextTokenException: "),
    ] {
        let refused = client.lookup(body).await.refusal();
        assert!(refused.starts_with(expected), "{refused}");
    }
    assert_eq!(client.lookup(json!({ "EventCategory": "insight" })).await.text(), r#"{"Events":[]}"#);
    running.stop().await;
}

#[tokio::test]
async fn lookup_finds_what_was_just_answered() {
    let running = dev().await;
    let mut client = Client::connect(&running).await;
    let key = client.create_key().await;
    let answer = client.kms("DescribeKey", json!({ "KeyId": key })).await;
    let events = client.events("ResourceName", &key).await;
    assert_eq!(events.len(), 2);
    let describe = events.iter().find(|event| event["EventName"] == "DescribeKey").unwrap();
    assert_eq!(describe["ReadOnly"], "true");
    assert_eq!(describe["Username"], "root");
    assert_eq!(describe["EventSource"], "kms.amazonaws.com");
    assert_eq!(describe["AccessKeyId"], "test");
    assert_eq!(describe["Resources"], json!([{ "ResourceType": "AWS::KMS::Key", "ResourceName": key }]));
    assert!(describe["CloudTrailEvent"].as_str().unwrap().contains(&answer.request_id()));

    // Five a page, to the end, each once.
    for _ in 0..12 {
        client.kms("ListKeys", json!({})).await.ok();
    }
    let attributes = json!([{ "AttributeKey": "EventName", "AttributeValue": "ListKeys" }]);
    let (mut seen, mut token) = (std::collections::BTreeSet::new(), json!(null));
    for expected in [5, 5, 2] {
        let page =
            client.lookup(json!({ "LookupAttributes": attributes, "MaxResults": 5, "NextToken": token })).await.ok();
        let events = page["Events"].as_array().unwrap();
        assert_eq!(events.len(), expected);
        seen.extend(events.iter().map(|event| event["EventId"].as_str().unwrap().to_owned()));
        token = page["NextToken"].clone();
    }
    assert!(token.is_null());
    assert_eq!(seen.len(), 12);
    running.stop().await;
}

#[tokio::test]
async fn health_is_told_to_everyone_and_controls_only_to_developers() {
    let running = dev().await;
    let mut client = Client::connect(&running).await;
    assert_eq!(client.plain("GET", "/healthz", "").await.ok(), json!({ "alive": true }));
    assert_eq!(client.plain("GET", "/readyz", "").await.ok(), json!({ "ready": true, "reasons": [], "warnings": [] }));
    assert_eq!(client.plain("POST", "/readyz", "").await.status, 405);
    // A real clock has no control.
    assert_eq!(client.plain("GET", "/_quietus/clock", "").await.status, 404);
    assert_eq!(client.plain("POST", "/_quietus/nothing", "").await.status, 404);
    assert_eq!(client.plain("GET", "/_quietus/reset", "").await.status, 405);
    running.stop().await;

    let folder = tempfile::tempdir().unwrap();
    let running = real(folder.path()).await;
    let mut client = Client::connect(&running).await;
    assert_eq!(client.plain("GET", "/readyz", "").await.status, 200);
    for path in ["/_quietus/clock", "/_quietus/reset", "/_quietus/trail"] {
        for method in ["GET", "POST"] {
            assert_eq!(client.plain(method, path, "{}").await.status, 404);
        }
    }
    running.stop().await;
}

async fn real(folder: &Path) -> server::Running {
    Server::start(Config { dev: false, data: Some(folder.join("data")), ..Config::ephemeral() }).await.unwrap()
}
