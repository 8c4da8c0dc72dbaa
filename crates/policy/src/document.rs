//! A policy document, parsed once and ready to be evaluated.
//!
//! Parsing keeps each element as the policy has it, so that a decision can be explained in the policy's own words, and compiles
//! patterns and conditions beside them. It refuses what is not the policy language. It lets pass what AWS lets stand in a
//! policy without effect (a statement with no action, a principal that was deleted), because such policies exist and must be
//! read; [`validate_key_policy`](crate::validate_key_policy) is what a new key policy must pass as well.
//!
//! Source: IAM User Guide, "Grammar of the IAM JSON policy language".

use std::fmt;

use crate::action::ActionPattern;
use crate::arn::ArnPattern;
use crate::condition::{Condition, Operator};
use crate::json::Json;
use crate::principal::{Form, Named, Principals};

/// Longest document that is read. Source: KMS API model, `PolicyType`; a key policy's quota is less.
pub const MAX_BYTES: usize = 131_072;

/// Which version of the policy language a document is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// `2008-10-17`, which a document without a version is in: knows no variables.
    V2008,
    /// `2012-10-17`.
    V2012,
}

/// What a statement does with the requests it applies to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// Lets them pass, unless something denies them.
    Allow,
    /// Refuses them, whatever allows them.
    Deny,
}

/// A list of patterns, or all but them: `Action` and `NotAction`, `Resource` and `NotResource`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed<T> {
    /// Whether what is listed is what is not meant.
    pub not: bool,
    /// The patterns, in the policy's order.
    pub patterns: Vec<T>,
}

impl<T> Listed<T> {
    /// Whether something is meant, given whether one pattern fits it.
    pub fn covers(&self, fits: impl FnMut(&T) -> bool) -> bool {
        self.patterns.iter().any(fits) != self.not
    }
}

/// One statement of a document.
#[derive(Debug, Clone, PartialEq)]
pub struct Statement {
    /// `Sid`: the statement's name, which explanations use.
    pub sid: Option<Box<str>>,
    /// What the statement does.
    pub effect: Effect,
    /// `Principal` or `NotPrincipal`; `None` in identity policies, and in a resource policy it means nobody.
    pub principals: Option<Principals>,
    /// `Action` or `NotAction`; `None` means no action.
    pub actions: Option<Listed<ActionPattern>>,
    /// `Resource` or `NotResource`; `None` means no resource.
    pub resources: Option<Listed<ArnPattern>>,
    /// All must hold.
    pub conditions: Vec<Condition>,
}

/// A policy document.
#[derive(Debug, Clone, PartialEq)]
pub struct Document {
    /// `Version`.
    pub version: Version,
    /// `Id`.
    pub id: Option<Box<str>>,
    /// `Statement`: one at least.
    pub statements: Vec<Statement>,
}

/// Where in a document something is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// The document's own elements.
    Document,
    /// A statement, counted from 0.
    Statement(usize),
}

impl fmt::Display for Place {
    /// For people, who count from 1.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Document => out.write_str("the policy"),
            Place::Statement(index) => write!(out, "statement {}", index + 1),
        }
    }
}

/// Why a text is not a policy document.
#[derive(Debug, thiserror::Error)]
pub enum ParseError {
    /// More than [`MAX_BYTES`].
    #[error("policy of {bytes} bytes is longer than {MAX_BYTES}")]
    TooLong {
        /// How long it is.
        bytes: usize,
    },
    /// Not JSON, or a member that is given twice.
    #[error("policy is not valid JSON: {0}")]
    Json(serde_json::Error),
    /// A JSON value of another type than the language has there.
    #[error("`{element}` of {place} is not {expected}")]
    Type {
        /// Where.
        place: Place,
        /// Which element.
        element: String,
        /// What it should be, as a noun phrase.
        expected: &'static str,
    },
    /// An element that the language does not have.
    #[error(
        "{place} has an element `{element}`, which policies do not have; remove it, or correct its spelling and case"
    )]
    UnknownElement {
        /// Where.
        place: Place,
        /// Which element.
        element: String,
    },
    /// An element that must be there is not.
    #[error("{place} has no `{element}`")]
    Missing {
        /// Where.
        place: Place,
        /// Which element.
        element: &'static str,
    },
    /// An element together with its opposite.
    #[error("{place} has both `{element}` and `Not{element}`; keep one")]
    Both {
        /// Where.
        place: Place,
        /// The element that is not negated.
        element: &'static str,
    },
    /// A `Version` that is none.
    #[error("policy version `{given}` is neither `2012-10-17` nor `2008-10-17`")]
    Version {
        /// What was given.
        given: String,
    },
    /// An `Effect` that is none.
    #[error("effect `{given}` of {place} is neither `Allow` nor `Deny`")]
    Effect {
        /// Where.
        place: Place,
        /// What was given.
        given: String,
    },
    /// A condition operator that does not exist.
    #[error("{place} has a condition operator `{given}`, which does not exist")]
    Operator {
        /// Where.
        place: Place,
        /// What was given.
        given: String,
    },
    /// A condition value that its operator cannot compare.
    #[error("value `{given}` of `{operator}` `{key}` in {place} is not {expected}")]
    Operand {
        /// Where.
        place: Place,
        /// The operator.
        operator: String,
        /// The condition key.
        key: String,
        /// The value.
        given: String,
        /// What it should be, as a noun phrase.
        expected: &'static str,
    },
    /// A resource in which `${` begins no variable.
    #[error(
        "resource `{given}` of {place} has a `${{` that begins no variable; write `${{$}}{{` for the two characters"
    )]
    Variable {
        /// Where.
        place: Place,
        /// The resource.
        given: String,
    },
}

impl Document {
    /// Reads a policy document.
    ///
    /// # Errors
    /// [`ParseError`] where `text` is not a policy document. The service answers it as MalformedPolicyDocumentException.
    pub fn parse(text: &str) -> Result<Document, ParseError> {
        if text.len() > MAX_BYTES {
            return Err(ParseError::TooLong { bytes: text.len() });
        }
        let json = serde_json::from_str(text).map_err(ParseError::Json)?;
        let place = Place::Document;
        let (mut version, mut id, mut statements) = (Version::V2008, None, None);
        for (name, value) in members(place, "policy", json)? {
            match name.as_str() {
                "Version" => version = Version::parse(text_of(place, &name, value)?)?,
                "Id" => id = Some(text_of(place, &name, value)?.into()),
                "Statement" => statements = Some(value),
                _ => return Err(ParseError::UnknownElement { place, element: name }),
            }
        }
        let statements = match statements {
            None => return Err(ParseError::Missing { place, element: "Statement" }),
            Some(Json::List(list)) if list.is_empty() => {
                return Err(ParseError::Missing { place, element: "Statement" });
            }
            Some(Json::List(list)) => list,
            Some(one) => vec![one],
        };
        let statement = |(index, json)| Statement::parse(Place::Statement(index), json, version);
        let statements = statements.into_iter().enumerate().map(statement).collect::<Result<_, _>>()?;
        Ok(Document { version, id, statements })
    }
}

impl Version {
    fn parse(given: String) -> Result<Version, ParseError> {
        match given.as_str() {
            "2012-10-17" => Ok(Version::V2012),
            "2008-10-17" => Ok(Version::V2008),
            _ => Err(ParseError::Version { given }),
        }
    }
}

impl Statement {
    fn parse(place: Place, json: Json, version: Version) -> Result<Statement, ParseError> {
        let variables = version == Version::V2012;
        let (mut sid, mut effect, mut principals) = (None, None, None);
        let (mut actions, mut resources, mut conditions) = (None, None, Vec::new());
        for (name, value) in members(place, "Statement", json)? {
            let not = name.starts_with("Not");
            match name.as_str() {
                "Sid" => sid = Some(text_of(place, &name, value)?.into()),
                "Effect" => effect = Some(parse_effect(place, text_of(place, &name, value)?)?),
                "Principal" | "NotPrincipal" => {
                    let entries = parse_principals(place, &name, value)?;
                    set_once(place, "Principal", &mut principals, Principals { not, entries })?;
                }
                "Action" | "NotAction" => {
                    let patterns =
                        texts_of(place, &name, value)?.iter().map(|text| ActionPattern::parse(text)).collect();
                    set_once(place, "Action", &mut actions, Listed { not, patterns })?;
                }
                "Resource" | "NotResource" => {
                    let pattern = |given: String| {
                        ArnPattern::parse(&given, variables).map_err(|_| ParseError::Variable { place, given })
                    };
                    let patterns = texts_of(place, &name, value)?.into_iter().map(pattern).collect::<Result<_, _>>()?;
                    set_once(place, "Resource", &mut resources, Listed { not, patterns })?;
                }
                "Condition" => conditions = parse_conditions(place, value, variables)?,
                _ => return Err(ParseError::UnknownElement { place, element: name }),
            }
        }
        let effect = effect.ok_or(ParseError::Missing { place, element: "Effect" })?;
        Ok(Statement { sid, effect, principals, actions, resources, conditions })
    }

    /// Whether the statement is about `action`.
    pub fn names_action(&self, action: &str) -> bool {
        self.actions.as_ref().is_some_and(|listed| listed.covers(|pattern| pattern.matches(action)))
    }
}

/// Sets what may be there once, negated or not.
fn set_once<T>(place: Place, element: &'static str, slot: &mut Option<T>, value: T) -> Result<(), ParseError> {
    match slot.replace(value) {
        None => Ok(()),
        Some(_) => Err(ParseError::Both { place, element }),
    }
}

fn parse_effect(place: Place, given: String) -> Result<Effect, ParseError> {
    match given.as_str() {
        "Allow" => Ok(Effect::Allow),
        "Deny" => Ok(Effect::Deny),
        _ => Err(ParseError::Effect { place, given }),
    }
}

fn parse_principals(place: Place, element: &str, json: Json) -> Result<Vec<Named>, ParseError> {
    let wrong = || type_error(place, element, "`\"*\"`, or an object such as `{\"AWS\": …}`");
    let members = match json {
        Json::Text(text) if text == "*" => return Ok(vec![Named::aws("*")]),
        Json::Object(members) => members,
        _ => return Err(wrong()),
    };
    let mut entries = Vec::new();
    for (kind, value) in members {
        let form: fn(&str) -> Named = match kind.as_str() {
            "AWS" => Named::aws,
            "Service" => Named::service,
            "Federated" => |text| Named { form: Form::Federated, text: text.into() },
            "CanonicalUser" => |text| Named { form: Form::CanonicalUser, text: text.into() },
            _ => return Err(ParseError::UnknownElement { place, element: format!("{element}.{kind}") }),
        };
        let texts = texts_of(place, &format!("{element}.{kind}"), value)?;
        entries.extend(texts.iter().map(|text| form(text)));
    }
    Ok(entries)
}

fn parse_conditions(place: Place, json: Json, variables: bool) -> Result<Vec<Condition>, ParseError> {
    let mut conditions = Vec::new();
    for (name, keys) in members(place, "Condition", json)? {
        let operator = Operator::parse(&name).ok_or_else(|| ParseError::Operator { place, given: name.clone() })?;
        for (key, values) in members(place, &name, keys)? {
            let values = scalars_of(place, &key, values)?;
            let values: Vec<&str> = values.iter().map(String::as_str).collect();
            let condition = Condition::parse(operator.clone(), &key, &values, variables);
            conditions.push(condition.map_err(|bad| ParseError::Operand {
                place,
                operator: name.clone(),
                key: key.clone(),
                given: values[bad.index].to_owned(),
                expected: bad.expected,
            })?);
        }
    }
    Ok(conditions)
}

fn type_error(place: Place, element: &str, expected: &'static str) -> ParseError {
    ParseError::Type { place, element: element.to_owned(), expected }
}

fn members(place: Place, element: &str, json: Json) -> Result<Vec<(String, Json)>, ParseError> {
    match json {
        Json::Object(members) => Ok(members),
        _ => Err(type_error(place, element, "an object")),
    }
}

fn text_of(place: Place, element: &str, json: Json) -> Result<String, ParseError> {
    match json {
        Json::Text(text) => Ok(text),
        _ => Err(type_error(place, element, "a string")),
    }
}

/// One string or a list of strings.
fn texts_of(place: Place, element: &str, json: Json) -> Result<Vec<String>, ParseError> {
    let text = |json| match json {
        Json::Text(text) => Ok(text),
        _ => Err(type_error(place, element, "a string or a list of strings")),
    };
    match json {
        Json::List(list) => list.into_iter().map(text).collect(),
        one => Ok(vec![text(one)?]),
    }
}

/// One value or a list of values, as text: strings, and also numbers and truth values, which AWS takes unquoted.
fn scalars_of(place: Place, element: &str, json: Json) -> Result<Vec<String>, ParseError> {
    let scalar = |json| match json {
        Json::Text(text) | Json::Number(text) => Ok(text),
        Json::Bool(value) => Ok(value.to_string()),
        Json::Null | Json::List(_) | Json::Object(_) => {
            Err(type_error(place, element, "a string, number or truth value, or a list of them"))
        }
    };
    match json {
        Json::List(list) => list.into_iter().map(scalar).collect(),
        one => Ok(vec![scalar(one)?]),
    }
}
