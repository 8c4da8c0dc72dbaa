//! A short way to write policies, callers and requests, for tests.
//!
//! A statement is a line: `allow root,user/ann kms:* if StringEquals kms:ViaService a|b and Bool aws:SecureTransport true`;
//! with `on ARN` before `if` where the resource is not `*`, and `not` before principals or actions for `NotPrincipal` and
//! `NotAction`. Names are of account 111122223333, with `other:` before them of 444455556666.

#![allow(dead_code, unreachable_pub, reason = "each test file uses its part")]
#![allow(clippy::unwrap_used, reason = "a test that is written wrong may panic")]

use std::borrow::Cow;

use api::{AccountId, KeyArn};
use policy::{Document, Facts, Principal, Value, Values};
use serde_json::{Map, Value as Json, json};

pub const KEY: &str = "arn:aws:kms:eu-west-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab";
const HOME: &str = "111122223333";
const OTHER: &str = "444455556666";

pub fn key() -> KeyArn {
    KEY.parse().unwrap()
}

pub fn home() -> AccountId {
    HOME.parse().unwrap()
}

/// The account a name is of, and the name itself.
fn split(name: &str) -> (&'static str, &str) {
    name.strip_prefix("other:").map_or((HOME, name), |rest| (OTHER, rest))
}

/// A caller with the texts that it borrows.
pub struct Caller {
    account: AccountId,
    kind: String,
    arn: String,
    role_arn: String,
}

impl Caller {
    /// `root`, `user/ann`, `session/app/i-1`, `service/logs.amazonaws.com`, each with `other:` before it perhaps.
    pub fn named(name: &str) -> Caller {
        let (account, rest) = split(name);
        let kind = rest.split('/').next().unwrap().to_owned();
        let role = rest.split('/').nth(1).unwrap_or_default();
        let role_arn = format!("arn:aws:iam::{account}:role/{role}");
        let arn = if kind == "service" { role.to_owned() } else { principal_text(name) };
        Caller { account: account.parse().unwrap(), kind, arn, role_arn }
    }

    pub fn principal(&self) -> Principal<'_> {
        let account = self.account;
        match self.kind.as_str() {
            "root" => Principal::Root { account },
            "user" => Principal::User { account, arn: &self.arn },
            "session" => Principal::Session { account, role_arn: &self.role_arn, session_arn: &self.arn },
            "service" => Principal::Service(&self.arn),
            other => panic!("no caller `{other}`"),
        }
    }
}

/// A principal as a policy has it.
pub fn principal_text(name: &str) -> String {
    let (account, rest) = split(name);
    match rest.split_once('/') {
        None if rest == "root" => format!("arn:aws:iam::{account}:root"),
        None if rest == "account" => account.to_owned(),
        Some(("user" | "role", _)) => format!("arn:aws:iam::{account}:{rest}"),
        Some(("session", session)) => format!("arn:aws:sts::{account}:assumed-role/{session}"),
        Some(("service", service)) => service.to_owned(),
        _ => name.to_owned(),
    }
}

/// A document of statements, in Version 2012-10-17.
pub fn document(statements: &[Json]) -> Document {
    Document::parse(&text(statements)).unwrap()
}

pub fn text(statements: &[Json]) -> String {
    json!({ "Version": "2012-10-17", "Statement": statements }).to_string()
}

/// A statement of a key policy.
pub fn statement(line: &str) -> Json {
    read(line, true)
}

/// A statement of an identity policy, which names no principal.
pub fn identity_statement(line: &str) -> Json {
    read(line, false)
}

fn read(line: &str, has_principal: bool) -> Json {
    let (head, conditions) = line.split_once(" if ").unwrap_or((line, ""));
    let mut words = head.split_whitespace().peekable();
    let mut statement = Map::new();
    let effect = match words.next().unwrap() {
        "allow" => "Allow",
        "deny" => "Deny",
        other => panic!("no effect `{other}`"),
    };
    statement.insert("Effect".into(), effect.into());
    let element = |words: &mut std::iter::Peekable<std::str::SplitWhitespace<'_>>, name: &str| {
        let not = words.next_if_eq(&"not").is_some();
        let name = if not { format!("Not{name}") } else { name.to_owned() };
        (name, words.next().expect("a word").to_owned())
    };
    if has_principal {
        let (name, who) = element(&mut words, "Principal");
        statement.insert(name, principals(&who));
    }
    let (name, actions) = element(&mut words, "Action");
    statement.insert(name, actions.split(',').collect::<Vec<_>>().into());
    let resource = words.next_if_eq(&"on").and_then(|_| words.next()).unwrap_or("*");
    statement.insert("Resource".into(), resource.into());
    assert_eq!(words.next(), None, "`{line}` has a word too many");
    if !conditions.is_empty() {
        statement.insert("Condition".into(), conditions_of(conditions));
    }
    Json::Object(statement)
}

fn principals(who: &str) -> Json {
    if who == "everyone" {
        return "*".into();
    }
    let (services, others): (Vec<&str>, Vec<&str>) = who.split(',').partition(|name| name.starts_with("service/"));
    let texts = |names: Vec<&str>| names.into_iter().map(principal_text).collect::<Vec<_>>();
    let mut members = Map::new();
    if !others.is_empty() {
        members.insert("AWS".into(), texts(others).into());
    }
    if !services.is_empty() {
        members.insert("Service".into(), texts(services).into());
    }
    Json::Object(members)
}

/// `StringEquals key a|b and Bool key true`.
fn conditions_of(line: &str) -> Json {
    let mut block: Map<String, Json> = Map::new();
    for one in line.split(" and ") {
        let [operator, key, values] = one.split_whitespace().collect::<Vec<_>>()[..] else {
            panic!("`{one}` is not an operator, a key and values");
        };
        let keys = block.entry(operator).or_insert_with(|| json!({}));
        keys[key] = values.split('|').collect::<Vec<_>>().into();
    }
    Json::Object(block)
}

/// `key=value` for a single-valued key, `key=[a,b]` for a multivalued one.
pub fn facts<'a>(words: impl Iterator<Item = &'a str>) -> Facts<'a> {
    words.fold(Facts::new(), |facts, word| {
        let (key, value) = word.split_once('=').expect("`key=value`");
        let text = |text: &'a str| Value::Text(Cow::Borrowed(text));
        let values = match value.strip_prefix('[').and_then(|list| list.strip_suffix(']')) {
            Some(list) => Values::Many(list.split(',').filter(|one| !one.is_empty()).map(text).collect()),
            None => Values::One(text(value)),
        };
        facts.with(key, values)
    })
}
