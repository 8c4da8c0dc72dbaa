//! Starting: what a first start makes, what a second finds, and what is refused.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use common::{Client, Signer};
use serde_json::json;
use server::{ClockKind, Config, Running, Server, TlsFiles};

/// A server that is not for development, on a free port.
fn real(data: &Path) -> Config {
    Config { dev: false, data: Some(data.to_owned()), ..Config::ephemeral() }
}

fn dev(data: &Path) -> Config {
    Config { data: Some(data.to_owned()), ..Config::ephemeral() }
}

async fn start(config: Config) -> Running {
    Server::start(config).await.unwrap()
}

async fn refused(config: Config) -> String {
    match Server::start(config).await {
        Ok(running) => {
            running.stop().await;
            panic!("it started")
        }
        Err(error) => error.to_string(),
    }
}

struct Place {
    _folder: tempfile::TempDir,
    data: PathBuf,
}

fn place() -> Place {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    Place { _folder: folder, data }
}

#[tokio::test]
async fn a_restart_keeps_everything() {
    let place = place();
    let running = start(real(&place.data)).await;
    assert_eq!(running.account().to_string().len(), 12);
    let first = running.new_credentials().unwrap().clone();
    assert!(first.id.starts_with("AKIA"));
    for secret in ["credentials", "keyring", "server.json", "store.redb"] {
        let mode = fs::metadata(place.data.join(secret)).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{secret}");
    }

    let mut client = Client::connect(&running).await;
    let key = client.create_key().await;
    let context = json!({ "Department": "Engineering" });
    let plaintext = STANDARD.encode(b"kept");
    let encrypt = json!({ "KeyId": key, "Plaintext": plaintext, "EncryptionContext": context });
    let sealed = client.kms("Encrypt", encrypt).await.ok()["CiphertextBlob"].clone();
    client.kms("CreateAlias", json!({ "AliasName": "alias/app", "TargetKeyId": key })).await.ok();
    client.kms("TagResource", json!({ "KeyId": key, "Tags": [{ "TagKey": "a", "TagValue": "b" }] })).await.ok();
    let dying = client.create_key().await;
    let scheduled = client.kms("ScheduleKeyDeletion", json!({ "KeyId": dying })).await.ok();
    let account = running.account();
    running.stop().await;

    let running = start(real(&place.data)).await;
    assert!(running.new_credentials().is_none());
    assert_eq!((running.credentials().id.as_str(), running.account()), (first.id.as_str(), account));
    let mut client = Client::connect(&running).await;
    let opened = client.kms("Decrypt", json!({ "CiphertextBlob": sealed, "EncryptionContext": context })).await.ok();
    assert_eq!(opened["Plaintext"], plaintext.as_str());
    let described = client.kms("DescribeKey", json!({ "KeyId": "alias/app" })).await.ok();
    assert_eq!(described["KeyMetadata"]["Arn"], key.as_str());
    let tags = client.kms("ListResourceTags", json!({ "KeyId": key })).await.ok();
    assert_eq!(tags["Tags"], json!([{ "TagKey": "a", "TagValue": "b" }]));
    let described = client.kms("DescribeKey", json!({ "KeyId": dying })).await.ok();
    assert_eq!(described["KeyMetadata"]["DeletionDate"], scheduled["DeletionDate"]);
    let names: Vec<String> = client
        .events("ResourceName", &key)
        .await
        .iter()
        .map(|event| event["EventName"].as_str().unwrap().to_owned())
        .collect();
    for name in ["CreateKey", "Encrypt", "CreateAlias", "TagResource", "Decrypt", "DescribeKey", "ListResourceTags"] {
        assert_eq!(names.iter().filter(|known| *known == name).count(), 1, "{name} in {names:?}");
    }
    running.stop().await;
}

#[tokio::test]
async fn a_profile_is_a_user() {
    let place = place();
    start(real(&place.data)).await.stop().await;
    let path = place.data.join("credentials");
    let mut text = fs::read_to_string(&path).unwrap();
    text += "\n[ada]\naws_access_key_id = AKIAADA\naws_secret_access_key = s3cret\nquietus_principal = arn:aws:iam::111122223333:user/ada\n";
    fs::write(&path, &text).unwrap();
    let running = start(real(&place.data)).await;
    let mut client = Client::connect(&running).await;
    client.signer = Signer { id: "AKIAADA".to_owned(), secret: "s3cret".to_owned(), ..client.signer };
    let form = [("content-type", "application/x-www-form-urlencoded")];
    let request = client.signer.request(&client.host, "sts", &form, b"Action=GetCallerIdentity&Version=2011-06-15");
    let answer = client.send(request).await.unwrap();
    assert!(answer.text().contains("<Arn>arn:aws:iam::111122223333:user/ada</Arn>"), "{}", answer.text());
    running.stop().await;

    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    assert!(refused(real(&place.data)).await.contains("has mode 644"));
}

#[tokio::test]
async fn a_folder_keeps_its_kind_and_its_account() {
    let place = place();
    let mut config = real(&place.data);
    config.account = Some("111122223333".parse().unwrap());
    let running = start(config).await;
    assert_eq!(running.account().to_string(), "111122223333");
    // Not while another uses it.
    assert!(refused(real(&place.data)).await.contains("is in use by another process"));
    running.stop().await;
    assert!(refused(dev(&place.data)).await.contains("was made by a server without `--dev`"));
    let mut config = real(&place.data);
    config.account = Some("444455556666".parse().unwrap());
    assert!(refused(config).await.contains("was made for account 111122223333, not 444455556666"));
    start(real(&place.data)).await.stop().await;

    let place = crate::place();
    let running = start(dev(&place.data)).await;
    assert_eq!(running.credentials().id, "test");
    assert_eq!(running.account().to_string(), "000000000000");
    running.stop().await;
    assert!(refused(real(&place.data)).await.contains("was made by a `--dev` server"));
}

#[tokio::test]
async fn the_keyring_must_be_the_folders_own() {
    let (place, other) = (place(), place());
    for place in [&place, &other] {
        start(real(&place.data)).await.stop().await;
    }
    let keyring = place.data.join("keyring");
    fs::copy(other.data.join("keyring"), &keyring).unwrap();
    assert!(refused(real(&place.data)).await.contains("does not belong to this data folder"));
    fs::remove_file(&keyring).unwrap();
    assert!(refused(real(&place.data)).await.contains("is missing"));
}

#[tokio::test]
async fn what_cannot_be_is_refused() {
    let place = place();
    let open = Config { listen: "0.0.0.0:0".parse().unwrap(), ..dev(&place.data) };
    assert!(refused(open).await.contains("listens on loopback only"));
    let clock = Config { clock: ClockKind::Virtual { start: None }, ..real(&place.data) };
    assert!(refused(clock).await.contains("only with `--dev`"));
    let late = Config { deletion_delay_seconds: 86_401, ..real(&place.data) };
    assert!(refused(late).await.contains("`86401` seconds"));
    let tls = TlsFiles { certificate: place.data.join("none.pem"), key: place.data.join("none.pem") };
    assert!(refused(Config { tls: Some(tls), ..real(&place.data) }).await.contains("cannot use certificate"));
    assert!(!place.data.exists(), "nothing was touched");

    let running = start(dev(&place.data)).await;
    let taken = Config { listen: running.addr(), ..Config::ephemeral() };
    assert!(refused(taken).await.contains("cannot listen on"));
    running.stop().await;

    let elsewhere = crate::place();
    fs::create_dir(&elsewhere.data).unwrap();
    fs::write(elsewhere.data.join("thesis.tex"), "mine").unwrap();
    assert!(refused(dev(&elsewhere.data)).await.contains("holds `thesis.tex` and no `server.json`"));
    let file = Config { data: Some(elsewhere.data.join("thesis.tex")), ..Config::ephemeral() };
    assert!(refused(file).await.contains("cannot make folder"));
}

#[tokio::test]
async fn a_damaged_record_is_named() {
    use store::{Batch, BatchId, Embedded, Store as _};
    let place = place();
    start(real(&place.data)).await.stop().await;
    let store = Embedded::open(&place.data.join("store.redb")).unwrap();
    let mut batch = Batch::new(BatchId([1; 16]));
    batch.put = vec![(b"grant/1".to_vec(), b"{}".to_vec())];
    store.commit(&[batch]).unwrap();
    drop(store);
    assert!(refused(real(&place.data)).await.contains("store key `grant/1` names no record"));
}

#[tokio::test]
async fn time_that_ran_ahead_does_not_come_back() {
    let place = place();
    let ahead = Config { clock: ClockKind::Virtual { start: None }, ..dev(&place.data) };
    let running = start(ahead).await;
    running.advance(jiff::SignedDuration::from_hours(48)).await.unwrap();
    running.stop().await;
    assert!(refused(dev(&place.data)).await.contains("has run on a virtual clock until"));
}

#[tokio::test]
async fn a_held_clock_waits_for_an_operator() {
    let place = place();
    start(real(&place.data)).await.stop().await;
    let hold = place.data.join("clock-held.json");
    fs::write(&hold, r#"{"v":1,"seen":"2027-01-01T00:00:00Z","ahead_seconds":86400}"#).unwrap();
    let running = start(real(&place.data)).await;
    let mut client = Client::connect(&running).await;
    let ready = client.plain("GET", "/readyz", "").await.ok();
    assert!(ready["warnings"][0].as_str().unwrap().contains("ahead by 86400 seconds"), "{ready}");
    client.create_key().await;
    running.stop().await;
    assert!(hold.exists());

    let running = start(Config { accept_clock: true, ..real(&place.data) }).await;
    let mut client = Client::connect(&running).await;
    assert_eq!(client.plain("GET", "/readyz", "").await.ok()["warnings"], json!([]));
    running.stop().await;
    assert!(!hold.exists());
}
