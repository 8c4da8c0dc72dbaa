//! The faulty trail between the service and who watches it.
//!
//! Every record that the service made durable sets out from here, and arrives minutes or hours later, once or twice, in any order; or
//! never, when it was made in an outage. Nothing tells the observer that there was one.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use api::Timestamp;
use jiff::SignedDuration;
use procedure::observation::EventError;
use procedure::span::{DAY, Span, after, days};
use trail::context::PROBE;
use trail::event::Event;
use trail::usage::{Class, KeyName, Usage};

use crate::random::Random;
use crate::shape::Faults;

/// Seconds in an hour.
const HOUR_SECONDS: i64 = 3600;

/// One event as it arrived, read by `trail`.
#[derive(Debug)]
pub(crate) struct Heard {
    pub(crate) event_id: String,
    pub(crate) at: Timestamp,
    pub(crate) operation: String,
    pub(crate) principal: String,
    pub(crate) account: Option<String>,
    pub(crate) error: Option<EventError>,
    pub(crate) request_id: Option<String>,
    pub(crate) read_only: bool,
    pub(crate) source_ip: Option<String>,
    pub(crate) user_agent: Option<String>,
    /// The value of `quietus:probe` in the encryption context.
    pub(crate) probe: Option<String>,
    /// The key it is about, unless somebody only looked: ARN, class, dependents. No event here is about two.
    pub(crate) about: Option<(String, Class, Vec<String>)>,
}

/// The events that are under way, and those that have arrived.
#[derive(Debug)]
pub(crate) struct Delivery {
    random: Random,
    faults: Faults,
    /// Times whose events never arrive.
    outages: Vec<Span>,
    under_way: BTreeMap<(Timestamp, u64), Rc<Heard>>,
    /// What has arrived about each key and is more than a look: by time, each event once.
    arrived: BTreeMap<String, BTreeMap<(Timestamp, String), Rc<Heard>>>,
    /// Hours in which a read-only event of any key was made, as far as they have arrived.
    background: BTreeSet<Timestamp>,
    sent: u64,
}

impl Delivery {
    /// A trail with outages at or after `from`, where cases are under way.
    pub(crate) fn new(mut random: Random, faults: Faults, from: Timestamp) -> Delivery {
        let count = if faults.outages == 0 { 0 } else { random.below(faults.outages + 1) };
        let outages = (0..count).map(|_| {
            let since = after(from, random.length(-days(10), days(25)));
            let most = *random.pick(&[SignedDuration::from_hours(4), DAY, days(5)]);
            Span::new(since, after(since, random.length(SignedDuration::from_mins(20), most)))
        });
        let outages = outages.collect();
        Delivery {
            random,
            faults,
            outages,
            under_way: BTreeMap::new(),
            arrived: BTreeMap::new(),
            background: BTreeSet::new(),
            sent: 0,
        }
    }

    /// Sends a record off. When it arrives first; `None` if it never does.
    pub(crate) fn send(&mut self, record: &[u8], now: Timestamp) -> Option<Timestamp> {
        if self.outages.iter().any(|outage| outage.contains(now)) {
            return None;
        }
        let heard = Rc::new(read(record)?);
        let first = after(now, self.lateness());
        self.put(first, heard.clone());
        if self.random.chance(self.faults.doubled) {
            let again = after(now, self.lateness() + self.random.length(SignedDuration::ZERO, DAY));
            self.put(again, heard);
            return Some(first.min(again));
        }
        Some(first)
    }

    fn lateness(&mut self) -> SignedDuration {
        let least = SignedDuration::from_secs(40);
        let most = if self.random.chance(self.faults.late) {
            *self.random.pick(&[SignedDuration::from_hours(1), SignedDuration::from_hours(8)])
        } else {
            SignedDuration::from_mins(15)
        };
        self.random.length(least, most)
    }

    fn put(&mut self, at: Timestamp, heard: Rc<Heard>) {
        self.sent += 1;
        self.under_way.insert((at, self.sent), heard);
    }

    /// Lets arrive what is due at `now`.
    pub(crate) fn arrive(&mut self, now: Timestamp) {
        while let Some(entry) = self.under_way.first_entry().filter(|entry| entry.key().0 <= now) {
            let heard = entry.remove();
            if heard.read_only {
                let hour = heard.at.as_second().div_euclid(HOUR_SECONDS) * HOUR_SECONDS;
                self.background.extend(Timestamp::from_second(hour));
            }
            if let Some((arn, ..)) = &heard.about {
                let place = (heard.at, heard.event_id.clone());
                self.arrived.entry(arn.clone()).or_default().insert(place, heard.clone());
            }
        }
    }

    /// What has arrived about a key of events made at or after `since`: by time, which is also by event id, each once.
    pub(crate) fn about(&self, arn: &str, since: Timestamp) -> impl Iterator<Item = &Heard> {
        let events = self.arrived.get(arn).map(|events| events.range((since, String::new())..));
        events.into_iter().flatten().map(|(_, heard)| &**heard)
    }

    /// The hours that background was heard of, ascending.
    pub(crate) fn background(&self) -> impl Iterator<Item = Timestamp> {
        self.background.iter().copied()
    }

    /// The times whose events never arrive: for the checkers, which may know.
    pub(crate) fn outages(&self) -> &[Span] {
        &self.outages
    }
}

/// Reads a record as the procedure does. `None` for what is no event of KMS.
fn read(record: &[u8]) -> Option<Heard> {
    let event = Event::parse_kms(record).expect("the service writes events that `trail` can read")?;
    let usage = Usage::of(&event);
    let text = |text: &Option<trail::event::Text<'_>>| text.as_deref().map(str::to_owned);
    let probe = event.request_parameters.as_ref().and_then(|request| {
        request.encryption_context.pairs().find(|(key, _)| *key == PROBE).map(|(_, value)| value.to_owned())
    });
    let about = usage.keys.iter().find_map(|used| match &used.key {
        KeyName::Arn(arn) if used.class != Class::Look => Some((arn.clone(), used.class, used.dependents.clone())),
        KeyName::Arn(_) | KeyName::Alias(_) | KeyName::Unknown => None,
    });
    Some(Heard {
        event_id: text(&event.event_id).expect("the service gives every record an id"),
        at: event.event_time,
        operation: event.event_name.to_string(),
        principal: usage.caller.principal.to_string(),
        account: usage.caller.account.map(str::to_owned),
        error: event.error_code.as_deref().map(|code| EventError {
            code: code.to_owned(),
            message: event.error_message.as_deref().unwrap_or_default().to_owned(),
        }),
        request_id: text(&event.request_id),
        read_only: event.read_only == Some(true),
        source_ip: text(&event.source_ip_address),
        user_agent: text(&event.user_agent),
        probe,
        about,
    })
}
