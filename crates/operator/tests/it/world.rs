//! A key with its callers and its trail, as much of AWS as [`operator::World`] shows, on a clock of its own.

use std::sync::{Arc, Mutex};

use api::{KeyArn, Timestamp};
use jiff::SignedDuration;
use operator::reconcile::{Unreached, Worlds};
use operator::sight::{Sight, Subject};
use operator::{Act, Answer, Ask, World};
use procedure::observation::{KeyFacts, LastUsage, NamedPolicy, SourceSeen};
use procedure::span::{after, before, days};
use procedure::{Depth, Gap, KeyState, Observation, Presence, Seen, Source, Span};

use crate::crash::Fuse;

pub(crate) const ACCOUNT: &str = "111122223333";
pub(crate) const OPERATOR: &str = "arn:aws:iam::111122223333:role/quietus";
pub(crate) const KEY: &str = "arn:aws:kms:eu-west-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab";
const POLICY: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::111122223333:root"},"Action":"kms:*","Resource":"*"}]}"#;
/// How late events come.
const LAG: SignedDuration = SignedDuration::from_mins(10);
/// How late the service deletes.
const LATE: SignedDuration = SignedDuration::from_hours(6);

/// The world; clones are the same world.
#[derive(Clone)]
pub(crate) struct Fake(Arc<Mutex<Inner>>, Fuse);

struct Inner {
    now: Timestamp,
    created: Timestamp,
    /// `None` when it is gone.
    state: Option<KeyState>,
    events: Vec<(Timestamp, String)>,
    /// Nothing that happens from here on is delivered.
    blind_since: Option<Timestamp>,
    acts: Vec<String>,
    requests: u32,
}

pub(crate) fn epoch() -> Timestamp {
    "2026-06-01T00:00:00Z".parse().unwrap()
}

impl Fake {
    /// A key that was last used 500 days ago.
    pub(crate) fn new(fuse: Fuse) -> Fake {
        let now = epoch();
        let inner = Inner {
            now,
            created: before(now, days(600)),
            state: Some(KeyState::Enabled),
            events: Vec::new(),
            blind_since: None,
            acts: Vec::new(),
            requests: 0,
        };
        Fake(Arc::new(Mutex::new(inner)), fuse)
    }

    /// The same world for a runner with another fuse.
    pub(crate) fn with(&self, fuse: Fuse) -> Fake {
        Fake(Arc::clone(&self.0), fuse)
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.0.lock().unwrap().now
    }

    pub(crate) fn state(&self) -> Option<KeyState> {
        self.0.lock().unwrap().state
    }

    /// What was done to the key, successful calls only.
    pub(crate) fn acts(&self) -> Vec<String> {
        self.0.lock().unwrap().acts.clone()
    }

    pub(crate) fn advance(&self, to: Timestamp) {
        let mut inner = self.0.lock().unwrap();
        inner.now = inner.now.max(to);
        if let Some(KeyState::PendingDeletion { deletion_date }) = inner.state
            && after(deletion_date, LATE) <= inner.now
        {
            inner.state = None;
            inner.acts.push("deleted".to_owned());
            inner.event("AWS Internal", "DeleteKey", None, "", None);
        }
    }

    /// Somebody else calls an operation now.
    pub(crate) fn call(&self, who: &str, operation: &str) {
        let mut inner = self.0.lock().unwrap();
        let refused = inner.refusal();
        match operation {
            "EnableKey" => inner.state = Some(KeyState::Enabled),
            "CancelKeyDeletion" => inner.state = Some(KeyState::Disabled),
            _ => {
                let error = refused.map(str::to_owned);
                inner.event(who, operation, None, "", error.as_deref());
                return;
            }
        }
        inner.event(who, operation, None, "", None);
    }

    /// From now on no event is delivered.
    pub(crate) fn blind(&self) {
        let mut inner = self.0.lock().unwrap();
        inner.blind_since = Some(inner.now);
    }
}

impl Inner {
    fn refusal(&self) -> Option<&'static str> {
        match self.state? {
            KeyState::Enabled => None,
            KeyState::Disabled => Some("is disabled."),
            _ => Some("is pending deletion."),
        }
    }

    fn event(&mut self, who: &str, operation: &str, request: Option<&str>, context: &str, error: Option<&str>) {
        let id = format!("event-{:05}", self.events.len());
        let request = request.map(|id| format!(r#","requestID":"{id}""#)).unwrap_or_default();
        let error = error.map(|text| {
            let code = if text.contains("disabled") { "DisabledException" } else { "KMSInvalidStateException" };
            format!(r#","errorCode":"{code}","errorMessage":"{KEY} {text}""#)
        });
        let error = error.unwrap_or_default();
        let identity = if who == "AWS Internal" {
            format!(r#"{{"accountId":"{ACCOUNT}","invokedBy":"AWS Internal"}}"#)
        } else {
            format!(
                r#"{{"type":"AssumedRole","arn":"arn:aws:sts::{ACCOUNT}:assumed-role/{who}/s","accountId":"{ACCOUNT}","sessionContext":{{"sessionIssuer":{{"arn":"arn:aws:iam::{ACCOUNT}:role/{who}"}}}}}}"#
            )
        };
        let read_only =
            !["Key", "Deletion"].iter().any(|end| operation.ends_with(end)) || operation == "GenerateDataKey";
        let json = format!(
            r#"{{"eventID":"{id}","eventTime":"{}","eventSource":"kms.amazonaws.com","eventName":"{operation}","awsRegion":"eu-west-1","readOnly":{read_only},"recipientAccountId":"{ACCOUNT}","userIdentity":{identity},"requestParameters":{{"encryptionContext":{{{context}}}}},"resources":[{{"type":"AWS::KMS::Key","ARN":"{KEY}"}}]{request}{error}}}"#,
            self.now
        );
        self.events.push((self.now, json));
    }

    fn delivered(&self) -> impl Iterator<Item = &(Timestamp, String)> {
        self.events
            .iter()
            .filter(|(at, _)| after(*at, LAG) <= self.now && self.blind_since.is_none_or(|since| *at < since))
    }
}

impl World for Fake {
    fn operator(&self) -> &str {
        OPERATOR
    }

    fn observe(&self, ask: &Ask<'_>) -> Observation {
        let unseen = || Gap::Failed { operation: "DescribeKey".into(), code: "timeout".into(), message: String::new() };
        let broken = self.1.blow();
        let inner = self.0.lock().unwrap();
        let since = if ask.depth == Depth::Full { ask.lookback } else { ask.since };
        let span = Span::new(since, inner.now);
        let mut sight = Sight::of(Subject {
            key: ask.key,
            aliases: &[],
            operator: OPERATOR,
            own: ask.own,
            probes: ask.probes,
            since: ask.since,
        });
        for (at, json) in inner.delivered().filter(|(at, _)| *at >= since) {
            sight.take(json, *at);
        }
        let seen = sight.finish(span);
        // Other keys are used all the time.
        let mut background = Vec::new();
        let mut hour = Timestamp::from_second(since.as_second() / 3600 * 3600).unwrap();
        while hour < inner.now {
            background.push(hour);
            hour = after(hour, SignedDuration::from_hours(3));
        }
        let facts = inner.state.map(|state| KeyFacts {
            state,
            created: inner.created,
            customer_managed: true,
            usage: "ENCRYPT_DECRYPT".to_owned(),
            spec: "SYMMETRIC_DEFAULT".to_owned(),
            origin: "AWS_KMS".to_owned(),
            family: Vec::new(),
        });
        Observation {
            at: ask.now,
            depth: ask.depth,
            arn: ask.key,
            operator: OPERATOR.to_owned(),
            clock_skew: Seen::Seen(SignedDuration::ZERO),
            key: if broken {
                Seen::Unknown(unseen())
            } else {
                Seen::Seen(facts.map_or(Presence::Gone, Presence::Present))
            },
            policies: Seen::Seen(vec![NamedPolicy { name: "default".to_owned(), text: POLICY.to_owned() }]),
            grants: Seen::Seen(Vec::new()),
            aliases: Seen::Seen(vec!["alias/app".to_owned()]),
            tags: Seen::Seen(Vec::new()),
            last_usage: Seen::Seen(LastUsage { tracking_start: inner.created, last: None }),
            usage: seen.usage,
            sources: vec![SourceSeen {
                source: Source::EventHistory,
                account: ACCOUNT.to_owned(),
                region: ask.key.region,
                query: "LookupEvents".to_owned(),
                spans: vec![span],
                holes: seen.holes,
                background,
            }],
            attempts: seen.attempts,
            changes: seen.changes,
            probes: seen.probes,
            evidence_keys: Seen::Seen(Vec::new()),
            siblings: Vec::new(),
        }
    }

    fn act(&self, _: KeyArn, act: &Act) -> Answer {
        let lost = || Answer::Unclear { why: "timeout".to_owned() };
        if self.1.blow() {
            return lost();
        }
        let answer = self.0.lock().unwrap().act(act);
        // An effect without an answer.
        if self.1.blow() { lost() } else { answer }
    }
}

impl Inner {
    fn act(&mut self, act: &Act) -> Answer {
        self.requests += 1;
        let request = format!("request-{}", self.requests);
        let mut deletion_date = None;
        let context = match act {
            Act::Probe { probe } => format!(r#""quietus:probe":"{probe}""#),
            _ => String::new(),
        };
        let refusal = self.refusal();
        let next = match (act, self.state) {
            (_, None) => return refused("NotFoundException", "does not exist", request),
            (Act::Disable, Some(KeyState::Enabled | KeyState::Disabled)) => KeyState::Disabled,
            (Act::Enable, Some(KeyState::Enabled | KeyState::Disabled)) => KeyState::Enabled,
            (Act::Cancel, Some(KeyState::PendingDeletion { .. })) => KeyState::Disabled,
            (Act::Schedule { window_days }, Some(KeyState::Enabled | KeyState::Disabled)) => {
                let date = after(self.now, days(i64::from(*window_days)));
                deletion_date = Some(date);
                KeyState::PendingDeletion { deletion_date: date }
            }
            (Act::Probe { .. }, Some(state)) => {
                self.event("quietus", "GenerateDataKey", Some(&request), &context, refusal);
                let request_id = Some(request);
                return match state {
                    KeyState::Enabled => Answer::Admitted { request_id },
                    _ => Answer::Done { request_id, deletion_date: None },
                };
            }
            (_, Some(_)) => return refused("KMSInvalidStateException", "wrong state", request),
        };
        self.event("quietus", act.operation(), Some(&request), "", None);
        self.acts.push(act.operation().to_owned());
        self.state = Some(next);
        Answer::Done { request_id: Some(request), deletion_date }
    }
}

fn refused(code: &str, message: &str, request: String) -> Answer {
    Answer::Refused { code: code.to_owned(), message: message.to_owned(), request_id: Some(request) }
}

impl Worlds for Fake {
    fn reach(&self, _: &KeyArn) -> Result<Arc<dyn World + Send>, Unreached> {
        Ok(Arc::new(self.clone()))
    }
}

/// An event of another role on the key, as CloudTrail writes it.
pub(crate) fn foreign_event(id: &str, at: Timestamp, operation: &str) -> String {
    format!(
        r#"{{"eventID":"{id}","eventTime":"{at}","eventSource":"kms.amazonaws.com","eventName":"{operation}","awsRegion":"eu-west-1","readOnly":true,"recipientAccountId":"{ACCOUNT}","userIdentity":{{"type":"IAMUser","arn":"arn:aws:iam::{ACCOUNT}:user/eve","accountId":"{ACCOUNT}"}},"resources":[{{"type":"AWS::KMS::Key","ARN":"{KEY}"}}]}}"#
    )
}
