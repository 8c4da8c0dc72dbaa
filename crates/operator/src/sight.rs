//! From events to what they say about one key: who used it, what was tried, what was changed, which probes came back.
//!
//! Pure: events come in as the JSON of CloudTrail, from event history or from memory, in any order and as often as they like. What
//! cannot be read becomes a hole in what was seen.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use api::{KeyArn, Timestamp};
use jiff::SignedDuration;
use procedure::observation::{Attempt, ControlChange, EventError, Hole, MAX_EVENTS, MAX_ROWS, ProbeSighting, UsageRow};
use procedure::span::{DAY, HOUR, after, before};
use procedure::{Class, Digest, Gap, Own, Span};
use trail::context::PROBE;
use trail::event::Event;
use trail::usage::{KeyName, KeyUse, Usage};

/// Event ids kept with each row. (Ours.)
const SAMPLES: usize = 5;
/// Most events that could not be read and are named one by one. (Ours.)
const MAX_HOLES: usize = 100;

/// Whose events are looked for, and for whom.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    /// The key.
    pub key: KeyArn,
    /// ARNs of the aliases that point to it.
    pub aliases: &'a [String],
    /// Who looks.
    pub operator: &'a str,
    /// How our own calls are known.
    pub own: &'a Own,
    /// Which probe each request id of ours was for.
    pub probes: &'a BTreeMap<String, String>,
    /// From when on attempts and changes are wanted.
    pub since: Timestamp,
}

/// What events have said so far.
#[derive(Debug)]
pub struct Sight<'a> {
    subject: Subject<'a>,
    arn: String,
    ids: HashSet<String>,
    rows: BTreeMap<Place, UsageRow>,
    attempts: Vec<(bool, Attempt)>,
    changes: Vec<(bool, ControlChange)>,
    probes: BTreeSet<ProbeSighting>,
    background: BTreeSet<Timestamp>,
    holes: Vec<Hole>,
    overflow: bool,
}

/// What events of one row have in common.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    principal: String,
    operation: String,
    error: Option<String>,
    dependents: Vec<String>,
}

/// What all events together say, sorted as an observation wants it.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Sighted {
    /// Rows of use, without our own calls.
    pub usage: Vec<UsageRow>,
    /// Calls since the time asked for, our own too.
    pub attempts: Vec<Attempt>,
    /// Changes since the time asked for, our own too.
    pub changes: Vec<ControlChange>,
    /// Probes of ours that came back.
    pub probes: Vec<ProbeSighting>,
    /// Hours with read-only events of any key.
    pub background: Vec<Timestamp>,
    /// Events that could not be read, or not be kept.
    pub holes: Vec<Hole>,
}

/// What one event says about one key, whoever looks at it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    id: String,
    class: Class,
    /// With the principal as the event has it.
    attempt: Attempt,
    account: Option<String>,
    heard: Option<Heard>,
}

/// A read-only event, which shows that such events are recorded in its place and hour.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Heard {
    account: Option<String>,
    region: Option<String>,
    hour: Timestamp,
}

/// What the JSON of an event comes to.
enum Read {
    /// Of another service than KMS.
    OtherService,
    /// No event, or none that can be read.
    Unreadable(trail::event::Error),
    /// A successful use of a key that the event does not name.
    Nameless { id: String, at: Timestamp, heard: Option<Heard> },
    /// Of KMS, and not about the key.
    OtherKey { heard: Option<Heard> },
    /// About the key.
    Call(Box<Call>),
}

impl Call {
    fn read(json: &str, arn: &str, aliases: &[String]) -> Read {
        let event = match Event::parse_kms(json.as_bytes()) {
            Ok(Some(event)) => event,
            Ok(None) => return Read::OtherService,
            Err(error) => return Read::Unreadable(error),
        };
        let heard = Heard::of(&event);
        let id = event.event_id.as_deref().map_or_else(|| Digest::of(json.as_bytes()).to_string(), str::to_owned);
        let usage = Usage::of(&event);
        let is_ours = |part: &&KeyUse| match &part.key {
            KeyName::Arn(named) => named == arn,
            KeyName::Alias(alias) => aliases.contains(alias),
            KeyName::Unknown => false,
        };
        let parts: Vec<&KeyUse> = usage.keys.iter().filter(is_ours).collect();
        // The gravest of what was done with the key: ReEncrypt may read and write it.
        let Some(class) = parts.iter().map(|part| part.class).min() else {
            let nameless = usage.keys.iter().any(|part| part.key == KeyName::Unknown) && event.error_code.is_none();
            return if nameless { Read::Nameless { id, at: usage.at, heard } } else { Read::OtherKey { heard } };
        };
        let dependents: BTreeSet<String> = parts.iter().flat_map(|part| part.dependents.iter().cloned()).collect();
        let context = event.request_parameters.iter().flat_map(|request| request.encryption_context.pairs());
        let text = |text: Option<&trail::event::Text<'_>>| text.map(|text| text.to_string());
        let attempt = Attempt {
            event_id: id.clone(),
            at: usage.at,
            principal: usage.caller.principal.to_string(),
            operation: usage.event_name.to_owned(),
            class,
            error: usage.error_code.map(|code| EventError {
                code: code.to_owned(),
                message: event.error_message.as_deref().unwrap_or_default().to_owned(),
            }),
            request_id: text(event.request_id.as_ref()),
            dependents: dependents.into_iter().collect(),
            probe: context.filter(|(key, _)| *key == PROBE).map(|(_, probe)| probe.to_owned()).next(),
            source_ip: text(event.source_ip_address.as_ref()),
            user_agent: text(event.user_agent.as_ref()),
        };
        Read::Call(Box::new(Call { id, class, attempt, account: usage.caller.account.map(str::to_owned), heard }))
    }

    /// The call of an event that was remembered as one of the key's.
    pub(crate) fn remembered(json: &str, arn: &str, aliases: &[String]) -> Option<Call> {
        match Call::read(json, arn, aliases) {
            Read::Call(call) => Some(*call),
            Read::OtherService | Read::Unreadable(_) | Read::Nameless { .. } | Read::OtherKey { .. } => None,
        }
    }
}

impl Heard {
    fn of(event: &Event<'_>) -> Option<Heard> {
        (event.read_only == Some(true)).then(|| Heard {
            account: event.recipient_account_id.as_deref().map(str::to_owned),
            region: event.aws_region.as_deref().map(str::to_owned),
            hour: floor(event.event_time, HOUR),
        })
    }
}

impl<'a> Sight<'a> {
    /// Nothing seen yet.
    pub fn of(subject: Subject<'a>) -> Sight<'a> {
        Sight {
            arn: subject.key.to_string(),
            subject,
            ids: HashSet::new(),
            rows: BTreeMap::new(),
            attempts: Vec::new(),
            changes: Vec::new(),
            probes: BTreeSet::new(),
            background: BTreeSet::new(),
            holes: Vec::new(),
            overflow: false,
        }
    }

    /// Takes in one event; the call, where it is worth remembering: it is about the key, new, and more than a look.
    ///
    /// `about` is when it happened as far as the source says, for an event that cannot be read.
    pub fn take(&mut self, json: &str, about: Timestamp) -> Option<Call> {
        match Call::read(json, &self.arn, self.subject.aliases) {
            Read::OtherService => None,
            Read::Unreadable(why) => {
                self.unreadable(format!("an event of {about}: {why}"), about);
                None
            }
            Read::Nameless { id, at, heard } => {
                self.hear(heard);
                self.unreadable(format!("event `{id}`, which names no key"), at);
                None
            }
            Read::OtherKey { heard } => {
                self.hear(heard);
                None
            }
            Read::Call(call) => {
                let is_new = self.recall(&call);
                (is_new && call.class != Class::Look).then_some(*call)
            }
        }
    }

    /// Takes in a call that was read before; whether it was new.
    pub fn recall(&mut self, call: &Call) -> bool {
        if self.ids.contains(&call.id) {
            return false;
        }
        self.ids.insert(call.id.clone());
        self.hear(call.heard.clone());
        self.take_call(call);
        true
    }

    fn take_call(&mut self, call: &Call) {
        let operator = self.subject.operator;
        let mut attempt = call.attempt.clone();
        attempt.principal = stable(&attempt.principal, operator).to_owned();
        let change = ControlChange {
            event_id: call.id.clone(),
            at: attempt.at,
            principal: attempt.principal.clone(),
            operation: attempt.operation.clone(),
            request_id: attempt.request_id.clone(),
        };
        let ours = self.subject.own.is_attempt(&attempt, operator)
            || self.subject.own.is_change(&change, operator)
            || (call.class == Class::Look && attempt.principal == operator);
        if ours {
            self.note_probe(&attempt);
        } else {
            self.count(&attempt, call.account.as_deref());
        }
        if attempt.at < self.subject.since {
            return;
        }
        let changes = matches!(call.class, Class::Manage | Class::Bind) && attempt.error.is_none();
        if changes {
            self.changes.push((ours, change));
        }
        if call.class != Class::Look && (!changes || call.class == Class::Bind) {
            self.attempts.push((ours, attempt));
        }
    }

    /// Our principal is known already; here the request, or the probe it carries, says which probe it is.
    fn note_probe(&mut self, attempt: &Attempt) {
        let by_request = attempt.request_id.as_ref().and_then(|id| self.subject.probes.get(id));
        let carried =
            attempt.probe.as_ref().filter(|probe| self.subject.own.probes.iter().any(|(known, _)| known == *probe));
        if let Some(probe) = by_request.or(carried) {
            self.probes.insert(ProbeSighting {
                probe: probe.clone(),
                event_at: attempt.at,
                event_id: attempt.event_id.clone(),
            });
        }
    }

    fn count(&mut self, call: &Attempt, account: Option<&str>) {
        let place = Place {
            principal: call.principal.clone(),
            operation: call.operation.clone(),
            error: call.error.as_ref().map(|error| error.code.clone()),
            dependents: call.dependents.clone(),
        };
        if self.rows.len() >= MAX_ROWS && !self.rows.contains_key(&place) {
            self.overflow = true;
            return;
        }
        let row = self.rows.entry(place).or_insert_with(|| UsageRow {
            principal: call.principal.clone(),
            account: account.map(str::to_owned),
            operation: call.operation.clone(),
            class: call.class,
            error: call.error.clone(),
            dependents: call.dependents.clone(),
            count: 0,
            first: call.at,
            last: call.at,
            days: Vec::new(),
            samples: Vec::new(),
        });
        row.count += 1;
        row.class = row.class.min(call.class);
        row.first = row.first.min(call.at);
        row.last = row.last.max(call.at);
        row.days.push(floor(call.at, DAY));
        row.samples.push(call.event_id.clone());
        if row.samples.len() > 8 * SAMPLES {
            shorten(row);
        }
    }

    /// Read-only events of any key in this account and Region show that such events are recorded at all.
    fn hear(&mut self, heard: Option<Heard>) {
        let Some(heard) = heard else { return };
        let account = heard.account.is_none_or(|account| account == self.subject.key.account.to_string());
        if account && heard.region.is_none_or(|region| region == self.subject.key.region.as_str()) {
            self.background.insert(heard.hour);
        }
    }

    /// What could not be read may have been a use. It is a hole of two hours, because shorter ones count as delivery lag.
    fn unreadable(&mut self, what: String, about: Timestamp) {
        if self.holes.len() < MAX_HOLES {
            let span = Span::new(before(about, HOUR), after(about, HOUR));
            self.holes.push(Hole { span, why: Gap::Unreadable { what } });
        } else {
            self.overflow = true;
        }
    }

    /// What it all comes to. `whole` is the time that events were read for: a hole, if not everything could be kept.
    pub fn finish(self, whole: Span) -> Sighted {
        let mut usage: Vec<UsageRow> = self.rows.into_values().collect();
        usage.iter_mut().for_each(shorten);
        usage.sort();
        let mut holes = self.holes;
        if self.overflow {
            holes.push(Hole { span: whole, why: Gap::TooMuch });
        }
        holes.sort_by_key(|hole| hole.span);
        Sighted {
            usage,
            attempts: newest(self.attempts, |attempt| (attempt.at, attempt.event_id.clone())),
            changes: newest(self.changes, |change| (change.at, change.event_id.clone())),
            probes: self.probes.into_iter().collect(),
            background: self.background.into_iter().collect(),
            holes,
        }
    }
}

/// Days once each, and a few event ids: the smallest, so that the order of events does not matter.
fn shorten(row: &mut UsageRow) {
    row.days.sort_unstable();
    row.days.dedup();
    row.samples.sort_unstable();
    row.samples.dedup();
    row.samples.truncate(SAMPLES);
}

/// Sorted by time, at most [`MAX_EVENTS`]: of too many our own go first, then the oldest.
fn newest<T>(mut all: Vec<(bool, T)>, order: impl Fn(&T) -> (Timestamp, String)) -> Vec<T> {
    all.sort_by_cached_key(|(ours, event)| (!*ours, order(event)));
    let surplus = all.len().saturating_sub(MAX_EVENTS);
    let mut kept: Vec<T> = all.into_iter().skip(surplus).map(|(_, event)| event).collect();
    kept.sort_by_cached_key(order);
    kept
}

/// The operator's own name where `principal` is the operator's role by its name with a path, which STS does not tell.
pub(crate) fn stable<'p>(principal: &'p str, operator: &'p str) -> &'p str {
    let role = |arn: &'p str| {
        let (account, path) = arn.split_once(":role/")?;
        Some((account, path.rsplit('/').next().unwrap_or(path)))
    };
    match (role(principal), role(operator)) {
        (Some(one), Some(other)) if one == other => operator,
        _ => principal,
    }
}

/// The start of the hour or day, in UTC, that `at` lies in.
pub(crate) fn floor(at: Timestamp, unit: SignedDuration) -> Timestamp {
    let rest = at.as_second().rem_euclid(unit.as_secs());
    Timestamp::from_second(at.as_second() - rest).unwrap_or(at)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{self, KEY, OPERATOR};

    const NOW: &str = "2026-06-01T00:00:00Z";

    fn see(own: &Own, events: &[String]) -> (Vec<bool>, Sighted) {
        let probes = BTreeMap::from([("probing".to_owned(), "p-2".to_owned())]);
        let aliases = ["arn:aws:kms:eu-west-1:111122223333:alias/app".to_owned()];
        let mut sight = Sight::of(Subject {
            key: KEY.parse().unwrap(),
            aliases: &aliases,
            operator: OPERATOR,
            own,
            probes: &probes,
            since: "2026-05-01T00:00:00Z".parse().unwrap(),
        });
        let now = NOW.parse().unwrap();
        let taken = events.iter().map(|event| sight.take(event, now).is_some()).collect();
        (taken, sight.finish(Span::new(Timestamp::UNIX_EPOCH, now)))
    }

    fn own() -> Own {
        let at = "2026-05-10T00:00:00Z".parse().unwrap();
        Own {
            requests: ["mine".to_owned(), "probing".to_owned()].into(),
            probes: vec![("p-1".to_owned(), at), ("p-2".to_owned(), at)],
            acts: vec![("DisableKey", at)],
        }
    }

    #[test]
    fn events_become_rows_attempts_and_changes() {
        let events = [
            testing::event("a", "2026-04-01T10:00:00Z", "app", "Decrypt", ""),
            testing::event("b", "2026-05-02T10:30:00Z", "app", "Decrypt", ""),
            testing::event("b", "2026-05-02T10:30:00Z", "app", "Decrypt", ""),
            testing::event("c", "2026-05-03T10:00:00Z", "admin", "PutKeyPolicy", ""),
            testing::event("d", "2026-05-03T11:00:00Z", "auditor", "DescribeKey", ""),
        ];
        let (taken, seen) = see(&own(), &events);
        assert_eq!(taken, [true, true, false, true, false]);
        let decrypt = seen.usage.iter().find(|row| row.operation == "Decrypt").unwrap();
        assert_eq!(
            (decrypt.count, decrypt.days.len(), decrypt.samples.as_slice()),
            (2, 2, ["a".to_owned(), "b".to_owned()].as_slice())
        );
        assert_eq!(decrypt.principal, "arn:aws:iam::111122223333:role/app");
        assert_eq!(seen.attempts.iter().map(|attempt| attempt.event_id.as_str()).collect::<Vec<_>>(), ["b"]);
        assert_eq!(seen.changes.iter().map(|change| change.operation.as_str()).collect::<Vec<_>>(), ["PutKeyPolicy"]);
        assert_eq!(seen.background.first().unwrap().to_string(), "2026-04-01T10:00:00Z");
    }

    #[test]
    fn our_own_calls_are_known_by_request_and_principal_together() {
        let refused = r#","errorCode":"DisabledException","errorMessage":"KEY is disabled.""#.replace("KEY", KEY);
        let probe = format!(r#"{refused},"requestParameters":{{"encryptionContext":{{"quietus:probe":"p-1"}}}}"#);
        let events = [
            testing::event(
                "own-act",
                "2026-05-10T00:00:01Z",
                "path/to/quietus",
                "DisableKey",
                r#","requestID":"mine""#,
            ),
            testing::event("own-probe", "2026-05-10T00:00:02Z", "quietus", "GenerateDataKey", &probe),
            testing::event(
                "lost-context",
                "2026-05-10T00:00:03Z",
                "quietus",
                "GenerateDataKey",
                &format!(r#"{refused},"requestID":"probing""#),
            ),
            testing::event("forged", "2026-05-10T00:00:04Z", "thief", "GenerateDataKey", &probe),
            testing::event("stolen", "2026-05-10T00:00:05Z", "quietus", "Decrypt", &refused),
        ];
        let (_, seen) = see(&own(), &events);
        let probes: Vec<_> = seen.probes.iter().map(|probe| (probe.probe.as_str(), probe.event_id.as_str())).collect();
        assert_eq!(probes, [("p-1", "own-probe"), ("p-2", "lost-context")]);
        let rows: Vec<_> =
            seen.usage.iter().map(|row| (row.principal.rsplit('/').next().unwrap(), row.operation.as_str())).collect();
        assert_eq!(rows, [("quietus", "Decrypt"), ("thief", "GenerateDataKey")]);
        assert_eq!(seen.changes[0].principal, OPERATOR);
        assert_eq!(seen.attempts.len(), 4, "attempts hold our own too");
    }

    #[test]
    fn other_keys_are_background_and_what_cannot_be_read_is_a_hole() {
        let other = testing::event("o", "2026-05-10T07:30:00Z", "app", "Decrypt", "").replace("1234abcd", "ffffffff");
        let nameless = r#"{"eventID":"n","eventTime":"2026-05-11T00:00:00Z","eventSource":"kms.amazonaws.com","eventName":"Decrypt","readOnly":true}"#;
        let (taken, seen) = see(&own(), &[other, nameless.to_owned(), "{broken".to_owned()]);
        assert_eq!(taken, [false; 3]);
        assert!(seen.usage.is_empty() && seen.attempts.is_empty());
        assert_eq!(
            seen.background.iter().map(Timestamp::to_string).collect::<Vec<_>>(),
            ["2026-05-10T07:00:00Z", "2026-05-11T00:00:00Z"]
        );
        assert_eq!(seen.holes.len(), 2);
        assert!(seen.holes.iter().all(|hole| hole.span.length() > HOUR));
    }

    #[test]
    fn of_too_many_attempts_our_own_go_first() {
        let probe =
            r#","errorCode":"DisabledException","requestParameters":{"encryptionContext":{"quietus:probe":"p-1"}}"#;
        let mut events: Vec<String> = (0..MAX_EVENTS + 10)
            .map(|n| testing::event(&format!("{n:05}"), "2026-05-10T00:00:02Z", "quietus", "GenerateDataKey", probe))
            .collect();
        events.push(testing::event("early", "2026-05-01T00:00:02Z", "app", "Decrypt", ""));
        let (_, seen) = see(&own(), &events);
        assert_eq!(seen.attempts.len(), MAX_EVENTS);
        assert_eq!(seen.attempts[0].event_id, "early");
    }
}
