//! A data folder that the first released form of the server wrote opens, and everything in it is as its clients were told.
//!
//! The folder was made by a development server with a virtual clock: records of version 1, ciphertexts, an alias, tags, a
//! deletion that is pending and one that was carried out. `told.json` is what its client was told.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use common::Client;
use libdeflater::Decompressor;
use serde_json::{Value, json};
use server::{ClockKind, Config, Server};

const FIRST_SLICE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/first-slice");

/// The most that the stored file may inflate to.
const STORE_BYTES: usize = 1 << 20;

/// Copies a folder; the store is inflated, and only the owner may read any of it.
fn unpack(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    fs::set_permissions(to, fs::Permissions::from_mode(0o700)).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let (path, name) = entry.map(|entry| (entry.path(), entry.file_name())).unwrap();
        let mut target = to.join(&name);
        if path.is_dir() {
            unpack(&path, &target);
            continue;
        }
        let mut bytes = fs::read(&path).unwrap();
        if name == "store.redb.gz" {
            let mut inflated = vec![0; STORE_BYTES];
            let length = Decompressor::new().gzip_decompress(&bytes, &mut inflated).unwrap();
            inflated.truncate(length);
            (bytes, target) = (inflated, to.join("store.redb"));
        }
        fs::write(&target, bytes).unwrap();
        fs::set_permissions(&target, fs::Permissions::from_mode(0o600)).unwrap();
    }
}

async fn advance(client: &mut Client, days: i64) {
    client.plain("POST", "/_quietus/clock", &json!({ "advance_seconds": days * 86_400 }).to_string()).await.ok();
}

#[tokio::test]
async fn the_first_slices_store_opens() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    unpack(&Path::new(FIRST_SLICE).join("data"), &data);
    let told: Value = serde_json::from_slice(&fs::read(Path::new(FIRST_SLICE).join("told.json")).unwrap()).unwrap();
    let arn = |name: &str| told[name]["arn"].as_str().unwrap().to_owned();
    let config =
        || Config { data: Some(data.clone()), clock: ClockKind::Virtual { start: None }, ..Config::ephemeral() };

    // Twice: what the first start may have rewritten must open as well.
    for _ in 0..2 {
        let running = Server::start(config()).await.unwrap();
        let mut client = Client::connect(&running).await;
        for (name, state) in [
            ("enabled", "Enabled"),
            ("disabled", "Disabled"),
            ("pending", "PendingDeletion"),
            ("external", "PendingImport"),
            ("primary", "Enabled"),
        ] {
            let described = client.kms("DescribeKey", json!({ "KeyId": arn(name) })).await.ok();
            let metadata = &described["KeyMetadata"];
            assert_eq!(metadata["KeyState"], state, "{metadata}");
            assert_eq!(metadata["Description"], name);
            assert_eq!(metadata["KeySpec"], "SYMMETRIC_DEFAULT");
            assert_eq!(metadata["KeyUsage"], "ENCRYPT_DECRYPT");
        }
        let gone = client.kms("DescribeKey", json!({ "KeyId": arn("deleted") })).await.refusal();
        assert_eq!(gone, format!("NotFoundException: Key '{}' does not exist", arn("deleted")));
        let by_alias = client.kms("DescribeKey", json!({ "KeyId": "alias/orders" })).await.ok();
        assert_eq!(by_alias["KeyMetadata"]["Arn"], arn("enabled"));
        let tags = client.kms("ListResourceTags", json!({ "KeyId": arn("enabled") })).await.ok();
        assert_eq!(tags["Tags"], json!([{ "TagKey": "team", "TagValue": "orders" }]));
        let last = client.kms("GetKeyLastUsage", json!({ "KeyId": arn("disabled") })).await.ok();
        assert_eq!(last["KeyLastUsage"], json!({}));

        let context = json!({ "shop": "north" });
        let opened =
            client.kms("Decrypt", json!({ "CiphertextBlob": told["ciphertext"], "EncryptionContext": context })).await;
        assert_eq!(opened.ok()["Plaintext"], STANDARD.encode("kept since the first slice"));
        let opened = client.kms("Decrypt", json!({ "CiphertextBlob": told["primary ciphertext"] })).await.ok();
        assert_eq!(opened["Plaintext"], STANDARD.encode("of a family to be"));
        let deleted = client.events("EventName", "DeleteKey").await;
        assert_eq!(deleted.len(), 1, "{deleted:?}");
        drop(client);
        running.stop().await;
    }

    // The deletion that was pending when the folder was written is carried out at its date, and not before.
    let running = Server::start(config()).await.unwrap();
    let mut client = Client::connect(&running).await;
    advance(&mut client, 21).await;
    client.kms("DescribeKey", json!({ "KeyId": arn("pending") })).await.ok();
    advance(&mut client, 2).await;
    client.kms("DescribeKey", json!({ "KeyId": arn("pending") })).await.refusal();
    assert_eq!(client.events("EventName", "DeleteKey").await.len(), 2);
}
