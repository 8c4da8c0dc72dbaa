//! The boundary between the loop and what it looks at and acts on.
//!
//! [`crate::aws::Aws`] is the real one. A test or a simulation brings its own, so that whole cases run without a network.

use std::collections::BTreeMap;
use std::path::Path;

use api::{KeyArn, Timestamp};
use procedure::{Depth, Observation, Own};

/// What is to be looked at.
#[derive(Debug, Clone, Copy)]
pub struct Ask<'a> {
    /// Which key.
    pub key: KeyArn,
    /// How much.
    pub depth: Depth,
    /// The time it is.
    pub now: Timestamp,
    /// From when on attempts and changes are wanted, all of them.
    pub since: Timestamp,
    /// From when on usage is wanted, at [`Depth::Full`].
    pub lookback: Timestamp,
    /// How our own calls are known.
    pub own: &'a Own,
    /// Which probe each request id of ours was for.
    pub probes: &'a BTreeMap<String, String>,
    /// Where events of this key may be remembered from one look to the next.
    pub notebook: Option<&'a Path>,
}

/// One call on a key that is not looking.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Act {
    /// DisableKey.
    Disable,
    /// EnableKey.
    Enable,
    /// ScheduleKeyDeletion, with this PendingWindowInDays.
    Schedule {
        /// 7 to 30.
        window_days: u8,
    },
    /// CancelKeyDeletion.
    Cancel,
    /// A cryptographic call that must be refused, after DescribeKey has said that the key cannot be used.
    Probe {
        /// The probe's id.
        probe: String,
    },
}

impl Act {
    /// The KMS operation; of a probe of a symmetric key.
    pub fn operation(&self) -> &'static str {
        match self {
            Act::Disable => "DisableKey",
            Act::Enable => "EnableKey",
            Act::Schedule { .. } => "ScheduleKeyDeletion",
            Act::Cancel => "CancelKeyDeletion",
            Act::Probe { .. } => "GenerateDataKey",
        }
    }
}

/// What came of an act.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// It was done; of a probe: it was refused because of the key's state, as it must be.
    Done {
        /// AWS's request id.
        request_id: Option<String>,
        /// DeletionDate, of ScheduleKeyDeletion.
        deletion_date: Option<Timestamp>,
    },
    /// It was refused.
    Refused {
        /// AWS's error code.
        code: String,
        /// AWS's text.
        message: String,
        /// AWS's request id.
        request_id: Option<String>,
    },
    /// The probe was let through: the key can be used.
    Admitted {
        /// AWS's request id.
        request_id: Option<String>,
    },
    /// It was not tried.
    NotTried {
        /// Why not.
        why: String,
    },
    /// No answer came that says whether it was done. Never to be repeated blindly: the next look tells.
    Unclear {
        /// What came instead.
        why: String,
    },
}

/// What the loop looks at and acts on.
pub trait World: Sync {
    /// Who looks and acts: the stable ARN of the caller.
    fn operator(&self) -> &str;

    /// Looks. What cannot be seen is in the observation as a gap; so this never fails.
    fn observe(&self, ask: &Ask<'_>) -> Observation;

    /// Acts, once.
    fn act(&self, key: KeyArn, act: &Act) -> Answer;
}
