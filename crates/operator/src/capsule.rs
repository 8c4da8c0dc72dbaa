//! The capsule: what dies with the key, kept before the key is touched.
//!
//! Policies, grants, aliases and tags vanish with a key, and with them the answer to "what was this key?" when a ciphertext turns up
//! years later. The capsule does not restore data; nothing does.

use api::Timestamp;
use procedure::{Assessment, Digest, Observation, Opening};
use serde::Serialize;
use serde_json::Value;

/// The version of the capsule's layout.
const FORMAT: u16 = 1;

/// What a capsule holds.
#[derive(Serialize)]
struct Capsule<'a> {
    format: u16,
    note: &'static str,
    taken_at: Timestamp,
    case: &'a Opening,
    /// DescribeKey, policies verbatim, grants, aliases, tags, last usage, usage by principal and dependent.
    observation: &'a Observation,
    /// Who could use the key, findings, coverage.
    assessment: &'a Assessment,
}

/// The capsule of a key, as canonical JSON: members sorted by name, two blanks for each level.
pub(crate) fn write(opening: &Opening, seen: &Observation, assessment: &Assessment, now: Timestamp) -> Vec<u8> {
    let capsule = Capsule {
        format: FORMAT,
        note: "THIS DOES NOT RESTORE DATA: key material cannot be exported, and nothing in here can decrypt anything",
        taken_at: now,
        case: opening,
        observation: seen,
        assessment,
    };
    let value = serde_json::to_value(&capsule).expect("our types have JSON forms: no maps with keys that are not text");
    let mut bytes = serde_json::to_vec_pretty(&sorted(value)).expect("a value is always written to memory");
    bytes.push(b'\n');
    bytes
}

/// The name of a capsule's file.
pub(crate) fn name(digest: Digest) -> String {
    format!("capsule-{}.json", &digest.to_string()[..16])
}

/// The same value with the members of every object in the order of their names, whatever order the library keeps.
fn sorted(value: Value) -> Value {
    match value {
        Value::Array(items) => Value::Array(items.into_iter().map(sorted).collect()),
        Value::Object(members) => {
            let mut members: Vec<(String, Value)> = members.into_iter().collect();
            members.sort_by(|one, other| one.0.cmp(&other.0));
            Value::Object(members.into_iter().map(|(name, value)| (name, sorted(value))).collect())
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_in_the_order_of_their_names() {
        let value = sorted(serde_json::json!({"b": [{"z": 1, "a": 2}], "a": null}));
        assert_eq!(value.to_string(), r#"{"a":null,"b":[{"a":2,"z":1}]}"#);
    }
}
