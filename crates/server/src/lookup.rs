//! LookupEvents: the one operation whose answer is not in the state but in the records.
//!
//! Source: CloudTrail API Reference, LookupEvents; constraints are those of the API model.

use std::sync::Arc;

use api::shape::Epoch;
use api::validate::{Fields, Presence, Reader, Request};
use api::{Fault, Timestamp};
use serde::Serialize;
use service::{Call, Caller};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::audit::history::{Attribute, Item, PAGE_EVENTS, Query, Resource};
use crate::node::Node;

/// Lookups that read files at a time: each may keep a core and a disk busy, and hold a log file in memory.
const AT_ONCE: usize = 2;
/// Lookups that wait for their turn; one more is throttled, as AWS does at two a second.
const WAITING: usize = 64;

/// Whose turn it is to look up.
pub(crate) struct Turns {
    places: Arc<Semaphore>,
    running: Arc<Semaphore>,
}

/// Leave to read files, until it is dropped.
struct Turn {
    _place: OwnedSemaphorePermit,
    _running: OwnedSemaphorePermit,
}

impl Default for Turns {
    fn default() -> Turns {
        Turns { places: Arc::new(Semaphore::new(AT_ONCE + WAITING)), running: Arc::new(Semaphore::new(AT_ONCE)) }
    }
}

impl Turns {
    /// Waits for a turn; `None` where too many wait already.
    async fn next(&self) -> Option<Turn> {
        let place = self.places.clone().try_acquire_owned().ok()?;
        let running = self.running.clone().acquire_owned().await.expect("nobody closes it");
        Some(Turn { _place: place, _running: running })
    }
}

/// The keys that events can be looked up by, as the API model orders them.
const ATTRIBUTE_KEYS: &[&str] =
    &["EventId", "EventName", "ReadOnly", "Username", "ResourceType", "ResourceName", "EventSource", "AccessKeyId"];

/// Longest value of an attribute. Source: CloudTrail API model, `LookupAttributeValue`.
const VALUE: std::ops::RangeInclusive<usize> = 1..=2000;

/// A LookupEvents request.
struct LookupEvents {
    attributes: Vec<(String, String)>,
    insight: bool,
    start: Option<Timestamp>,
    end: Option<Timestamp>,
    limit: Option<i64>,
    token: Option<String>,
}

impl<'a> Request<'a> for LookupEvents {
    fn read(reader: &Reader<'_, 'a>) -> LookupEvents {
        let members = [("AttributeKey", 1..=64), ("AttributeValue", VALUE)];
        let attributes = reader.pairs("LookupAttributes", Presence::Optional, 0..=10, members);
        LookupEvents {
            attributes: attributes.into_iter().map(|(key, value)| (key.into_owned(), value.into_owned())).collect(),
            insight: reader.choice("EventCategory", &["insight"]).is_some(),
            start: reader.moment("StartTime"),
            end: reader.moment("EndTime"),
            limit: reader.number("MaxResults", 1..=PAGE_EVENTS as i64),
            token: reader.text("NextToken", 1..=2048, None).map(|token| token.into_owned()),
        }
    }
}

impl LookupEvents {
    fn query(self, call: &Call<'_>) -> Result<Query, Fault> {
        let attribute = match self.attributes.as_slice() {
            [] => None,
            [(key, value)] => Some((attribute(key)?, value.clone())),
            [_, _, ..] => {
                let text = "LookupAttributes has more than one item; events are looked up by one attribute at a time.";
                return Err(Fault::new("InvalidLookupAttributesException", text));
            }
        };
        Ok(Query {
            account: call.caller.account,
            region: call.region,
            attribute,
            start: self.start,
            end: self.end,
            limit: self.limit.and_then(|limit| usize::try_from(limit).ok()),
            token: self.token,
        })
    }
}

fn attribute(key: &str) -> Result<Attribute, Fault> {
    key.parse().map_err(|_| {
        let values = ATTRIBUTE_KEYS.join(", ");
        Fault::validation(format!(
            "1 validation error detected: Value '{key}' at 'lookupAttributes.1.member.attributeKey' failed to satisfy constraint: Member must satisfy enum value set: [{values}]"
        ))
    })
}

/// The answer.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Looked {
    events: Vec<Event>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_token: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Event {
    event_id: String,
    event_name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    read_only: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    access_key_id: Option<String>,
    event_time: Epoch,
    event_source: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    username: Option<String>,
    resources: Vec<Named>,
    cloud_trail_event: String,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Named {
    #[serde(skip_serializing_if = "Option::is_none")]
    resource_type: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    resource_name: Option<String>,
}

impl From<Item> for Event {
    fn from(item: Item) -> Event {
        let named = |resource: Resource| Named { resource_type: resource.kind, resource_name: resource.name };
        Event {
            event_id: item.event_id,
            event_name: item.event_name,
            read_only: item.read_only.map(|read_only| if read_only { "true" } else { "false" }),
            access_key_id: item.access_key_id,
            event_time: Epoch(item.event_time),
            event_source: item.event_source,
            username: item.username,
            resources: item.resources.into_iter().map(named).collect(),
            cloud_trail_event: item.record,
        }
    }
}

/// A call that outlives the request's borrows, for a thread that may block.
struct Owned {
    operation: &'static api::Operation,
    caller: Caller,
    region: api::Region,
    body: Vec<u8>,
    now: Timestamp,
    request_id: String,
    event_id: String,
    source_ip: String,
    user_agent: String,
    host: String,
    tls: Option<(String, String)>,
}

impl Owned {
    fn of(call: &Call<'_>) -> Owned {
        let origin = call.origin;
        Owned {
            operation: call.operation,
            caller: call.caller.clone(),
            region: call.region,
            body: call.body.to_vec(),
            now: call.now,
            request_id: call.request_id.to_owned(),
            event_id: call.event_id.to_owned(),
            source_ip: origin.source_ip.to_owned(),
            user_agent: origin.user_agent.to_owned(),
            host: origin.host.to_owned(),
            tls: origin.tls.map(|(version, suite)| (version.to_owned(), suite.to_owned())),
        }
    }

    fn call(&self) -> Call<'_> {
        Call {
            operation: self.operation,
            caller: &self.caller,
            region: self.region,
            body: &self.body,
            now: self.now,
            request_id: &self.request_id,
            event_id: &self.event_id,
            origin: service::Origin {
                source_ip: &self.source_ip,
                user_agent: &self.user_agent,
                host: &self.host,
                tls: self.tls.as_ref().map(|(version, suite)| (version.as_str(), suite.as_str())),
            },
        }
    }
}

impl Node {
    /// Answers LookupEvents, from everything that was answered before it came.
    pub(crate) async fn look_up(self: &Arc<Node>, call: &Call<'_>) -> Result<Vec<u8>, Fault> {
        let Some(turn) = self.lookups.next().await else {
            let effect = service::answer_elsewhere(call, |_| Err(Fault::new("ThrottlingException", "Rate exceeded")));
            return self.carry_out(call, effect).await.unwrap_or_else(|| Err(Fault::internal()));
        };
        self.committer.settle().await;
        let (node, owned) = (self.clone(), Owned::of(call));
        let effect = tokio::task::spawn_blocking(move || {
            // Also where nobody waits for the answer any more: the turn ends with the work.
            let _turn = turn;
            let call = owned.call();
            service::answer_elsewhere(&call, |fields| node.page(&call, fields))
        });
        let effect = effect.await.map_err(|_| Fault::internal())?;
        // It changes nothing, so nothing can conflict.
        self.carry_out(call, effect).await.unwrap_or_else(|| Err(Fault::internal()))
    }

    fn page(&self, call: &Call<'_>, fields: &Fields<'_>) -> Result<Vec<u8>, Fault> {
        let request = LookupEvents::parse(fields)?;
        if request.insight {
            // No insight is ever found here.
            return Ok(br#"{"Events":[]}"#.to_vec());
        }
        let page = self.records.lookup(&request.query(call)?, call.now).map_err(|error| {
            if let crate::audit::history::LookupError::Unreadable(error) = &error {
                tracing::error!(%error, "LookupEvents could not be answered");
            }
            Fault::from(error)
        })?;
        let looked = Looked { events: page.events.into_iter().map(Event::from).collect(), next_token: page.token };
        Ok(serde_json::to_vec(&looked).expect("events hold only texts and numbers"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn lookups_take_turns_and_too_many_are_sent_away() {
        let turns = Turns::default();
        let mut running = Vec::new();
        for _ in 0..AT_ONCE {
            running.push(turns.next().await.unwrap());
        }
        let mut waiting: Vec<_> = (0..WAITING).map(|_| Box::pin(turns.next())).collect();
        for wait in &mut waiting {
            let polled = std::future::poll_fn(|context| std::task::Poll::Ready(wait.as_mut().poll(context))).await;
            assert!(polled.is_pending());
        }
        assert!(turns.next().await.is_none());
        drop(running);
        assert!(waiting.remove(0).await.is_some());
        drop(waiting);
        assert!(turns.next().await.is_some());
    }
}
