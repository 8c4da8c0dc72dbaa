//! What time does to the world: keys whose waiting period is over are deleted.

use api::{KeyArn, Service, Timestamp};
use jiff::SignedDuration;
use lifecycle::{Change as Turn, deadline, due};
use serde_json::json;
use store::{Batch, BatchId};
use trail::record::{AWS_INTERNAL, EventType, Json, Record, Resource, UserIdentity};

use crate::decide::Change;
use crate::state::{Key, Name, State, Tombstone, encode_tombstone};

/// Most deletions of one tick; the caller ticks again while there are any.
const DELETIONS_PER_TICK: usize = 64;

/// The deletions that are due at `now`, at most 64, the longest overdue first: each with its batch, which holds the DeleteKey
/// record.
///
/// A key is due when its deletion date and then `extra_delay_seconds` have passed: AWS deletes up to 24 hours late. `fresh` makes
/// the UUID of a record.
///
/// # Guarantees
/// - INVARIANT: no key before its date. The lifecycle's `due` is asked for each.
/// - INVARIANT: no key after a cancel. Each batch expects the key as this snapshot has it; CancelKeyDeletion replaces the key's
///   record, so of the two exactly one commits.
/// - INVARIANT: no deletion without its DeleteKey record. They are one batch.
/// - Everything that belongs to the key goes with it: material, policy and tags (they are in its record), aliases, last use. A
///   tombstone stays.
pub fn tick(
    state: &State,
    now: Timestamp,
    extra_delay_seconds: u32,
    fresh: &mut dyn FnMut() -> [u8; 16],
) -> Vec<(KeyArn, Batch)> {
    let delay = SignedDuration::from_secs(i64::from(extra_delay_seconds));
    let at = now.checked_sub(delay).unwrap_or(Timestamp::MIN);
    state
        .overdue(at)
        .filter(|key| due(&key.state, at) == Some(Turn::Deleted))
        .take(DELETIONS_PER_TICK)
        .map(|key| (key.arn, deletion(state, key, now, fresh())))
        .collect()
}

fn deletion(state: &State, key: &Key, now: Timestamp, id: [u8; 16]) -> Batch {
    let arn = key.arn;
    let date = deadline(&key.state).expect("a key that is due has a deletion date");
    let tombstone = encode_tombstone(&Tombstone::new(key.created, date, now));
    let mut change = Change::on(Name::Key(arn), state.key_version(&arn))
        .delete(Name::Key(arn))
        .delete(Name::LastUse(arn))
        .put(Name::Tombstone(arn), tombstone);
    for alias in state.aliases_to(arn) {
        let name = (arn.account, arn.region, alias.clone());
        let version = state.alias(&name).map(|(version, _)| *version);
        change = change.and_on(Name::Alias(name.clone()), version).delete(Name::Alias(name));
    }
    change.into_batch(BatchId(id), vec![record(&arn, now, id)])
}

/// The DeleteKey service event. Source: AWS KMS Developer Guide, CloudTrail example of DeleteKey.
fn record(arn: &KeyArn, now: Timestamp, id: [u8; 16]) -> Vec<u8> {
    // A key ID is a UUID as well, so its form serves for the record's ID.
    let event_id = api::KeyId::single_region(id).to_string();
    let record = Record {
        user_identity: UserIdentity::Internal { account: arn.account },
        event_time: now,
        event_source: Service::Kms.event_source(),
        event_name: "DeleteKey",
        aws_region: arn.region,
        source_ip_address: AWS_INTERNAL,
        user_agent: Some(AWS_INTERNAL),
        error_code: None,
        error_message: None,
        request_parameters: None,
        response_elements: Some(Json::of(&json!({ "keyId": arn }))),
        additional_event_data: None,
        request_id: None,
        event_id: &event_id,
        read_only: false,
        resources: vec![Resource::Key(*arn)],
        event_type: EventType::AwsServiceEvent,
        recipient_account_id: arn.account,
        shared_event_id: None,
        service_event_details: Some(Json::of(&json!({ "keyId": arn.key.to_string() }))),
        tls_details: None,
    };
    record.to_json()
}
