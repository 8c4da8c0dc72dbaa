//! The fuzzers of this crate over a few inputs each: `just fuzz NAME` goes on from there.

use proptest::prelude::*;

#[path = "../../../fuzz/bodies/scan.rs"]
mod scan;

const EVENT: &str = concat!(
    r#"{"eventVersion":"1.11","userIdentity":{"type":"IAMUser","arn":"arn:aws:iam::1:user/ada","accountId":"1"},"#,
    r#""eventTime":"2026-01-02T03:04:05Z","eventSource":"kms.amazonaws.com","eventName":"Decrypt","awsRegion":"eu-west-1","#,
    r#""sourceIPAddress":"192.0.2.1","userAgent":"x","requestParameters":{"encryptionContext":{"a":"1"}},"responseElements":null,"#,
    r#""requestID":"00000000-0000-4000-8000-000000000000","eventID":"00000000-0000-4000-8000-000000000001","readOnly":true,"#,
    r#""resources":[{"ARN":"arn:aws:kms:eu-west-1:1:key/k","type":"AWS::KMS::Key"}]}"#
);

#[test]
fn the_scan_survives_what_it_is_for() {
    for document in [format!(r#"{{"Records":[{EVENT},{EVENT}]}}"#), format!("{EVENT}\n{EVENT}"), format!("[{EVENT}]")] {
        scan::run(document.as_bytes());
    }
    scan::run(b"");
    scan::run(&[0x1f, 0x8b, 8]);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_scan_survives_damage(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut document = format!(r#"{{"Records":[{EVENT},{EVENT},{EVENT}]}}"#).into_bytes();
        for (at, byte) in changes {
            let at = at.index(document.len());
            document[at] = byte;
        }
        scan::run(&document);
        document.truncate(cut.index(document.len()));
        scan::run(&document);
    }
}
