//! What a case remembers: facts, in the order in which they were written down.
//!
//! The journal is memory, not truth: DescribeKey is the truth. An entry is written before an act (intent) and after it (result),
//! so that whoever comes next, after a crash or beside us, knows what may be in flight. Numbering, the hash chain and the folder are
//! the operator's; here is only what an entry says.

use api::{KeyArn, Timestamp};
use serde::{Deserialize, Serialize};

use crate::assess::Assessment;
use crate::digest::Digest;
use crate::observation::{Attempt, ControlChange};
use crate::plan::{Action, Step};
use crate::profile::Profile;
use crate::reason::Reason;
use crate::text;

/// The version of the entry format; an entry of another version is refused, never guessed at.
pub const VERSION: u16 = 1;

/// One entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// [`VERSION`].
    #[serde(deserialize_with = "known_version")]
    pub version: u16,
    /// When it was written.
    pub at: Timestamp,
    /// What it says.
    pub fact: Fact,
}

impl Entry {
    /// An entry of the current version.
    pub fn new(at: Timestamp, fact: Fact) -> Entry {
        Entry { version: VERSION, at, fact }
    }
}

fn known_version<'de, D: serde::Deserializer<'de>>(from: D) -> Result<u16, D::Error> {
    match u16::deserialize(from)? {
        VERSION => Ok(VERSION),
        other => Err(serde::de::Error::custom(format!(
            "journal entry of version `{other}`: this quietus reads version {VERSION}; use the one that wrote it"
        ))),
    }
}

/// What a case is for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Intent {
    /// Nothing should need the key: a dependent is a blocker, an attempt means stop.
    Retire,
    /// Losing data is the purpose: what is listed is expected to need the key, anything else means stop.
    Shred {
        /// Principals and resources whose loss is meant, each signed off by the owner.
        targets: Vec<String>,
    },
}

/// What may be written down. Those with `by` are of humans; the rest is of the loop.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", rename_all_fields = "kebab-case")]
pub enum Fact {
    /// The case begins.
    Opened(Box<Opening>),
    /// An assessment was made.
    Assessed(Box<Assessment>),
    /// A human agrees to one step of one plan.
    Approved {
        /// Which step.
        step: Step,
        /// Of which plan: [`crate::Plan`]'s hash as shown to the human.
        plan: Digest,
        /// Who.
        by: String,
    },
    /// A human accepts a finding as it is.
    Waived(Waived),
    /// An action will be tried now.
    Intended {
        /// The number of this intent in the case, from 1; results name it.
        id: u32,
        /// What.
        action: Action,
        /// Why.
        because: Reason,
        /// Digest of the observation it was decided from.
        evidence: Digest,
    },
    /// The action was carried out, or was found to have been.
    Done {
        /// The intent.
        id: u32,
        /// What came of it.
        result: Done,
    },
    /// The action was refused, or had no effect.
    Failed {
        /// The intent.
        id: u32,
        /// How.
        failure: Failure,
    },
    /// A probe came back.
    ProbeSeen {
        /// The probe.
        probe: String,
        /// `eventTime` of its event.
        event_at: Timestamp,
        /// `eventID` of its event.
        event_id: String,
    },
    /// Nothing has come back for too long.
    WentBlind {
        /// When the detector was last known to see.
        since: Timestamp,
    },
    /// A use attempt, or a suspicion of one, worth remembering.
    AttemptSeen(Box<Attempt>),
    /// The soak is long enough; a new assessment comes next.
    SoakPassed,
    /// The last look begins.
    LastLook,
    /// The deletion will be let happen.
    Committed,
    /// The key is to be given back; nothing was in flight that would say so by itself.
    RescueStarted {
        /// Why.
        because: Reason,
    },
    /// The key is as it was before the case.
    Rescued,
    /// Somebody else changed the key.
    ForeignChange {
        /// The event, where it was seen.
        change: Option<ControlChange>,
        /// What was found instead of what we left.
        found: String,
    },
    /// A pause.
    Held {
        /// Who.
        by: String,
        /// Why.
        reason: String,
    },
    /// Go on after a pause, a rescue or a foreign change.
    Resumed {
        /// Who.
        by: String,
        /// Why.
        reason: String,
    },
    /// A human wants the key back as it was.
    Abandoned {
        /// Who.
        by: String,
        /// Why.
        reason: String,
    },
    /// The case has waited long enough for what did not come.
    Expired {
        /// For what.
        because: Reason,
    },
    /// The key is as it was before the case; the case ends.
    Returned,
    /// The key is gone, as committed.
    Deleted,
    /// The case ends with the key's end.
    Closed {
        /// `eventID` of the DeleteKey event, where it was seen.
        delete_event: Option<String>,
    },
    /// The key is gone, and we had not committed.
    Lost {
        /// `eventID` of the DeleteKey event, where it was seen.
        delete_event: Option<String>,
    },
    /// Something a human wants remembered. Changes nothing.
    Noted {
        /// Who.
        by: String,
        /// What.
        text: String,
    },
}

/// How a case begins.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Opening {
    /// The case: `QC-2026-0001`.
    pub case: String,
    /// What for.
    pub intent: Intent,
    /// The key.
    #[serde(with = "text")]
    pub key: KeyArn,
    /// Who answers for the key.
    pub owner: String,
    /// Why it shall end.
    pub reason: String,
    /// Where that was agreed.
    pub ticket: Option<String>,
    /// How careful to be.
    pub profile: Profile,
    /// Who opened the case.
    pub by: String,
}

/// A finding that a human accepts as it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Waived {
    /// The finding: `F-LOOKBACK`.
    pub finding: String,
    /// Only where the finding is about this: a principal, an account, a grant. F-ATTEMPT needs one.
    pub subject: Option<String>,
    /// Who.
    pub by: String,
    /// Why.
    pub reason: String,
    /// Until when.
    pub until: Timestamp,
}

/// What came of an action that was carried out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", rename_all_fields = "kebab-case")]
pub enum Done {
    /// AWS answered; for a probe: AWS refused it, as it should.
    Answered {
        /// AWS's request id, by which our own events are known.
        request_id: Option<String>,
        /// DeletionDate, after ScheduleKeyDeletion.
        deletion_date: Option<Timestamp>,
    },
    /// No answer came, but the key was found in the state that the action leads to.
    Observed {
        /// DeletionDate, where that state has one.
        deletion_date: Option<Timestamp>,
    },
    /// The capsule was written, read back, and has this digest.
    Capsule {
        /// Its digest.
        digest: Digest,
    },
    /// A probe was not refused: the key can be used, although it should not.
    ProbeSucceeded {
        /// AWS's request id.
        request_id: Option<String>,
    },
}

/// How an action failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", rename_all_fields = "kebab-case")]
pub enum Failure {
    /// AWS refused.
    Refused {
        /// AWS's error code.
        code: String,
        /// AWS's text.
        message: String,
        /// AWS's request id.
        request_id: Option<String>,
    },
    /// It could not be tried, or broke on our side: the capsule could not be written.
    Local {
        /// What went wrong.
        message: String,
    },
    /// No answer came, and the key was found unchanged after long enough.
    NoEffect,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As version 1 was first written. It must be read for ever.
    const FIRST: &str = r#"{"version":1,"at":"2026-06-01T00:00:00Z","fact":{"intended":{"id":7,"action":{"schedule":{"window-days":30}},
        "because":{"gates-passed":{"step":"delete"}},"evidence":"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"}}}"#;

    #[test]
    fn the_first_version_is_read() {
        let entry: Entry = serde_json::from_str(FIRST).unwrap();
        let Fact::Intended { id: 7, action, because, .. } = &entry.fact else { panic!("an intent: {entry:?}") };
        assert_eq!(*action, Action::Schedule { window_days: 30 });
        assert_eq!(*because, Reason::GatesPassed { step: Step::Delete });
        let again = serde_json::to_string(&entry).unwrap();
        assert_eq!(serde_json::from_str::<Entry>(&again).unwrap(), entry);
    }

    #[test]
    fn an_unknown_version_is_refused_and_says_so() {
        let error = serde_json::from_str::<Entry>(&FIRST.replace(r#""version":1"#, r#""version":2"#)).unwrap_err();
        assert!(error.to_string().starts_with("journal entry of version `2`"), "{error}");
    }
}
