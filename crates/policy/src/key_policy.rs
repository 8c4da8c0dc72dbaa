//! What AWS KMS asks of a key policy beyond the policy language, and the policy it gives a key whose maker names none.

use api::AccountId;

use crate::document::{Document, Statement};
use crate::principal::Form;

/// Why KMS refuses a well-formed document as a key policy.
///
/// Its text is the message of MalformedPolicyDocumentException.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// A statement names nobody.
    #[error("Policy contains a statement with no principal.")]
    NoPrincipal,
    /// A statement names what is no principal, or one that was deleted.
    #[error("Policy contains a statement with one or more invalid principals.")]
    InvalidPrincipals,
    /// A statement without a valid Action or NotAction. The text is inferred: no recorded answer of KMS is known.
    #[error("Missing required field Action")]
    NoAction,
    /// A statement without a valid Resource. The text is inferred: no recorded answer of KMS is known.
    #[error("Missing required field Resource")]
    NoResource,
    /// Whoever sets the policy could not set it again. Found by asking [`authorize`](crate::authorize) for `kms:PutKeyPolicy`
    /// under the new policy, unless the request bypasses the check.
    #[error("The new key policy will not allow you to update the key policy in the future.")]
    LockedOut,
}

/// Whether KMS takes `document` as a key policy.
///
/// # Errors
/// The first thing that is [`Malformed`], in the order of the statements. The lockout check is the caller's, who knows the
/// request.
///
/// Source: KMS API Reference, PutKeyPolicy, `Policy`; AWS's notice that statements without a valid Action or NotAction and
/// Resource are refused.
pub fn validate_key_policy(document: &Document) -> Result<(), Malformed> {
    document.statements.iter().try_for_each(validate)
}

fn validate(statement: &Statement) -> Result<(), Malformed> {
    let principals = statement.principals.as_ref().filter(|named| !named.entries.is_empty());
    let principals = principals.ok_or(Malformed::NoPrincipal)?;
    if principals.entries.iter().any(|entry| matches!(entry.form, Form::Dead | Form::Invalid)) {
        return Err(Malformed::InvalidPrincipals);
    }
    let actions = statement.actions.as_ref().filter(|listed| !listed.patterns.is_empty());
    if !actions.is_some_and(|listed| listed.patterns.iter().all(|pattern| pattern.is_well_formed())) {
        return Err(Malformed::NoAction);
    }
    let resources = statement.resources.as_ref().filter(|listed| !listed.not && !listed.patterns.is_empty());
    if !resources.is_some_and(|listed| listed.patterns.iter().all(|pattern| pattern.is_well_formed())) {
        return Err(Malformed::NoResource);
    }
    Ok(())
}

/// The policy of a key that was made without one: the account's identity policies decide. `partition` is that of the key's Region:
/// `aws`, `aws-cn` or `aws-us-gov`.
///
/// Source: AWS KMS Developer Guide, "Default key policy"; white space as GetKeyPolicy was seen to return it.
pub fn default_key_policy(account: AccountId, partition: &str) -> String {
    format!(
        r#"{{
  "Version" : "2012-10-17",
  "Id" : "key-default-1",
  "Statement" : [ {{
    "Sid" : "Enable IAM User Permissions",
    "Effect" : "Allow",
    "Principal" : {{
      "AWS" : "arn:{partition}:iam::{account}:root"
    }},
    "Action" : "kms:*",
    "Resource" : "*"
  }} ]
}}"#
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(statement: &str) -> Option<Malformed> {
        let text = format!(r#"{{"Version":"2012-10-17","Statement":{{"Effect":"Allow",{statement}}}}}"#);
        validate_key_policy(&Document::parse(&text).unwrap()).err()
    }

    #[test]
    fn what_kms_refuses() {
        let rest = r#""Action":"kms:*","Resource":"*""#;
        let anyone = r#""Principal":"*""#;
        for (statement, expected) in [
            (format!("{anyone},{rest}"), None),
            (format!(r#"{anyone},"NotAction":"kms:*","Resource":"*""#), None),
            (format!(r#"{anyone},"Action":"kms:*","Resource":"arn:aws:kms:*:111122223333:key/*""#), None),
            (rest.to_owned(), Some(Malformed::NoPrincipal)),
            (format!(r#""Principal":{{"AWS":[]}},{rest}"#), Some(Malformed::NoPrincipal)),
            (format!(r#""Principal":{{"AWS":"ann"}},{rest}"#), Some(Malformed::InvalidPrincipals)),
            (
                format!(r#""Principal":{{"AWS":["*","AIDACKCEVSQ6C2EXAMPLE"]}},{rest}"#),
                Some(Malformed::InvalidPrincipals),
            ),
            (format!(r#""Principal":{{"AWS":"arn:aws:iam::1:role/*"}},{rest}"#), Some(Malformed::InvalidPrincipals)),
            (format!(r#""Principal":{{"Service":"*"}},{rest}"#), Some(Malformed::InvalidPrincipals)),
            (format!(r#"{anyone},"Resource":"*""#), Some(Malformed::NoAction)),
            (format!(r#"{anyone},"Action":[],"Resource":"*""#), Some(Malformed::NoAction)),
            (format!(r#"{anyone},"Action":"Decrypt","Resource":"*""#), Some(Malformed::NoAction)),
            (format!(r#"{anyone},"Action":"kms:*""#), Some(Malformed::NoResource)),
            (format!(r#"{anyone},"Action":"kms:*","Resource":[]"#), Some(Malformed::NoResource)),
            (format!(r#"{anyone},"Action":"kms:*","Resource":"alias/app""#), Some(Malformed::NoResource)),
            (format!(r#"{anyone},"Action":"kms:*","NotResource":"*""#), Some(Malformed::NoResource)),
        ] {
            assert_eq!(refusal(&statement), expected, "{statement}");
        }
    }

    #[test]
    fn the_default_policy_is_valid() {
        let document = Document::parse(&default_key_policy("111122223333".parse().unwrap(), "aws")).unwrap();
        assert_eq!(validate_key_policy(&document), Ok(()));
        assert_eq!(document.id.as_deref(), Some("key-default-1"));
        assert_eq!(document.statements[0].sid.as_deref(), Some("Enable IAM User Permissions"));
    }
}
