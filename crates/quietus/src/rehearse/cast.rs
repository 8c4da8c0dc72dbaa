//! Who plays in the rehearsal: keys, the applications behind them, and what becomes of each.
//!
//! Days are counted from the day the cases are opened: negative ones are history.

/// How long before the cases the history begins, in days. The standard profile looks back 400.
pub(crate) const HISTORY_DAYS: i64 = 460;

/// Hours between two steps of the rehearsal, and between two probes of the detector.
pub(crate) const STEP_HOURS: i64 = 6;

/// One key and its story.
pub(crate) struct Part {
    /// The alias, without its prefix, and the name of its application.
    pub(crate) name: &'static str,
    /// The Region.
    pub(crate) region: &'static str,
    /// What the key was for.
    pub(crate) about: &'static str,
    /// Days of history on which the application used the key.
    pub(crate) used_on: &'static [i64],
    /// When the application comes back.
    pub(crate) returns: Returns,
    /// What the rehearsal shall show.
    pub(crate) shows: &'static str,
}

/// When an application that was thought gone uses its key again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Returns {
    /// Never.
    Never,
    /// On this day of the soak, while the key is disabled.
    InSoak(i64),
    /// On this day of the waiting period.
    WhilePending(i64),
}

/// The busy Region, where all but one of the keys are.
pub(crate) const HOME: &str = "eu-west-1";

/// The Region whose trail goes blind.
pub(crate) const BLIND: &str = "eu-central-1";

/// The days of history on which the trail of [`BLIND`] delivers nothing: first and last.
pub(crate) const OUTAGE: (i64, i64) = (-12, -6);

/// Long before the look-back: what an application did while it lived.
const LONG_AGO: &[i64] = &[-459, -455, -450, -445, -440, -435];

/// The cast.
pub(crate) const CAST: &[Part] = &[
    Part {
        name: "orders-archive",
        region: HOME,
        about: "archive of a shop that was closed 14 months ago",
        used_on: LONG_AGO,
        returns: Returns::Never,
        shows: "a quiet key is deleted",
    },
    Part {
        name: "payroll-export",
        region: HOME,
        about: "payroll exports, replaced last year",
        used_on: LONG_AGO,
        returns: Returns::InSoak(12),
        shows: "use during the soak brings the key back",
    },
    Part {
        name: "disaster-vault",
        region: HOME,
        about: "off-site backups, thought to be migrated",
        used_on: LONG_AGO,
        returns: Returns::WhilePending(20),
        shows: "use on day 20 of the waiting period cancels the deletion",
    },
    Part {
        name: "annual-report",
        region: HOME,
        about: "signed off once a year",
        used_on: &[-200],
        returns: Returns::Never,
        shows: "a use once a year is not taken for quiet",
    },
    Part {
        name: "eu-billing",
        region: BLIND,
        about: "invoices of a branch whose trail failed for six days",
        used_on: LONG_AGO,
        returns: Returns::Never,
        shows: "what a blind trail did not see is not taken for quiet",
    },
];
