//! The procedure from outside: stories, whole tables, and laws, all in one small world.

mod assessments;
mod laws;
mod signals;
mod stories;
mod world;
