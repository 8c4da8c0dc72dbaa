//! CloudTrail records: writing them, reading them, and what they prove.
pub mod context;
pub mod event;
pub mod inflate;
pub mod record;
pub mod scan;
mod selection;
pub mod split;
pub mod tally;
pub mod usage;

pub use selection::Selection;
