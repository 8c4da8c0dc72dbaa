//! How careful a case is: every number of the procedure that is a choice, in three profiles.
//!
//! Source: procedure.md 6.15, and 6.5 to 6.8 for the numbers that the table there leaves out. A case keeps a copy of its
//! profile, so that a change of defaults does not reach cases under way.

use std::fmt;
use std::str::FromStr;

use jiff::SignedDuration;
use serde::{Deserialize, Serialize};

use crate::span::{HOUR, days};

/// The three profiles.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ProfileName {
    /// For most keys.
    Standard,
    /// For keys whose loss would end a business.
    Critical,
    /// For keys that protect nothing: development and trials.
    Sandbox,
}

impl ProfileName {
    /// The name on the command line and in the journal.
    pub fn as_str(self) -> &'static str {
        match self {
            ProfileName::Standard => "standard",
            ProfileName::Critical => "critical",
            ProfileName::Sandbox => "sandbox",
        }
    }
}

impl fmt::Display for ProfileName {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.as_str())
    }
}

/// A name that is no profile.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("profile `{given}` is not `standard`, `critical` or `sandbox`")]
pub struct UnknownProfile {
    /// The name as given.
    pub given: String,
}

impl FromStr for ProfileName {
    type Err = UnknownProfile;

    fn from_str(text: &str) -> Result<ProfileName, UnknownProfile> {
        [ProfileName::Standard, ProfileName::Critical, ProfileName::Sandbox]
            .into_iter()
            .find(|name| name.as_str() == text)
            .ok_or_else(|| UnknownProfile { given: text.to_owned() })
    }
}

/// What to do when somebody tries to use the key while it is disabled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnAttempt {
    /// Give the key back at once: cancel if pending, then enable if it was enabled when the case began.
    Restore,
    /// While disabled: hold the case and wait for a human. While pending: cancel, and leave the key disabled.
    Hold,
}

/// The numbers of one profile.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Profile {
    /// Which profile this is.
    pub name: ProfileName,
    /// How far back use must be known before a key may count as quiet.
    pub lookback: SignedDuration,
    /// How long before now any use makes the verdict `IN_USE`.
    pub quiet: SignedDuration,
    /// The least *seen* time a key stays disabled before it may be scheduled.
    pub soak_min: SignedDuration,
    /// The longest soak a case plans for; a cadence that needs more is `INCONCLUSIVE`.
    pub soak_max: SignedDuration,
    /// The waiting period asked of ScheduleKeyDeletion, in days, 7 to 30. Longer where evidence asks for it.
    pub window_days: u8,
    /// How many people approve disabling, then deletion; all of one step are different people.
    pub approvals: Approvals,
    /// Largest share of the look-back that may rest on coverage nothing confirmed, in percent.
    pub assumed_percent: u8,
    /// What a use attempt on the disabled or pending key leads to.
    pub on_attempt: OnAttempt,
    /// How long before the deletion date the case must be committed; without that the deletion is cancelled.
    pub margin: SignedDuration,
    /// How long before the margin the last look begins.
    pub last_look: SignedDuration,
    /// Added to the margin when the detector is blind: the time an operator would need to mend it.
    pub blind_repair: SignedDuration,
    /// How often the detector is probed while a key is disabled or pending.
    pub probe_every: SignedDuration,
    /// The longest a probe may take to come back, and the longest time between two probes, before the detector is blind.
    pub blind_after: SignedDuration,
    /// The longest a disabled key stays disabled while nobody can see who needs it.
    pub blind_max: SignedDuration,
    /// How long an assessment may be acted upon.
    pub evidence_ttl: SignedDuration,
    /// How long an approval is asked for, and holds, before the case gives the key back.
    pub approval_ttl: SignedDuration,
    /// How long after the last human act a case keeps assessing a key that it has not touched.
    pub patience: SignedDuration,
    /// Largest difference between our clock and the service's.
    pub clock_skew_max: SignedDuration,
}

/// How many people must agree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Approvals {
    /// To disable the key.
    pub disable: u8,
    /// To schedule its deletion.
    pub delete: u8,
    /// To let the deletion happen, in the last look.
    pub commit: u8,
    /// Whether those who approve deletion must differ from those who approved disabling and from who opened the case.
    pub four_eyes: bool,
}

impl Profile {
    /// The profile of that name. Source: procedure.md 6.15.
    pub fn named(name: ProfileName) -> Profile {
        match name {
            ProfileName::Standard => Profile::standard(),
            ProfileName::Critical => Profile::critical(),
            ProfileName::Sandbox => Profile::sandbox(),
        }
    }

    fn standard() -> Profile {
        Profile {
            name: ProfileName::Standard,
            lookback: days(400),
            quiet: days(90),
            soak_min: days(30),
            soak_max: days(400),
            window_days: 30,
            approvals: Approvals { disable: 1, delete: 1, commit: 0, four_eyes: true },
            assumed_percent: 10,
            on_attempt: OnAttempt::Restore,
            margin: days(2),
            last_look: SignedDuration::from_hours(6),
            blind_repair: SignedDuration::from_hours(24),
            probe_every: HOUR,
            blind_after: SignedDuration::from_hours(2),
            blind_max: days(7),
            evidence_ttl: days(3),
            approval_ttl: days(30),
            patience: days(90),
            clock_skew_max: SignedDuration::from_secs(30),
        }
    }

    fn critical() -> Profile {
        Profile {
            name: ProfileName::Critical,
            lookback: days(730),
            quiet: days(180),
            soak_min: days(100),
            soak_max: days(500),
            approvals: Approvals { disable: 2, delete: 2, commit: 1, four_eyes: true },
            assumed_percent: 0,
            margin: days(4),
            last_look: SignedDuration::from_hours(12),
            blind_repair: days(2),
            blind_max: days(3),
            approval_ttl: days(60),
            patience: days(180),
            ..Profile::standard()
        }
    }

    fn sandbox() -> Profile {
        Profile {
            name: ProfileName::Sandbox,
            lookback: days(30),
            quiet: days(7),
            soak_min: days(1),
            soak_max: days(60),
            window_days: 7,
            approvals: Approvals { disable: 1, delete: 0, commit: 0, four_eyes: false },
            assumed_percent: 100,
            on_attempt: OnAttempt::Hold,
            margin: days(1),
            last_look: HOUR,
            blind_repair: SignedDuration::from_hours(6),
            approval_ttl: days(7),
            patience: days(14),
            ..Profile::standard()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_profile_leaves_room_for_its_last_look() {
        for name in [ProfileName::Standard, ProfileName::Critical, ProfileName::Sandbox] {
            let profile = Profile::named(name);
            assert_eq!(profile.name, name);
            assert_eq!(name.as_str().parse(), Ok(name));
            let window = days(i64::from(profile.window_days));
            assert!((7..=30).contains(&profile.window_days));
            assert!(profile.margin + profile.last_look < window, "{name}");
            assert!(profile.margin + profile.blind_repair < window, "{name}");
            assert!(profile.margin >= days(1), "{name}: procedure.md 6.8.3");
            assert!(profile.probe_every < profile.blind_after, "{name}");
            assert!(profile.soak_min <= profile.soak_max, "{name}");
            assert!(profile.lookback >= profile.quiet, "{name}");
        }
        assert!("careless".parse::<ProfileName>().is_err());
    }
}
