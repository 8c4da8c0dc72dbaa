//! Which events a scan keeps: of which keys, from when to when.

use api::InvalidId;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::usage::{KeyName, KeyUse, is_alias_arn, is_key_arn};

/// Which events to keep. Without a key: those of every key. Without a time: those of all times.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Selection {
    wanted: Vec<Wanted>,
    since: Option<Timestamp>,
    until: Option<Timestamp>,
}

/// One way to name a key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
enum Wanted {
    /// One key.
    Arn(String),
    /// The keys with this ID, in any account and Region: a multi-Region key and its replicas, or simply a short name.
    Id(String),
    /// The alias with this ARN.
    AliasArn(String),
    /// The aliases of this name, in any account and Region.
    AliasName(String),
}

impl Wanted {
    fn key_id(&self) -> Option<&str> {
        match self {
            Wanted::Arn(name) | Wanted::Id(name) => name.rsplit('/').next(),
            Wanted::AliasArn(_) | Wanted::AliasName(_) => None,
        }
    }
}

impl Selection {
    /// Everything.
    pub fn all() -> Selection {
        Selection::default()
    }

    /// The same, and the key that `text` names by key ID, key ARN, alias name or alias ARN.
    ///
    /// # Errors
    /// [`InvalidId`] where `text` is none of these.
    pub fn key(mut self, text: &str) -> Result<Selection, InvalidId> {
        let wanted = if is_key_arn(text) {
            Wanted::Arn(text.to_owned())
        } else if is_alias_arn(text) {
            Wanted::AliasArn(text.to_owned())
        } else if text.strip_prefix("alias/").is_some_and(|name| !name.is_empty()) {
            Wanted::AliasName(text.to_owned())
        } else if text.parse::<api::KeyId>().is_ok() {
            Wanted::Id(text.to_owned())
        } else {
            return Err(InvalidId {
                given: text.to_owned(),
                expected: "a key ID, key ARN, alias name `alias/<name>` or alias ARN",
            });
        };
        self.wanted.push(wanted);
        Ok(self)
    }

    /// The same, without events before `since`.
    #[must_use]
    pub fn since(mut self, since: Timestamp) -> Selection {
        self.since = Some(since);
        self
    }

    /// The same, without events at or after `until`.
    #[must_use]
    pub fn until(mut self, until: Timestamp) -> Selection {
        self.until = Some(until);
        self
    }

    /// The first moment that is kept, where that is limited.
    pub fn first(&self) -> Option<Timestamp> {
        self.since
    }

    /// The first moment that is not kept any more.
    pub fn end(&self) -> Option<Timestamp> {
        self.until
    }

    /// The IDs of the wanted keys; nothing where every key is kept, or one is named by an alias, which any event may be of.
    pub fn key_ids(&self) -> Option<Vec<&str>> {
        if self.is_every_key() || self.names_aliases() {
            return None;
        }
        self.wanted.iter().map(Wanted::key_id).collect()
    }

    /// Whether every key is kept.
    pub fn is_every_key(&self) -> bool {
        self.wanted.is_empty()
    }

    /// Whether a key is named by an alias, so that what the alias stands for is known only at the end.
    pub(crate) fn names_aliases(&self) -> bool {
        self.wanted.iter().any(|wanted| matches!(wanted, Wanted::AliasArn(_) | Wanted::AliasName(_)))
    }

    /// Whether `at` is in the span.
    pub(crate) fn holds(&self, at: Timestamp) -> bool {
        self.since.is_none_or(|since| since <= at) && self.until.is_none_or(|until| at < until)
    }

    /// Whether the key with this ARN is named by its ARN or ID, or every key is kept.
    pub(crate) fn wants_key(&self, arn: &str) -> bool {
        self.is_every_key()
            || self.wanted.iter().any(|wanted| match wanted {
                Wanted::Arn(wanted) => wanted == arn,
                Wanted::Id(id) => arn.rsplit_once('/').is_some_and(|(_, tail)| tail == id),
                Wanted::AliasArn(_) | Wanted::AliasName(_) => false,
            })
    }

    /// Whether the alias with this ARN (or bare name, where an event tells no more) is named, or every key is kept.
    pub(crate) fn wants_alias(&self, alias: &str) -> bool {
        self.is_every_key()
            || self.wanted.iter().any(|wanted| match wanted {
                Wanted::AliasArn(wanted) => wanted == alias,
                Wanted::AliasName(name) => {
                    alias.strip_suffix(name.as_str()).is_some_and(|front| front.is_empty() || front.ends_with(':'))
                }
                Wanted::Arn(_) | Wanted::Id(_) => false,
            })
    }

    /// Whether this part of an event is, by itself, of a wanted key.
    pub(crate) fn wants(&self, part: &KeyUse) -> bool {
        part.alias.as_deref().is_some_and(|alias| self.wants_alias(alias))
            || match &part.key {
                KeyName::Arn(arn) => self.wants_key(arn),
                KeyName::Alias(alias) => self.wants_alias(alias),
                KeyName::Unknown => false,
            }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "11111111-2222-4333-8444-555555555555";

    #[test]
    fn a_key_is_named_in_four_ways() {
        let arn = format!("arn:aws:kms:eu-west-1:111122223333:key/{ID}");
        let elsewhere = format!("arn:aws:kms:us-east-1:444455556666:key/{ID}");
        let by = |text: &str| Selection::all().key(text).unwrap();
        assert!(by(&arn).wants_key(&arn) && !by(&arn).wants_key(&elsewhere));
        assert!(by(ID).wants_key(&arn) && by(ID).wants_key(&elsewhere));
        assert!(!by(ID).wants_key(&arn.replace("key/", "key/x")));
        let alias = "arn:aws:kms:eu-west-1:111122223333:alias/app";
        assert!(by("alias/app").wants_alias(alias) && by("alias/app").wants_alias("alias/app"));
        assert!(!by("alias/app").wants_alias("arn:aws:kms:eu-west-1:111122223333:alias/my/alias/app"));
        assert!(by(alias).wants_alias(alias) && !by(alias).wants_alias("arn:aws:kms:eu-west-2:111122223333:alias/app"));
        assert!(!by(alias).wants_key(&arn) && Selection::all().wants_key(&arn));
    }

    #[test]
    fn what_names_no_key_is_refused_with_the_value_and_the_remedy() {
        for text in ["", "alias/", "app", "arn:aws:s3:::bucket", "11111111-2222-4333-8444-55555555555X"] {
            let error = Selection::all().key(text).unwrap_err().to_string();
            assert!(error.contains(&format!("`{text}` is not a key ID")), "{error}");
        }
    }

    #[test]
    fn a_span_holds_its_start_and_not_its_end() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let selection = Selection::all().since(at("2026-01-02T00:00:00Z")).until(at("2026-01-03T00:00:00Z"));
        assert!(selection.holds(at("2026-01-02T00:00:00Z")) && selection.holds(at("2026-01-02T23:59:59Z")));
        assert!(!selection.holds(at("2026-01-01T23:59:59Z")) && !selection.holds(at("2026-01-03T00:00:00Z")));
    }
}
