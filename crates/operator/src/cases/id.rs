//! The name of a case: `QC-2026-0001`.

use std::fmt;
use std::str::FromStr;

/// A case by name: `QC-`, the year it was opened in, and its number in that year with at least four digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CaseId {
    /// The year, in UTC: 2000 to 9999.
    pub year: u16,
    /// From 1.
    pub number: u32,
}

impl fmt::Display for CaseId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "QC-{:04}-{:04}", self.year, self.number)
    }
}

/// A text that is no case's name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{given}` is not a case `QC-<year>-<number>`, such as `QC-2026-0001`")]
pub struct InvalidCaseId {
    /// The text as given.
    pub given: String,
}

impl FromStr for CaseId {
    type Err = InvalidCaseId;

    fn from_str(text: &str) -> Result<CaseId, InvalidCaseId> {
        let read = || {
            let (year, number) = text.strip_prefix("QC-")?.split_once('-')?;
            let id = CaseId { year: year.parse().ok()?, number: number.parse().ok()? };
            // One spelling for each: a folder name must lead to the same id and back.
            (id.year >= 2000 && id.number >= 1 && id.to_string() == text).then_some(id)
        };
        read().ok_or_else(|| InvalidCaseId { given: text.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_case_has_one_spelling() {
        for text in ["QC-2026-0001", "QC-2026-12345"] {
            assert_eq!(text.parse::<CaseId>().unwrap().to_string(), text);
        }
        for text in ["QC-2026-1", "QC-2026-0000", "QC-26-0001", "qc-2026-0001", "QC-2026-+001", "../QC-2026-0001", ""] {
            assert!(text.parse::<CaseId>().is_err(), "{text}");
        }
    }
}
