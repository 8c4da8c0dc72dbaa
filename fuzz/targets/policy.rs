//! Policies, from texts that libFuzzer makes up.
#![no_main]

#[path = "../bodies/policy.rs"]
mod policy;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| policy::run(bytes));
