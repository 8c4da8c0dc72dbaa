//! Who calls, and how a policy names callers.
//!
//! Source: IAM User Guide, "AWS JSON policy elements: Principal" and "NotPrincipal".

use api::AccountId;

use crate::document::Effect;

/// Who makes a request. There is no anonymous caller: a request without credentials never gets here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Principal<'a> {
    /// The root user of an account.
    Root {
        /// The account.
        account: AccountId,
    },
    /// An IAM user, or a federated user session, by its ARN.
    User {
        /// The account the user is in.
        account: AccountId,
        /// `arn:aws:iam::<account>:user/<path><name>`.
        arn: &'a str,
    },
    /// A session of a role.
    Session {
        /// The account the role is in.
        account: AccountId,
        /// `arn:aws:iam::<account>:role/<path><name>`.
        role_arn: &'a str,
        /// `arn:aws:sts::<account>:assumed-role/<name>/<session>`.
        session_arn: &'a str,
    },
    /// An AWS service that acts for itself: `logs.eu-west-1.amazonaws.com`.
    Service(&'a str),
}

impl Principal<'_> {
    /// The account the caller belongs to; a service belongs to none.
    pub fn account(&self) -> Option<AccountId> {
        match self {
            Principal::Root { account } | Principal::User { account, .. } | Principal::Session { account, .. } => {
                Some(*account)
            }
            Principal::Service(_) => None,
        }
    }
}

/// What kind of caller an entry of a `Principal` element names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// `"*"` or `{"AWS": "*"}`.
    Everyone,
    /// `arn:aws:iam::<account>:root` or the account's ID: the account as a whole.
    Account(AccountId),
    /// One IAM user.
    User(AccountId),
    /// All sessions of one role.
    Role(AccountId),
    /// One session of a role.
    Session(AccountId),
    /// One federated user session.
    FederatedUser(AccountId),
    /// One AWS service.
    Service,
    /// An identity provider; means something in trust policies only.
    Federated,
    /// A canonical user ID; means something in S3 only.
    CanonicalUser,
    /// The unique ID (`AIDA…`, `AROA…`) that is left of a user or role that was deleted; it names nobody.
    Dead,
    /// None of these: AWS takes no such principal, and it names nobody.
    Invalid,
}

/// One entry of a `Principal` or `NotPrincipal` element.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    /// What kind of caller it names.
    pub form: Form,
    /// The entry as the policy has it.
    pub text: Box<str>,
}

/// How an entry stands to a caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Match {
    /// It does not name the caller.
    No,
    /// It names the caller's account, and leaves the caller to that account's identity policies.
    Account,
    /// It names the caller.
    Itself,
}

impl Named {
    /// An entry of the `AWS` member.
    pub(crate) fn aws(text: &str) -> Named {
        Named { form: Form::of_aws(text), text: text.into() }
    }

    /// An entry of the `Service` member.
    pub(crate) fn service(text: &str) -> Named {
        let spelt = text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_'));
        let form = if spelt && text.contains('.') { Form::Service } else { Form::Invalid };
        Named { form, text: text.into() }
    }

    pub(crate) fn matches(&self, caller: &Principal<'_>) -> Match {
        let itself = |named: bool| if named { Match::Itself } else { Match::No };
        match (self.form, caller) {
            (Form::Everyone, _) => Match::Itself,
            (Form::Account(named), Principal::Root { account }) => itself(named == *account),
            (Form::Account(named), Principal::User { account, .. } | Principal::Session { account, .. }) => {
                if named == *account { Match::Account } else { Match::No }
            }
            (Form::User(_) | Form::FederatedUser(_), Principal::User { arn, .. }) => itself(*self.text == **arn),
            (Form::Role(_), Principal::Session { role_arn, .. }) => itself(*self.text == **role_arn),
            (Form::Session(_), Principal::Session { session_arn, .. }) => itself(*self.text == **session_arn),
            (Form::Service, Principal::Service(name)) => itself(*self.text == **name),
            _ => Match::No,
        }
    }
}

impl Form {
    fn of_aws(text: &str) -> Form {
        if text == "*" {
            return Form::Everyone;
        }
        if let Ok(account) = text.parse() {
            return Form::Account(account);
        }
        if is_unique_id(text) {
            return Form::Dead;
        }
        Form::of_arn(text).unwrap_or(Form::Invalid)
    }

    /// `arn:<partition>:iam|sts::<account>:<kind>/<name>`, without wildcards.
    fn of_arn(text: &str) -> Option<Form> {
        let segments: Vec<&str> = text.splitn(6, ':').collect();
        let ["arn", partition, service, "", account, resource] = segments[..] else { return None };
        let account: AccountId = account.parse().ok()?;
        let spelt = text.bytes().all(|b| b.is_ascii_graphic() && !matches!(b, b'*' | b'?'));
        if !partition.starts_with("aws") || !spelt {
            return None;
        }
        let (kind, name) = resource.split_once('/').unwrap_or((resource, ""));
        let named = !name.is_empty() && !name.ends_with('/');
        match (service, kind) {
            ("iam", "root") if resource == "root" => Some(Form::Account(account)),
            ("iam", "user") if named => Some(Form::User(account)),
            ("iam", "role") if named => Some(Form::Role(account)),
            ("sts", "assumed-role") if named && name.contains('/') => Some(Form::Session(account)),
            ("sts", "federated-user") if named => Some(Form::FederatedUser(account)),
            _ => None,
        }
    }

    /// The account the entry names or is in.
    pub fn account(self) -> Option<AccountId> {
        match self {
            Form::Account(account)
            | Form::User(account)
            | Form::Role(account)
            | Form::Session(account)
            | Form::FederatedUser(account) => Some(account),
            Form::Everyone | Form::Service | Form::Federated | Form::CanonicalUser | Form::Dead | Form::Invalid => None,
        }
    }
}

/// Whether this is the unique ID of a user or role. Source: IAM User Guide, "IAM identifiers", unique ID prefixes.
fn is_unique_id(text: &str) -> bool {
    let prefixed = text.starts_with("AIDA") || text.starts_with("AROA");
    prefixed && text.len() >= 16 && text.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit())
}

/// A `Principal` or `NotPrincipal` element.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principals {
    /// Whether the element is `NotPrincipal`.
    pub not: bool,
    /// Whom it lists.
    pub entries: Vec<Named>,
}

impl Principals {
    /// Whether a statement with this element and `effect` applies to `caller`, and how.
    pub(crate) fn apply_to(&self, caller: &Principal<'_>, effect: Effect) -> Match {
        let best = || self.entries.iter().map(|entry| entry.matches(caller)).max().unwrap_or(Match::No);
        let applies = |applies: bool| if applies { Match::Itself } else { Match::No };
        match (self.not, effect) {
            (false, Effect::Allow) => best(),
            // To deny an account is to deny everybody in it.
            (false, Effect::Deny) => applies(best() != Match::No),
            (true, Effect::Allow) => applies(best() == Match::No),
            (true, Effect::Deny) => applies(!self.excepts(caller)),
        }
    }

    /// Whether `NotPrincipal` of a Deny spares `caller`.
    ///
    /// AWS asks that all of a caller's names are listed: the user and its account; or the session, its role and their account.
    /// Source: IAM User Guide, "AWS JSON policy elements: NotPrincipal", "Specifying NotPrincipal with Deny".
    fn excepts(&self, caller: &Principal<'_>) -> bool {
        let lists = |wanted: &dyn Fn(&Named) -> bool| self.entries.iter().any(wanted);
        if lists(&|entry| entry.form == Form::Everyone) {
            return true;
        }
        let lists_text = |text: &str| lists(&|entry| entry.form != Form::Invalid && *entry.text == *text);
        let lists_account = |account: AccountId| lists(&|entry| entry.form == Form::Account(account));
        match caller {
            Principal::Root { account } => lists_account(*account),
            Principal::User { account, arn } => lists_text(arn) && lists_account(*account),
            Principal::Session { account, role_arn, session_arn } => {
                lists_text(session_arn) && lists_text(role_arn) && lists_account(*account)
            }
            Principal::Service(name) => lists(&|entry| entry.form == Form::Service && *entry.text == **name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_are_told_apart() {
        let a = "111122223333".parse().unwrap();
        for (text, form) in [
            ("*", Form::Everyone),
            ("111122223333", Form::Account(a)),
            ("arn:aws:iam::111122223333:root", Form::Account(a)),
            ("arn:aws-cn:iam::111122223333:root", Form::Account(a)),
            ("arn:aws:iam::111122223333:user/ann", Form::User(a)),
            ("arn:aws:iam::111122223333:user/team/ann", Form::User(a)),
            ("arn:aws:iam::111122223333:role/service-role/app", Form::Role(a)),
            ("arn:aws:sts::111122223333:assumed-role/app/i-1", Form::Session(a)),
            ("arn:aws:sts::111122223333:federated-user/bob", Form::FederatedUser(a)),
            ("AIDACKCEVSQ6C2EXAMPLE", Form::Dead),
            ("AROACKCEVSQ6C2EXAMPLE", Form::Dead),
        ] {
            assert_eq!(Form::of_aws(text), form, "{text}");
        }
        for text in [
            "",
            "ann",
            "11112222333",
            "arn:aws:iam::111122223333:role/*",
            "arn:aws:iam::111122223333:role/a?p",
            "arn:aws:iam::*:root",
            "arn:aws:iam::111122223333:group/ops",
            "arn:aws:iam::111122223333:root/x",
            "arn:aws:iam::111122223333:user/",
            "arn:aws:iam:us-east-1:111122223333:root",
            "arn:aws:sts::111122223333:assumed-role/app",
            "arn:aws:s3:::bucket",
            "AIDA",
            "AIDAckcevsq6c2example",
        ] {
            assert_eq!(Form::of_aws(text), Form::Invalid, "{text}");
        }
        assert_eq!(Named::service("*").form, Form::Invalid);
        assert_eq!(Named::service("kms.amazonaws.com").form, Form::Service);
    }
}
