//! Key material, public keys and wrapped imports, from bytes that libFuzzer makes up.
#![no_main]

#[path = "../bodies/material.rs"]
mod material;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| material::run(bytes));
