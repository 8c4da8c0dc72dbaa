//! Patterns of ARNs, compared segment by segment.
//!
//! An ARN has six segments; the last holds all that is left, colons included. A wildcard stands for characters of its own
//! segment only, so `arn:aws:iam::*:role/x` never reaches into the resource. A pattern of fewer segments takes anything in
//! those that are missing, and a lone `*` takes any resource.
//! Source: IAM User Guide, "IAM JSON policy elements: Resource" (wildcards, incomplete ARNs) and "Condition operators" (ARN).

use crate::context::Context;
use crate::glob::Case;
use crate::variable::{BadVariable, Reading, Template};

/// Segments of an ARN: `arn`, partition, service, Region, account, resource.
const SEGMENTS: usize = 6;

/// A pattern of ARNs, as `Resource` and the ARN operators have them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArnPattern {
    written: Box<str>,
    shape: Shape,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Shape {
    /// `*` alone.
    Any,
    /// 1 to 6 segments.
    Segments(Vec<Template>),
}

impl ArnPattern {
    pub(crate) fn parse(text: &str, variables: bool) -> Result<ArnPattern, BadVariable> {
        let template = Template::parse(text, Reading { wildcards: true, variables })?;
        let shape = if template.is_any() { Shape::Any } else { Shape::Segments(template.split_at_colons(SEGMENTS)) };
        Ok(ArnPattern { written: text.into(), shape })
    }

    /// The pattern as the policy has it.
    pub fn as_str(&self) -> &str {
        &self.written
    }

    /// Whether this is `*`, or looks like an ARN: what AWS takes for a resource.
    pub fn is_well_formed(&self) -> bool {
        matches!(self.shape, Shape::Any) || self.written.starts_with("arn:")
    }

    /// Whether `arn` is as the pattern says.
    pub fn matches(&self, arn: &str, context: &dyn Context) -> bool {
        let segments = match &self.shape {
            Shape::Any => return true,
            Shape::Segments(segments) => segments,
        };
        let mut found = arn.splitn(SEGMENTS, ':');
        let all =
            segments.iter().all(|wanted| found.next().is_some_and(|text| wanted.matches(text, Case::Exact, context)));
        // What the pattern leaves open must still be an ARN's.
        all && found.count() == SEGMENTS - segments.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::context::Facts;

    fn matches(pattern: &str, arn: &str) -> bool {
        let facts = Facts::new().with("aws:username", "ann").with("aws:userid", "role/a:b");
        ArnPattern::parse(pattern, true).unwrap().matches(arn, &facts)
    }

    #[test]
    fn segments_are_compared_one_by_one() {
        let role = "arn:aws:iam::111122223333:role/app";
        for (pattern, expected) in [
            ("*", true),
            ("arn:aws:iam::111122223333:role/app", true),
            ("arn:aws:iam::*:role/*", true),
            ("arn:aws:iam::11112222????:role/app", true),
            ("arn:*:role/app", false),
            ("arn:aws:iam::*role/app", false),
            ("arn:aws:iam:*:role/app", false),
            ("arn:aws:iam", true),
            ("arn:aws:iam::111122223333", true),
            ("arn:aws:kms", false),
            ("role/app", false),
            ("arn:aws:iam::111122223333:role/App", false),
        ] {
            assert_eq!(matches(pattern, role), expected, "{pattern}");
        }
    }

    #[test]
    fn the_last_segment_holds_colons() {
        assert!(matches(
            "arn:aws:logs:*:*:log-group:x:*",
            "arn:aws:logs:eu-west-1:111122223333:log-group:x:log-stream:y"
        ));
        assert!(matches("arn:aws:logs:*:*:log-group:*", "arn:aws:logs:eu-west-1:111122223333:log-group:x:y"));
    }

    #[test]
    fn variables_stay_in_their_segment() {
        assert!(matches("arn:aws:iam::1:user/${aws:username}", "arn:aws:iam::1:user/ann"));
        assert!(matches("arn:aws:iam::1:${aws:userid}", "arn:aws:iam::1:role/a:b"));
        assert!(!matches("arn:aws:iam::1:user/${aws:PrincipalTag/x}", "arn:aws:iam::1:user/"));
    }

    #[test]
    fn what_is_no_arn_matches_only_the_star() {
        assert!(matches("*", "key"));
        assert!(!matches("arn:aws:kms", "arn:aws:kms"));
        assert!(!matches("key", "key"));
    }
}
