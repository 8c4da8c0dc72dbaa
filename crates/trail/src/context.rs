//! Which resources an encryption context names.
//!
//! The table of known context keys is data, `data/context-keys.json`, because it is never complete. Pairs whose key is not in it
//! belong to an application of its own and are shown as they are.

use std::collections::BTreeSet;
use std::collections::HashMap;
use std::sync::LazyLock;

use serde::Deserialize;

/// The context key that our own test calls carry.
pub const PROBE: &str = "quietus:probe";

/// The value with which Secrets Manager asks whether a key works, without any data behind it.
const KEY_CHECK: &str = "RequestToValidateKeyAccess";

/// What a known context key's value stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Names {
    /// A resource: the value is the dependent.
    Resource,
    /// More about the resource that stands beside it: no dependent of its own, unless it stands alone.
    Detail,
    /// A client library; its values differ in each message, so the key alone is the dependent.
    Mark,
    /// A test call of ours.
    Probe,
}

/// One row of the table.
#[derive(Debug, Deserialize)]
pub struct ContextKey {
    /// The context key, spelt as the service spells it.
    pub key: String,
    /// What its value stands for.
    pub names: Names,
    /// The same in words, for reports.
    pub what: String,
}

#[derive(Deserialize)]
struct Table {
    /// The version of the file's layout; this code reads version 1.
    version: u32,
    keys: Vec<ContextKey>,
}

static TABLE: LazyLock<HashMap<String, ContextKey>> = LazyLock::new(|| {
    let table: Table = serde_json::from_str(include_str!("../data/context-keys.json"))
        .expect("the shipped table is well formed: a test reads it");
    assert_eq!(table.version, 1, "the shipped table has the layout that this code reads");
    table.keys.into_iter().map(|row| (row.key.clone(), row)).collect()
});

/// What is known of the context key `key`.
pub fn known(key: &str) -> Option<&'static ContextKey> {
    TABLE.get(key)
}

/// What one encryption context says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Meaning {
    /// The dependents: resources, and raw `key=value` pairs of applications. Sorted, each once.
    pub dependents: Vec<String>,
    /// The context marks a test call of ours.
    pub probe: bool,
    /// A service only asked whether the key works.
    pub key_check: bool,
}

/// Reads the pairs of an encryption context.
pub fn meaning<'a>(pairs: impl Iterator<Item = (&'a str, &'a str)>) -> Meaning {
    let mut meaning = Meaning::default();
    let mut dependents = BTreeSet::new();
    let mut details = BTreeSet::new();
    for (key, value) in pairs {
        meaning.key_check |= value == KEY_CHECK;
        match known(key).map(|row| row.names) {
            // An unreadable or empty value still tells which kind of resource there is.
            Some(Names::Resource) if !value.is_empty() => drop(dependents.insert(value.to_owned())),
            Some(Names::Detail) => drop(details.insert(raw(key, value))),
            Some(Names::Mark) => drop(dependents.insert(key.to_owned())),
            Some(Names::Probe) => {
                meaning.probe = true;
                dependents.insert(key.to_owned());
            }
            Some(Names::Resource) | None => drop(dependents.insert(raw(key, value))),
        }
    }
    if dependents.is_empty() {
        dependents = details;
    }
    meaning.dependents = dependents.into_iter().collect();
    meaning
}

fn raw(key: &str, value: &str) -> String {
    format!("{key}={value}")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `pairs` is `key=value` joined by blanks, and so is what is expected.
    fn check(pairs: &str, dependents: &str) -> Meaning {
        let meaning = meaning(pairs.split_whitespace().map(|pair| pair.split_once('=').unwrap()));
        assert_eq!(meaning.dependents.join(" "), dependents, "{pairs}");
        meaning
    }

    #[test]
    fn services_name_their_resources() {
        check("aws:ebs:id=vol-1", "vol-1");
        check("SecretARN=arn:secret SecretVersionId=7", "arn:secret");
        check("aws:s3:arn=arn:b aws:ecr:arn=arn:a", "arn:a arn:b");
        check("aws:dynamodb:subscriberId=1 aws:dynamodb:tableName=t", "t");
        check("aws:s3:arn=", "aws:s3:arn=");
        check("SecretVersionId=7", "SecretVersionId=7");
    }

    #[test]
    fn an_application_s_pairs_are_shown_raw() {
        check("b=2 a=1", "a=1 b=2");
        check("purpose=x=y aws-crypto-public-key=Ab==", "aws-crypto-public-key purpose=x=y");
    }

    #[test]
    fn calls_that_are_no_use_of_data_are_told_apart() {
        assert!(check("quietus:probe=17", "quietus:probe").probe);
        let check = check(
            "SecretARN=RequestToValidateKeyAccess SecretVersionId=RequestToValidateKeyAccess",
            "RequestToValidateKeyAccess",
        );
        assert!(check.key_check && !check.probe);
    }

    #[test]
    fn the_shipped_table_has_each_key_once_and_says_what_it_is() {
        let table: Table = serde_json::from_str(include_str!("../data/context-keys.json")).unwrap();
        assert_eq!(table.keys.len(), TABLE.len());
        assert!(table.keys.iter().all(|row| !row.what.is_empty()));
        assert_eq!(known(PROBE).unwrap().names, Names::Probe);
    }
}
