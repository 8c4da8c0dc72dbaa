//! The operator against a world in memory: whole cases, crashes at every step, two runners, reports.

mod cases;
mod crash;
mod report;
mod world;
