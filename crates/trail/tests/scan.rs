//! The scan against a naive count, over files that were made up, laid out in many ways, and damaged.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod naive;

use std::fs;
use std::path::{Path, PathBuf};

use libdeflater::{CompressionLvl, Compressor};
use naive::Naive;
use proptest::prelude::*;
use serde_json::{Map, Value, json};
use trail::Selection;
use trail::scan::{Error, Flaw, Summary, Why, scan};

const KEYS: [&str; 3] = [
    "arn:aws:kms:eu-west-1:111122223333:key/11111111-0000-4000-8000-000000000000",
    "arn:aws:kms:us-east-1:111122223333:key/22222222-0000-4000-8000-000000000000",
    "arn:aws:kms:eu-west-1:444455556666:key/mrk-33333333000040008000000000000000",
];

fn record() -> impl Strategy<Value = Value> {
    let source = prop_oneof![
        4 => Just("kms.amazonaws.com"),
        1 => Just("s3.amazonaws.com"),
        1 => Just("kms.amazonaws.com.example"),
        1 => Just("KMS.amazonaws.com"),
    ];
    let name = prop::sample::select(vec!["Decrypt", "Encrypt", "GenerateDataKey", "Sign", "DescribeKey", "ReEncrypt"]);
    let agent = prop::sample::select(vec![
        "aws-cli/2",
        r#""eventSource":"kms.amazonaws.com"}]}"#,
        "{\"Records\":[",
        "\u{1F511} \u{7f}\t\\u006b\\",
    ]);
    let who = prop_oneof![
        Just(json!({"type": "IAMUser", "arn": "arn:aws:iam::1:user/ada"})),
        Just(json!({"type": "AssumedRole", "arn": "arn:aws:sts::1:assumed-role/App/i-1",
            "sessionContext": {"sessionIssuer": {"arn": "arn:aws:iam::1:role/App"}}})),
        Just(json!({"type": "AWSService", "invokedBy": "dynamodb.amazonaws.com"})),
    ];
    let context = prop_oneof![
        2 => Just(json!(null)),
        1 => Just(json!({"SecretARN": "arn:secret", "SecretVersionId": "1"})),
        1 => Just(json!({"PARAMETER_ARN": "arn:parameter"})),
        1 => Just(json!({"team": "\"kms\" \u{e4}", "aws:s3:arn": "arn:aws:s3:::b/k"})),
    ];
    let error = prop_oneof![3 => Just(None), 1 => Just(Some("DisabledException"))];
    let named = 0..4_u8;
    let numbers = (any::<u64>(), 0..3_usize, 0..3_usize, 0..86_400_u32);
    (source, name, agent, who, (context.clone(), context), error, named, numbers).prop_map(
        |(source, name, agent, who, (context, other), error, named, (id, key, second, second_of_day))| {
            let resource = |key: usize| json!({"accountId": "1", "type": "AWS::KMS::Key", "ARN": KEYS[key]});
            let at = format!("{:02}:{:02}:{:02}", second_of_day / 3600, second_of_day / 60 % 60, second_of_day % 60);
            let mut record = json!({
                "eventVersion": "1.11", "userIdentity": who, "eventTime": format!("2026-01-02T{at}Z"), "eventSource": source,
                "eventName": name, "awsRegion": "eu-west-1", "sourceIPAddress": "192.0.2.1", "userAgent": agent,
                "requestParameters": null, "responseElements": null, "requestID": "r",
                "eventID": format!("00000000-0000-4000-{:04x}-{:012x}", id >> 48, id & 0xffff_ffff_ffff), "readOnly": true,
                "eventType": "AwsApiCall", "recipientAccountId": "111122223333",
            });
            if let Some(code) = error {
                record["errorCode"] = json!(code);
                record["errorMessage"] = json!(format!("{} is disabled.", KEYS[key]));
            }
            if name == "ReEncrypt" {
                record["resources"] = json!([resource(key), resource(second)]);
                record["requestParameters"] = json!({"sourceEncryptionContext": context, "destinationEncryptionContext": other});
            } else {
                record["requestParameters"] = json!({"encryptionContext": context});
                match named {
                    0 => record["requestParameters"]["keyId"] = json!(KEYS[key]),
                    1 => record["resources"] = json!([]),
                    _ => record["resources"] = json!([resource(key)]),
                }
            }
            record
        },
    )
}

/// A record of which perhaps one member has been taken away or replaced by something else.
fn mutated() -> impl Strategy<Value = Value> {
    let value = prop::sample::select(vec![json!(null), json!(7), json!(true), json!("kms.amazonaws.com"), json!([7])]);
    let change = prop::option::weighted(0.3, (any::<prop::sample::Index>(), prop::option::of(value)));
    (record(), change).prop_map(|(mut record, change)| {
        let members = record.as_object_mut().unwrap();
        if let Some((at, value)) = change {
            let names: Vec<String> = members.keys().cloned().collect();
            let name = at.get(&names).clone();
            // Lists in the place of objects are read as AWS never writes them; nobody promises anything there.
            let positional = value == Some(json!([7])) && (members[&name].is_object() || members[&name].is_null());
            // Without a source only the letters `kms` tell whether a record is worth a complaint: its own test has that.
            // And two different records with one ID are nothing that AWS delivers.
            let is_text = value == Some(json!("kms.amazonaws.com"));
            if (name == "eventSource" && !is_text) || (name == "eventID" && is_text) {
                return record;
            }
            match value {
                Some(value) if !positional => drop(members.insert(name, value)),
                _ => drop(members.remove(&name)),
            }
        }
        record
    })
}

/// How a value is spelt.
#[derive(Debug, Clone, Copy)]
struct Style {
    /// Every n-th character of a string is an escape; 0 for none.
    escape: usize,
    blanks: bool,
    /// Members in reverse order.
    reverse: bool,
}

fn spell(value: &Value, style: Style, out: &mut String) {
    let blank = if style.blanks { " \t" } else { "" };
    match value {
        Value::String(text) => spell_text(text, style, out),
        Value::Array(list) => {
            out.push('[');
            for (at, item) in list.iter().enumerate() {
                out.push_str(if at == 0 { "" } else { "," });
                out.push_str(blank);
                spell(item, style, out);
            }
            out.push(']');
        }
        Value::Object(members) => {
            let mut members: Vec<_> = members.iter().collect();
            if style.reverse {
                members.reverse();
            }
            out.push('{');
            for (at, (name, item)) in members.into_iter().enumerate() {
                out.push_str(if at == 0 { "" } else { "," });
                out.push_str(blank);
                spell_text(name, style, out);
                out.push_str(blank);
                out.push(':');
                out.push_str(blank);
                spell(item, style, out);
            }
            out.push_str(blank);
            out.push('}');
        }
        other => out.push_str(&other.to_string()),
    }
}

fn spell_text(text: &str, style: Style, out: &mut String) {
    out.push('"');
    for (at, c) in text.chars().enumerate() {
        let chosen = style.escape > 0 && at % style.escape == 0 && (c as u32) < 0x10000;
        if chosen || c == '"' || c == '\\' || c.is_control() {
            let digits = format!("{:04x}", c as u32);
            out.push_str("\\u");
            out.push_str(&if at % 2 == 0 { digits.to_uppercase() } else { digits });
        } else {
            out.push(c);
        }
    }
    out.push('"');
}

/// How records are laid out in a file.
#[derive(Debug, Clone, Copy)]
enum Layout {
    Document,
    Lines,
    List,
}

#[derive(Debug, Clone)]
struct Made {
    records: Vec<Value>,
    layout: Layout,
    style: Style,
    /// Gzip members to cut the file into; 0 for plain text.
    members: usize,
}

fn made() -> impl Strategy<Value = Made> {
    let layout = prop::sample::select(vec![Layout::Document, Layout::Lines, Layout::List]);
    let style = (0..4_usize, any::<bool>(), any::<bool>()).prop_map(|(escape, blanks, reverse)| Style {
        escape,
        blanks,
        reverse,
    });
    (prop::collection::vec(mutated(), 1..8), layout, style, 0..4_usize)
        .prop_map(|(records, layout, style, members)| Made { records, layout, style, members })
}

/// Some files, and records of them that are delivered a second time: into which file, and which record.
fn deliveries() -> impl Strategy<Value = Vec<Made>> {
    let again = prop::collection::vec(any::<(prop::sample::Index, prop::sample::Index)>(), 0..4);
    (prop::collection::vec(made(), 1..6), again).prop_map(|(mut files, again)| {
        let first: Vec<Value> = files.iter().flat_map(|made| made.records.clone()).collect();
        for (file, record) in again {
            let file = file.index(files.len());
            files[file].records.push(record.get(&first).clone());
        }
        files
    })
}

fn gzip(plain: &[u8]) -> Vec<u8> {
    let mut compressor = Compressor::new(CompressionLvl::default());
    let mut out = vec![0; compressor.gzip_compress_bound(plain.len())];
    let length = compressor.gzip_compress(plain, &mut out).unwrap();
    out.truncate(length);
    out
}

fn write(made: &Made, folder: &Path, number: usize) {
    let mut text = String::new();
    match made.layout {
        Layout::Document => {
            let document = json!({"Records": made.records});
            spell(&document, made.style, &mut text);
        }
        Layout::List => spell(&json!(made.records), made.style, &mut text),
        Layout::Lines => made.records.iter().for_each(|record| {
            spell(record, made.style, &mut text);
            text.push('\n');
        }),
    }
    let suffix = if matches!(made.layout, Layout::Lines) { "jsonl" } else { "json" };
    let folder = folder.join(format!("{}", number % 2));
    fs::create_dir_all(&folder).unwrap();
    if made.members == 0 {
        fs::write(folder.join(format!("{number}.{suffix}")), text).unwrap();
    } else {
        let pieces = text.as_bytes().chunks(text.len().div_ceil(made.members));
        fs::write(folder.join(format!("{number}.{suffix}.gz")), pieces.flat_map(gzip).collect::<Vec<u8>>()).unwrap();
    }
}

/// Counts the files in the order of their paths: folder 0, then folder 1.
fn count(files: &[Made], keys: &[&str]) -> Naive {
    let mut naive = Naive::default();
    for folder in 0..2 {
        for (_, made) in files.iter().enumerate().filter(|(number, _)| number % 2 == folder) {
            made.records.iter().for_each(|record| naive.record(record, keys));
        }
    }
    naive
}

fn check(summary: &Summary, naive: &Naive) -> Result<(), TestCaseError> {
    let rows = summary.totals.rows.iter().map(|row| {
        let row = row.clone();
        let identity = (row.key, row.principal, row.event_name, row.error_code, row.dependents);
        (identity, (row.count, row.first.to_string(), row.last.to_string()))
    });
    prop_assert_eq!(&rows.collect::<std::collections::BTreeMap<_, _>>(), &naive.rows);
    prop_assert_eq!(summary.counts.records, naive.records);
    prop_assert_eq!(summary.totals.kms_records, naive.kms_records);
    let unreadable: u64 = summary.gaps.iter().map(|gap| gap.count).sum();
    prop_assert_eq!(unreadable, naive.unreadable, "{:?}", &summary.gaps);
    prop_assert!(
        summary.gaps.iter().all(|gap| matches!(gap.why, Why::Flaw(Flaw::Record { .. }))),
        "{:?}",
        &summary.gaps
    );
    prop_assert_eq!(summary.is_complete(), naive.unreadable == 0);
    Ok(())
}

fn scanned(path: &Path, selection: &Selection) -> Summary {
    scan(&[path.to_owned()], selection, &mut |_| ()).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_scan_counts_what_a_naive_reader_counts(files in deliveries(), key in 0..3_usize) {
        let folder = tempfile::tempdir().unwrap();
        files.iter().enumerate().for_each(|(number, made)| write(made, folder.path(), number));
        let everything = scanned(folder.path(), &Selection::all());
        let naive = count(&files, &[]);
        check(&everything, &naive)?;
        let selection = Selection::all().key(KEYS[key]).unwrap();
        check(&scanned(folder.path(), &selection), &count(&files, &[KEYS[key]]))?;
    }

    #[test]
    fn damage_never_panics_and_is_never_silent(made in made(), at in any::<prop::sample::Index>(), byte in any::<u8>(), cut in any::<bool>()) {
        let folder = tempfile::tempdir().unwrap();
        write(&made, folder.path(), 0);
        let path = fs::read_dir(folder.path().join("0")).unwrap().next().unwrap().unwrap().path();
        let mut bytes = fs::read(&path).unwrap();
        let whole = scanned(folder.path(), &Selection::all());
        let at = at.index(bytes.len());
        if cut {
            bytes.truncate(at);
        } else {
            bytes[at] = byte;
        }
        fs::write(&path, &bytes).unwrap();
        let damaged = scanned(folder.path(), &Selection::all());
        let fewer = damaged.counts.records < whole.counts.records;
        let ends_between_lines = cut && matches!(made.layout, Layout::Lines) && made.members == 0;
        // A cut between two lines or members leaves a whole, shorter file; nothing else that loses records is silent.
        if fewer && !ends_between_lines && made.members < 2 {
            prop_assert!(!damaged.gaps.is_empty(), "{} of {} records", damaged.counts.records, whole.counts.records);
        }
    }
}

/// The names of a record's members in AWS's order.
const ORDER: [&str; 14] = [
    "eventVersion",
    "userIdentity",
    "eventTime",
    "eventSource",
    "eventName",
    "awsRegion",
    "sourceIPAddress",
    "userAgent",
    "errorCode",
    "errorMessage",
    "requestParameters",
    "responseElements",
    "requestID",
    "eventID",
];

/// A record as AWS spells it: compact, its members in AWS's order.
fn as_aws_spells(record: &Value) -> String {
    let members = record.as_object().unwrap();
    let first = ORDER.into_iter().filter(|name| members.contains_key(*name));
    let last = members.keys().map(String::as_str).filter(|name| !ORDER.contains(name));
    let members: Vec<String> = first.chain(last).map(|name| format!("{}:{}", json!(name), record[name])).collect();
    format!("{{{}}}", members.join(","))
}

/// What makes a record hard to tell from others: look-alikes where strangers can put them, members twice, blanks, escapes.
fn twisted() -> impl Strategy<Value = String> {
    let request = "00000000-0000-4000-8000-00000000000";
    let twist = prop_oneof![
        90 => Just(("", "")),
        1 => Just((r#""responseElements":null"#, r#""responseElements":{"Records":[{"a":1},{"eventSource":"kms.amazonaws.com"}]}"#)),
        1 => Just((r#""responseElements":null"#, r#""responseElements":[{"eventVersion":"1.11"},{"eventVersion":"1.11"}]"#)),
        1 => Just((r#""readOnly":true"#, r#""readOnly":true,"eventSource":"kms.amazonaws.com""#)),
        1 => Just((r#""readOnly":true"#, r#""readOnly":true,"userAgent":"twice""#)),
        1 => Just((r#""readOnly":true"#, r#""readOnly":true,"eventTime":"2026-01-02T00:00:00Z""#)),
        1 => Just((r#""awsRegion":"#, r#""awsRegion" : "#)),
        1 => Just((r#""eventSource":"kms."#, r#""eventSource":"\u006bms."#)),
        1 => Just((r#""eventSource":"#, r#""eventS\u006furce":"#)),
        1 => Just((r#""eventVersion":"1.11","#, r#""addendum":{"eventVersion":"1"},"eventVersion":"1.11","#)),
        1 => Just((r#"{"eventVersion":"1.11","#, r#"{ "eventVersion":"1.11","#)),
        1 => Just((r#""sourceIPAddress":"192.0.2.1""#, r#""sourceIPAddress":"secretsmanager.amazonaws.com""#)),
    ];
    (mutated(), twist, 0..10_u8).prop_map(move |(mut record, (from, to), digit)| {
        record["requestID"] = json!(format!("{request}{digit}"));
        // A record of another service that has no version is not counted by the short way, which says so.
        record["eventVersion"] = json!("1.11");
        as_aws_spells(&record).replacen(from, to, 1)
    })
}

/// A document that is packed and came through whole takes the short way, and the same document unpacked the long one.
fn both_ways(document: &[u8]) -> [Summary; 2] {
    let folder = tempfile::tempdir().unwrap();
    let way = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        fs::write(&path, bytes).unwrap();
        scanned(&path, &Selection::all())
    };
    [way("short.json.gz", &gzip(document)), way("long.json", document)]
}

fn told(summary: &Summary) -> String {
    let gaps: Vec<String> = summary.gaps.iter().map(|gap| format!("{} x{}", gap.why, gap.count)).collect();
    let Summary { totals, counts, .. } = summary;
    format!(
        "{:#?} {:?} {:?} {} {} {} {gaps:?}",
        totals.rows, totals.unattributed, totals.activity, totals.kms_records, totals.duplicates, counts.records
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_short_way_says_what_the_long_one_says(
        records in prop::collection::vec(twisted(), 1..30),
        // Many times, it is read in several steps; and very many times, it goes through the decoder's buffer more than once.
        again in prop::sample::select(vec![1, 1, 1, 2, 2, 30, 120_usize]),
    ) {
        let records = vec![records.join(","); again].join(",");
        let [short, long] = both_ways(format!(r#"{{"Records":[{records}]}}"#).as_bytes());
        prop_assert_eq!(told(&short), told(&long));
    }

    #[test]
    fn whatever_is_written_the_short_way_misses_nothing(
        records in prop::collection::vec(twisted(), 1..6),
        at in any::<prop::sample::Index>(),
        byte in prop::sample::select(br#"{}[],:"\ k7"#.to_vec()),
    ) {
        let mut document = format!(r#"{{"Records":[{}]}}"#, records.join(",")).into_bytes();
        let at = at.index(document.len());
        document[at] = byte;
        let [short, long] = both_ways(&document);
        if long.gaps.is_empty() {
            // A record whose version was spoilt is not counted; all else is the same.
            prop_assert_eq!(format!("{:?}", short.totals.rows), format!("{:?}", long.totals.rows));
            prop_assert_eq!(short.totals.kms_records, long.totals.kms_records);
        } else {
            // Where the long way stopped, the short one may have gone on.
            prop_assert!(short.totals.kms_records >= long.totals.kms_records);
        }
    }
}

/// A folder with one file of each kind of trouble.
fn troubles() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    };
    let good = json!({"eventTime": "2026-01-02T03:04:05Z", "eventSource": "kms.amazonaws.com", "eventName": "Decrypt",
        "resources": [{"ARN": KEYS[0], "type": "AWS::KMS::Key"}]});
    let document = json!({"Records": [good, good]}).to_string();
    let packed = gzip(document.as_bytes());
    write("AWSLogs/1/CloudTrail/eu-west-1/2026/01/02/good.json.gz", &packed);
    write("AWSLogs/1/CloudTrail-Digest/eu-west-1/2026/01/02/digest.json.gz", b"not looked at");
    write("digest.json", br#"{"awsAccountId":"1","digestStartTime":"2026-01-02T00:00:00Z","logFiles":[]}"#);
    write("empty.json", b"");
    write("empty.json.gz", &gzip(b""));
    write("blank.jsonl", b"\n \n");
    write("half.json.gz", &packed[..packed.len() / 2]);
    write("tail.json.gz", &[&packed[..], b"tail"].concat());
    write("cut.json", &document.as_bytes()[..document.len() - 10]);
    write("lines.jsonl", format!("{good}\n{{\"x\n{good}\n}}\n{good}").as_bytes());
    write(
        "records.json",
        json!({"Records": [good, {"eventSource": "kms.amazonaws.com"}, 7, "kms.amazonaws.com", ["kms.amazonaws.com"]]})
            .to_string()
            .as_bytes(),
    );
    write("package.json", br#"{"name":"app","version":"1.0.0"}"#);
    write("text.json", b"once upon a time");
    write("LICENSE", b"MIT");
    write("none.json", br#"{"Records":[]}"#);
    folder
}

#[test]
fn each_trouble_is_named_and_what_can_be_read_still_counts() {
    let folder = troubles();
    let summary = scanned(folder.path(), &Selection::all());
    let told: Vec<String> = summary
        .gaps
        .iter()
        .map(|gap| {
            let hides = if gap.why.hides_use() { "HIDES" } else { "ok" };
            format!("{hides} {} x{}: {}", gap.path.file_name().unwrap().to_string_lossy(), gap.count, gap.why)
        })
        .collect();
    let expected = [
        "HIDES blank.jsonl x1: the file is empty",
        "HIDES cut.json x1: the file is cut off at byte 435, behind 1 records",
        "HIDES empty.json x1: the file is empty",
        "HIDES empty.json.gz x1: the file is empty",
        "HIDES half.json.gz x1: damaged or cut off gzip data in member 1",
        "HIDES lines.jsonl x2: line 2: the file is cut off at byte 3",
        "HIDES records.json x3: record 2: the record has not the form of a CloudTrail event: missing field `eventTime` at line 1 column 35",
        "HIDES tail.json.gz x1: 4 bytes behind the gzip data are not gzip",
        "HIDES text.json x1: this is not JSON at byte 0, behind 0 records",
        "ok digest.json.gz x1: a digest file, which holds no events",
        "ok LICENSE x1: not a log file by its name",
        "ok digest.json x1: a digest file, which holds no events",
        "ok package.json x1: not a CloudTrail log file",
    ];
    assert_eq!(told, expected, "{told:#?}");
    // 2 in good, 2 in tail, 1 in cut, 3 in lines, 1 in records
    assert_eq!(summary.totals.rows[0].count, 9);
    assert_eq!(summary.counts.files, 13);
    assert!(!summary.is_complete());
}

#[test]
fn a_path_that_is_not_there_is_an_error_that_names_it() {
    let error = scan(&[PathBuf::from("/nowhere/at/all")], &Selection::all(), &mut |_| ()).unwrap_err();
    assert!(matches!(error, Error::Path { .. }));
    assert!(error.to_string().contains("/nowhere/at/all"), "{error}");
}

#[test]
fn a_file_that_is_named_is_read_whatever_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("export.log");
    fs::write(&path, json!({"Records": [{"eventSource": "s3.amazonaws.com"}]}).to_string()).unwrap();
    assert_eq!(scanned(&path, &Selection::all()).counts.records, 1);
    assert_eq!(scanned(folder.path(), &Selection::all()).counts.files, 0);
    // Named twice, read once.
    let twice = scan(&[path.clone(), path], &Selection::all(), &mut |_| ()).unwrap();
    assert_eq!(twice.counts.files, 1);
}

#[cfg(unix)]
#[test]
fn links_and_pipes_are_named_not_followed() {
    use std::os::unix::fs::symlink;
    let folder = troubles();
    symlink(folder.path(), folder.path().join("again")).unwrap();
    symlink(folder.path().join("nowhere"), folder.path().join("broken.json")).unwrap();
    let pipe = folder.path().join("pipe.json");
    let socket = std::os::unix::net::UnixListener::bind(&pipe);
    let summary = scanned(folder.path(), &Selection::all());
    let of = |name: &str| summary.gaps.iter().find(|gap| gap.path.ends_with(name)).map(|gap| &gap.why);
    assert!(matches!(of("again"), Some(Why::LinkedFolder)));
    assert!(matches!(of("broken.json"), Some(Why::File(_))));
    assert!(socket.is_err() || matches!(of("pipe.json"), Some(Why::NotAFile)));
    assert_eq!(summary.totals.rows[0].count, 9);
}

#[test]
fn progress_begins_with_what_is_to_do_and_ends_with_all_done() {
    let folder = tempfile::tempdir().unwrap();
    for number in 0..150 {
        let mut document = Map::new();
        document.insert("Records".to_owned(), json!([{"eventSource": "s3.amazonaws.com", "n": number}]));
        fs::write(folder.path().join(format!("{number:03}.json")), Value::Object(document).to_string()).unwrap();
    }
    let mut seen = Vec::new();
    let summary = scan(&[folder.path().to_owned()], &Selection::all(), &mut |progress| seen.push(*progress)).unwrap();
    assert_eq!((seen[0].files, seen[0].done.files), (150, 0));
    assert!(seen.is_sorted_by_key(|progress| progress.done.files) && seen.len() > 3);
    let last = seen.last().unwrap();
    assert_eq!((last.done, last.bytes), (summary.counts, summary.counts.bytes_read));
}
