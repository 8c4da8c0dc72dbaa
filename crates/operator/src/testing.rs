//! Small pieces that tests share.

use procedure::{Entry, Fact, Intent, Opening, Profile, ProfileName};

/// A key.
pub(crate) const KEY: &str = "arn:aws:kms:eu-west-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab";
/// Who looks and acts.
pub(crate) const OPERATOR: &str = "arn:aws:iam::111122223333:role/quietus";

/// The first entry of a case.
pub(crate) fn opening(case: &str) -> Entry {
    Entry::new(
        "2026-01-02T03:04:05Z".parse().unwrap(),
        Fact::Opened(Box::new(Opening {
            case: case.to_owned(),
            intent: Intent::Retire,
            key: KEY.parse().unwrap(),
            owner: "team-a".to_owned(),
            reason: "the application is gone".to_owned(),
            ticket: Some("OPS-17".to_owned()),
            profile: Profile::named(ProfileName::Standard),
            by: "ann".to_owned(),
        })),
    )
}

/// An event of [`KEY`] by `role`; `more` are further members, each with a comma before it.
pub(crate) fn event(id: &str, at: &str, role: &str, operation: &str, more: &str) -> String {
    let name = role.rsplit('/').next().unwrap_or(role);
    let read_only = !operation.starts_with("Put") && !operation.starts_with("Disable");
    format!(
        r#"{{"eventID":"{id}","eventTime":"{at}","eventSource":"kms.amazonaws.com","eventName":"{operation}","awsRegion":"eu-west-1","readOnly":{read_only},"recipientAccountId":"111122223333","userIdentity":{{"type":"AssumedRole","arn":"arn:aws:sts::111122223333:assumed-role/{name}/s","accountId":"111122223333","sessionContext":{{"sessionIssuer":{{"type":"Role","arn":"arn:aws:iam::111122223333:role/{role}"}}}}}},"resources":[{{"type":"AWS::KMS::Key","ARN":"{KEY}"}}]{more}}}"#
    )
}
