//! What Athena is told: the table over a trail's files, and the query.
//!
//! The table is the one that AWS documents for CloudTrail logs with partition projection (Athena User Guide, "Create the table for
//! CloudTrail logs in Athena using partition projection"), with account and Region as partitions beside the day. The query keeps what
//! the mapping of events reads and nothing else, so that as few groups as possible come back; where the mapping looks at a part
//! of a member only, it keeps that part. It says nothing of what a member means.
//!
//! *Assumptions*: `eventTime` is written as AWS writes it, in whole seconds and `Z`, so that texts are in the order of times.

use std::collections::BTreeSet;
use std::fmt::{self, Write as _};
use std::str::FromStr;

use jiff::{Timestamp, ToSpan as _};
use procedure::Digest;
use trail::Selection;
use trail::event::KMS;

use super::estimate::{Estimate, folder};

/// Between a resource's type and its ARN.
pub(super) const FIELD: char = '\u{1f}';
/// Between resources.
pub(super) const ITEM: char = '\u{1e}';

/// The first day that CloudTrail can have written files on. Source: AWS announced it on 13 November 2013.
const FIRST_DAY: &str = "2013/11/01";

/// The name of a database or table: lower-case letters, digits and `_`, which need no quoting anywhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Name(String);

/// A text that is no name of a database or table.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{given}` is not a name of 1 to 128 lower-case letters, digits and `_` that begins with a letter")]
pub struct InvalidName {
    /// The text as given.
    pub given: String,
}

impl FromStr for Name {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Name, InvalidName> {
        let is_name = text.starts_with(|first: char| first.is_ascii_lowercase())
            && text.len() <= 128
            && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_');
        if is_name { Ok(Name(text.to_owned())) } else { Err(InvalidName { given: text.to_owned() }) }
    }
}

impl Name {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

/// A text as SQL writes it.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// What a table is made of.
#[derive(Debug)]
pub(super) struct Definition {
    /// The table's columns and properties: everything but its name.
    body: String,
}

/// The columns, by AWS's page. Names are in lower case, as Athena keeps them.
const TABLE: &str = "(
  eventversion STRING,
  useridentity STRUCT<type: STRING, principalid: STRING, arn: STRING, accountid: STRING, invokedby: STRING, accesskeyid: STRING, \
username: STRING, sessioncontext: STRUCT<attributes: STRUCT<mfaauthenticated: STRING, creationdate: STRING>, \
sessionissuer: STRUCT<type: STRING, principalid: STRING, arn: STRING, accountid: STRING, username: STRING>>>,
  eventtime STRING,
  eventsource STRING,
  eventname STRING,
  awsregion STRING,
  sourceipaddress STRING,
  useragent STRING,
  errorcode STRING,
  errormessage STRING,
  requestparameters STRING,
  responseelements STRING,
  additionaleventdata STRING,
  requestid STRING,
  eventid STRING,
  readonly STRING,
  resources ARRAY<STRUCT<arn: STRING, accountid: STRING, type: STRING>>,
  eventtype STRING,
  apiversion STRING,
  recipientaccountid STRING,
  serviceeventdetails STRING,
  sharedeventid STRING,
  vpcendpointid STRING
)
PARTITIONED BY (account STRING, region STRING, `timestamp` STRING)
ROW FORMAT SERDE 'org.apache.hive.hcatalog.data.JsonSerDe'
STORED AS INPUTFORMAT 'com.amazon.emr.cloudtrail.CloudTrailInputFormat'
OUTPUTFORMAT 'org.apache.hadoop.hive.ql.io.HiveIgnoreKeyTextOutputFormat'
";

impl Definition {
    /// The table of the trail whose accounts are in the folder `root`, an `s3://` URL.
    pub(super) fn of(root: &str, accounts: &BTreeSet<String>, regions: &BTreeSet<String>) -> Definition {
        let list = |names: &BTreeSet<String>| names.iter().map(String::as_str).collect::<Vec<_>>().join(",");
        let root = root.trim_end_matches('/');
        let properties = [
            ("projection.enabled", "true".to_owned()),
            ("projection.account.type", "enum".to_owned()),
            ("projection.account.values", list(accounts)),
            ("projection.region.type", "enum".to_owned()),
            ("projection.region.values", list(regions)),
            ("projection.timestamp.type", "date".to_owned()),
            ("projection.timestamp.format", "yyyy/MM/dd".to_owned()),
            ("projection.timestamp.interval", "1".to_owned()),
            ("projection.timestamp.interval.unit", "DAYS".to_owned()),
            ("projection.timestamp.range", format!("{FIRST_DAY},NOW")),
            ("storage.location.template", format!("{root}/${{account}}/CloudTrail/${{region}}/${{timestamp}}")),
        ];
        let properties: Vec<String> =
            properties.iter().map(|(name, value)| format!("  {}={}", quoted(name), quoted(value))).collect();
        let body =
            format!("{TABLE}LOCATION {}\nTBLPROPERTIES (\n{}\n)", quoted(&format!("{root}/")), properties.join(",\n"));
        Definition { body }
    }

    /// A name that no other definition has: a trail that grows by an account gets another table, not one that misses it.
    pub(super) fn own_name(&self) -> Name {
        let digest = Digest::of(self.body.as_bytes()).to_string();
        let hex = digest.rsplit(':').next().unwrap_or_default();
        Name(format!("quietus_cloudtrail_{}", &hex[..12]))
    }

    /// The statement that makes the table where it is not there.
    pub(super) fn statement(&self, database: &Name, table: &Name) -> String {
        format!("CREATE EXTERNAL TABLE IF NOT EXISTS `{database}`.`{table}` {}", self.body)
    }
}

/// A column of the answer.
#[derive(Debug)]
pub(super) struct Column {
    pub(super) name: &'static str,
    /// What it is, of one delivery of an event; or of a group.
    is: &'static str,
    /// Whether it sums a group up.
    sums: bool,
}

/// The columns of the answer, in their order.
pub(super) const COLUMNS: &[Column] = &[
    of_event("event_name", "eventname"),
    of_event("error_code", "errorcode"),
    of_event("error_message", "errormessage"),
    of_event("aws_region", "awsregion"),
    // An address tells nothing; a service that called on somebody's behalf does.
    of_event(
        "source_service",
        "CASE WHEN sourceipaddress = 'AWS Internal' OR sourceipaddress LIKE '%.amazonaws.com' THEN sourceipaddress END",
    ),
    of_event("read_only", "readonly"),
    of_event("recipient_account_id", "recipientaccountid"),
    of_event("identity_type", "useridentity.type"),
    // A session's names differ from session to session; they are looked at only where nothing steadier is there.
    of_event(
        "principal_id",
        "CASE WHEN coalesce(useridentity.sessioncontext.sessionissuer.arn, '') = '' AND coalesce(useridentity.arn, '') = '' \
         THEN useridentity.principalid END",
    ),
    of_event(
        "identity_arn",
        "CASE WHEN coalesce(useridentity.sessioncontext.sessionissuer.arn, '') = '' THEN useridentity.arn END",
    ),
    of_event("identity_account_id", "useridentity.accountid"),
    of_event("invoked_by", "useridentity.invokedby"),
    of_event("issuer_arn", "useridentity.sessioncontext.sessionissuer.arn"),
    of_event(
        "resources",
        "array_join(transform(resources, r -> coalesce(r.type, '') || chr(31) || coalesce(r.arn, '')), chr(30))",
    ),
    of_event("request_key_id", "json_format(json_extract(requestparameters, '$.keyId'))"),
    of_event("request_source_key_id", "json_format(json_extract(requestparameters, '$.sourceKeyId'))"),
    of_event("request_destination_key_id", "json_format(json_extract(requestparameters, '$.destinationKeyId'))"),
    of_event("request_target_key_id", "json_format(json_extract(requestparameters, '$.targetKeyId'))"),
    of_event("request_alias_name", "json_format(json_extract(requestparameters, '$.aliasName'))"),
    of_event("request_context", "json_format(json_extract(requestparameters, '$.encryptionContext'))"),
    of_event("request_source_context", "json_format(json_extract(requestparameters, '$.sourceEncryptionContext'))"),
    of_event(
        "request_destination_context",
        "json_format(json_extract(requestparameters, '$.destinationEncryptionContext'))",
    ),
    of_event("request_constraints", "json_format(json_extract(requestparameters, '$.constraints'))"),
    of_event("answer_key_id", "json_format(json_extract(responseelements, '$.keyId'))"),
    of_event("answer_key_arn", "json_format(json_extract(responseelements, '$.keyMetadata.arn'))"),
    of_event("details_key_id", "json_format(json_extract(serviceeventdetails, '$.keyId'))"),
    of_group("events", "CAST(count(*) AS VARCHAR)"),
    of_group("deliveries", "CAST(sum(deliveries) AS VARCHAR)"),
    of_group("first_at", "min(eventtime)"),
    of_group("last_at", "max(eventtime)"),
];

const fn of_event(name: &'static str, is: &'static str) -> Column {
    Column { name, is, sums: false }
}

const fn of_group(name: &'static str, is: &'static str) -> Column {
    Column { name, is, sums: true }
}

/// The query: events of KMS in the partitions that were found, each ID once, in groups that say the same.
///
/// Of two deliveries with one ID the first counts, by path, as when files are read. Events without an ID all count.
pub(super) fn query(database: &Name, table: &Name, estimate: &Estimate, selection: &Selection) -> String {
    let parts: Vec<&Column> = COLUMNS.iter().filter(|column| !column.sums).collect();
    let mut sql = String::from("WITH delivered AS (\n  SELECT\n");
    for column in &parts {
        let _ = writeln!(sql, "    {} AS {},", column.is, column.name);
    }
    sql += "    eventid,\n    eventtime,\n";
    sql += "    row_number() OVER (PARTITION BY eventid ORDER BY \"$path\") AS delivery,\n";
    sql += "    CASE WHEN eventid IS NULL THEN 1 ELSE count(*) OVER (PARTITION BY eventid) END AS deliveries\n";
    let _ = writeln!(
        sql,
        "  FROM \"{database}\".\"{table}\"\n  WHERE {}\n)",
        conditions(estimate, selection).join("\n    AND ")
    );
    sql += "SELECT\n";
    let outer = COLUMNS.iter().map(|column| {
        if column.sums { format!("  {} AS {}", column.is, column.name) } else { format!("  {}", column.name) }
    });
    sql += &outer.collect::<Vec<_>>().join(",\n");
    sql += "\nFROM delivered\nWHERE delivery = 1 OR eventid IS NULL\nGROUP BY ";
    sql += &parts.iter().map(|column| column.name).collect::<Vec<_>>().join(", ");
    sql
}

fn conditions(estimate: &Estimate, selection: &Selection) -> Vec<String> {
    let mut all = vec![format!("eventsource = {}", quoted(KMS))];
    let names = |of: fn(&super::Partition) -> &str| {
        let names: BTreeSet<&str> = estimate.partitions.iter().map(of).collect();
        names.into_iter().map(quoted).collect::<Vec<_>>().join(", ")
    };
    all.push(format!("account IN ({})", names(|partition| &partition.account)));
    all.push(format!("region IN ({})", names(|partition| &partition.region)));
    if let Some((first, last)) = estimate.days() {
        all.push(format!("\"timestamp\" BETWEEN {} AND {}", quoted(&folder(first)), quoted(&folder(last))));
    }
    if let Some(since) = selection.first() {
        all.push(format!("eventtime >= {}", quoted(&whole_second(since))));
    }
    if let Some(until) = selection.end() {
        all.push(format!("eventtime < {}", quoted(&whole_second(until))));
    }
    if let Some(ids) = selection.key_ids() {
        // Whichever member names a key, its ID is in it. What is more than asked for, the mapping leaves out.
        let members = ["requestparameters", "responseelements", "serviceeventdetails", "errormessage"];
        let holds = |id: &str| {
            let id = quoted(id);
            let in_text = members.map(|member| format!("strpos({member}, {id}) > 0"));
            let arns = "array_join(transform(resources, r -> r.arn), ' ')";
            format!("{} OR strpos({arns}, {id}) > 0", in_text.join(" OR "))
        };
        all.push(format!("({})", ids.into_iter().map(holds).collect::<Vec<_>>().join(" OR ")));
    }
    all
}

/// The first whole second that is not before `at`, as events write it.
fn whole_second(at: Timestamp) -> String {
    let floor = Timestamp::from_second(at.as_second()).unwrap_or(at);
    let ceiling = if at.subsec_nanosecond() > 0 { floor.checked_add(1.second()).unwrap_or(floor) } else { floor };
    format!("{ceiling:.0}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::athena::Partition;
    use jiff::civil::Date;

    fn names(texts: &[&str]) -> BTreeSet<String> {
        texts.iter().map(|text| (*text).to_owned()).collect()
    }

    #[test]
    fn names_need_no_quotes() {
        assert!("cloudtrail_1".parse::<Name>().is_ok());
        for text in ["", "1a", "A", "a-b", "a`b", "a\"b", "a b"] {
            assert!(text.parse::<Name>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_table_is_named_after_what_it_is_made_of() {
        let of = |accounts: &[&str]| Definition::of("s3://b/AWSLogs/o-1", &names(accounts), &names(&["eu-west-1"]));
        let one = of(&["111122223333"]);
        assert_eq!(one.own_name(), of(&["111122223333"]).own_name());
        assert_ne!(one.own_name(), of(&["111122223333", "444455556666"]).own_name());
        let made = one.statement(&"d".parse().unwrap(), &"t".parse().unwrap());
        assert!(made.starts_with("CREATE EXTERNAL TABLE IF NOT EXISTS `d`.`t` (\n  eventversion STRING"), "{made}");
        assert!(made.contains("'s3://b/AWSLogs/o-1/${account}/CloudTrail/${region}/${timestamp}'"), "{made}");
    }

    #[test]
    fn a_query_names_what_it_reads_and_quotes_what_it_was_given() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let partition = Partition {
            account: "11'1".to_owned(),
            region: "eu-west-1".to_owned(),
            objects: 1,
            bytes: 1,
            days: (Date::constant(2026, 1, 2), Date::constant(2026, 2, 3)),
        };
        let selection = Selection::all().since(at("2026-01-02T03:04:05.5Z")).until(at("2026-02-03T00:00:00Z"));
        let selection = selection.key("1234abcd-12ab-34cd-56ef-1234567890ab").unwrap();
        let told = conditions(&Estimate { partitions: vec![partition] }, &selection);
        assert_eq!(
            told[..6],
            [
                "eventsource = 'kms.amazonaws.com'",
                "account IN ('11''1')",
                "region IN ('eu-west-1')",
                "\"timestamp\" BETWEEN '2026/01/02' AND '2026/02/03'",
                "eventtime >= '2026-01-02T03:04:06Z'",
                "eventtime < '2026-02-03T00:00:00Z'",
            ]
        );
        assert!(told[6].starts_with("(strpos(requestparameters, '1234abcd-12ab-34cd-56ef-1234567890ab') > 0 OR "));
    }
}
