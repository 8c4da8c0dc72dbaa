//! `kill -9` at any moment loses nothing that was acknowledged.
//!
//! A child process serves a data folder while clients change and use keys; it is killed at a random moment, again and again, in
//! the same folder. What the clients were told is then compared with what a new server says, and with the audit records. A call
//! whose answer did not come may have happened or not; every other must be there. `SLOW=1` kills many more times.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test fails by panicking")]

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Child;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use common::{Answer, Client, Signer};
use jiff::SignedDuration;
use serde_json::{Value, json};
use server::audit::AuditLog;
use server::{Config, Server};

/// Where the child serves; set only in the child.
const FOLDER: &str = "QUIETUS_KILL_TEST_FOLDER";
/// Clients at a time, each with keys of its own.
const CLIENTS: usize = 6;
/// Keys that a client stops adding at.
const KEYS: usize = 12;

fn config(folder: &Path) -> Config {
    Config {
        data: Some(folder.to_owned()),
        // Often, so that a kill meets sealing as well.
        seal_every: SignedDuration::from_millis(50),
        ..Config::ephemeral()
    }
}

/// The child: serves until it is killed. Run as a test, it does nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn child() {
    let Some(folder) = std::env::var_os(FOLDER) else { return };
    let running = Server::start(config(Path::new(&folder))).await.unwrap();
    common::serve_until_killed(&running).await;
}

fn spawn(folder: &Path) -> (Child, String) {
    common::spawn_child(FOLDER, folder)
}

/// What a client knows of one of its keys.
#[derive(Debug, Clone)]
struct Known {
    /// As DescribeKey would say it.
    state: &'static str,
    deletion_date: Option<Value>,
    /// The state that an unanswered call may have led to.
    perhaps: Option<&'static str>,
    ciphertexts: Vec<Value>,
}

/// One client's memory over all kills.
#[derive(Debug, Default)]
struct Memory {
    keys: BTreeMap<String, Known>,
    /// Request IDs of every call that was answered, with its operation.
    answered: Vec<(String, &'static str)>,
}

/// Pseudo-random and different in each run; what was drawn does not matter to what must hold.
fn draw(below: usize) -> usize {
    static STATE: AtomicU64 = AtomicU64::new(0);
    if STATE.load(Ordering::Relaxed) == 0 {
        STATE.store(u64::from(std::process::id()), Ordering::Relaxed);
    }
    let mut x = STATE.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    usize::try_from((x ^ (x >> 31)) % below as u64).unwrap()
}

/// Calls until the connection breaks.
async fn work(host: String, memory: &mut Memory) {
    let signer = Signer { id: "test".to_owned(), secret: "test".to_owned(), region: "eu-west-1".to_owned() };
    let Ok(mut client) = Client::open(&host, signer).await else { return };
    while step(&mut client, memory).await.is_some() {}
}

/// One call; `None` when it was not answered.
async fn step(client: &mut Client, memory: &mut Memory) -> Option<()> {
    if memory.keys.is_empty() || (memory.keys.len() < KEYS && draw(8) == 0) {
        let answer = call(client, memory, "CreateKey", json!({})).await?;
        let arn = answer.ok()["KeyMetadata"]["Arn"].as_str().unwrap().to_owned();
        let known = Known { state: "Enabled", deletion_date: None, perhaps: None, ciphertexts: Vec::new() };
        memory.keys.insert(arn, known);
        return Some(());
    }
    let at = draw(memory.keys.len());
    let (arn, known) = memory.keys.iter().nth(at).map(|(arn, known)| (arn.clone(), known.clone())).unwrap();
    if known.perhaps.is_some() {
        // Look what the unanswered call has done.
        let answer = call(client, memory, "DescribeKey", json!({ "KeyId": arn })).await?;
        settle(&answer.ok(), memory.keys.get_mut(&arn).unwrap());
        return Some(());
    }
    match (known.state, draw(6)) {
        ("Enabled", 0..=3) => {
            let body = json!({ "KeyId": arn, "Plaintext": STANDARD.encode(&arn) });
            let sealed = call(client, memory, "Encrypt", body).await?.ok()["CiphertextBlob"].clone();
            memory.keys.get_mut(&arn).unwrap().ciphertexts.push(sealed);
        }
        ("Enabled", 4) => change(client, memory, &arn, "DisableKey", "Disabled").await?,
        ("Enabled" | "Disabled", 5) => change(client, memory, &arn, "ScheduleKeyDeletion", "PendingDeletion").await?,
        ("Disabled", _) => change(client, memory, &arn, "EnableKey", "Enabled").await?,
        _ => change(client, memory, &arn, "CancelKeyDeletion", "Disabled").await?,
    }
    Some(())
}

async fn call(client: &mut Client, memory: &mut Memory, operation: &'static str, body: Value) -> Option<Answer> {
    let answer = client.try_target("kms", &format!("TrentService.{operation}"), &body).await.ok()?;
    memory.answered.push((answer.request_id(), operation));
    Some(answer)
}

async fn change(
    client: &mut Client,
    memory: &mut Memory,
    arn: &str,
    operation: &'static str,
    state: &'static str,
) -> Option<()> {
    memory.keys.get_mut(arn).unwrap().perhaps = Some(state);
    let answer = call(client, memory, operation, json!({ "KeyId": arn })).await?.ok();
    let known = memory.keys.get_mut(arn).unwrap();
    (known.state, known.perhaps) = (state, None);
    known.deletion_date = answer.get("DeletionDate").cloned();
    Some(())
}

/// Holds a key against what is known of it, and takes what was not known.
fn settle(described: &Value, known: &mut Known) {
    let metadata = &described["KeyMetadata"];
    let state = metadata["KeyState"].as_str().unwrap();
    if state == known.state {
        assert_eq!(metadata.get("DeletionDate"), known.deletion_date.as_ref(), "{metadata}");
    } else {
        assert_eq!(Some(state), known.perhaps, "{metadata} is not {known:?}");
        known.state = known.perhaps.unwrap();
        known.deletion_date = metadata.get("DeletionDate").cloned();
    }
    known.perhaps = None;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_acknowledged_is_lost() {
    let kills = if std::env::var_os("SLOW").is_some() { 200 } else { 5 };
    let place = tempfile::tempdir().unwrap();
    let folder = place.path().join("data");
    let mut memories: Vec<Memory> = std::iter::repeat_with(Memory::default).take(CLIENTS).collect();
    for _ in 0..kills {
        let (mut child, host) = spawn(&folder);
        let clients = memories.drain(..).map(|mut memory| {
            let host = host.clone();
            tokio::spawn(async move {
                work(host, &mut memory).await;
                memory
            })
        });
        let clients: Vec<_> = clients.collect();
        tokio::time::sleep(Duration::from_millis(20 + draw(400) as u64)).await;
        child.kill().unwrap();
        child.wait().unwrap();
        for client in clients {
            memories.push(client.await.unwrap());
        }
    }
    compare_keys(&folder, &mut memories).await;
    compare_records(&folder, &memories);
    let answered: usize = memories.iter().map(|memory| memory.answered.len()).sum();
    println!("{answered} calls were answered between {kills} kills");
    assert!(answered > kills * 10, "the server was hardly used");
}

/// Every key that was acknowledged is as it was acknowledged, and its ciphertexts open.
async fn compare_keys(folder: &Path, memories: &mut [Memory]) {
    let running = Server::start(config(folder)).await.unwrap();
    let mut client = Client::connect(&running).await;
    for memory in memories {
        for (arn, known) in &mut memory.keys {
            let described = client.kms("DescribeKey", json!({ "KeyId": arn })).await.ok();
            settle(&described, known);
            match known.state {
                "PendingDeletion" => {
                    client.kms("CancelKeyDeletion", json!({ "KeyId": arn })).await.ok();
                    client.kms("EnableKey", json!({ "KeyId": arn })).await.ok();
                }
                "Disabled" => {
                    client.kms("EnableKey", json!({ "KeyId": arn })).await.ok();
                }
                _ => {}
            }
            for sealed in &known.ciphertexts {
                let opened = client.kms("Decrypt", json!({ "CiphertextBlob": sealed })).await.ok();
                assert_eq!(opened["Plaintext"], STANDARD.encode(arn).as_str());
            }
        }
    }
    running.stop().await;
}

/// Every call that was answered has exactly one record, and the keys that exist are those whose making is recorded.
fn compare_records(folder: &Path, memories: &[Memory]) {
    let mut records: BTreeMap<String, Value> = BTreeMap::new();
    let mut keep = |bytes: &[u8]| {
        let record: Value = serde_json::from_slice(bytes).unwrap();
        let id = record["eventID"].as_str().unwrap().to_owned();
        if let Some(twin) = records.insert(id, record.clone()) {
            assert_eq!(twin, record, "one event, two records");
        }
    };
    let log = AuditLog::open(folder).unwrap();
    log.rotate().unwrap();
    let mut in_log = BTreeSet::new();
    for number in log.closed_segments() {
        for record in log.read(number).unwrap().records() {
            assert!(in_log.insert(record.bytes.to_vec()), "one record twice in the log");
            keep(record.bytes);
        }
    }
    let mut folders = vec![folder.join("trail")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).into_iter().flatten() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|end| end == "gz") {
                let file: Value = serde_json::from_slice(&inflate(&std::fs::read(path).unwrap())).unwrap();
                for record in file["Records"].as_array().unwrap() {
                    keep(record.to_string().as_bytes());
                }
            }
        }
    }

    let mut by_request: BTreeMap<&str, Vec<&Value>> = BTreeMap::new();
    for record in records.values() {
        by_request.entry(record["requestID"].as_str().unwrap_or_default()).or_default().push(record);
    }
    for (request, operation) in memories.iter().flat_map(|memory| &memory.answered) {
        let found = by_request.get(request.as_str()).map(Vec::as_slice).unwrap_or_default();
        assert_eq!(found.len(), 1, "{operation} {request} has {} records", found.len());
        assert_eq!(found[0]["eventName"], *operation);
    }
    let made: BTreeSet<&str> = records
        .values()
        .filter(|record| record["eventName"] == "CreateKey")
        .map(|record| record["resources"][0]["ARN"].as_str().unwrap())
        .collect();
    for arn in memories.iter().flat_map(|memory| memory.keys.keys()) {
        assert!(made.contains(arn.as_str()), "{arn} has no record of its making");
    }
    let store = store::Embedded::open(&folder.join("store.redb")).unwrap();
    let stored = store::Store::scan(&store, b"key/", b"key0", 100_000).unwrap();
    assert_eq!(stored.len(), made.len(), "as many keys as records of their making");
}

/// A gzip file of one member, which the trail's are.
fn inflate(gzip: &[u8]) -> Vec<u8> {
    let length = u32::from_le_bytes(gzip[gzip.len() - 4..].try_into().unwrap());
    let mut bytes = vec![0; usize::try_from(length).unwrap()];
    libdeflater::Decompressor::new().gzip_decompress(gzip, &mut bytes).unwrap();
    bytes
}
