//! The procedure from outside: stories, whole tables, and laws, all in one small world.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking, and so do its helpers")]

mod assessments;
mod laws;
mod signals;
mod stories;
mod world;
