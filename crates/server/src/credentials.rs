//! Access keys: the file that holds them, and who each stands for.
//!
//! `DIR/credentials` has the form of AWS's shared credentials file, so that `AWS_SHARED_CREDENTIALS_FILE` may point to it. Each
//! profile is an access key that the server takes, with one member of our own:
//!
//! ```text
//! [default]
//! aws_access_key_id = AKIA…
//! aws_secret_access_key = …
//! quietus_principal = arn:aws:iam::111122223333:root
//! ```
//!
//! A named user is a profile with `…:user/<name>`, until users have an API.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use api::AccountId;
use service::{Caller, CallerKind};
use zeroize::Zeroizing;

use crate::files::{self, FileError};
use crate::sigv4;

/// The well-known access key of development servers, ID and secret.
pub const DEV_KEY: &str = "test";

/// Most access keys in the file.
const KEYS: usize = 10_000;

/// An access key that a server takes.
#[derive(Clone)]
pub struct AccessKey {
    /// `AKIA…`.
    pub id: String,
    /// What requests are signed with. Cleared when dropped; [`std::fmt::Debug`] does not show it.
    pub secret: Zeroizing<String>,
    /// Who signs with it.
    pub principal: Principal,
}

impl std::fmt::Debug for AccessKey {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("AccessKey").field("id", &self.id).field("principal", &self.principal).finish_non_exhaustive()
    }
}

/// Who an access key stands for: an account's root user, or an IAM user in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    /// The account.
    pub account: AccountId,
    /// The user's name, 1 to 64 of letters, digits and `+=,.@_-`; `None` for the root user.
    pub user: Option<String>,
}

impl Principal {
    /// The root user of `account`.
    pub fn root(account: AccountId) -> Principal {
        Principal { account, user: None }
    }

    /// The ARN: `arn:aws:iam::<account>:root` or `arn:aws:iam::<account>:user/<name>`.
    pub fn arn(&self) -> String {
        match &self.user {
            None => format!("arn:aws:iam::{}:root", self.account),
            Some(name) => format!("arn:aws:iam::{}:user/{name}", self.account),
        }
    }

    fn parse(text: &str) -> Option<Principal> {
        let (account, who) = text.strip_prefix("arn:aws:iam::")?.split_once(':')?;
        let account = account.parse().ok()?;
        match (who, who.strip_prefix("user/")) {
            ("root", _) => Some(Principal { account, user: None }),
            // IAM API Reference, CreateUser, `UserName`.
            (_, Some(name)) if (1..=64).contains(&name.len()) && name.bytes().all(is_name) => {
                Some(Principal { account, user: Some(name.to_owned()) })
            }
            (_, _) => None,
        }
    }
}

fn is_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"+=,.@_-".contains(&byte)
}

impl AccessKey {
    /// The well-known key, as `account`'s root user.
    pub(crate) fn dev(account: AccountId) -> AccessKey {
        let secret = Zeroizing::new(DEV_KEY.to_owned());
        AccessKey { id: DEV_KEY.to_owned(), secret, principal: Principal::root(account) }
    }

    /// A new key for `account`'s root user, from the operating system's generator.
    pub(crate) fn generate(account: AccountId) -> AccessKey {
        let id = format!("AKIA{}", random_text::<16>(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567").as_str());
        let secret = random_text::<40>(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/");
        AccessKey { id, secret, principal: Principal::root(account) }
    }

    /// The same for the verifier.
    pub(crate) fn into_verifiable(self) -> sigv4::AccessKey<Caller> {
        let kind = match &self.principal.user {
            None => CallerKind::Root,
            Some(name) => CallerKind::User { name: name.clone() },
        };
        let account = self.principal.account;
        let caller = Caller { account, arn: self.principal.arn(), kind, access_key_id: self.id.clone() };
        sigv4::AccessKey {
            id: self.id,
            secret: self.secret.as_str().to_owned().into(),
            session_token: None,
            identity: Arc::new(caller),
        }
    }
}

/// `N` letters of `alphabet`, whose length is a power of two, so that each is equally likely.
fn random_text<const N: usize>(alphabet: &[u8]) -> Zeroizing<String> {
    assert!(alphabet.len().is_power_of_two(), "every letter is equally likely");
    let mut bytes = Zeroizing::new([0; N]);
    crypto::random(bytes.as_mut_slice());
    Zeroizing::new(bytes.iter().map(|byte| char::from(alphabet[usize::from(*byte) % alphabet.len()])).collect())
}

/// An access key that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CredentialsError {
    /// The file cannot be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// A line is neither a profile, a member, a comment nor blank.
    #[error("line {line} of `{path}` is no `[profile]` and no `name = value`")]
    Line {
        /// The file.
        path: PathBuf,
        /// From 1.
        line: usize,
    },
    /// A profile lacks one of the three members.
    #[error("profile `{profile}` of `{path}` has no `{member}`")]
    Lacks {
        /// The file.
        path: PathBuf,
        /// The profile.
        profile: String,
        /// The member.
        member: &'static str,
    },
    /// A profile's principal is no root user and no user.
    #[error(
        "`quietus_principal` of profile `{profile}` is `{given}`, not `arn:aws:iam::<account>:root` or `arn:aws:iam::<account>:user/<name>`"
    )]
    Principal {
        /// The profile.
        profile: String,
        /// What it says.
        given: String,
    },
    /// Two access keys have one ID.
    #[error("access key `{id}` is given twice; each needs an ID of its own")]
    Twice {
        /// The ID.
        id: String,
    },
    /// There is no access key at all.
    #[error("`{path}` holds no profile; add one, or remove the file to get a new root access key")]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// There are more than a server takes.
    #[error("`{path}` holds more than {KEYS} profiles")]
    TooMany {
        /// The file.
        path: PathBuf,
    },
}

/// The access keys of a data folder.
#[derive(Debug)]
pub(crate) struct Credentials {
    /// The root user's key: the first of the account's.
    pub(crate) root: AccessKey,
    /// All of them, the root user's included.
    pub(crate) keys: Vec<AccessKey>,
    /// Whether the file was made just now.
    pub(crate) created: bool,
}

/// Reads the file at `path`; where there is none, makes it with `first` as its `default` profile.
pub(crate) fn open(path: &Path, first: impl FnOnce() -> AccessKey) -> Result<Credentials, CredentialsError> {
    match files::read_secret(path)? {
        Some(bytes) => {
            let text = std::str::from_utf8(&bytes).map_err(|error| files::unreadable(path, &error))?;
            let keys = parse(path, text)?;
            let root = keys.iter().find(|key| key.principal.user.is_none()).or(keys.first());
            let root = root.ok_or_else(|| CredentialsError::Empty { path: path.to_owned() })?.clone();
            Ok(Credentials { root, keys, created: false })
        }
        None => {
            let root = first();
            files::replace(path, write(&root).as_bytes())?;
            Ok(Credentials { keys: vec![root.clone()], root, created: true })
        }
    }
}

/// Holds that no two of `keys` have one ID.
pub(crate) fn refuse_twins(keys: &[AccessKey]) -> Result<(), CredentialsError> {
    let mut seen = HashSet::new();
    match keys.iter().find(|key| !seen.insert(&key.id)) {
        Some(key) => Err(CredentialsError::Twice { id: key.id.clone() }),
        None => Ok(()),
    }
}

fn write(key: &AccessKey) -> Zeroizing<String> {
    Zeroizing::new(format!(
        "# Access keys of this Quietus server, read when it starts. Keep them as you would the keys they open.\n\
         [default]\n\
         aws_access_key_id = {}\n\
         aws_secret_access_key = {}\n\
         quietus_principal = {}\n",
        key.id,
        key.secret.as_str(),
        key.principal.arn()
    ))
}

#[derive(Default)]
struct Profile<'a> {
    name: &'a str,
    id: Option<&'a str>,
    secret: Option<&'a str>,
    principal: Option<&'a str>,
}

impl Profile<'_> {
    fn finish(&self, path: &Path) -> Result<AccessKey, CredentialsError> {
        let lacks = |member| CredentialsError::Lacks { path: path.to_owned(), profile: self.name.to_owned(), member };
        let id = self.id.ok_or_else(|| lacks("aws_access_key_id"))?;
        let secret = self.secret.ok_or_else(|| lacks("aws_secret_access_key"))?;
        let given = self.principal.ok_or_else(|| lacks("quietus_principal"))?;
        let principal = Principal::parse(given)
            .ok_or_else(|| CredentialsError::Principal { profile: self.name.to_owned(), given: given.to_owned() })?;
        Ok(AccessKey { id: id.to_owned(), secret: Zeroizing::new(secret.to_owned()), principal })
    }
}

/// Members that we do not know, such as `region`, are left to the tools that do.
fn parse(path: &Path, text: &str) -> Result<Vec<AccessKey>, CredentialsError> {
    let mut profiles: Vec<Profile<'_>> = Vec::new();
    for (at, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with(['#', ';']) {
            continue;
        }
        if let Some(name) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            if profiles.len() == KEYS {
                return Err(CredentialsError::TooMany { path: path.to_owned() });
            }
            profiles.push(Profile { name: name.trim(), ..Profile::default() });
            continue;
        }
        let wrong = || CredentialsError::Line { path: path.to_owned(), line: at + 1 };
        let (name, value) = line.split_once('=').ok_or_else(wrong)?;
        let profile = profiles.last_mut().ok_or_else(wrong)?;
        let value = Some(value.trim()).filter(|value| !value.is_empty());
        match name.trim() {
            "aws_access_key_id" => profile.id = value,
            "aws_secret_access_key" => profile.secret = value,
            "quietus_principal" => profile.principal = value,
            _ => {}
        }
    }
    profiles.iter().map(|profile| profile.finish(path)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    const ACCOUNT: &str = "111122223333";

    fn opened(text: &str) -> Result<Credentials, CredentialsError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("credentials");
        files::replace(&path, text.as_bytes()).unwrap();
        open(&path, || panic!("the file is there"))
    }

    fn refused(text: &str) -> String {
        opened(text).unwrap_err().to_string()
    }

    #[test]
    fn what_the_first_start_makes_the_second_reads() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("credentials");
        let made = open(&path, || AccessKey::generate(ACCOUNT.parse().unwrap())).unwrap();
        assert!(made.created);
        assert_eq!((made.root.id.len(), made.root.secret.len()), (20, 40));
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let read = open(&path, || panic!("the file is there")).unwrap();
        assert!(!read.created);
        assert_eq!(read.root.id, made.root.id);
        assert_eq!(read.root.secret, made.root.secret);
        assert_eq!(read.root.principal.arn(), format!("arn:aws:iam::{ACCOUNT}:root"));
    }

    #[test]
    fn each_profile_is_an_access_key() {
        let read = opened(
            "[default]\naws_access_key_id=A\naws_secret_access_key = a=b\nquietus_principal = arn:aws:iam::111122223333:root\n\n\
             ; a user\n[ada]\nregion = eu-west-1\naws_access_key_id = B\naws_secret_access_key = s\n\
             quietus_principal = arn:aws:iam::111122223333:user/ada.l@x\n",
        )
        .unwrap();
        assert_eq!(read.keys.len(), 2);
        assert_eq!(read.keys[0].secret.as_str(), "a=b");
        assert_eq!(read.keys[1].principal.user.as_deref(), Some("ada.l@x"));
        assert_eq!(read.root.id, "A");
        assert!(!format!("{read:?}").contains("a=b"));
    }

    #[test]
    fn what_is_wrong_is_named() {
        assert!(refused("").contains("holds no profile"));
        assert!(refused("[a]\nnonsense\n").contains("line 2 of"));
        assert!(refused("a = b\n").contains("line 1 of"));
        assert!(refused("[a]\naws_access_key_id = A\n").contains("profile `a`"));
        assert!(
            refused("[a]\naws_access_key_id = A\naws_secret_access_key =\n").contains("no `aws_secret_access_key`")
        );
        let member = "[a]\naws_access_key_id = A\naws_secret_access_key = s\nquietus_principal = ";
        for wrong in
            ["ada", "arn:aws:iam::1:root", "arn:aws:iam::111122223333:role/x", "arn:aws:iam::111122223333:user/"]
        {
            assert!(refused(&format!("{member}{wrong}\n")).contains(&format!("is `{wrong}`")), "{wrong}");
        }
        let twins = [AccessKey::dev(AccountId::ZERO), AccessKey::dev(AccountId::ZERO)];
        assert!(refuse_twins(&twins).unwrap_err().to_string().contains("access key `test` is given twice"));
    }
}
