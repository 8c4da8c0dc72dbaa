//! Carrying the procedure out: looking, writing down, acting, reporting.
//!
//! What to do is decided by `procedure`, from values. This crate supplies the values and does what was decided: it looks at a key
//! through the AWS API ([`aws`], [`World`]), keeps each case as a folder of entries that are never changed ([`cases`]), and goes
//! round ([`reconcile`]): read, look, plan, write the intent, act, write the result. It has no private way into the service: the
//! same code runs against AWS and against `quietus serve`.
//!
//! Everything here blocks; the only async code is in [`aws`], on a runtime of its own. Call it from a thread that may block.

pub mod archive;
pub mod athena;
pub mod aws;
mod capsule;
pub mod cases;
pub mod clock;
pub mod commands;
pub mod endpoint;
mod notebook;
pub mod reconcile;
pub mod report;
pub mod sight;
pub mod sources;
#[cfg(test)]
mod testing;
mod world;

pub use world::{Act, Answer, Ask, World};
