//! From what a person typed to the key it means.

use api::{InvalidId, KeyArn, KeyRef};

use super::Aws;
use super::trouble::Trouble;

/// Why a text leads to no key.
#[derive(Debug, thiserror::Error)]
pub enum Unresolved {
    /// It names no key in any form.
    #[error(transparent)]
    Invalid(#[from] InvalidId),
    /// It names a place that this connection does not reach.
    #[error("`{given}` is in {place}, and this connection is to {here}; choose the Region and credentials that fit")]
    Elsewhere {
        /// The text.
        given: String,
        /// Its account or Region.
        place: String,
        /// Ours.
        here: String,
    },
    /// There is no such key.
    #[error("`{given}` does not exist in account {account}, Region {region}")]
    NoSuchKey {
        /// The text.
        given: String,
        /// Where it was looked for.
        account: String,
        /// Where it was looked for.
        region: String,
    },
    /// The key cannot be looked up.
    #[error("`{given}` cannot be looked up: {why}")]
    Unseen {
        /// The text.
        given: String,
        /// Why.
        why: procedure::Gap,
    },
}

/// The key's ARN by DescribeKey, which takes every form and follows aliases.
pub(super) async fn resolve(aws: &Aws, text: &str) -> Result<KeyArn, Unresolved> {
    let region = match KeyRef::parse(text)? {
        KeyRef::KeyArn(arn) => Some(arn.region),
        KeyRef::AliasArn(arn) => Some(arn.region),
        KeyRef::Key(_) | KeyRef::Alias(_) => None,
    };
    if let Some(region) = region
        && region != aws.region
    {
        let (place, here) = (format!("Region {region}"), format!("Region {}", aws.region));
        return Err(Unresolved::Elsewhere { given: text.to_owned(), place, here });
    }
    match aws.kms.describe_key().key_id(text).send().await.map_err(Trouble::from) {
        Ok(answer) => {
            let arn = answer.key_metadata().and_then(|metadata| metadata.arn()).unwrap_or_default();
            Ok(arn.parse()?)
        }
        Err(trouble) if trouble.is_not_found() => Err(Unresolved::NoSuchKey {
            given: text.to_owned(),
            account: aws.account.to_string(),
            region: aws.region.to_string(),
        }),
        Err(trouble) => Err(Unresolved::Unseen { given: text.to_owned(), why: trouble.gap("kms", "DescribeKey") }),
    }
}
