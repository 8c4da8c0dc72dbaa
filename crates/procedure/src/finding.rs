//! What an assessment found, what it means for the verdict, and how to clear it.
//!
//! The ids, severities and who may waive are those of procedure.md 6.12. A finding holds its facts; the sentences are made from
//! them here, so that the terminal, the report and the journal say the same.

use std::fmt;

use api::Timestamp;
use jiff::SignedDuration;
use serde::{Deserialize, Serialize};

use crate::observation::Source;
use crate::observation::{EventError, Gap, KeyState};
use crate::span::Span;
use api::Class;

/// The answer of an assessment. Never "unused", never "safe to delete".
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Verdict {
    /// No use was seen in the whole of what had to be seen.
    Quiet,
    /// Somebody uses the key, or something living depends on it.
    InUse,
    /// Something stands in the way that no evidence of quiet can clear.
    Blocked,
    /// Not enough was seen to say.
    Inconclusive,
}

impl Verdict {
    /// The name in reports and the journal.
    pub fn as_str(self) -> &'static str {
        match self {
            Verdict::Quiet => "QUIET",
            Verdict::InUse => "IN_USE",
            Verdict::Blocked => "BLOCKED",
            Verdict::Inconclusive => "INCONCLUSIVE",
        }
    }

    /// The exit code of `quietus assess`. Source: procedure.md 6.5.8.
    pub fn exit_code(self) -> u8 {
        match self {
            Verdict::Quiet => 0,
            Verdict::InUse => 10,
            Verdict::Blocked => 11,
            Verdict::Inconclusive => 12,
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.as_str())
    }
}

/// How grave a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// For information.
    Info,
    /// Low.
    Low,
    /// Medium.
    Medium,
    /// High.
    High,
    /// Critical.
    Critical,
}

/// Who may accept a finding as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Waiver {
    /// Nobody.
    Nobody,
    /// The owner of the key.
    Owner,
    /// Those who answer for security.
    Security,
}

/// What an open finding does to the verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Weight {
    /// Nothing: it is told, not counted.
    Note,
    /// Not enough was seen: `INCONCLUSIVE`.
    Unclear,
    /// The key is needed: `IN_USE`.
    Used,
    /// Nothing helps but removing it: `BLOCKED`.
    Blocks,
}

/// One thing an assessment found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", rename_all_fields = "kebab-case")]
pub enum Finding {
    /// F-USE-*: a call with the key within the quiet window.
    Use {
        /// What kind of use.
        class: Class,
        /// Who.
        principal: String,
        /// Which operation.
        operation: String,
        /// The error, if it failed.
        error: Option<EventError>,
        /// What the encryption context names.
        dependents: Vec<String>,
        /// How many times in the look-back.
        count: u64,
        /// When first.
        first: Timestamp,
        /// When last.
        last: Timestamp,
    },
    /// F-ATTEMPT: somebody tried to use the key while it was disabled or pending.
    Attempt {
        /// Who.
        principal: String,
        /// Which operation.
        operation: String,
        /// When last.
        last: Timestamp,
        /// How many times.
        count: u64,
    },
    /// F-SUSPECT: a principal that had access is refused now.
    Suspect {
        /// Who.
        principal: String,
        /// Which operation.
        operation: String,
        /// When last.
        last: Timestamp,
    },
    /// F-LASTUSE: GetKeyLastUsage is within the quiet window.
    LastUse {
        /// When.
        at: Timestamp,
        /// Which operation.
        operation: String,
    },
    /// F-LASTUSE-HORIZON: last usage has been tracked for less than the look-back.
    LastUseHorizon {
        /// Since when.
        tracking_start: Timestamp,
    },
    /// F-LOOKBACK: time that had to be seen lies before anything a source reaches.
    Lookback {
        /// The part that nothing covers.
        missing: Span,
        /// How far back the profile asks.
        required: SignedDuration,
    },
    /// F-COV-GAP: a hole in what was seen.
    CoverageGap {
        /// When.
        span: Span,
        /// Why.
        why: GapReason,
    },
    /// F-COV-ASSUMED: more than allowed rests on coverage that nothing confirms.
    CoverageAssumed {
        /// Share of the look-back, in percent, rounded up.
        percent: u8,
        /// What the profile allows, in percent.
        allowed: u8,
    },
    /// F-SCOPE-UNREADABLE: a required question has no answer.
    Unreadable {
        /// What: `key policies`.
        what: String,
        /// Why not.
        why: Gap,
    },
    /// F-XACCT: principals of another account may use the key, and its events were not seen.
    ForeignAccount {
        /// The account.
        account: String,
        /// Where it is named.
        named_in: String,
    },
    /// F-PUBLIC: anybody in any account may use the key.
    Public {
        /// Where it says so.
        named_in: String,
    },
    /// F-RESCUE-PATH: we could not undo what we would do.
    RescuePath {
        /// The IAM action that is not allowed to us.
        action: String,
        /// Who we are.
        operator: String,
    },
    /// F-GRANT-LIVE: a grant; whoever made it has not retired it.
    GrantLive {
        /// GrantId.
        id: String,
        /// To whom.
        grantee: String,
        /// What its constraints name.
        constraints: Vec<String>,
    },
    /// F-SELF-BLIND: the key protects the evidence.
    SelfBlind,
    /// F-MRK-SIBLING: another member of the family is in use, or was not assessed.
    Sibling {
        /// Which.
        arn: String,
        /// Its verdict, if it has one.
        verdict: Option<Verdict>,
    },
    /// F-PUBKEY-OUT: the public half was handed out, and encrypts without KMS.
    PublicKeyOut {
        /// To whom.
        principal: String,
        /// When last.
        last: Timestamp,
    },
    /// F-CADENCE: used at times, not now; the next time may be due.
    Cadence {
        /// Who, where known.
        principal: Option<String>,
        /// When last.
        last: Timestamp,
        /// The longest time between two uses, where several are known.
        gap: Option<SignedDuration>,
        /// When the next use must have shown itself, where that can be said; the soak then lasts until it.
        due: Option<Timestamp>,
    },
    /// F-ALIAS-MOVED: an alias pointed here once; what was encrypted through it still needs this key.
    AliasMoved {
        /// Who moved it.
        principal: String,
        /// When.
        at: Timestamp,
        /// By which operation.
        operation: String,
    },
    /// F-FOREIGN: the key was already being ended by somebody else.
    AlreadyPending {
        /// DeletionDate.
        deletion_date: Timestamp,
    },
    /// F-NOT-OURS: an AWS managed key, which no customer can delete. (Ours.)
    NotCustomerManaged,
    /// F-KEY-STATE: a state in which use cannot show itself. (Ours; F-CKS and F-IMPORTED are its causes.)
    State {
        /// Which.
        state: KeyState,
    },
    /// F-RACE-USE: AWS refused the act, which its interlock on recent use does.
    RaceUse {
        /// When.
        at: Timestamp,
    },
    /// F-CLOCK: our clock and the service's differ.
    Clock {
        /// The service's less ours, where known.
        skew: Option<SignedDuration>,
    },
    /// F-LOST: the key is gone.
    Gone,
}

/// Why a time counts as not seen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum GapReason {
    /// The source says so.
    Source {
        /// Which source.
        source: Source,
        /// Why.
        why: Gap,
    },
    /// The source shows other keys' events before and after, and none in between for much longer than is usual there.
    Silence {
        /// Which source.
        source: Source,
    },
    /// Last usage knows of a use that the source does not show.
    Missed {
        /// Which source.
        source: Source,
    },
    /// No source was asked about it.
    NotAsked,
}

/// Says `1 day`, `36 hours`, `400 days`.
pub(crate) fn plain(length: SignedDuration) -> String {
    let hours = length.as_secs().div_euclid(3600);
    let (count, unit) = if hours != 0 && hours % 24 == 0 {
        (hours / 24, "day")
    } else if hours >= 1 {
        (hours, "hour")
    } else {
        (length.as_secs(), "second")
    };
    format!("{count} {unit}{}", if count == 1 { "" } else { "s" })
}

/// Says `once`, `7 times`.
fn times(count: u64) -> String {
    if count == 1 { "once".to_owned() } else { format!("{count} times") }
}

impl Finding {
    /// The id of procedure.md 6.12.
    pub fn id(&self) -> &'static str {
        match self {
            Finding::Use { class, .. } => match class {
                Class::WriteData => "F-USE-WRITE",
                Class::Sign => "F-USE-SIGN",
                Class::Mac => "F-USE-MAC",
                Class::Check => "F-USE-VERIFY",
                Class::Bind => "F-USE-BIND",
                Class::ReadData | Class::Export | Class::Manage | Class::Look => "F-USE-READ",
            },
            Finding::Attempt { .. } => "F-ATTEMPT",
            Finding::Suspect { .. } => "F-SUSPECT",
            Finding::LastUse { .. } => "F-LASTUSE",
            Finding::LastUseHorizon { .. } => "F-LASTUSE-HORIZON",
            Finding::Lookback { .. } => "F-LOOKBACK",
            Finding::CoverageGap { .. } => "F-COV-GAP",
            Finding::CoverageAssumed { .. } => "F-COV-ASSUMED",
            Finding::Unreadable { .. } => "F-SCOPE-UNREADABLE",
            Finding::ForeignAccount { .. } => "F-XACCT",
            Finding::Public { .. } => "F-PUBLIC",
            Finding::RescuePath { .. } => "F-RESCUE-PATH",
            Finding::GrantLive { .. } => "F-GRANT-LIVE",
            Finding::SelfBlind => "F-SELF-BLIND",
            Finding::Sibling { .. } => "F-MRK-SIBLING",
            Finding::PublicKeyOut { .. } => "F-PUBKEY-OUT",
            Finding::Cadence { .. } => "F-CADENCE",
            Finding::AliasMoved { .. } => "F-ALIAS-MOVED",
            Finding::AlreadyPending { .. } => "F-FOREIGN",
            Finding::NotCustomerManaged => "F-NOT-OURS",
            Finding::State { .. } => "F-KEY-STATE",
            Finding::RaceUse { .. } => "F-RACE-USE",
            Finding::Clock { .. } => "F-CLOCK",
            Finding::Gone => "F-LOST",
        }
    }

    /// How grave it is.
    pub fn severity(&self) -> Severity {
        match self {
            Finding::Use { class, .. } => match class {
                Class::ReadData | Class::WriteData => Severity::Critical,
                _ => Severity::High,
            },
            Finding::Attempt { .. }
            | Finding::SelfBlind
            | Finding::RescuePath { .. }
            | Finding::RaceUse { .. }
            | Finding::NotCustomerManaged
            | Finding::Gone => Severity::Critical,
            Finding::LastUse { .. }
            | Finding::GrantLive { .. }
            | Finding::ForeignAccount { .. }
            | Finding::Public { .. }
            | Finding::Unreadable { .. }
            | Finding::CoverageGap { .. }
            | Finding::Sibling { .. }
            | Finding::PublicKeyOut { .. }
            | Finding::Cadence { due: None, .. }
            | Finding::State { .. }
            | Finding::AlreadyPending { .. } => Severity::High,
            Finding::LastUseHorizon { .. }
            | Finding::Lookback { .. }
            | Finding::CoverageAssumed { .. }
            | Finding::Suspect { .. }
            | Finding::AliasMoved { .. }
            | Finding::Clock { .. } => Severity::Medium,
            Finding::Cadence { due: Some(_), .. } => Severity::Low,
        }
    }

    /// Who may waive it.
    pub fn waivable(&self) -> Waiver {
        match self {
            Finding::Use { .. }
            | Finding::LastUse { .. }
            | Finding::SelfBlind
            | Finding::RescuePath { .. }
            | Finding::Sibling { .. }
            | Finding::AlreadyPending { .. }
            | Finding::NotCustomerManaged
            | Finding::State { .. }
            | Finding::RaceUse { .. }
            | Finding::Gone => Waiver::Nobody,
            Finding::LastUseHorizon { .. }
            | Finding::Lookback { .. }
            | Finding::CoverageAssumed { .. }
            | Finding::GrantLive { .. }
            | Finding::Suspect { .. }
            | Finding::PublicKeyOut { .. }
            | Finding::Cadence { .. }
            | Finding::AliasMoved { .. } => Waiver::Owner,
            // Whether the key is there at all, and in which state, nobody can accept unseen.
            Finding::Unreadable { what, .. } if what == "key" => Waiver::Nobody,
            Finding::Attempt { .. }
            | Finding::CoverageGap { .. }
            | Finding::Unreadable { .. }
            | Finding::ForeignAccount { .. }
            | Finding::Public { .. }
            | Finding::Clock { .. } => Waiver::Security,
        }
    }

    /// What it does to the verdict while nobody has waived it.
    pub fn weight(&self) -> Weight {
        match self {
            Finding::SelfBlind
            | Finding::RescuePath { .. }
            | Finding::AlreadyPending { .. }
            | Finding::NotCustomerManaged
            | Finding::RaceUse { .. }
            | Finding::Gone => Weight::Blocks,
            Finding::Use { .. } | Finding::Attempt { .. } | Finding::LastUse { .. } | Finding::GrantLive { .. } => {
                Weight::Used
            }
            Finding::Lookback { .. }
            | Finding::CoverageGap { .. }
            | Finding::CoverageAssumed { .. }
            | Finding::Unreadable { .. }
            | Finding::ForeignAccount { .. }
            | Finding::Public { .. }
            | Finding::Sibling { .. }
            | Finding::PublicKeyOut { .. }
            | Finding::Cadence { due: None, .. }
            | Finding::State { .. }
            | Finding::Suspect { .. }
            | Finding::Clock { .. } => Weight::Unclear,
            Finding::LastUseHorizon { .. } | Finding::AliasMoved { .. } | Finding::Cadence { due: Some(_), .. } => {
                Weight::Note
            }
        }
    }

    /// Whom or what it is about, which a waiver may name: a principal, an account, a grant.
    pub fn subject(&self) -> Option<&str> {
        match self {
            Finding::Use { principal, .. }
            | Finding::Attempt { principal, .. }
            | Finding::Suspect { principal, .. }
            | Finding::PublicKeyOut { principal, .. }
            | Finding::AliasMoved { principal, .. } => Some(principal),
            Finding::Cadence { principal, .. } => principal.as_deref(),
            Finding::ForeignAccount { account, .. } => Some(account),
            Finding::GrantLive { id, .. } => Some(id),
            Finding::Sibling { arn, .. } => Some(arn),
            Finding::Unreadable { what, .. } => Some(what),
            Finding::LastUse { .. }
            | Finding::LastUseHorizon { .. }
            | Finding::Lookback { .. }
            | Finding::CoverageGap { .. }
            | Finding::CoverageAssumed { .. }
            | Finding::Public { .. }
            | Finding::RescuePath { .. }
            | Finding::SelfBlind
            | Finding::AlreadyPending { .. }
            | Finding::NotCustomerManaged
            | Finding::State { .. }
            | Finding::RaceUse { .. }
            | Finding::Clock { .. }
            | Finding::Gone => None,
        }
    }

    /// What was found, in one line.
    pub fn what(&self) -> String {
        match self {
            Finding::Use { principal, operation, error, count, last, .. } => match error {
                None => format!("`{principal}` called {operation} {}, last at {last}", times(*count)),
                Some(error) => {
                    format!("`{principal}` called {operation} {} and got {}, last at {last}", times(*count), error.code)
                }
            },
            Finding::Attempt { principal, operation, last, count } => {
                format!(
                    "`{principal}` tried {operation} {} while the key could not be used, last at {last}",
                    times(*count)
                )
            }
            Finding::Suspect { principal, operation, last } => {
                format!("`{principal}`, which had access before, was refused {operation} at {last}")
            }
            Finding::LastUse { at, operation } => format!("last successful use was {operation} at {at}"),
            Finding::LastUseHorizon { tracking_start } => {
                format!("last usage is tracked since {tracking_start} only")
            }
            Finding::Lookback { missing, required } => format!(
                "nothing was seen from {} to {}, and a look-back of {} is required",
                missing.since,
                missing.until,
                plain(*required)
            ),
            Finding::CoverageGap { span, why } => {
                let why = match why {
                    GapReason::Source { source, why } => format!("{}: {why}", source.as_str()),
                    GapReason::Silence { source } => {
                        format!("{} is silent about every key for longer than is usual there", source.as_str())
                    }
                    GapReason::Missed { source } => {
                        format!("{} does not show the use that last usage tells of", source.as_str())
                    }
                    GapReason::NotAsked => "no source was asked".to_owned(),
                };
                format!("not seen from {} to {}: {why}", span.since, span.until)
            }
            Finding::CoverageAssumed { percent, allowed } => {
                format!(
                    "{percent} % of the look-back has no traffic that would confirm it was recorded; {allowed} % is allowed"
                )
            }
            Finding::Unreadable { what, why } => format!("the {what} could not be read: {why}"),
            Finding::ForeignAccount { account, named_in } => {
                format!("account {account} may use the key ({named_in}), and its events were not looked at")
            }
            Finding::Public { named_in } => format!("anybody in any account may use the key ({named_in})"),
            Finding::RescuePath { action, operator } => {
                format!("`{operator}` may not call {action} on this key, so nothing could be undone")
            }
            Finding::GrantLive { id, grantee, constraints } => match constraints.as_slice() {
                [] => format!("grant `{id}` to `{grantee}` is not retired"),
                named => format!("grant `{id}` to `{grantee}` for `{}` is not retired", named.join("`, `")),
            },
            Finding::SelfBlind => "the key protects the evidence that this procedure rests on".to_owned(),
            Finding::Sibling { arn, verdict } => match verdict {
                Some(verdict) => format!("`{arn}` of the same multi-Region family is {verdict}"),
                None => format!("`{arn}` of the same multi-Region family was not assessed"),
            },
            Finding::PublicKeyOut { principal, last } => {
                format!("`{principal}` fetched the public key at {last}, and can encrypt with it outside KMS")
            }
            Finding::Cadence { principal, last, gap, due } => {
                let who = principal.as_deref().map_or(String::new(), |who| format!(" by `{who}`"));
                let gap = gap.map_or(String::new(), |gap| format!(", up to {} between uses", plain(gap)));
                match due {
                    Some(due) => format!("periodic use{who}: last at {last}{gap}; the next would show by {due}"),
                    None => format!("used{who}, last at {last}{gap}; when the next use is due cannot be said"),
                }
            }
            Finding::AliasMoved { principal, at, operation } => {
                format!("`{principal}` changed which alias points here ({operation} at {at})")
            }
            Finding::AlreadyPending { deletion_date } => {
                format!("the key is already waiting for deletion at {deletion_date}, by somebody else")
            }
            Finding::NotCustomerManaged => "the key is managed by AWS".to_owned(),
            Finding::State { state } => format!("the key is {}", state.as_str()),
            Finding::RaceUse { at } => format!("AWS refused to act on the key at {at}"),
            Finding::Clock { skew: Some(skew) } => {
                format!("our clock and the service's differ by {} seconds", skew.as_secs().abs())
            }
            Finding::Clock { skew: None } => "the service's clock could not be read".to_owned(),
            Finding::Gone => "the key does not exist".to_owned(),
        }
    }

    /// Why it matters.
    pub fn why(&self) -> &'static str {
        match self {
            Finding::Use { class, .. } => match class {
                Class::WriteData => "data is still encrypted with the key, so what needs it grows",
                Class::Sign | Class::Mac => "a producer is alive that would fail without the key",
                Class::Check => "a consumer is alive that would fail without the key",
                Class::Bind => "a resource is being attached to or detached from the key",
                Class::ReadData | Class::Export | Class::Manage | Class::Look => "stored data still needs the key",
            },
            Finding::Attempt { .. } => "a call that fails because the key is disabled is a call that needs it",
            Finding::Suspect { .. } => "access may have been taken away instead of the need",
            Finding::LastUse { .. } => "the key was used successfully within the quiet window",
            Finding::LastUseHorizon { .. } => "an empty last usage says nothing about the time before tracking",
            Finding::Lookback { .. } => "rare use, once a year for example, would not have shown",
            Finding::CoverageGap { .. } => "use in that time would not have shown",
            Finding::CoverageAssumed { .. } => "a source that shows nothing at all may see nothing at all",
            Finding::Unreadable { .. } => "what cannot be read may hold a user of the key",
            Finding::ForeignAccount { .. } => "a denied call is recorded in the caller's account only",
            Finding::Public { .. } => "the callers cannot be enumerated, so their evidence cannot be complete",
            Finding::RescuePath { .. } => "a key that cannot be enabled or cancelled again must not be disabled",
            Finding::GrantLive { .. } => "an attached volume, for one, may hold its data key for months without a call",
            Finding::SelfBlind => "disabling it would blind the watch for use of it",
            Finding::Sibling { .. } => "ciphertexts of one member can be opened by any member",
            Finding::PublicKeyOut { .. } => "what was encrypted outside KMS is recorded nowhere",
            Finding::Cadence { due: Some(_), .. } => "the soak must be long enough for the next use to show",
            Finding::Cadence { due: None, .. } => "silence shorter than the rhythm of use proves nothing",
            Finding::AliasMoved { .. } => {
                "an alias is not the dependency: old ciphertexts need the key they were made with"
            }
            Finding::AlreadyPending { .. } => "somebody else's deletion is theirs to keep or cancel",
            Finding::NotCustomerManaged => "only AWS ends such keys",
            Finding::State { .. } => "use cannot be told from disuse in that state",
            Finding::RaceUse { .. } => {
                "either the role lacks the permission, or a condition on recent use (kms:TrailingDaysWithoutKeyUsage) holds"
            }
            Finding::Clock { .. } => "deadlines and windows would be wrong by as much",
            Finding::Gone => "there is nothing left to assess",
        }
    }

    /// What to do about it.
    pub fn remedy(&self) -> String {
        match self {
            Finding::Use { principal, .. } => {
                format!("move `{principal}` to another key, then wait out the quiet window")
            }
            Finding::Attempt { principal, .. } => {
                format!("move `{principal}` to another key, or waive F-ATTEMPT for it")
            }
            Finding::Suspect { principal, .. } => {
                format!("ask the owner of `{principal}` whether it still needs the key, then waive F-SUSPECT for it")
            }
            Finding::LastUse { .. } => {
                "find the caller in CloudTrail, move it, then wait out the quiet window".to_owned()
            }
            Finding::LastUseHorizon { .. } => "scan an archive of CloudTrail files for the time before".to_owned(),
            Finding::Lookback { .. } => {
                "scan an archive of CloudTrail files for that time, or waive F-LOOKBACK".to_owned()
            }
            Finding::CoverageGap { .. } => "read that time from another source, or waive F-COV-GAP".to_owned(),
            Finding::CoverageAssumed { .. } => {
                "make a key in this account and Region that is called every hour, or waive F-COV-ASSUMED".to_owned()
            }
            Finding::Unreadable { what, why } => match why {
                Gap::Denied { action, .. } => format!("allow {action} to the assessing role, and assess again"),
                Gap::NotAsked => format!("assess again with the {what} included"),
                _ => "assess again; if it stays, look into the error".to_owned(),
            },
            Finding::ForeignAccount { account, .. } => {
                format!("scan CloudTrail of account {account} too, remove it from the policy, or waive F-XACCT for it")
            }
            Finding::Public { .. } => {
                "narrow the policy to the accounts that need the key, or waive F-PUBLIC".to_owned()
            }
            Finding::RescuePath { action, operator } => format!("allow {action} to `{operator}` in the key policy"),
            Finding::GrantLive { id, .. } => {
                format!("retire or revoke the grant, or waive F-GRANT-LIVE for `{id}` where its resource is gone")
            }
            Finding::SelfBlind => "give the trail or journal another key first".to_owned(),
            Finding::Sibling { arn, .. } => format!("assess `{arn}` too; the family is as quiet as its busiest member"),
            Finding::PublicKeyOut { .. } => {
                "have the owner attest that nothing was encrypted, then waive F-PUBKEY-OUT".to_owned()
            }
            Finding::Cadence { due: Some(_), .. } => "none needed: the soak lasts until then".to_owned(),
            Finding::Cadence { due: None, .. } => {
                "scan an archive that shows the rhythm, wait until the next use is past, or waive F-CADENCE".to_owned()
            }
            Finding::AliasMoved { .. } => "ask who used the alias before what became of that data".to_owned(),
            Finding::AlreadyPending { .. } => "ask who scheduled it; cancel that deletion to begin here".to_owned(),
            Finding::NotCustomerManaged => "none: leave it".to_owned(),
            Finding::State { .. } => "bring the key back to Enabled or Disabled, and assess again".to_owned(),
            Finding::RaceUse { .. } => {
                "find the use or grant the permission; the case assesses again by itself".to_owned()
            }
            Finding::Clock { .. } => "set the clock of the machine that runs quietus".to_owned(),
            Finding::Gone => "find out who deleted it".to_owned(),
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}: {}", self.id(), self.what())
    }
}

impl Source {
    /// The name in reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Source::EventHistory => "event history",
            Source::Archive => "archive",
        }
    }
}

impl fmt::Display for Gap {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Gap::Denied { action, .. } => write!(out, "{action} is not allowed to the assessing role"),
            Gap::Failed { operation, code, message } => write!(out, "{operation} failed with {code}: {message}"),
            Gap::NotAsked => out.write_str("not asked"),
            Gap::TooMuch => out.write_str("more than can be held"),
            Gap::BeyondRetention => out.write_str("older than the source keeps"),
            Gap::NotRecorded { why } => out.write_str(why),
            Gap::Unreadable { what } => write!(out, "`{what}` cannot be read"),
        }
    }
}
