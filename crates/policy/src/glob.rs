//! Wildcard patterns: `*` stands for any characters, none included, and `?` for exactly one.
//!
//! A pattern is a list of pieces in which literal text and wildcards are different things, so a `*` that came from a
//! variable's value can never act as a wildcard. Matching walks pattern and text with two positions and goes back to the
//! last `*` only: no regular expressions, and at worst pattern length times text length.

/// Whether letters of different case are the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Case {
    /// `A` is not `a`.
    Exact,
    /// `A` is `a`: actions, and the `…IgnoreCase` operators.
    Ignore,
}

/// One piece of a pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Piece {
    /// Exactly this text.
    Literal(String),
    /// `?`: exactly one character.
    One,
    /// `*`: any characters, or none.
    Many,
}

/// Splits `text` at its wildcards; neighbours of one kind are merged.
pub(crate) fn pieces(text: &str) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find(['*', '?']) {
        push_literal(&mut pieces, &rest[..at]);
        if rest.as_bytes()[at] == b'*' {
            push_many(&mut pieces);
        } else {
            pieces.push(Piece::One);
        }
        rest = &rest[at + 1..];
    }
    push_literal(&mut pieces, rest);
    pieces
}

/// Adds literal text, joined to literal text before it.
pub(crate) fn push_literal(pieces: &mut Vec<Piece>, text: &str) {
    if text.is_empty() {
        return;
    }
    if let Some(Piece::Literal(before)) = pieces.last_mut() {
        before.push_str(text);
    } else {
        pieces.push(Piece::Literal(text.to_owned()));
    }
}

/// Adds a `*`; two in a row mean no more than one.
fn push_many(pieces: &mut Vec<Piece>) {
    if pieces.last() != Some(&Piece::Many) {
        pieces.push(Piece::Many);
    }
}

/// Whether the whole of `text` is as `pieces` say.
pub(crate) fn matches(pieces: &[Piece], text: &str, case: Case) -> bool {
    let (mut piece, mut at) = (0, 0);
    // Where to go on when a literal fails: the piece after the last `*`, and how much text that `*` has taken so far.
    let mut retry: Option<(usize, usize)> = None;
    loop {
        let taken = match pieces.get(piece) {
            Some(Piece::Many) if piece + 1 == pieces.len() => return true,
            Some(Piece::Many) => {
                retry = Some((piece + 1, at));
                Some(0)
            }
            Some(Piece::One) => text[at..].chars().next().map(char::len_utf8),
            Some(Piece::Literal(literal)) => starts_with(&text[at..], literal, case),
            None if at == text.len() => return true,
            None => None,
        };
        match (taken, retry) {
            (Some(taken), _) => {
                piece += 1;
                at += taken;
            }
            (None, None) => return false,
            (None, Some((after, from))) => {
                let Some(next) = text[from..].chars().next() else { return false };
                retry = Some((after, from + next.len_utf8()));
                (piece, at) = (after, from + next.len_utf8());
            }
        }
    }
}

/// How many bytes of `text` the literal takes, if `text` begins with it.
fn starts_with(text: &str, literal: &str, case: Case) -> Option<usize> {
    match case {
        Case::Exact => text.starts_with(literal).then_some(literal.len()),
        Case::Ignore => {
            let mut rest = text.chars();
            literal
                .chars()
                .all(|wanted| rest.next().is_some_and(|found| same_letter(wanted, found)))
                .then(|| text.len() - rest.as_str().len())
        }
    }
}

/// Whether two characters differ in case only.
fn same_letter(one: char, other: char) -> bool {
    one.eq_ignore_ascii_case(&other)
        || (!one.is_ascii() && !other.is_ascii() && one.to_lowercase().eq(other.to_lowercase()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The definition: the same question asked of every way to split the text.
    fn naive(pattern: &[char], text: &[char]) -> bool {
        match (pattern.split_first(), text.split_first()) {
            (None, rest) => rest.is_none(),
            (Some(('*', after)), _) => (0..=text.len()).any(|taken| naive(after, &text[taken..])),
            (Some((_, _)), None) => false,
            (Some(('?', after)), Some((_, rest))) => naive(after, rest),
            (Some((wanted, after)), Some((found, rest))) => wanted == found && naive(after, rest),
        }
    }

    #[test]
    fn patterns_match_as_written() {
        for (pattern, text, expected) in [
            ("", "", true),
            ("", "a", false),
            ("*", "", true),
            ("?", "", false),
            ("?", "ä", true),
            ("*?", "日", true),
            ("kms:*", "kms:Decrypt", true),
            ("kms:*", "kms", false),
            ("kms:Re*To", "kms:ReEncryptTo", true),
            ("kms:Re*To", "kms:ReEncryptFrom", false),
            ("*aab", "aaaaab", true),
            ("a**b", "ab", true),
            ("*/prod/*", "x/prod/y", true),
        ] {
            assert_eq!(matches(&pieces(pattern), text, Case::Exact), expected, "{pattern} {text}");
        }
        assert!(matches(&pieces("KMS:dec*"), "kms:Decrypt", Case::Ignore));
        assert!(matches(&pieces("ÄRGER"), "ärger", Case::Ignore));
        assert!(!matches(&pieces("KMS:dec*"), "kms:Decrypt", Case::Exact));
    }

    proptest! {
        #[test]
        fn agrees_with_the_definition(pattern in "[ab?*é]{0,8}", text in "[abé]{0,10}") {
            let expected = naive(&pattern.chars().collect::<Vec<_>>(), &text.chars().collect::<Vec<_>>());
            prop_assert_eq!(matches(&pieces(&pattern), &text, Case::Exact), expected);
            prop_assert_eq!(matches(&pieces(&pattern.to_uppercase()), &text, Case::Ignore), expected);
        }
    }
}
