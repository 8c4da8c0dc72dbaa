//! Every KMS operation, on request bodies that libFuzzer makes up.
#![no_main]

#[path = "../bodies/request.rs"]
mod request;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| request::run(bytes));
