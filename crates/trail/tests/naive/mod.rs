//! What a scan should find, written a second time: slow, simple, and without any code of the crate.

use std::collections::{BTreeMap, HashSet};

use serde_json::Value;

/// key, principal, eventName, errorCode, dependents
pub(crate) type Identity = (String, String, String, Option<String>, Vec<String>);

/// count, first, last
pub(crate) type Count = (u64, String, String);

/// What the records come to.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Naive {
    pub(crate) rows: BTreeMap<Identity, Count>,
    pub(crate) records: u64,
    pub(crate) kms_records: u64,
    pub(crate) duplicates: u64,
    pub(crate) unreadable: u64,
    ids: HashSet<String>,
}

impl Naive {
    /// Counts one record for `keys`; for every key where that is empty.
    pub(crate) fn record(&mut self, record: &Value, keys: &[&str]) {
        self.records += 1;
        if record["eventSource"] != "kms.amazonaws.com" {
            return;
        }
        if !is_well_formed(record) {
            self.unreadable += 1;
            return;
        }
        self.kms_records += 1;
        let parts: Vec<_> =
            parts(record).into_iter().filter(|(key, _)| keys.is_empty() || keys.contains(&key.as_str())).collect();
        if parts.is_empty() {
            return;
        }
        if let Some(id) = record["eventID"].as_str()
            && !self.ids.insert(id.to_owned())
        {
            self.duplicates += 1;
            return;
        }
        let at = record["eventTime"].as_str().unwrap().to_owned();
        let mut counted = HashSet::new();
        for (key, dependents) in parts {
            let identity = (
                key,
                principal(record),
                record["eventName"].as_str().unwrap().to_owned(),
                record["errorCode"].as_str().map(str::to_owned),
                dependents,
            );
            if counted.insert(identity.clone()) {
                let count = self.rows.entry(identity).or_insert((0, at.clone(), at.clone()));
                count.0 += 1;
                count.1 = count.1.clone().min(at.clone());
                count.2 = count.2.clone().max(at.clone());
            }
        }
    }
}

const TEXTS: [&str; 11] = [
    "awsRegion",
    "sourceIPAddress",
    "userAgent",
    "errorCode",
    "errorMessage",
    "requestID",
    "eventID",
    "eventType",
    "recipientAccountId",
    "sharedEventID",
    "eventName",
];

fn is_well_formed(record: &Value) -> bool {
    let text = |name: &str| record[name].is_null() || record[name].is_string();
    let object = |name: &str| record[name].is_null() || record[name].is_object();
    record["eventName"].is_string()
        && record["eventTime"].as_str().is_some_and(|time| time.len() == 20)
        && TEXTS.into_iter().all(text)
        && ["userIdentity", "requestParameters", "responseElements"].into_iter().all(object)
        && (record["resources"].is_null()
            || record["resources"].as_array().is_some_and(|list| list.iter().all(Value::is_object)))
        && (record["readOnly"].is_null() || record["readOnly"].is_boolean())
}

fn principal(record: &Value) -> String {
    let identity = &record["userIdentity"];
    [&identity["sessionContext"]["sessionIssuer"]["arn"], &identity["arn"], &identity["invokedBy"]]
        .into_iter()
        .find_map(Value::as_str)
        .unwrap_or("unknown")
        .to_owned()
}

/// The keys of a record, and what depends on each.
fn parts(record: &Value) -> Vec<(String, Vec<String>)> {
    let request = &record["requestParameters"];
    let mut keys: Vec<String> = Vec::new();
    for resource in record["resources"].as_array().into_iter().flatten() {
        if resource["type"] == "AWS::KMS::Key" {
            keys.push(resource["ARN"].as_str().unwrap().to_owned());
        }
    }
    if keys.is_empty()
        && let Some(message) = record["errorMessage"].as_str()
        && message.starts_with("arn:aws:kms:")
    {
        keys.push(message.split(' ').next().unwrap().to_owned());
    }
    if record["eventName"] == "ReEncrypt" {
        let contexts = ["sourceEncryptionContext", "destinationEncryptionContext"];
        return keys.into_iter().zip(contexts.map(|name| dependents(&request[name]))).collect();
    }
    if keys.is_empty()
        && let Some(key) = request["keyId"].as_str().filter(|key| key.starts_with("arn:") && key.contains(":key/"))
    {
        keys.push(key.to_owned());
    }
    keys.into_iter().map(|key| (key, dependents(&request["encryptionContext"]))).collect()
}

fn dependents(context: &Value) -> Vec<String> {
    let mut found = Vec::new();
    for (key, value) in context.as_object().into_iter().flatten() {
        let value = value.as_str().unwrap();
        match key.as_str() {
            "SecretVersionId" => {}
            "SecretARN" | "PARAMETER_ARN" | "aws:s3:arn" => found.push(value.to_owned()),
            _ => found.push(format!("{key}={value}")),
        }
    }
    found.sort();
    found.dedup();
    found
}
