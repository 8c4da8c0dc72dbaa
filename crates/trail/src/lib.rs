//! CloudTrail records: writing them, reading them, and what they prove.
//!
//! From bytes to evidence: [`record`] writes one record as AWS lays it out; [`scanner`] takes the bytes of a file, [`inflate`]s and
//! [`split`]s them into records and makes a [`part`] of them; [`event`] reads one record; [`usage`] says what it means for keys,
//! with [`context`] for what depends on them; [`tally`] counts; [`summary`] adds parts up, and [`mod@scan`] does so for the files of
//! this machine; [`coverage`] says what was seen at all, and [`cadence`] how often
//! somebody comes back. [`lookup`] finds single events, and [`marks`] tell which files they are not in.
//!
//! Nothing here knows the time, a network, or what follows from the evidence; only [`mod@scan`] touches the disk.

mod ahead;
mod batch;
pub mod cadence;
pub mod context;
pub mod coverage;
mod deflate;
pub mod event;
mod fingerprint;
mod ids;
pub mod inflate;
pub mod lookup;
pub mod marks;
mod memory;
pub mod part;
pub mod record;
pub mod scan;
pub mod scanner;
mod selection;
mod shortcut;
mod sieve;
pub mod split;
pub mod summary;
pub mod tally;
pub mod usage;

pub use selection::Selection;
