//! CloudTrail records: writing them, reading them, and what they prove.

pub mod record;
