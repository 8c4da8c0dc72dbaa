//! The procedure that ends KMS keys without losing data: the deciding half.
//!
//! [`assess`] says what an [`Observation`] proves; a [`Case`] is the fold of its journal; [`plan`] says what to do next, and why.
//! Nothing here looks, waits, writes or knows the time: the operator does that, and hands in what it saw. The rules are those of
//! `procedure.md`, section 6.

mod assess;
mod cadence;
mod case;
mod coverage;
mod digest;
mod finding;
mod journal;
pub mod observation;
mod plan;
mod profile;
mod progress;
mod reason;
mod safety;
mod scope;
pub mod span;
mod stage;
mod text;
mod turn;
mod usage;
mod view;

pub use api::Class;
pub use assess::{Assessment, Baseline, Coverage, Judged, Soak, Terms, assess};
pub use case::{Approval, Case, Flight, Own, SETTLE};
pub use digest::{Digest, InvalidDigest};
pub use finding::{Finding, GapReason, Severity, Verdict, Waiver, Weight};
pub use journal::{Done, Entry, Fact, Failure, Intent, Opening, VERSION, Waived};
pub use observation::{Depth, Gap, KeyState, Observation, Presence, Seen, Source};
pub use plan::{Action, Next, Plan, Step, plan};
pub use profile::{Approvals, OnAttempt, Profile, ProfileName, UnknownProfile};
pub use reason::Reason;
pub use span::Span;
pub use stage::{Outcome, Stage};
