//! What may happen to a key, and what time does to it.
//!
//! A key's life is one state machine: [`decide`] answers commands, [`due`] answers time, [`permit`] says what an operation may
//! ask of a key in each state. All three are pure; `now` is an argument. This crate knows no store, no policy and no wire: a
//! [`Refusal`] is given its AWS code and text elsewhere.
//!
//! Source of every cell: AWS KMS Developer Guide, "Key states of AWS KMS keys"; where a recorded answer differs (cryptographic
//! operations on a key pending deletion), the recording wins and the comment says so.

mod decide;
mod permit;
mod state;
mod time;
mod timer;

pub use decide::{Change, Command, decide};
pub use permit::{Refusal, permit};
pub use state::State;
pub use time::{OutOfRange, PendingWindow, deadline, due};
pub use timer::{PeriodOutOfRange, RotationPeriod, Timer, runs};
