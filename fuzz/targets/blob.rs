//! Ciphertext blobs, from bytes that libFuzzer makes up.
#![no_main]

#[path = "../bodies/blob.rs"]
mod blob;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| blob::run(bytes));
