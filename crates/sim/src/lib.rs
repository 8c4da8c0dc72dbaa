//! The hall between the two halves: months in seconds.
//!
//! [`run`] puts the whole service and the whole procedure into one world with a clock of its own, applications, people and
//! strangers, and lets everything go wrong that one seed can think of: crashes between any two steps, lost answers, events that come
//! late, twice, in another order or not at all, two runners at once. [`Rule`]s that know nothing of how either half works watch it.
//!
//! The rules of the two halves are their own: nothing here is mocked but sockets, disks and the time. This crate is never shipped.
//!
//! *Guarantees*: the same seed and shape give the same trace, whatever the machine. Key material, nonces and key ids come from the
//! operating system, as they always do, and never show in a trace.
//!
//! *Caveats*: an observation is made in one moment; the step that follows from it comes later. Runners are never all away for longer
//! than the margin before a deletion: no timer of AWS's is installed, so the procedure does not claim to survive that.

mod app;
mod checkers;
mod delivery;
mod observer;
mod operator;
mod people;
mod random;
mod run;
mod shape;
mod trace;
mod world;

pub use checkers::{Rule, Violation};
pub use run::{Ending, Report, Subject, Tick, run};
pub use shape::{Applications, Attendance, Faults, Shape};
pub use trace::Trace;
