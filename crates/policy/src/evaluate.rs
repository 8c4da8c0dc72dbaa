//! What one policy document says to one request.

use crate::context::Context;
use crate::document::{Document, Effect, Statement};
use crate::principal::{Match, Principal};

/// What somebody wants to do.
#[derive(Clone, Copy)]
pub struct Request<'a> {
    /// Who asks.
    pub principal: &'a Principal<'a>,
    /// The IAM action: `kms:Decrypt`.
    pub action: &'a str,
    /// The ARN of what it is done to: for a key its key ARN, also where the request named an alias. For an action on no resource `*`.
    pub resource: &'a str,
    /// What else is known.
    pub context: &'a dyn Context,
}

/// What a document is attached to, which decides whom its statements are about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attached {
    /// A resource, such as a key: a statement is about the principals it names.
    ToResource,
    /// The caller: every statement is about the caller.
    ToIdentity,
}

/// What a document says to a request; each answer names the statement it comes from, counted from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// A statement denies it.
    Deny(usize),
    /// A statement allows it to the caller itself, and none denies it.
    Allow(usize),
    /// A statement allows it to the caller's account, and none to the caller itself: the account's identity policies decide.
    Delegate(usize),
    /// No statement applies.
    Silent,
}

impl Document {
    /// What the document says to `request`.
    ///
    /// A Deny that applies wins over every Allow, wherever it stands.
    pub fn evaluate(&self, attached: Attached, request: &Request<'_>) -> Outcome {
        let mut outcome = Outcome::Silent;
        for (index, statement) in self.statements.iter().enumerate() {
            match (statement.effect, statement.apply_to(attached, request), outcome) {
                (_, Match::No, _) => {}
                (Effect::Deny, Match::Account | Match::Itself, _) => return Outcome::Deny(index),
                (Effect::Allow, Match::Itself, Outcome::Silent | Outcome::Delegate(_)) => {
                    outcome = Outcome::Allow(index)
                }
                (Effect::Allow, Match::Account, Outcome::Silent) => outcome = Outcome::Delegate(index),
                (Effect::Allow, Match::Account | Match::Itself, _) => {}
            }
        }
        outcome
    }
}

impl Statement {
    /// Whether the statement applies to `request`, and whether to the caller or to its account.
    fn apply_to(&self, attached: Attached, request: &Request<'_>) -> Match {
        let context = request.context;
        if !self.names_action(request.action) {
            return Match::No;
        }
        let applies = self.names_caller(attached, request.principal);
        let in_scope = applies != Match::No
            && self.names_resource(request.resource, context)
            && self.conditions.iter().all(|condition| condition.holds(context));
        if in_scope { applies } else { Match::No }
    }

    fn names_caller(&self, attached: Attached, caller: &Principal<'_>) -> Match {
        match (attached, &self.principals) {
            (Attached::ToResource, Some(principals)) => principals.apply_to(caller, self.effect),
            (Attached::ToResource, None) => Match::No,
            (Attached::ToIdentity, None) => Match::Itself,
            // Identity policies name no principal; where one does, it is not to give anybody anything.
            (Attached::ToIdentity, Some(_)) if self.effect == Effect::Allow => Match::No,
            (Attached::ToIdentity, Some(_)) => Match::Itself,
        }
    }

    /// Whether the statement is about `resource`.
    pub(crate) fn names_resource(&self, resource: &str, context: &dyn Context) -> bool {
        self.resources.as_ref().is_some_and(|listed| listed.covers(|pattern| pattern.matches(resource, context)))
    }
}
