//! Conditions: an operator, a condition key, and the values that the policy gives for it.
//!
//! All conditions of a statement must hold. Of the values of one condition any may match, and for a negated operator none.
//! Where the request does not have the key, a condition does not hold, except that a negated operator does, `…IfExists` does,
//! `ForAllValues:` does, and `Null` asks for just that.
//! Source: IAM User Guide, "Condition operators" and "Set operators for multivalued context keys".

use std::cmp::Ordering;
use std::fmt;

use api::Timestamp;

use crate::arn::ArnPattern;
use crate::context::{Buffer, Context, Value};
use crate::glob::Case;
use crate::operand::{self, Network};
use crate::variable::{Reading, Template};

/// One condition of a statement.
#[derive(Debug, Clone, PartialEq)]
pub struct Condition {
    operator: Operator,
    key: Box<str>,
    /// The key as a [`Context`] is asked for it.
    key_lower: Box<str>,
    /// The values as the policy has them.
    written: Vec<Box<str>>,
    operands: Operands,
}

/// An operator of a condition block: `ForAnyValue:StringNotLikeIfExists` taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operator {
    /// As the policy has it.
    written: Box<str>,
    /// How the values of a multivalued key count.
    pub qualifier: Option<Qualifier>,
    /// What is compared, without negation.
    test: Test,
    /// Whether the request's value must be none of the policy's values.
    pub negated: bool,
    /// Whether the condition holds where the key is absent.
    pub if_exists: bool,
}

/// How the values of a multivalued key count together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Qualifier {
    /// `ForAnyValue:`: at least one value must do; none present, none does.
    AnyValue,
    /// `ForAllValues:`: every value must do; none present, all do.
    AllValues,
}

/// What an operator compares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Test {
    StringEquals(Case),
    StringLike,
    Number(Comparison),
    Date(Comparison),
    Bool,
    Binary,
    Address,
    /// `ArnEquals` and `ArnLike`, which are the same.
    Arn,
    Null,
}

/// How the request's value stands to the policy's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Comparison {
    Equal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

/// The policy's values, as the operator compares them.
#[derive(Debug, Clone, PartialEq)]
enum Operands {
    Text(Vec<Template>, Case),
    Arn(Vec<ArnPattern>),
    Number(Vec<f64>, Comparison),
    Date(Vec<Timestamp>, Comparison),
    Bool(Vec<bool>),
    Binary(Vec<Vec<u8>>),
    Address(Vec<Network>),
    Null(Vec<bool>),
}

/// A value that its operator cannot compare, and what it should have been.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BadOperand {
    /// Which of the values.
    pub(crate) index: usize,
    /// A noun phrase.
    pub(crate) expected: &'static str,
}

impl Operator {
    /// Reads an operator's name, in any case; `None` where there is no such operator.
    pub(crate) fn parse(written: &str) -> Option<Operator> {
        let (qualifier, rest) = match written.split_once(':') {
            None => (None, written),
            Some((word, rest)) if word.eq_ignore_ascii_case("ForAnyValue") => (Some(Qualifier::AnyValue), rest),
            Some((word, rest)) if word.eq_ignore_ascii_case("ForAllValues") => (Some(Qualifier::AllValues), rest),
            Some(_) => return None,
        };
        let name = rest.to_ascii_lowercase();
        let (name, if_exists) = match name.strip_suffix("ifexists") {
            Some(name) => (name, true),
            None => (name.as_str(), false),
        };
        let (test, negated) = Test::named(name)?;
        let sensible = !(test == Test::Null && (if_exists || qualifier.is_some()));
        sensible.then(|| Operator { written: written.into(), qualifier, test, negated, if_exists })
    }

    /// The operator as the policy has it.
    pub fn as_str(&self) -> &str {
        &self.written
    }

    /// Whether the condition says what the key's value is, so that an absent key or any other value fails it.
    pub(crate) fn confines(&self) -> bool {
        let compares_text = matches!(self.test, Test::StringEquals(_) | Test::StringLike | Test::Arn);
        compares_text && !self.negated && !self.if_exists && self.qualifier != Some(Qualifier::AllValues)
    }
}

impl Test {
    /// The test of an operator's bare name in lower case, and whether it is negated.
    fn named(name: &str) -> Option<(Test, bool)> {
        use Comparison::{Equal, Greater, GreaterOrEqual, Less, LessOrEqual};
        Some(match name {
            "stringequals" => (Test::StringEquals(Case::Exact), false),
            "stringnotequals" => (Test::StringEquals(Case::Exact), true),
            "stringequalsignorecase" => (Test::StringEquals(Case::Ignore), false),
            "stringnotequalsignorecase" => (Test::StringEquals(Case::Ignore), true),
            "stringlike" => (Test::StringLike, false),
            "stringnotlike" => (Test::StringLike, true),
            "numericequals" => (Test::Number(Equal), false),
            "numericnotequals" => (Test::Number(Equal), true),
            "numericlessthan" => (Test::Number(Less), false),
            "numericlessthanequals" => (Test::Number(LessOrEqual), false),
            "numericgreaterthan" => (Test::Number(Greater), false),
            "numericgreaterthanequals" => (Test::Number(GreaterOrEqual), false),
            "dateequals" => (Test::Date(Equal), false),
            "datenotequals" => (Test::Date(Equal), true),
            "datelessthan" => (Test::Date(Less), false),
            "datelessthanequals" => (Test::Date(LessOrEqual), false),
            "dategreaterthan" => (Test::Date(Greater), false),
            "dategreaterthanequals" => (Test::Date(GreaterOrEqual), false),
            "bool" => (Test::Bool, false),
            "binaryequals" => (Test::Binary, false),
            "ipaddress" => (Test::Address, false),
            "notipaddress" => (Test::Address, true),
            "arnequals" | "arnlike" => (Test::Arn, false),
            "arnnotequals" | "arnnotlike" => (Test::Arn, true),
            "null" => (Test::Null, false),
            _ => return None,
        })
    }
}

impl Comparison {
    fn holds(self, found: Ordering) -> bool {
        match self {
            Comparison::Equal => found.is_eq(),
            Comparison::Less => found.is_lt(),
            Comparison::LessOrEqual => found.is_le(),
            Comparison::Greater => found.is_gt(),
            Comparison::GreaterOrEqual => found.is_ge(),
        }
    }
}

impl Operands {
    /// Reads the policy's values for `test`; `variables` as the document's version has them.
    fn parse(test: Test, values: &[&str], variables: bool) -> Result<Operands, BadOperand> {
        let texts = |wildcards| {
            each(values, "a text in which `${` begins a variable", |text| {
                Template::parse(text, Reading { wildcards, variables }).ok()
            })
        };
        Ok(match test {
            Test::StringEquals(case) => Operands::Text(texts(false)?, case),
            Test::StringLike => Operands::Text(texts(true)?, Case::Exact),
            Test::Arn => Operands::Arn(each(values, "an ARN in which `${` begins a variable", |text| {
                ArnPattern::parse(text, variables).ok()
            })?),
            Test::Number(comparison) => Operands::Number(each(values, "a number", operand::number)?, comparison),
            Test::Date(comparison) => {
                let expected = "a date such as `2026-01-31T00:00:00Z`, or epoch seconds";
                Operands::Date(each(values, expected, operand::date)?, comparison)
            }
            Test::Bool => Operands::Bool(each(values, "`true` or `false`", operand::boolean)?),
            Test::Binary => Operands::Binary(each(values, "base64", operand::binary)?),
            Test::Address => Operands::Address(each(values, "an IP address or range", Network::parse)?),
            Test::Null => Operands::Null(each(values, "`true` or `false`", operand::boolean)?),
        })
    }

    /// Whether the request's `value` is as one of the policy's values says, negation aside.
    fn match_any(&self, value: &Value<'_>, context: &dyn Context) -> bool {
        match self {
            Operands::Text(templates, case) => {
                let mut buffer = Buffer::new();
                let text = value.text(&mut buffer);
                templates.iter().any(|template| template.matches(text, *case, context))
            }
            Operands::Arn(patterns) => {
                let mut buffer = Buffer::new();
                let text = value.text(&mut buffer);
                patterns.iter().any(|pattern| pattern.matches(text, context))
            }
            Operands::Number(numbers, comparison) => operand::number_of(value).is_some_and(|found| {
                numbers.iter().any(|wanted| found.partial_cmp(wanted).is_some_and(|order| comparison.holds(order)))
            }),
            Operands::Date(dates, comparison) => operand::date_of(value)
                .is_some_and(|found| dates.iter().any(|wanted| comparison.holds(found.cmp(wanted)))),
            Operands::Bool(wanted) => operand::boolean_of(value).is_some_and(|found| wanted.contains(&found)),
            Operands::Binary(wanted) => operand::binary_of(value).is_some_and(|found| wanted.contains(&found)),
            Operands::Address(ranges) => {
                operand::address_of(value).is_some_and(|found| ranges.iter().any(|range| range.contains(found)))
            }
            // The key is there, so `Null` holds where the policy says `false`.
            Operands::Null(wanted) => wanted.contains(&false),
        }
    }
}

/// Reads each value, or names the first that does not read.
fn each<T>(values: &[&str], expected: &'static str, read: impl Fn(&str) -> Option<T>) -> Result<Vec<T>, BadOperand> {
    let read = |(index, text): (usize, &&str)| read(text).ok_or(BadOperand { index, expected });
    values.iter().enumerate().map(read).collect()
}

impl Condition {
    pub(crate) fn parse(
        operator: Operator,
        key: &str,
        values: &[&str],
        variables: bool,
    ) -> Result<Condition, BadOperand> {
        let operands = Operands::parse(operator.test, values, variables)?;
        let written = values.iter().map(|text| (*text).into()).collect();
        Ok(Condition { operator, key: key.into(), key_lower: key.to_ascii_lowercase().into(), written, operands })
    }

    /// The operator.
    pub fn operator(&self) -> &Operator {
        &self.operator
    }

    /// The condition key as the policy has it.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// The policy's values as it has them.
    pub fn values(&self) -> impl Iterator<Item = &str> {
        self.written.iter().map(|text| &**text)
    }

    /// Whether the condition holds in `context`.
    ///
    /// A multivalued key under an operator without `ForAnyValue:` or `ForAllValues:` is outside AWS's rules; here the condition
    /// holds where any value matches, and for a negated operator where none does.
    pub fn holds(&self, context: &dyn Context) -> bool {
        let found = context.values(&self.key_lower);
        let found = found.as_slice();
        let Operator { qualifier, negated, if_exists, .. } = self.operator;
        let fits = |value: &Value<'_>| self.operands.match_any(value, context) != negated;
        match (&self.operands, found) {
            (Operands::Null(wanted), []) => wanted.contains(&true),
            (_, []) => match qualifier {
                None => negated || if_exists,
                Some(Qualifier::AllValues) => true,
                // Also with `IfExists`: AWS was seen to ask `ForAnyValue:` first, which fails where there is no value, though
                // its documentation of `IfExists` alone reads otherwise.
                Some(Qualifier::AnyValue) => false,
            },
            (_, found) => match qualifier {
                Some(Qualifier::AnyValue) => found.iter().any(fits),
                Some(Qualifier::AllValues) => found.iter().all(fits),
                None if negated => found.iter().all(fits),
                None => found.iter().any(fits),
            },
        }
    }
}

impl fmt::Display for Condition {
    /// As a line of a report: ``StringEquals kms:ViaService `rds.eu-west-1.amazonaws.com` or `s3.eu-west-1.amazonaws.com` ``.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} {}", self.operator.written, self.key)?;
        for (nth, value) in self.written.iter().enumerate() {
            write!(out, "{} `{value}`", if nth == 0 { "" } else { " or" })?;
        }
        Ok(())
    }
}
