//! Text of a policy in which variables stand: `${aws:username}`, `${aws:PrincipalTag/team, 'none'}`, `${*}`.
//!
//! A variable's value is always literal text, whatever characters are in it. A variable without a value and without a default
//! is equal to nothing and like nothing, so the text that holds it matches nothing.
//! Source: IAM User Guide, "IAM policy elements: Variables and tags", also "Policy variables with no value".

use std::borrow::Cow;

use crate::context::{Buffer, Context};
use crate::glob::{self, Case, Piece};

/// How a policy's text is to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Reading {
    /// Whether `*` and `?` are wildcards, or characters like any other.
    pub(crate) wildcards: bool,
    /// Whether `${…}` is a variable: since Version 2012-10-17, and only in some places.
    pub(crate) variables: bool,
}

/// A `${` that begins no variable: not closed, without a name, or with a default that is not in single quotes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BadVariable;

/// Text with wildcards and variables, ready to be compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Template {
    parts: Vec<Part>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    /// Text and wildcards; never two such parts in a row.
    Fixed(Vec<Piece>),
    /// A variable: its condition key in lower case, and what stands for it where the key is absent.
    Variable { key: Box<str>, default: Option<Box<str>> },
}

impl Template {
    /// Reads `text` as `reading` says.
    pub(crate) fn parse(text: &str, reading: Reading) -> Result<Template, BadVariable> {
        let mut template = Template { parts: Vec::new() };
        let mut rest = text;
        while let Some(at) = rest.find("${").filter(|_| reading.variables) {
            template.push_text(&rest[..at], reading);
            let end = at + end_of_variable(&rest[at..]).ok_or(BadVariable)?;
            template.push_variable(&rest[at + 2..end])?;
            rest = &rest[end + 1..];
        }
        template.push_text(rest, reading);
        Ok(template)
    }

    /// Whether the whole of `text` is as this says, with variables from `context`.
    pub(crate) fn matches(&self, text: &str, case: Case, context: &dyn Context) -> bool {
        match self.parts.as_slice() {
            [] => text.is_empty(),
            [Part::Fixed(pieces)] => glob::matches(pieces, text, case),
            parts => resolve(parts, context).is_some_and(|pieces| glob::matches(&pieces, text, case)),
        }
    }

    /// Whether this is a lone `*`, which matches whatever there is.
    pub(crate) fn is_any(&self) -> bool {
        matches!(self.parts.as_slice(), [Part::Fixed(pieces)] if pieces.as_slice() == [Piece::Many])
    }

    /// Cuts at each `:` of the policy's own text, into `limit` segments at most; colons inside variables do not count.
    pub(crate) fn split_at_colons(self, limit: usize) -> Vec<Template> {
        let mut segments = vec![Template { parts: Vec::new() }];
        for part in self.parts {
            let pieces = match part {
                Part::Fixed(pieces) => pieces,
                variable @ Part::Variable { .. } => {
                    last(&mut segments).parts.push(variable);
                    continue;
                }
            };
            for piece in pieces {
                let Piece::Literal(literal) = piece else {
                    last(&mut segments).fixed().push(piece);
                    continue;
                };
                for (nth, text) in literal.splitn(limit - segments.len() + 1, ':').enumerate() {
                    if nth > 0 {
                        segments.push(Template { parts: Vec::new() });
                    }
                    if !text.is_empty() {
                        glob::push_literal(last(&mut segments).fixed(), text);
                    }
                }
            }
        }
        segments
    }

    fn push_text(&mut self, text: &str, reading: Reading) {
        if text.is_empty() {
            return;
        }
        if reading.wildcards {
            let pieces = glob::pieces(text);
            self.fixed().extend(pieces);
        } else {
            glob::push_literal(self.fixed(), text);
        }
    }

    /// Adds the variable whose inside, between `${` and `}`, is given.
    fn push_variable(&mut self, inside: &str) -> Result<(), BadVariable> {
        if matches!(inside, "*" | "?" | "$") {
            glob::push_literal(self.fixed(), inside);
            return Ok(());
        }
        let (key, default) = match inside.split_once(',') {
            None => (inside, None),
            Some((key, default)) => {
                let quoted = default.trim().strip_prefix('\'').and_then(|text| text.strip_suffix('\''));
                (key, Some(quoted.ok_or(BadVariable)?.into()))
            }
        };
        let key = key.trim();
        if key.is_empty() {
            return Err(BadVariable);
        }
        self.parts.push(Part::Variable { key: key.to_ascii_lowercase().into(), default });
        Ok(())
    }

    /// The pieces at the end, to add to.
    fn fixed(&mut self) -> &mut Vec<Piece> {
        if !matches!(self.parts.last(), Some(Part::Fixed(_))) {
            self.parts.push(Part::Fixed(Vec::new()));
        }
        match self.parts.last_mut() {
            Some(Part::Fixed(pieces)) => pieces,
            _ => unreachable!("a fixed part was just put at the end"),
        }
    }
}

fn last(segments: &mut [Template]) -> &mut Template {
    segments.last_mut().expect("there is one segment from the start")
}

/// Where the `}` of the variable is that `text` begins with; one inside a quoted default does not count.
fn end_of_variable(text: &str) -> Option<usize> {
    let mut quoted = false;
    text.bytes().position(|b| {
        quoted ^= b == b'\'';
        b == b'}' && !quoted
    })
}

/// The pieces with the variables' values in their places; `None` where one has no value.
fn resolve(parts: &[Part], context: &dyn Context) -> Option<Vec<Piece>> {
    let mut pieces = Vec::new();
    for part in parts {
        match part {
            Part::Fixed(fixed) => pieces.extend(fixed.iter().cloned()),
            Part::Variable { key, default } => {
                let value = value(key, context).or_else(|| default.as_deref().map(Cow::Borrowed))?;
                pieces.push(Piece::Literal(value.into_owned()));
            }
        }
    }
    Some(pieces)
}

/// The text of a single-valued key; a multivalued key cannot be a variable.
fn value<'c>(key: &str, context: &'c dyn Context) -> Option<Cow<'c, str>> {
    let value = context.values(key).single()?;
    Some(Cow::Owned(value.text(&mut Buffer::new()).to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::context::{Facts, Values};

    const LIKE: Reading = Reading { wildcards: true, variables: true };

    fn matches(pattern: &str, text: &str) -> bool {
        let facts = Facts::new()
            .with("aws:username", "ann")
            .with("aws:userid", "*")
            .with("aws:TagKeys", ["one"].into_iter().collect::<Values>());
        Template::parse(pattern, LIKE).unwrap().matches(text, Case::Exact, &facts)
    }

    #[test]
    fn variables_are_replaced_by_their_values() {
        assert!(matches("home/${aws:username}/*", "home/ann/a"));
        assert!(matches("${AWS:UserName}", "ann"));
        assert!(matches("${aws:username}${aws:username}", "annann"));
        assert!(!matches("home/${aws:username}/*", "home/bob/a"));
    }

    #[test]
    fn a_value_is_never_a_wildcard() {
        assert!(matches("home/${aws:userid}", "home/*"));
        assert!(!matches("home/${aws:userid}", "home/ann"));
    }

    #[test]
    fn a_missing_value_matches_nothing_but_its_default() {
        assert!(!matches("${aws:PrincipalTag/team}", ""));
        assert!(!matches("*${aws:PrincipalTag/team}*", "anything"));
        assert!(matches("${aws:PrincipalTag/team, 'none'}", "none"));
        assert!(matches("${aws:PrincipalTag/team,''}x", "x"));
        assert!(matches("${aws:PrincipalTag/team, 'a}*'}", "a}*"));
        assert!(!matches("${aws:PrincipalTag/team, '*'}", "anything"));
        assert!(matches("${aws:username, 'none'}", "ann"));
    }

    #[test]
    fn a_multivalued_key_is_no_variable() {
        assert!(!matches("${aws:TagKeys}", "one"));
    }

    #[test]
    fn escapes_are_the_character_itself() {
        assert!(matches("a${*}b${?}c${$}", "a*b?c$"));
        assert!(!matches("a${*}", "ab"));
        assert!(matches("a${*}*", "a*b"));
    }

    #[test]
    fn what_is_no_variable_is_refused() {
        for text in ["${", "a${b", "${}", "${ }", "${a, b}", "${a, 'b}", "${,'a'}"] {
            assert_eq!(Template::parse(text, LIKE), Err(BadVariable), "{text}");
        }
        let literal = Reading { wildcards: false, variables: false };
        assert!(Template::parse("${", literal).unwrap().matches("${", Case::Exact, &Facts::new()));
    }
}
