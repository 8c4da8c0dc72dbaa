//! Versioned bytes committed in batches.
//!
//! An ordered key-value store whose only write is a [`Batch`]: what was read (with versions), what is put and deleted, and
//! what is appended to a queue, all or nothing. [`Memory`] forgets at the end of the process, [`Embedded`] keeps one file;
//! `tests/contract.rs` holds both to the same promises. This crate knows nothing of keys, accounts or records.

mod batch;
mod embedded;
mod memory;

pub use batch::{Appended, Batch, BatchId, Entry, Error, Outcome, Store, Version};
pub use batch::{BATCH_BYTES, BATCH_EXPECTS, BATCH_WRITES, KEY_BYTES, REMEMBERED};
pub use embedded::{Embedded, FORMAT};
pub use memory::Memory;
