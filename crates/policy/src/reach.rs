//! Who *could* use a key, as its policy alone says: principals × actions × conditions.
//!
//! The answer is an upper bound. A statement for an account means any identity that this account's IAM policies allow, which
//! are not known here; conditions are kept as text, not decided. What an explicit deny surely stops is left out of the answers;
//! what it may stop is shown beside them. Grants are not a policy's matter and are not here.

use std::collections::BTreeSet;
use std::fmt;

use api::{AccountId, Class, KeyArn};

use crate::action::{ActionPattern, KEY_ACTIONS};
use crate::condition::Condition;
use crate::context::Unknown;
use crate::document::{Document, Effect, Listed, Statement, Version};
use crate::principal::{Form, Named};

/// What it takes to bring a key back: `can_all(RESCUE)` is the rescue path.
pub const RESCUE: &[&str] = &["kms:CancelKeyDeletion", "kms:EnableKey"];

/// Who could do what with a key.
#[derive(Debug, Clone, PartialEq)]
pub struct Reach {
    /// What is allowed, a row for each principal of each statement that allows.
    pub allows: Vec<Row>,
    /// What is denied, likewise.
    pub denies: Vec<Row>,
    /// What stands in the policy and does nothing.
    pub idle: Vec<Idle>,
}

/// One principal in one statement.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// The statement, counted from 0.
    pub statement: usize,
    /// Its `Sid`.
    pub sid: Option<Box<str>>,
    /// Whom it names.
    pub who: Who,
    /// The actions it is about.
    pub actions: Listed<ActionPattern>,
    /// What must hold besides, as text; empty where the statement has no condition.
    pub conditions: Vec<String>,
    /// The accounts that callers can be of, where principal or conditions say so; `None` where any account will do, and for
    /// services.
    pub accounts: Option<Vec<AccountId>>,
    /// Whether callers of other accounts than the key's are among them.
    pub foreign: bool,
    /// Whether it is open to callers anywhere: everyone is named, and no condition confines them to known accounts,
    /// organizations or sources.
    pub public: bool,
}

/// Whom a statement names.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Who {
    /// The root user of the account, and any identity that the account's IAM policies allow.
    Account(AccountId),
    /// An IAM user, by ARN.
    User(Box<str>),
    /// All sessions of a role, by the role's ARN.
    Role(Box<str>),
    /// One session of a role, by ARN.
    Session(Box<str>),
    /// One federated user session, by ARN.
    FederatedUser(Box<str>),
    /// An AWS service, by name.
    Service(Box<str>),
    /// Everyone, in every account.
    Everyone,
    /// Everyone but these: `NotPrincipal`.
    EveryoneBut(Vec<Box<str>>),
}

impl fmt::Display for Who {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Who::Account(account) => write!(out, "any identity that the IAM policies of account {account} allow"),
            Who::User(arn) => write!(out, "user {arn}"),
            Who::Role(arn) => write!(out, "role {arn}"),
            Who::Session(arn) => write!(out, "session {arn}"),
            Who::FederatedUser(arn) => write!(out, "federated user {arn}"),
            Who::Service(name) => write!(out, "service {name}"),
            Who::Everyone => out.write_str("everyone"),
            Who::EveryoneBut(listed) => write!(out, "everyone but {}", listed.join(", ")),
        }
    }
}

/// A statement, or one principal of it, that does nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Idle {
    /// The statement, counted from 0.
    pub statement: usize,
    /// Its `Sid`.
    pub sid: Option<Box<str>>,
    /// Why it does nothing.
    pub why: IdleReason,
}

/// Why a statement, or one principal of it, does nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IdleReason {
    /// It names no action on a KMS key.
    NoAction,
    /// It has no `Resource`, or an empty one.
    NoResource,
    /// Its `Resource` does not fit this key.
    OtherResource,
    /// It names nobody.
    NoPrincipal,
    /// The unique ID of a user or role that was deleted.
    DeadPrincipal(Box<str>),
    /// What is no principal, or none that KMS knows.
    InvalidPrincipal(Box<str>),
}

impl fmt::Display for IdleReason {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            IdleReason::NoAction => out.write_str("names no action on a KMS key"),
            IdleReason::NoResource => out.write_str("has no resource"),
            IdleReason::OtherResource => out.write_str("is about other resources than this key"),
            IdleReason::NoPrincipal => out.write_str("names no principal"),
            IdleReason::DeadPrincipal(id) => write!(out, "names `{id}`, a user or role that was deleted"),
            IdleReason::InvalidPrincipal(text) => write!(out, "names `{text}`, which is no principal that KMS knows"),
        }
    }
}

/// An allow that no deny surely stops.
#[derive(Debug, Clone, PartialEq)]
pub struct Possible<'r> {
    /// The allow.
    pub row: &'r Row,
    /// The denies that may stop it, under their conditions or for some of the callers.
    pub unless: Vec<&'r Row>,
}

impl Possible<'_> {
    /// Whether nothing is left open: no condition on the allow, and no deny beside it.
    pub fn is_unconditional(&self) -> bool {
        self.row.conditions.is_empty() && self.unless.is_empty()
    }
}

/// Reads who could use `key` under its policy.
///
/// `document` is one of the key's policies (`default`, or `AWS_RAM` of resource sharing); each is read by itself.
pub fn reach(document: &Document, key: &KeyArn) -> Reach {
    let mut reach = Reach { allows: Vec::new(), denies: Vec::new(), idle: Vec::new() };
    for (index, statement) in document.statements.iter().enumerate() {
        reach.read(index, statement, document.version, key);
    }
    reach
}

impl Reach {
    /// Who could do `action`, such as `kms:Decrypt`.
    pub fn can(&self, action: &str) -> Vec<Possible<'_>> {
        let denies: Vec<&Row> = self.denies.iter().filter(|row| row.names(action)).collect();
        let possible = |row| {
            let stops = |deny: &&&Row| stop(deny, row) != Stop::No;
            let surely = denies.iter().any(|deny| stop(deny, row) == Stop::Surely);
            (!surely).then(|| Possible { row, unless: denies.iter().filter(stops).copied().collect() })
        };
        self.allows.iter().filter(|row| row.names(action)).filter_map(possible).collect()
    }

    /// Who could do every one of `actions`, perhaps by several statements; and whether without any condition.
    ///
    /// Principals are compared as the policy names them: that a user is also one of its account's identities is not considered.
    pub fn can_all(&self, actions: &[&str]) -> Vec<(&Who, bool)> {
        let possible: Vec<Vec<Possible<'_>>> = actions.iter().map(|action| self.can(action)).collect();
        let everyone: BTreeSet<&Who> = possible.iter().flatten().map(|possible| &possible.row.who).collect();
        let able = |who: &Who, surely: bool| {
            let does = |one: &Possible<'_>| one.row.who == *who && (!surely || one.is_unconditional());
            possible.iter().all(|rows| rows.iter().any(does))
        };
        everyone.into_iter().filter(|who| able(who, false)).map(|who| (who, able(who, true))).collect()
    }

    fn read(&mut self, index: usize, statement: &Statement, version: Version, key: &KeyArn) {
        let idle = |why| Idle { statement: index, sid: statement.sid.clone(), why };
        let Some(actions) = statement.actions.as_ref().filter(|_| acts_on_keys(statement)) else {
            return self.idle.push(idle(IdleReason::NoAction));
        };
        let mut conditions: Vec<String> = statement.conditions.iter().map(Condition::to_string).collect();
        match scope(statement, version, key) {
            Scope::Nothing => return self.idle.push(idle(IdleReason::NoResource)),
            Scope::Other => return self.idle.push(idle(IdleReason::OtherResource)),
            Scope::Perhaps(text) => conditions.push(text),
            Scope::Key => {}
        }
        let Some(principals) = statement.principals.as_ref().filter(|named| !named.entries.is_empty()) else {
            return self.idle.push(idle(IdleReason::NoPrincipal));
        };
        let row = |who: Who| {
            let confined = Confined::of(&who, &statement.conditions);
            let of_key = |accounts: &Vec<AccountId>| accounts.iter().all(|account| *account == key.account);
            Row {
                statement: index,
                sid: statement.sid.clone(),
                foreign: !matches!(who, Who::Service(_)) && !confined.accounts.as_ref().is_some_and(of_key),
                public: matches!(who, Who::Everyone | Who::EveryoneBut(_)) && !confined.somehow,
                accounts: confined.accounts,
                who,
                actions: actions.clone(),
                conditions: conditions.clone(),
            }
        };
        let rows = match statement.effect {
            Effect::Allow => &mut self.allows,
            Effect::Deny => &mut self.denies,
        };
        if principals.not {
            let listed = principals.entries.iter().map(|entry| entry.text.clone()).collect();
            return rows.push(row(Who::EveryoneBut(listed)));
        }
        for entry in &principals.entries {
            match who(entry) {
                Ok(who) => rows.push(row(who)),
                Err(why) => self.idle.push(idle(why)),
            }
        }
    }
}

impl Row {
    /// Whether the row is about `action`.
    pub fn names(&self, action: &str) -> bool {
        self.actions.covers(|pattern| pattern.matches(action))
    }

    /// The classes of the actions on a KMS key that the row is about.
    pub fn classes(&self) -> BTreeSet<Class> {
        KEY_ACTIONS.iter().filter(|(action, _)| self.names(action)).map(|(_, class)| *class).collect()
    }
}

/// Whom an entry names, or why nobody.
fn who(entry: &Named) -> Result<Who, IdleReason> {
    let text = entry.text.clone();
    match entry.form {
        Form::Everyone => Ok(Who::Everyone),
        Form::Account(account) => Ok(Who::Account(account)),
        Form::User(_) => Ok(Who::User(text)),
        Form::Role(_) => Ok(Who::Role(text)),
        Form::Session(_) => Ok(Who::Session(text)),
        Form::FederatedUser(_) => Ok(Who::FederatedUser(text)),
        Form::Service => Ok(Who::Service(text)),
        Form::Dead => Err(IdleReason::DeadPrincipal(text)),
        Form::Federated | Form::CanonicalUser | Form::Invalid => Err(IdleReason::InvalidPrincipal(text)),
    }
}

fn acts_on_keys(statement: &Statement) -> bool {
    KEY_ACTIONS.iter().any(|(action, _)| statement.names_action(action))
}

/// How a statement's resources stand to the key.
enum Scope {
    Key,
    /// A variable decides, as the text says.
    Perhaps(String),
    Other,
    Nothing,
}

fn scope(statement: &Statement, version: Version, key: &KeyArn) -> Scope {
    let Some(resources) = statement.resources.as_ref().filter(|listed| !listed.patterns.is_empty()) else {
        return Scope::Nothing;
    };
    let varies = |text: &str| version == Version::V2012 && text.contains("${");
    let named = statement.names_resource(&key.to_string(), &Unknown);
    match resources.patterns.iter().find(|pattern| varies(pattern.as_str())) {
        // A variable can only add to what a list fits.
        Some(pattern) if named == resources.not => {
            let element = if resources.not { "NotResource" } else { "Resource" };
            Scope::Perhaps(format!("{element} `{}`", pattern.as_str()))
        }
        _ if named => Scope::Key,
        _ => Scope::Other,
    }
}

/// What is known of where the callers of a row are from.
struct Confined {
    accounts: Option<Vec<AccountId>>,
    /// By accounts, or by organization or source.
    somehow: bool,
}

impl Confined {
    fn of(who: &Who, conditions: &[Condition]) -> Confined {
        let named = match who {
            Who::Account(account) => Some(*account),
            Who::User(arn) | Who::Role(arn) | Who::Session(arn) | Who::FederatedUser(arn) => account_of_arn(arn),
            Who::Service(_) | Who::Everyone | Who::EveryoneBut(_) => None,
        };
        let conditions = || conditions.iter().filter(|condition| condition.operator().confines());
        let accounts = named.map(|account| vec![account]).or_else(|| conditions().find_map(accounts_of));
        let somehow = accounts.is_some() || conditions().any(is_fixed_source);
        Confined { accounts, somehow }
    }
}

/// The accounts that a condition holds callers to, where it names them.
fn accounts_of(condition: &Condition) -> Option<Vec<AccountId>> {
    let read: fn(&str) -> Option<AccountId> = match condition.key().to_ascii_lowercase().as_str() {
        "kms:calleraccount" | "aws:principalaccount" => |text| text.parse().ok(),
        "aws:principalarn" => account_of_arn,
        _ => return None,
    };
    condition.values().map(read).collect()
}

/// Whether a condition holds callers to an organization, or to a source, that it names.
fn is_fixed_source(condition: &Condition) -> bool {
    let open = ['*', '?', '$'];
    let names: fn(&str, [char; 3]) -> bool = match condition.key().to_ascii_lowercase().as_str() {
        "aws:principalorgid" | "aws:sourceorgid" => |value, open| !value.contains(open),
        "aws:principalorgpaths" => |value, open| !value.is_empty() && !value.starts_with(open),
        "aws:sourceaccount" => |value, _| value.parse::<AccountId>().is_ok(),
        "aws:sourcearn" => |value, open| account_of_arn(value).is_some() || !value.contains(open),
        _ => return false,
    };
    condition.values().all(|value| names(value, open))
}

/// The fifth segment, where it is an account.
fn account_of_arn(arn: &str) -> Option<AccountId> {
    arn.split(':').nth(4)?.parse().ok()
}

/// Whether a deny stops what an allow allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stop {
    Surely,
    Perhaps,
    No,
}

fn stop(deny: &Row, allow: &Row) -> Stop {
    let callers = stop_callers(deny, allow);
    if callers == Stop::Surely && !deny.conditions.is_empty() { Stop::Perhaps } else { callers }
}

/// The same, by whom the two name alone.
fn stop_callers(deny: &Row, allow: &Row) -> Stop {
    match (&deny.who, &allow.who) {
        (Who::Everyone, _) => Stop::Surely,
        (Who::EveryoneBut(_), _) => Stop::Perhaps,
        (one, other) if one == other => Stop::Surely,
        (Who::Service(_), Who::Everyone | Who::EveryoneBut(_)) => Stop::Perhaps,
        (Who::Service(_), _) | (_, Who::Service(_)) => Stop::No,
        (Who::Account(account), _) => match &allow.accounts {
            None => Stop::Perhaps,
            Some(accounts) if accounts.iter().all(|one| one == account) => Stop::Surely,
            Some(accounts) if accounts.contains(account) => Stop::Perhaps,
            Some(_) => Stop::No,
        },
        // Of two that are named by ARN and differ, only a role and a session can be the same caller.
        (
            Who::User(_) | Who::FederatedUser(_),
            Who::User(_) | Who::FederatedUser(_) | Who::Role(_) | Who::Session(_),
        )
        | (Who::Role(_) | Who::Session(_), Who::User(_) | Who::FederatedUser(_))
        | (Who::Role(_), Who::Role(_))
        | (Who::Session(_), Who::Session(_)) => Stop::No,
        (Who::User(_) | Who::Role(_) | Who::Session(_) | Who::FederatedUser(_), _) => {
            match (&deny.accounts, &allow.accounts) {
                (Some(denied), Some(allowed)) if !allowed.iter().any(|one| denied.contains(one)) => Stop::No,
                _ => Stop::Perhaps,
            }
        }
    }
}
