//! The class of an operation, as `trail` reads it from an event, in the journal's own words.

use serde::{Deserialize, Serialize};
pub use trail::usage::Class;

/// How a [`Class`] is written: `#[serde(with = "ClassForm")]`.
#[derive(Serialize, Deserialize)]
#[serde(remote = "Class", rename_all = "kebab-case")]
pub(crate) enum ClassForm {
    ReadData,
    WriteData,
    Sign,
    Mac,
    Check,
    Export,
    Bind,
    Manage,
    Look,
}
