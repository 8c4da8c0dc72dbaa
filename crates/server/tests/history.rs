//! Lookups, held to a filter that is plainly right, wherever the records stand at the moment.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use api::{AccountId, Region, Timestamp};
use jiff::SignedDuration;
use proptest::prelude::*;
use server::audit::history::{Attribute, History, LookupError, Page, Query, Resource};
use server::audit::seal::seal;
use server::audit::{AuditLog, Error, Limits, Receipt};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use tempfile::{TempDir, tempdir};

const KEY: &str = "arn:aws:kms:us-west-2:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab";

fn now() -> Timestamp {
    "2026-06-20T12:00:00Z".parse().unwrap()
}

/// `seconds` before [`now`].
fn ago(seconds: i64) -> Timestamp {
    now() - SignedDuration::from_secs(seconds)
}

/// What a record says, as far as lookups care.
#[derive(Debug, Clone)]
struct Call {
    id: u16,
    seconds_ago: i64,
    account: AccountId,
    region: Region,
    name: &'static str,
    read_only: bool,
    user: User,
    key: Option<&'static str>,
}

#[derive(Debug, Clone, Copy)]
enum User {
    Root,
    Named(&'static str),
    Session(&'static str),
    Service,
}

impl User {
    fn name(self) -> Option<&'static str> {
        match self {
            User::Root => Some("root"),
            User::Named(name) | User::Session(name) => Some(name),
            User::Service => None,
        }
    }

    fn access_key(self) -> Option<String> {
        self.name().map(|name| format!("AKIA{}", name.to_uppercase()))
    }

    fn identity(self) -> serde_json::Value {
        let access_key = self.access_key();
        match self {
            User::Root => serde_json::json!({"type": "Root", "accessKeyId": access_key}),
            User::Named(name) => serde_json::json!({"type": "IAMUser", "userName": name, "accessKeyId": access_key}),
            User::Session(name) => serde_json::json!({
                "type": "AssumedRole", "arn": format!("arn:aws:sts::1:assumed-role/app/{name}"), "accessKeyId": access_key
            }),
            User::Service => serde_json::json!({"invokedBy": "AWS Internal"}),
        }
    }
}

impl Call {
    fn event_id(&self) -> String {
        format!("{:04x}", self.id)
    }

    fn record(&self) -> String {
        let resources = self.key.map(|key| serde_json::json!([{"type": "AWS::KMS::Key", "ARN": key}]));
        let record = serde_json::json!({
            "eventTime": format!("{:.0}", ago(self.seconds_ago)), "eventID": self.event_id(), "eventName": self.name,
            "eventSource": "kms.amazonaws.com", "awsRegion": self.region.as_str(), "readOnly": self.read_only,
            "recipientAccountId": self.account.to_string(), "userIdentity": self.user.identity(), "resources": resources,
            "requestParameters": {"keyId": KEY, "note": "a \"quoted\" \\ note"},
        });
        record.to_string()
    }

    fn has(&self, attribute: Attribute, value: &str) -> bool {
        match attribute {
            Attribute::EventId => self.event_id() == value,
            Attribute::EventName => self.name == value,
            Attribute::ReadOnly => self.read_only.to_string() == value,
            Attribute::Username => self.user.name() == Some(value),
            Attribute::ResourceType => self.key.is_some() && value == "AWS::KMS::Key",
            Attribute::ResourceName => self.key == Some(value),
            Attribute::EventSource => value == "kms.amazonaws.com",
            Attribute::AccessKeyId => self.user.access_key().as_deref() == Some(value),
        }
    }
}

fn account(n: u8) -> AccountId {
    format!("{n:012}").parse().unwrap()
}

fn region(n: u8) -> Region {
    format!("us-west-{n}").parse().unwrap()
}

/// A log with its history.
struct Node {
    dir: TempDir,
    log: Option<Arc<AuditLog>>,
    history: Option<History>,
}

impl Node {
    fn new() -> Node {
        let mut node = Node { dir: tempdir().unwrap(), log: None, history: None };
        node.restart();
        node
    }

    fn restart(&mut self) {
        (self.history, self.log) = (None, None);
        let limits = Limits { segment_bytes: 12_000, ..Limits::default() };
        let log = Arc::new(AuditLog::with_limits(self.dir.path(), limits).unwrap());
        self.history = Some(History::open(log.clone(), &self.trail(), &self.index()).unwrap());
        self.log = Some(log);
    }

    fn trail(&self) -> std::path::PathBuf {
        self.dir.path().join("trail")
    }

    fn index(&self) -> std::path::PathBuf {
        self.dir.path().join("lookup")
    }

    fn log(&self) -> &AuditLog {
        self.log.as_ref().unwrap()
    }

    fn history(&self) -> &History {
        self.history.as_ref().unwrap()
    }

    fn append(&self, call: &Call) {
        self.accept(call).wait().unwrap();
    }

    /// Appends without waiting for the disk.
    fn accept(&self, call: &Call) -> Receipt {
        self.log().append(call.record().as_bytes()).unwrap()
    }

    fn seal(&self) {
        self.log().rotate().unwrap();
        seal_closed(self.log(), self.history());
    }

    fn ids(&self, query: &Query) -> Vec<String> {
        self.history().lookup(query, now()).unwrap().events.into_iter().map(|event| event.event_id).collect()
    }
}

/// What the server does with closed segments.
fn seal_closed(log: &AuditLog, history: &History) -> usize {
    let closed = log.closed_segments();
    for number in &closed {
        let segment = log.read(*number).unwrap();
        let sealed = seal(history.trail(), *number, segment.records().map(|record| record.bytes)).unwrap();
        history.add(sealed);
        log.remove(*number).unwrap();
    }
    closed.len()
}

fn call(id: u16, seconds_ago: i64) -> Call {
    Call {
        id,
        seconds_ago,
        account: account(1),
        region: region(1),
        name: "Decrypt",
        read_only: true,
        user: User::Named("alice"),
        key: Some(KEY),
    }
}

fn all() -> Query {
    Query::all(account(1), region(1))
}

#[test]
fn an_event_carries_what_aws_answers() {
    let node = Node::new();
    let call = call(1, 60);
    node.append(&call);
    let Page { events, token } = node.history().lookup(&all(), now()).unwrap();
    assert_eq!(token, None);
    let [event] = events.as_slice() else { panic!("{events:?}") };
    assert_eq!(event.event_id, "0001");
    assert_eq!(event.event_name, "Decrypt");
    assert_eq!(event.read_only, Some(true));
    assert_eq!(event.access_key_id.as_deref(), Some("AKIAALICE"));
    assert_eq!(event.event_time, ago(60));
    assert_eq!(event.event_source, "kms.amazonaws.com");
    assert_eq!(event.username.as_deref(), Some("alice"));
    assert_eq!(event.resources, [Resource { kind: Some("AWS::KMS::Key".to_owned()), name: Some(KEY.to_owned()) }]);
    assert_eq!(event.record, call.record());
}

#[test]
fn events_are_found_wherever_they_stand() {
    let mut node = Node::new();
    node.append(&call(1, 40));
    node.seal();
    node.append(&call(2, 30));
    node.log().rotate().unwrap();
    node.append(&call(3, 20));
    assert_eq!(node.ids(&all()), ["0003", "0002", "0001"]);
    node.append(&call(4, 50));
    assert_eq!(node.ids(&all()), ["0003", "0002", "0001", "0004"]);
    node.restart();
    assert_eq!(node.ids(&all()), ["0003", "0002", "0001", "0004"]);
    node.seal();
    assert_eq!(node.ids(&all()), ["0003", "0002", "0001", "0004"]);
}

#[test]
fn a_crash_between_sealing_and_removing_doubles_nothing() {
    let mut node = Node::new();
    (0..60).for_each(|n| node.append(&call(n, 1000 - i64::from(n))));
    node.log().rotate().unwrap();
    let kept = tempdir().unwrap();
    for number in node.log().closed_segments() {
        let name = format!("{number:012}.log");
        fs::copy(node.dir.path().join("audit").join(&name), kept.path().join(&name)).unwrap();
    }
    seal_closed(node.log(), node.history());
    for entry in fs::read_dir(kept.path()).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), node.dir.path().join("audit").join(entry.file_name())).unwrap();
    }
    node.restart();
    assert!(!node.log().closed_segments().is_empty());
    for _ in 0..2 {
        let first = node.history().lookup(&all(), now()).unwrap();
        let second = node.history().lookup(&Query { token: first.token, ..all() }, now()).unwrap();
        let ids: Vec<String> = first.events.into_iter().chain(second.events).map(|event| event.event_id).collect();
        assert_eq!(ids, (0..60).rev().map(|n| format!("{n:04x}")).collect::<Vec<_>>());
        assert_eq!(second.token, None);
        node.seal();
    }
}

#[test]
fn history_reaches_90_days_back() {
    let node = Node::new();
    let reach = 90 * 24 * 3600;
    node.append(&call(1, reach));
    node.append(&call(2, reach + 1));
    node.append(&call(3, -5));
    assert_eq!(node.ids(&all()), ["0003", "0001"]);
    assert_eq!(node.ids(&Query { start: Some(ago(reach + 9)), ..all() }), ["0003", "0001"]);
    assert_eq!(node.ids(&Query { start: Some(ago(reach)), end: Some(ago(reach)), ..all() }), ["0001"]);
    node.seal();
    assert_eq!(node.ids(&Query { start: Some(ago(reach)), end: Some(ago(reach)), ..all() }), ["0001"]);
}

#[test]
fn a_query_that_makes_no_sense_is_refused() {
    let node = Node::new();
    let refused = |query: Query| node.history().lookup(&query, now()).unwrap_err();
    assert!(matches!(refused(Query { limit: Some(0), ..all() }), LookupError::InvalidMaxResults { given: 0 }));
    assert!(matches!(refused(Query { limit: Some(51), ..all() }), LookupError::InvalidMaxResults { given: 51 }));
    let backwards = Query { start: Some(ago(1)), end: Some(ago(2)), ..all() };
    assert!(matches!(refused(backwards), LookupError::InvalidTimeRange { .. }));
    assert!("KeyId".parse::<Attribute>().is_err());
    assert_eq!("ResourceName".parse(), Ok(Attribute::ResourceName));
}

#[test]
fn a_token_is_good_for_its_query_alone() {
    let node = Node::new();
    (0..5).for_each(|n| node.append(&call(n, i64::from(n))));
    let query = Query { limit: Some(2), attribute: Some((Attribute::EventName, "Decrypt".to_owned())), ..all() };
    let token = node.history().lookup(&query, now()).unwrap().token;
    let with = |query: &Query| node.history().lookup(&Query { token: token.clone(), ..query.clone() }, now());
    assert_eq!(with(&query).unwrap().events[0].event_id, "0002");
    assert_eq!(
        with(&Query { limit: Some(9), ..query.clone() }).unwrap().events.len(),
        3,
        "another page size is no other query"
    );

    for other in [
        Query { attribute: None, ..query.clone() },
        Query { attribute: Some((Attribute::EventName, "Encrypt".to_owned())), ..query.clone() },
        Query { attribute: Some((Attribute::Username, "Decrypt".to_owned())), ..query.clone() },
        Query { account: account(2), ..query.clone() },
        Query { region: region(2), ..query.clone() },
        Query { start: Some(ago(100)), ..query.clone() },
        Query { end: Some(now()), ..query.clone() },
    ] {
        assert!(matches!(with(&other), Err(LookupError::InvalidNextToken)), "{other:?}");
    }
    let whole = token.clone().unwrap();
    for bad in ["", "x", "not a token!", &whole[1..], &whole[..40], &"A".repeat(5000), &whole.replace('A', "B")] {
        let query = Query { token: Some(bad.to_owned()), ..query.clone() };
        assert!(matches!(node.history().lookup(&query, now()), Err(LookupError::InvalidNextToken)), "{bad}");
    }
}

#[test]
fn a_damaged_trail_is_an_error_and_a_shortened_one_is_not() {
    let mut node = Node::new();
    node.append(&call(1, 10));
    node.seal();
    let file = files(&node.trail()).remove(0);
    let bytes = fs::read(&file).unwrap();
    for damaged in [&bytes[..bytes.len() - 9], b"", b"hello"] {
        fs::write(&file, damaged).unwrap();
        let error = node.history().lookup(&all(), now()).unwrap_err();
        assert!(matches!(error, LookupError::Unreadable(Error::Trail { path, .. }) if path == file));
    }
    fs::remove_file(&file).unwrap();
    assert_eq!(node.ids(&all()), [""; 0]);
    node.restart();
    assert_eq!(node.ids(&all()), [""; 0]);
}

/// The files below `folder`, by name.
fn files(folder: &Path) -> Vec<std::path::PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let paths = entries.map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = paths.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect();
    files.sort();
    files
}

/// Ten sealed files, the newest last: in file `n` a call of its own at `ago(600 - 60 * n)`, and one a second later that all have.
fn ten_files() -> Node {
    let node = Node::new();
    for n in 0..10 {
        let seconds_ago = 600 - 60 * i64::from(n);
        let own = |text: &str| &*format!("{text}{n}").leak();
        let (name, user, key) = (own("Own"), User::Named(own("user")), Some(own("arn:aws:kms:us-west-2:1:key/")));
        node.append(&Call { name, user, key, ..call(n, seconds_ago) });
        node.append(&call(100 + n, seconds_ago - 1));
        node.seal();
    }
    assert_eq!(files(&node.trail()).len(), 10);
    node
}

/// Puts into the files for which `which` says so what no lookup can read.
fn spoil(node: &Node, which: impl Fn(usize) -> bool) {
    let mut files = files(&node.trail());
    files.sort_by_key(|file| file.file_name().map(|name| name.to_owned()));
    let spoilt = files.iter().enumerate().filter(|(n, _)| which(*n));
    spoilt.for_each(|(_, file)| fs::write(file, "spoilt").unwrap());
}

fn by(attribute: Attribute, value: &str) -> Query {
    Query { attribute: Some((attribute, value.to_owned())), ..all() }
}

/// What only file 4 of [`ten_files`] has.
fn only_in_file_4() -> [Query; 5] {
    [
        by(Attribute::EventId, "0004"),
        by(Attribute::EventName, "Own4"),
        by(Attribute::Username, "user4"),
        by(Attribute::AccessKeyId, "AKIAUSER4"),
        by(Attribute::ResourceName, "arn:aws:kms:us-west-2:1:key/4"),
    ]
}

#[test]
fn a_lookup_opens_only_files_that_hold_what_it_looks_for() {
    let mut node = ten_files();
    spoil(&node, |n| n != 4);
    for _ in 0..2 {
        for query in only_in_file_4() {
            assert_eq!(node.ids(&query), ["0004"], "{query:?}");
        }
        assert_eq!(node.ids(&by(Attribute::ResourceName, "nowhere")), [""; 0]);
        node.restart();
    }
    // Without the index there is no other way than to open them.
    fs::remove_dir_all(node.index()).unwrap();
    node.restart();
    let refused = node.history().lookup(&only_in_file_4()[0], now()).unwrap_err();
    assert!(matches!(refused, LookupError::Unreadable(Error::Trail { .. })), "{refused}");
}

#[test]
fn a_page_opens_only_the_files_that_it_needs() {
    for query in [all(), by(Attribute::EventName, "Decrypt"), by(Attribute::ResourceType, "AWS::KMS::Key")] {
        let node = ten_files();
        let query = Query { limit: Some(1), ..query };
        let mut tokens = vec![None];
        while let Some(token) = node
            .history()
            .lookup(&Query { token: tokens.last().unwrap().clone(), ..query.clone() }, now())
            .unwrap()
            .token
        {
            tokens.push(Some(token));
        }
        let pages = |token: &Option<String>| {
            let page = node.history().lookup(&Query { token: token.clone(), ..query.clone() }, now());
            page.map(|page| page.events[0].event_id.clone())
        };
        let (first, middle) = (&tokens[0], &tokens[tokens.len() / 2]);
        let expected = pages(middle).unwrap();
        assert_eq!(pages(first).unwrap(), "006d");
        // A page looks one event further, for the token.
        spoil(&node, |n| n < 8);
        assert_eq!(pages(first).unwrap(), "006d", "the newest page leaves the older files alone");

        let node = ten_files();
        spoil(&node, |n| !(3..=5).contains(&n));
        let page = node.history().lookup(&Query { token: middle.clone(), ..query.clone() }, now()).unwrap();
        assert_eq!(page.events[0].event_id, expected, "a later page leaves the newer files alone");
    }
}

#[test]
fn a_lost_or_damaged_index_is_written_again() {
    let whole = {
        let node = ten_files();
        let [file] = &files(&node.index())[..] else { panic!("one day, one file") };
        fs::read(file).unwrap()
    };
    let flipped = |at: usize| [&whole[..at], &[whole[at] ^ 1], &whole[at + 1..]].concat();
    let other_version = [b"QULOOK00", &whole[8..]].concat();
    let damages = [
        None,
        Some(Vec::new()),
        Some(whole[..4].to_vec()),
        Some(whole[..whole.len() - 1].to_vec()),
        Some([&whole[..], &whole[8..50]].concat()),
        Some(flipped(20)),
        Some(flipped(whole.len() / 2)),
        Some(other_version),
        Some(vec![0xff; whole.len()]),
    ];
    for (n, damage) in damages.iter().enumerate() {
        for restart in [false, true] {
            let mut node = ten_files();
            let [file] = &files(&node.index())[..] else { panic!("one day, one file") };
            match damage {
                None => fs::remove_file(file).unwrap(),
                Some(bytes) => fs::write(file, bytes).unwrap(),
            }
            if restart {
                node.restart();
            }
            for query in only_in_file_4() {
                assert_eq!(node.ids(&query), ["0004"], "damage {n}");
            }
            node.append(&call(50, 1));
            node.seal();
            assert_eq!(node.ids(&by(Attribute::EventId, "0032")), ["0032"]);
            node.restart();
            assert_eq!(node.ids(&by(Attribute::EventId, "nothing")), [""; 0]);
            spoil(&node, |n| n != 4);
            node.restart();
            for query in only_in_file_4() {
                assert_eq!(node.ids(&query), ["0004"], "damage {n} was mended");
            }
        }
    }
}

#[test]
fn a_folder_without_an_index_is_caught_up_with() {
    let mut node = ten_files();
    fs::remove_dir_all(node.index()).unwrap();
    node.restart();
    assert!(!node.history().catch_up(4));
    assert!(!node.history().catch_up(6), "it cannot know yet that these were the last");
    assert!(node.history().catch_up(1));
    spoil(&node, |n| n != 4);
    node.restart();
    assert_eq!(node.ids(&only_in_file_4()[0]), ["0004"]);
}

#[test]
fn an_index_that_cannot_be_written_costs_time_and_nothing_else() {
    let node = Node::new();
    // A file stands where the folder should be.
    fs::write(node.index(), "in the way").unwrap();
    node.append(&call(1, 10));
    node.seal();
    assert_eq!(node.ids(&by(Attribute::EventId, "0001")), ["0001"]);
    assert_eq!(node.ids(&by(Attribute::EventId, "0002")), [""; 0]);
    fs::remove_file(node.index()).unwrap();
    assert_eq!(node.ids(&by(Attribute::EventId, "0002")), [""; 0]);
    spoil(&node, |_| true);
    assert_eq!(node.ids(&by(Attribute::EventId, "0002")), [""; 0], "it was written as soon as it could be");
}

/// One step of a random history.
#[derive(Debug, Clone)]
enum Step {
    Append(Call),
    /// The same record once more, as from a store whose queue was not trimmed.
    Repeat(prop::sample::Index),
    Rotate,
    Seal,
    Restart,
    /// Something happens to an index file.
    Harm(Harm, prop::sample::Index),
    CatchUp(usize),
    Look,
}

#[derive(Debug, Clone, Copy)]
enum Harm {
    Lost,
    Cut,
    Flipped,
}

impl Harm {
    fn befall(self, file: &Path, at: prop::sample::Index) {
        let mut bytes = fs::read(file).unwrap();
        match self {
            Harm::Lost => return fs::remove_file(file).unwrap(),
            Harm::Cut => bytes.truncate(at.index(bytes.len() + 1)),
            Harm::Flipped if bytes.is_empty() => {}
            Harm::Flipped => {
                let at = at.index(bytes.len());
                bytes[at] ^= 4;
            }
        }
        fs::write(file, bytes).unwrap();
    }
}

fn any_call() -> impl Strategy<Value = Call> {
    let user = prop::sample::select(vec![User::Root, User::Named("alice"), User::Session("i-1"), User::Service]);
    let seconds_ago = prop_oneof![0..20i64, 0..100_000i64, 7_775_990..7_776_010i64];
    let place = (prop::sample::select(vec![1, 1, 1, 2u8]), prop::sample::select(vec![1, 1, 1, 2u8]));
    let name = prop::sample::select(vec![("Decrypt", true), ("Encrypt", true), ("DisableKey", false)]);
    let key = prop::option::weighted(0.7, prop::sample::select(vec![KEY, "arn:aws:kms:us-west-2:111122223333:key/b"]));
    (seconds_ago, place, name, user, key).prop_map(|(seconds_ago, place, (name, read_only), user, key)| Call {
        account: account(place.0),
        region: region(place.1),
        name,
        read_only,
        user,
        key,
        ..call(0, seconds_ago)
    })
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        30 => any_call().prop_map(Step::Append),
        2 => any::<prop::sample::Index>().prop_map(Step::Repeat),
        2 => Just(Step::Rotate),
        2 => Just(Step::Seal),
        1 => Just(Step::Restart),
        1 => (prop::sample::select(vec![Harm::Lost, Harm::Cut, Harm::Flipped]), any::<prop::sample::Index>())
            .prop_map(|(harm, at)| Step::Harm(harm, at)),
        1 => (0..5usize).prop_map(Step::CatchUp),
        3 => Just(Step::Look),
    ]
}

fn any_query() -> impl Strategy<Value = Query> {
    let attribute = prop::sample::select(vec![
        (Attribute::EventId, "0003"),
        (Attribute::EventName, "Decrypt"),
        (Attribute::EventName, "decrypt"),
        (Attribute::ReadOnly, "true"),
        (Attribute::ReadOnly, "false"),
        (Attribute::ReadOnly, "maybe"),
        (Attribute::Username, "root"),
        (Attribute::Username, "i-1"),
        (Attribute::Username, "alice"),
        (Attribute::ResourceName, "arn:aws:kms:us-west-2:111122223333:key/b"),
        (Attribute::ResourceName, "arn:aws:kms:us-west-2:111122223333:key/none"),
        (Attribute::ResourceType, "AWS::KMS::Key"),
        (Attribute::ResourceName, KEY),
        (Attribute::EventSource, "kms.amazonaws.com"),
        (Attribute::AccessKeyId, "AKIAROOT"),
    ]);
    let attribute = prop::option::of(attribute.prop_map(|(attribute, value)| (attribute, value.to_owned())));
    let time = || prop::option::weighted(0.3, prop_oneof![0..30i64, 0..400_000i64]);
    let place = (prop::sample::select(vec![1, 1, 2u8]), prop::sample::select(vec![1, 1, 2u8]));
    (attribute, time(), time(), prop::option::of(1..8usize), place).prop_map(|(attribute, a, b, limit, place)| {
        let (start, end) = match (a, b) {
            (Some(a), Some(b)) => (Some(a.max(b)), Some(a.min(b))),
            other => other,
        };
        let (account, region) = (account(place.0), region(place.1));
        Query { account, region, attribute, start: start.map(ago), end: end.map(ago), limit, token: None }
    })
}

/// The right answer, in one line.
fn naive(calls: &[Call], query: &Query) -> Vec<(String, String)> {
    let matches = |call: &&Call| {
        let time = ago(call.seconds_ago);
        (call.account, call.region) == (query.account, query.region)
            && query.attribute.as_ref().is_none_or(|(attribute, value)| call.has(*attribute, value))
            && time >= query.start.unwrap_or(Timestamp::MIN).max(ago(90 * 24 * 3600))
            && time <= query.end.unwrap_or(Timestamp::MAX)
    };
    let found: BTreeMap<_, _> = calls
        .iter()
        .filter(matches)
        .map(|call| ((ago(call.seconds_ago), call.event_id()), (call.event_id(), call.record())))
        .collect();
    found.into_values().rev().collect()
}

fn look_through(node: &Node, query: &Query) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut query = query.clone();
    loop {
        let page = node.history().lookup(&query, now()).unwrap();
        assert!(page.events.len() <= query.limit.unwrap_or(50));
        assert!(page.token.is_none() || page.events.len() == query.limit.unwrap_or(50));
        found.extend(page.events.into_iter().map(|event| (event.event_id, event.record)));
        query.token = page.token;
        if query.token.is_none() {
            return found;
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(24) })]
    #[test]
    fn pages_agree_with_the_naive_filter(
        steps in prop::collection::vec(any_step(), 0..120),
        queries in prop::collection::vec(any_query(), 1..6),
    ) {
        let mut node = Node::new();
        let mut calls: Vec<Call> = Vec::new();
        // Of the newest record: when it is durable, all are.
        let mut newest: Option<Receipt> = None;
        for step in steps {
            match step {
                Step::Append(call) => {
                    let call = Call { id: u16::try_from(calls.len()).unwrap(), ..call };
                    newest = Some(node.accept(&call));
                    calls.push(call);
                }
                Step::Repeat(index) if !calls.is_empty() => newest = Some(node.accept(&calls[index.index(calls.len())])),
                Step::Repeat(_) => {}
                Step::Rotate => node.log().rotate().unwrap(),
                Step::Seal => node.seal(),
                Step::Restart => node.restart(),
                Step::Harm(harm, at) => {
                    let files = files(&node.index());
                    if !files.is_empty() {
                        harm.befall(&files[at.index(files.len())], at);
                    }
                }
                Step::CatchUp(most) => {
                    node.history().catch_up(most);
                }
                Step::Look => {
                    newest.take().map_or(Ok(()), Receipt::wait).unwrap();
                    let query = &queries[calls.len() % queries.len()];
                    prop_assert_eq!(look_through(&node, query), naive(&calls, query));
                }
            }
        }
        newest.map_or(Ok(()), Receipt::wait).unwrap();
        for query in &queries {
            prop_assert_eq!(look_through(&node, query), naive(&calls, query));
        }
    }
}

#[test]
fn lookups_see_every_event_while_segments_are_sealed() {
    let node = Node::new();
    let done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        let sealer = scope.spawn(|| {
            while !done.load(std::sync::atomic::Ordering::Relaxed) {
                node.seal();
            }
        });
        for n in 0..200 {
            node.append(&call(n, 1000 - i64::from(n)));
            let ids = node.ids(&all());
            let expected: Vec<String> = (0..=n).rev().take(50).map(|n| format!("{n:04x}")).collect();
            assert_eq!(ids, expected, "what is acknowledged is found at once");
        }
        done.store(true, std::sync::atomic::Ordering::Relaxed);
        sealer.join().unwrap();
    });
}
