//! Random histories: many clients, in many Regions, change and use keys at once, and a naive model explains every answer.
//!
//! Each group of clients has a place of its own: a multi-Region key, a key of one Region, and their aliases. In each round its clients
//! call side by side while the virtual clock stands still; then there must be an order of the calls in which the model, which knows
//! nothing of concurrency, gives the same answers. What is read afterwards must be what the model is left with; every call that
//! changes has its record exactly once; and when the clock moves on, those keys die that the model lets die, at their dates.
//! In one of the tests the server is killed in the middle of every round. What the clients do is drawn from fixed seeds; how it
//! interleaves is the scheduler's. `SLOW=1` goes on for many seeds.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test fails by panicking")]

#[path = "../common/mod.rs"]
mod common;
mod model;
mod search;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Child;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use common::{Answer, Client, Signer};
use jiff::Timestamp;
use model::{Call, DAY, Op, Place, REGIONS, Shown};
use search::{Entry, explain};
use serde_json::{Value, json};
use server::{ClockKind, Config, Server};

/// Where the child serves; set only in the child.
const FOLDER: &str = "QUIETUS_HISTORIES_TEST_FOLDER";
/// Places, each with clients of its own.
const GROUPS: usize = 5;
/// Clients of one place.
const LANES: usize = 3;
/// Calls of one client in one round.
const CALLS: usize = 8;
/// So many rounds with one server. LookupEvents looks back 90 days, and the first automatic rotation would come after as many.
const ROUNDS: usize = 8;
const SPAN: i64 = 85 * DAY;
/// For whatever a round waits for.
const DEADLINE: Duration = Duration::from_secs(60);

const GRANTEE: &str = "arn:aws:iam::000000000000:user/ada";
const OPEN: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::000000000000:root"},"Action":"kms:*","Resource":"*"}]}"#;
const DENYING: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::000000000000:root"},"Action":"kms:*","Resource":"*"},{"Effect":"Deny","Principal":"*","Action":"kms:Encrypt","Resource":"*"}]}"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn histories_are_explained_by_a_naive_model() {
    for seed in 0..if is_slow() { 40 } else { 1 } {
        let running = Server::start(config(None)).await.unwrap();
        let mut history = History::new(seed, running.addr().to_string());
        for _ in 0..ROUNDS {
            history.begin().await;
            history.call_at_once(None).await;
            history.settle().await;
        }
        history.check_happened(false);
        running.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn so_are_histories_with_a_killed_server() {
    for seed in 0..if is_slow() { 20 } else { 1 } {
        let place = tempfile::tempdir().unwrap();
        let folder = place.path().join("data");
        let (mut child, host) = spawn(&folder);
        let mut history = History::new(1000 + seed, host);
        for _ in 0..ROUNDS / 2 {
            history.begin().await;
            let after = history.dice.below(GROUPS * LANES * CALLS / 2) as u64;
            let doomed = Doomed { child: Mutex::new(child), answers_left: AtomicU64::new(after) };
            let doomed = Arc::new(doomed);
            history.call_at_once(Some(doomed.clone())).await;
            doomed.kill();
            (child, history.host) = spawn(&folder);
            history.call_at_once(None).await;
            history.settle().await;
        }
        history.check_happened(true);
        child.kill().unwrap();
        child.wait().unwrap();
    }
}

fn is_slow() -> bool {
    std::env::var_os("SLOW").is_some()
}

fn config(folder: Option<&Path>) -> Config {
    let start: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
    Config { data: folder.map(Path::to_owned), clock: ClockKind::Virtual { start: Some(start) }, ..Config::ephemeral() }
}

/// The child: serves until it is killed. Run as a test, it does nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn child() {
    let Some(folder) = std::env::var_os(FOLDER) else { return };
    let running = Server::start(config(Some(Path::new(&folder)))).await.unwrap();
    common::serve_until_killed(&running).await;
}

fn spawn(folder: &Path) -> (Child, String) {
    common::spawn_child(FOLDER, folder)
}

/// A server that is killed after so many answers.
struct Doomed {
    child: Mutex<Child>,
    answers_left: AtomicU64,
}

impl Doomed {
    fn note_answer(&self) {
        if self.answers_left.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.kill();
        }
    }

    fn kill(&self) {
        let mut child = self.child.lock().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }
}

/// Numbers that only grow: what happened before what, as all clients saw it.
fn moment() -> u64 {
    static MOMENT: AtomicU64 = AtomicU64::new(0);
    MOMENT.fetch_add(1, Ordering::SeqCst)
}

/// Pseudo-random numbers (SplitMix64).
#[derive(Debug)]
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut x = self.0;
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((x ^ (x >> 31)) % bound as u64).unwrap()
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }
}

/// One server's story.
struct History {
    host: String,
    dice: Dice,
    groups: Vec<Group>,
    /// What the clock shows, in seconds, and where it began.
    now: i64,
    start: i64,
    /// What has happened: calls that succeeded, that were refused, that were not answered, and deaths.
    seen: [usize; 4],
}

/// Who works on one place, and what the place may be like.
struct Group {
    /// Key IDs.
    keys: [String; 2],
    places: BTreeSet<Place>,
    lanes: Vec<Lane>,
}

/// One client.
struct Lane {
    keys: [String; 2],
    /// Where the keys were made.
    home: usize,
    dice: Dice,
    blobs: [Vec<String>; 2],
    grants: Vec<(usize, usize, String)>,
    /// Of this round.
    entries: Vec<Entry>,
    /// Of this round: the answers to calls that change something, by Region, request ID and operation; whether they succeeded.
    writes: BTreeMap<(usize, String, &'static str), bool>,
}

impl History {
    fn new(seed: u64, host: String) -> History {
        let start: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let start = start.as_second();
        History { host, dice: Dice(seed), groups: Vec::new(), now: start, start, seen: [0; 4] }
    }

    /// A history in which nothing happens is explained by any model.
    fn check_happened(&self, killed: bool) {
        let [succeeded, refused, unanswered, deaths] = self.seen;
        println!(
            "{succeeded} calls succeeded, {refused} were refused, {unanswered} were not answered; {deaths} keys died"
        );
        assert!(succeeded > 50 && refused > 50 && (unanswered > 0) == killed, "{:?}", self.seen);
    }

    /// Begins a round: a place whose keys are all dead gives way to a new one.
    async fn begin(&mut self) {
        self.groups.retain(|group| !group.places.iter().all(Place::is_dead));
        while self.groups.len() < GROUPS {
            let region = self.dice.below(REGIONS.len());
            let mut client = connect(&self.host).await.unwrap();
            client.signer.region = REGIONS[region].to_owned();
            let mut keys = [String::new(), String::new()];
            for (key, multi_region) in keys.iter_mut().zip([true, false]) {
                let made = client.kms("CreateKey", json!({ "MultiRegion": multi_region })).await.ok();
                made["KeyMetadata"]["KeyId"].as_str().unwrap().clone_into(key);
            }
            let lanes = (0..LANES).map(|_| {
                let dice = Dice(self.dice.below(usize::MAX) as u64);
                let (blobs, grants, entries) = ([Vec::new(), Vec::new()], Vec::new(), Vec::new());
                Lane { keys: keys.clone(), home: region, dice, blobs, grants, entries, writes: BTreeMap::new() }
            });
            let lanes = lanes.collect();
            self.groups.push(Group { keys, places: BTreeSet::from([Place::new(region)]), lanes });
        }
    }

    /// All clients of all places call, until each has made its calls or the server is gone.
    async fn call_at_once(&mut self, doomed: Option<Arc<Doomed>>) {
        let mut working = Vec::new();
        for group in &mut self.groups {
            for mut lane in group.lanes.drain(..) {
                let (host, doomed) = (self.host.clone(), doomed.clone());
                working.push(tokio::spawn(async move {
                    lane.work(&host, doomed.as_deref()).await;
                    lane
                }));
            }
        }
        for (at, lane) in working.into_iter().enumerate() {
            let lane = tokio::time::timeout(DEADLINE, lane).await.expect("clients are answered").unwrap();
            self.groups[at / LANES].lanes.push(lane);
        }
    }

    /// Ends a round: explains it, reads everything, moves the clock on, and holds the records against all that.
    async fn settle(&mut self) {
        let mut client = connect(&self.host).await.unwrap();
        let mut writes = BTreeMap::new();
        for group in &mut self.groups {
            let lanes: Vec<Vec<Entry>> = group.lanes.iter_mut().map(|lane| std::mem::take(&mut lane.entries)).collect();
            writes.extend(group.lanes.iter_mut().flat_map(|lane| std::mem::take(&mut lane.writes)));
            for entry in lanes.iter().flatten() {
                self.seen[match entry.told {
                    Some(Ok(_)) => 0,
                    Some(Err(_)) => 1,
                    None => 2,
                }] += 1;
            }
            let places = explain(&group.places, &lanes, self.now);
            assert!(!places.is_empty(), "nothing explains {lanes:#?}\nfrom {:#?}", group.places);
            let reads = vec![read_all(&mut client, &group.keys).await];
            group.places = explain(&places, &reads, self.now);
            assert!(!group.places.is_empty(), "{reads:#?}\nis not\n{places:#?}\nafter\n{lanes:#?}");
        }
        let before = self.now;
        let steps = [1, 2, 2, 2, 3 * DAY, 7 * DAY - 1, 7 * DAY, 10 * DAY];
        let step = Some(self.dice.pick(&steps)).filter(|step| self.now + step < self.start + SPAN).unwrap_or(2);
        self.now += step;
        client.plain("POST", "/_quietus/clock", &json!({ "advance_seconds": step }).to_string()).await.ok();
        let events = self.events(&mut client, before).await;
        check_writes(&writes, &events);
        self.check_deaths(before, &events);
    }

    /// The records since `before` of what changes something, with the Regions whose they are.
    async fn events(&self, client: &mut Client, before: i64) -> Vec<(usize, Value)> {
        let mut found = Vec::new();
        for (at, region) in REGIONS.into_iter().enumerate() {
            client.signer.region = region.to_owned();
            let mut body = json!({
                "LookupAttributes": [{ "AttributeKey": "ReadOnly", "AttributeValue": "false" }],
                "StartTime": before,
                "EndTime": self.now,
            });
            loop {
                let page = client.lookup(body.clone()).await.ok();
                let events = page["Events"].as_array().unwrap().iter();
                found.extend(events.map(|event| {
                    (at, serde_json::from_str::<Value>(event["CloudTrailEvent"].as_str().unwrap()).unwrap())
                }));
                match page.get("NextToken") {
                    Some(token) => body["NextToken"] = token.clone(),
                    None => break,
                }
            }
        }
        found
    }

    /// Lets the time since `before` pass in the model, too: the same keys have died, at the same dates.
    fn check_deaths(&mut self, before: i64, events: &[(usize, Value)]) {
        let mut recorded: BTreeMap<String, BTreeSet<(usize, i64)>> = BTreeMap::new();
        for (region, event) in events.iter().filter(|(_, event)| event["eventName"] == "DeleteKey") {
            let at: Timestamp = event["eventTime"].as_str().unwrap().parse().unwrap();
            // What died just when the last round ended is told of again.
            if at.as_second() > before {
                let key = event["resources"][0]["ARN"].as_str().unwrap().rsplit('/').next().unwrap().to_owned();
                assert!(recorded.entry(key).or_default().insert((*region, at.as_second())), "one death, two records");
            }
        }
        self.seen[3] += recorded.values().map(BTreeSet::len).sum::<usize>();
        for group in &mut self.groups {
            let recorded: BTreeSet<(usize, usize, i64)> = (0..2)
                .flat_map(|key| {
                    recorded.remove(&group.keys[key]).unwrap_or_default().into_iter().map(move |(r, t)| (key, r, t))
                })
                .collect();
            let places = std::mem::take(&mut group.places);
            group.places = places
                .iter()
                .filter_map(|place| {
                    let mut place = place.clone();
                    (place.pass(self.now) == recorded).then_some(place)
                })
                .collect();
            assert!(
                !group.places.is_empty(),
                "the deaths {recorded:?} until {} are not those of {places:#?}",
                self.now
            );
        }
        assert!(recorded.is_empty(), "keys that are nobody's have died: {recorded:?}");
    }
}

/// Every call that was answered has its record exactly once, as a success or as a refusal.
fn check_writes(writes: &BTreeMap<(usize, String, &'static str), bool>, events: &[(usize, Value)]) {
    for ((region, request, operation), succeeded) in writes {
        let of_call = |(at, event): &&(usize, Value)| {
            at == region && event["requestID"] == request.as_str() && event["eventName"] == *operation
        };
        let found: Vec<_> = events.iter().filter(of_call).collect();
        assert_eq!(found.len(), 1, "records of {operation} {request} in {}", REGIONS[*region]);
        assert_eq!(found[0].1.get("errorCode").is_none(), *succeeded, "{}", found[0].1);
    }
}

async fn connect(host: &str) -> std::io::Result<Client> {
    let signer = Signer { id: "test".to_owned(), secret: "test".to_owned(), region: REGIONS[0].to_owned() };
    Client::open(host, signer).await
}

/// Reads all there is to see of a place.
async fn read_all(client: &mut Client, keys: &[String; 2]) -> Vec<Entry> {
    let mut entries = Vec::new();
    for (region, name) in REGIONS.into_iter().enumerate() {
        for key in 0..keys.len() {
            let ops = [
                Op::Describe,
                Op::ListTags,
                Op::ListGrants,
                Op::GetPolicy,
                Op::RotationStatus,
                Op::ListRotations,
                Op::ListAliases,
            ];
            for op in ops {
                let call = Call { key, region, op };
                let (operation, body) = request(&call, keys);
                let asked = moment();
                name.clone_into(&mut client.signer.region);
                let told = shown(&call, &client.kms(operation, body).await);
                let is_gone = told.is_err();
                entries.push(Entry { call, asked, answered: moment(), told: Some(told) });
                if is_gone {
                    break;
                }
            }
        }
    }
    entries
}

impl Lane {
    /// Makes what is left of this round's calls, as long as the server lives.
    async fn work(&mut self, host: &str, doomed: Option<&Doomed>) {
        let Ok(mut client) = connect(host).await else { return };
        while self.entries.len() < CALLS {
            let call = self.draw();
            let (operation, body) = request(&call, &self.keys);
            REGIONS[call.region].clone_into(&mut client.signer.region);
            let asked = moment();
            let answer = client.try_target("kms", &format!("TrentService.{operation}"), &body).await;
            let answered = moment();
            let Ok(answer) = answer else {
                self.entries.push(Entry { call, asked, answered, told: None });
                return;
            };
            let told = shown(&call, &answer);
            self.note(&call, operation, &answer, &told);
            self.entries.push(Entry { call, asked, answered, told: Some(told) });
            if let Some(doomed) = doomed {
                doomed.note_answer();
            }
        }
    }

    fn note(&mut self, call: &Call, operation: &'static str, answer: &Answer, told: &Shown) {
        if !matches!(call.op, Op::Encrypt | Op::Decrypt { .. } | Op::Describe) {
            self.writes.insert((call.region, answer.request_id(), operation), told.is_ok());
        }
        match (&call.op, told) {
            (Op::Encrypt, Ok(_)) => {
                self.blobs[call.key].push(answer.ok()["CiphertextBlob"].as_str().unwrap().to_owned());
            }
            (Op::CreateGrant(_), Ok(id)) => self.grants.push((call.key, call.region, id.as_str().unwrap().to_owned())),
            _ => {}
        }
    }

    /// What this client does next.
    fn draw(&mut self) -> Call {
        let dice = &mut self.dice;
        if let Some(Entry { call: Call { key, region, .. }, told: Some(Err(code)), .. }) = self.entries.last()
            && dice.below(3) > 0
        {
            // Most clients mend what has hindered them.
            match code.as_str() {
                "DisabledException" => return Call { key: *key, region: *region, op: Op::Enable },
                "KMSInvalidStateException" => return Call { key: *key, region: *region, op: Op::Cancel },
                _ => {}
            }
        }
        let key = usize::from(dice.below(3) == 0);
        let away = if key == 0 { dice.below(2) == 0 } else { dice.below(16) == 0 };
        let region = if away { dice.below(REGIONS.len()) } else { self.home };
        let op = match dice.below(32) {
            0..=2 => Op::Enable,
            3 | 4 => Op::Disable,
            5 | 6 => Op::Schedule { days: dice.pick(&[7, 7, 8, 30]) },
            7 => Op::Cancel,
            8..=10 => Op::Encrypt,
            11 => Op::Tag(dice.pick(&["a", "b"]), u32::try_from(dice.below(3)).unwrap()),
            12 => Op::Untag(dice.pick(&["a", "b"])),
            13 => Op::PutPolicy { denies_encrypt: dice.below(2) == 0 },
            14 | 15 => Op::Encrypt,
            16 | 17 if !self.blobs[key].is_empty() => {
                let at = dice.below(self.blobs[key].len());
                Op::Decrypt { blob: self.blobs[key][at].clone() }
            }
            18 | 19 => Op::CreateGrant(dice.pick(&["x", "y"])),
            20 if !self.grants.is_empty() => {
                let at = dice.below(self.grants.len());
                let (key, region, id) = self.grants[at].clone();
                return Call { key, region, op: Op::RevokeGrant { id } };
            }
            21..=23 => Op::Replicate { to: dice.below(REGIONS.len()) },
            24 | 25 => Op::MovePrimary { to: dice.below(REGIONS.len()) },
            26 => Op::EnableRotation { days: dice.pick(&[90, 120]) },
            27 => {
                if dice.below(2) == 0 {
                    Op::Rotate
                } else {
                    Op::DisableRotation
                }
            }
            28 => Op::CreateAlias(dice.pick(&["a", "b"])),
            29 => Op::UpdateAlias(dice.pick(&["a", "b"])),
            30 => Op::DeleteAlias(dice.pick(&["a", "b"])),
            _ => Op::Describe,
        };
        Call { key, region, op }
    }
}

/// The operation and body of a call, by the key's ARN.
fn request(call: &Call, keys: &[String; 2]) -> (&'static str, Value) {
    let key = format!("arn:aws:kms:{}:000000000000:key/{}", REGIONS[call.region], keys[call.key]);
    // Alias names are one space for all places of a Region.
    let alias = |name: &str| format!("alias/{}-{name}", keys[0]);
    let grantee = GRANTEE;
    match &call.op {
        Op::Enable => ("EnableKey", json!({ "KeyId": key })),
        Op::Disable => ("DisableKey", json!({ "KeyId": key })),
        Op::Schedule { days } => ("ScheduleKeyDeletion", json!({ "KeyId": key, "PendingWindowInDays": days })),
        Op::Cancel => ("CancelKeyDeletion", json!({ "KeyId": key })),
        Op::Tag(tag, value) => {
            let tags = json!([{ "TagKey": tag, "TagValue": value.to_string() }]);
            ("TagResource", json!({ "KeyId": key, "Tags": tags }))
        }
        Op::Untag(tag) => ("UntagResource", json!({ "KeyId": key, "TagKeys": [tag] })),
        Op::PutPolicy { denies_encrypt } => {
            let policy = if *denies_encrypt { DENYING } else { OPEN };
            ("PutKeyPolicy", json!({ "KeyId": key, "Policy": policy }))
        }
        Op::Encrypt => ("Encrypt", json!({ "KeyId": key, "Plaintext": STANDARD.encode(call.key.to_string()) })),
        Op::Decrypt { blob } => ("Decrypt", json!({ "KeyId": key, "CiphertextBlob": blob })),
        Op::CreateGrant(name) => {
            let body = json!({ "KeyId": key, "GranteePrincipal": grantee, "Operations": ["Decrypt"], "Name": name });
            ("CreateGrant", body)
        }
        Op::RevokeGrant { id } => ("RevokeGrant", json!({ "KeyId": key, "GrantId": id })),
        Op::Replicate { to } => ("ReplicateKey", json!({ "KeyId": key, "ReplicaRegion": REGIONS[*to] })),
        Op::MovePrimary { to } => ("UpdatePrimaryRegion", json!({ "KeyId": key, "PrimaryRegion": REGIONS[*to] })),
        Op::EnableRotation { days } => ("EnableKeyRotation", json!({ "KeyId": key, "RotationPeriodInDays": days })),
        Op::DisableRotation => ("DisableKeyRotation", json!({ "KeyId": key })),
        Op::Rotate => ("RotateKeyOnDemand", json!({ "KeyId": key })),
        Op::CreateAlias(name) => ("CreateAlias", json!({ "AliasName": alias(name), "TargetKeyId": key })),
        Op::UpdateAlias(name) => ("UpdateAlias", json!({ "AliasName": alias(name), "TargetKeyId": key })),
        Op::DeleteAlias(name) => ("DeleteAlias", json!({ "AliasName": alias(name) })),
        Op::Describe => ("DescribeKey", json!({ "KeyId": key })),
        Op::ListTags => ("ListResourceTags", json!({ "KeyId": key })),
        Op::ListGrants => ("ListGrants", json!({ "KeyId": key })),
        Op::GetPolicy => ("GetKeyPolicy", json!({ "KeyId": key })),
        Op::RotationStatus => ("GetKeyRotationStatus", json!({ "KeyId": key })),
        Op::ListRotations => ("ListKeyRotations", json!({ "KeyId": key })),
        Op::ListAliases => ("ListAliases", json!({ "KeyId": key })),
    }
}

/// What an answer shows of what the model knows.
fn shown(call: &Call, answer: &Answer) -> Shown {
    if answer.status != 200 {
        assert_eq!(answer.status, 400, "{answer:?}");
        return Err(answer.refusal().split(':').next().unwrap().to_owned());
    }
    let body = answer.ok();
    let listed = |name: &str| body[name].as_array().unwrap().clone();
    Ok(match call.op {
        Op::Schedule { .. } => state(&body, "PendingWindowInDays"),
        Op::Describe => {
            let metadata = &body["KeyMetadata"];
            let mut seen = state(metadata, "PendingDeletionWindowInDays");
            if let Some(family) = metadata.get("MultiRegionConfiguration") {
                seen["primary"] = family["PrimaryKey"]["Region"].clone();
                let replicas = family["ReplicaKeys"].as_array().unwrap().iter();
                seen["replicas"] =
                    json!(replicas.map(|replica| replica["Region"].as_str().unwrap()).collect::<BTreeSet<_>>());
            }
            seen
        }
        Op::Decrypt { .. } => {
            let plaintext = STANDARD.decode(body["Plaintext"].as_str().unwrap()).unwrap();
            serde_json::from_slice(&plaintext).unwrap()
        }
        Op::CreateGrant(_) => body["GrantId"].clone(),
        Op::ListTags => listed("Tags")
            .iter()
            .map(|tag| (tag["TagKey"].as_str().unwrap().to_owned(), tag["TagValue"].as_str().unwrap().parse().unwrap()))
            .collect::<BTreeMap<String, u32>>()
            .into_iter()
            .map(|(tag, value)| (tag, json!(value)))
            .collect(),
        Op::ListGrants => listed("Grants")
            .iter()
            .map(|grant| (grant["Name"].as_str().unwrap().to_owned(), grant["GrantId"].clone()))
            .collect(),
        Op::GetPolicy => json!(body["Policy"].as_str().unwrap() == DENYING),
        Op::RotationStatus => body.get("RotationPeriodInDays").cloned().unwrap_or_default(),
        Op::ListRotations => json!(listed("Rotations").len()),
        Op::ListAliases => {
            let name = |alias: &Value| alias["AliasName"].as_str().unwrap().rsplit('-').next().unwrap().to_owned();
            json!(listed("Aliases").iter().map(name).collect::<Vec<_>>())
        }
        _ => Value::Null,
    })
}

/// A key's state, with its date, or the waiting period where it has none.
fn state(body: &Value, window: &str) -> Value {
    let mut seen = json!({ "state": body["KeyState"] });
    match (body.get("DeletionDate"), body.get(window)) {
        // Seconds, perhaps with a fraction of zero.
        (Some(date), _) => seen["date"] = json!(date.as_i64().or(date.as_f64().map(|date| date as i64)).unwrap()),
        (None, Some(days)) => seen["days"] = days.clone(),
        (None, None) => {}
    }
    seen
}
