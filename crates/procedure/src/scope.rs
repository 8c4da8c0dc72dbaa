//! Who could use the key, as its policies and grants say, and whether we could undo what we would do.
//!
//! IAM of the accounts is not read: an account that a policy delegates to stands for any identity of it. For the key's own account
//! that is enough, because events show every caller there; for another account it is not, because denied calls show only there.

use api::{AccountId, KeyArn};
use policy::{Attached, Class, Document, KEY_ACTIONS, Outcome, Principal, Reach, Request, Row, Unknown, Who};

use crate::finding::Finding;
use crate::observation::{Gap, GrantFacts, NamedPolicy, Observation, Seen};

/// What a rescue needs.
const RESCUE: [&str; 3] = ["kms:DescribeKey", "kms:EnableKey", "kms:CancelKeyDeletion"];

/// Most lines of [`Scope::lines`]; the rest is counted. (Ours.)
const MAX_LINES: usize = 200;

/// Who could use the key.
pub(crate) struct Scope {
    /// One line for each principal and statement, each grant.
    pub(crate) lines: Vec<String>,
    /// Unreadable, foreign, public, and whatever stands in the way of a rescue.
    pub(crate) findings: Vec<Finding>,
}

/// Reads policies and grants.
pub(crate) fn scope(seen: &Observation) -> Scope {
    let mut scope = Scope { lines: Vec::new(), findings: Vec::new() };
    match &seen.policies {
        Seen::Unknown(why) => scope.findings.push(unreadable("key policies", why.clone())),
        Seen::Seen(policies) => {
            policies.iter().for_each(|named| scope.read_policy(named, &seen.arn));
            scope.findings.extend(rescue_gap(seen));
        }
    }
    match &seen.grants {
        Seen::Unknown(why) => scope.findings.push(unreadable("grants", why.clone())),
        Seen::Seen(grants) => grants.iter().for_each(|grant| scope.read_grant(grant, seen.arn.account)),
    }
    if scope.lines.len() > MAX_LINES {
        let more = scope.lines.len() - MAX_LINES;
        scope.lines.truncate(MAX_LINES);
        scope.lines.push(format!("and {more} more"));
    }
    scope
}

/// The first action that a rescue needs and that the key's policies surely do not allow us; `None` also where they cannot be read.
///
/// Where a policy delegates to our account, our identity policies decide, which are not read: that counts as a way.
pub(crate) fn closed_rescue(seen: &Observation) -> Option<&'static str> {
    let documents: Vec<Document> =
        seen.policies.seen()?.iter().map(|named| Document::parse(&named.text)).collect::<Result<_, _>>().ok()?;
    RESCUE.into_iter().find(|action| !may(&documents, &seen.operator, action, &seen.arn))
}

fn rescue_gap(seen: &Observation) -> Option<Finding> {
    let action = closed_rescue(seen)?;
    Some(Finding::RescuePath { action: action.to_owned(), operator: seen.operator.clone() })
}

fn unreadable(what: &str, why: Gap) -> Finding {
    Finding::Unreadable { what: what.to_owned(), why }
}

/// Whether `operator` has a way to `action` by any of the key's policies, and no policy denies it.
fn may(documents: &[Document], operator: &str, action: &str, key: &KeyArn) -> bool {
    let resource = key.to_string();
    let session = session_arn(operator);
    let principal = principal(operator, &session);
    let request = Request { principal: &principal, action, resource: &resource, context: &Unknown };
    let says: Vec<Outcome> =
        documents.iter().map(|document| document.evaluate(Attached::ToResource, &request)).collect();
    let denied = says.iter().any(|outcome| matches!(outcome, Outcome::Deny(_)));
    !denied && says.iter().any(|outcome| matches!(outcome, Outcome::Allow(_) | Outcome::Delegate(_)))
}

/// The caller by its stable ARN. What is no ARN we know stands for a user of that name: it is found only if the policy names it so.
fn principal<'a>(operator: &'a str, session_arn: &'a str) -> Principal<'a> {
    let mut parts = operator.splitn(6, ':').skip(4);
    let account = parts.next().and_then(|account| account.parse().ok()).unwrap_or(AccountId::ZERO);
    match parts.next() {
        Some("root") => Principal::Root { account },
        Some(role) if role.starts_with("role/") => Principal::Session { account, role_arn: operator, session_arn },
        Some(_) | None => Principal::User { account, arn: operator },
    }
}

/// A session of the role whose name no policy can know.
fn session_arn(operator: &str) -> String {
    operator.replacen(":iam::", ":sts::", 1).replacen(":role/", ":assumed-role/", 1) + "/quietus"
}

impl Scope {
    fn read_policy(&mut self, named: &NamedPolicy, key: &KeyArn) {
        let document = match Document::parse(&named.text) {
            Ok(document) => document,
            Err(error) => {
                let what = format!("policy {}: {error}", named.name);
                return self.findings.push(unreadable("key policies", Gap::Unreadable { what }));
            }
        };
        let reach = policy::reach(&document, key);
        for row in possible(&reach) {
            let place = place(&named.name, row);
            self.lines.push(line(row, &place));
            if row.public {
                self.findings.push(Finding::Public { named_in: place });
            } else if row.foreign {
                self.foreign(row, &place, key.account);
            }
        }
    }

    fn foreign(&mut self, row: &Row, place: &str, own: AccountId) {
        let accounts = match &row.accounts {
            Some(accounts) => accounts.iter().filter(|one| **one != own).map(AccountId::to_string).collect(),
            None => vec!["any that the conditions let in".to_owned()],
        };
        for account in accounts {
            self.findings.push(Finding::ForeignAccount { account, named_in: place.to_owned() });
        }
    }

    fn read_grant(&mut self, grant: &GrantFacts, own: AccountId) {
        let place = format!("grant {}", grant.id);
        self.lines.push(format!("{} may {} ({place})", grant.grantee, grant.operations.join(", ")));
        self.findings.push(Finding::GrantLive {
            id: grant.id.clone(),
            grantee: grant.grantee.clone(),
            constraints: grant.constraints.clone(),
        });
        let account = grant.grantee.split(':').nth(4).and_then(|account| account.parse::<AccountId>().ok());
        if let Some(account) = account.filter(|account| *account != own) {
            self.findings.push(Finding::ForeignAccount { account: account.to_string(), named_in: place });
        }
    }
}

/// The rows by which somebody could use the key, or let others use it, and which no deny surely stops; in the policy's order.
fn possible(reach: &Reach) -> Vec<&Row> {
    let mut rows: Vec<&Row> = KEY_ACTIONS
        .iter()
        .filter(|(_, class)| !matches!(class, Class::Look))
        .flat_map(|(action, _)| reach.can(action))
        .map(|possible| possible.row)
        .collect();
    rows.sort_by_key(|row| (row.statement, row.who.clone()));
    rows.dedup_by(|one, other| std::ptr::eq(*one, *other));
    rows
}

fn place(policy: &str, row: &Row) -> String {
    match &row.sid {
        Some(sid) => format!("policy {policy}, statement `{sid}`"),
        None => format!("policy {policy}, statement {}", row.statement + 1),
    }
}

fn line(row: &Row, place: &str) -> String {
    let who = match &row.who {
        Who::Account(account) => format!("any identity of account {account} that IAM allows"),
        other => other.to_string(),
    };
    let classes: Vec<String> = row.classes().iter().map(|class| class.as_str().to_owned()).collect();
    let conditions = match row.conditions.as_slice() {
        [] => String::new(),
        conditions => format!(", if {}", conditions.join(" and ")),
    };
    format!("{who} may {}{conditions} ({place})", classes.join(", "))
}
