//! The operator against a world in memory: whole cases, crashes at every step, two runners, reports.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod cases;
mod crash;
mod report;
mod wire;
mod world;
