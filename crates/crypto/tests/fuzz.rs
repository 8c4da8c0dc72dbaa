//! The fuzzers of this crate over a few inputs each: `just fuzz NAME` goes on from there.

use proptest::prelude::*;
use proptest::test_runner::RngSeed;

#[path = "../../../fuzz/bodies/blob.rs"]
mod blob;
#[path = "../../../fuzz/bodies/material.rs"]
mod material;

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 300,
        failure_persistence: None,
        rng_seed: RngSeed::Fixed(1),
        ..ProptestConfig::default()
    })]

    #[test]
    fn no_blob_is_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..48)) {
        blob::run(&bytes);
    }
}

proptest! {
    // Asymmetric keys take their time in a debug build.
    #![proptest_config(ProptestConfig {
        cases: 30,
        failure_persistence: None,
        rng_seed: RngSeed::Fixed(1),
        ..ProptestConfig::default()
    })]

    #[test]
    fn no_key_material_is_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..48)) {
        material::run(&bytes);
    }
}
