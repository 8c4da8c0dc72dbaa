//! The fuzzers of this crate over a few inputs each: `just fuzz NAME` goes on from there.

use proptest::prelude::*;
use proptest::test_runner::RngSeed;

#[path = "../../../fuzz/bodies/policy.rs"]
mod policy;

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 300,
        failure_persistence: None,
        rng_seed: RngSeed::Fixed(1),
        ..ProptestConfig::default()
    })]

    #[test]
    fn no_policy_is_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..48)) {
        policy::run(&bytes);
    }
}
