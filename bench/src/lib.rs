//! End-to-end measurements that print ratios, against a peer or a physical limit in the same run.
//!
//! A number of requests a second says as much about the machine as about the program, and on a shared machine about its neighbours;
//! a ratio says something about the program. So whatever is measured here runs in turns with what it is compared to, in the same
//! process shape, and the disk's own limit is measured beside it. Nothing here leaves the machine: all sockets are on loopback.

pub mod child;
pub mod disk;
pub mod hello;
pub mod load;
pub mod lookup;
pub mod request;
pub mod scan;
pub mod serve;

use std::time::Instant;

#[expect(clippy::disallowed_methods, reason = "a benchmark is about nothing but the real time")]
fn now() -> Instant {
    Instant::now()
}
