//! The fuzzers of this crate over a few inputs each: `just fuzz NAME` goes on from there.

use proptest::prelude::*;
use proptest::test_runner::RngSeed;

#[path = "../../../fuzz/bodies/request.rs"]
mod request;

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 400,
        failure_persistence: None,
        rng_seed: RngSeed::Fixed(1),
        ..ProptestConfig::default()
    })]

    #[test]
    fn no_request_body_is_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..48)) {
        request::run(&bytes);
    }
}
