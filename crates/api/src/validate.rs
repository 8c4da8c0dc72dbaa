//! Reading a JSON request the way AWS does: unknown members are ignored, wrong types are a SerializationException, and every
//! broken constraint is named in one ValidationException.
//!
//! Source of the texts: recorded answers (`1 validation error detected: Value … failed to satisfy constraint: …`).

use std::borrow::Cow;
use std::cell::RefCell;
use std::fmt;
use std::ops::RangeInclusive;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, Visitor};
use serde_json::value::RawValue;
use zeroize::Zeroizing;

use crate::{Fault, Timestamp, Word};

/// Most members of one JSON object; the largest request of KMS has 11, an encryption context or a list of tags fits well.
const MAX_MEMBERS: usize = 1024;

/// The members of a request's JSON object, in their order, values not yet parsed: nothing of the body is copied.
#[derive(Debug, Default)]
pub struct Fields<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'a> Fields<'a> {
    /// Splits a body into members. An empty body is an object without members.
    ///
    /// # Errors
    /// SerializationException where the body is not one JSON object of at most 1024 members.
    pub fn parse(body: &'a [u8]) -> Result<Fields<'a>, Fault> {
        if body.is_empty() {
            return Ok(Fields::default());
        }
        serde_json::from_slice(body).map_err(|_| Fault::bare("SerializationException"))
    }

    /// The raw JSON of `name`; of several the last, as AWS reads it. A JSON null is an absent member.
    pub fn raw(&self, name: &str) -> Option<&'a RawValue> {
        let value = self.0.iter().rev().find(|(member, _)| member == name)?.1;
        (value.get() != "null").then_some(value)
    }

    /// All members in the order of the request, each name once: of several the last, as AWS reads it.
    pub fn members(&self) -> impl Iterator<Item = (&str, &'a RawValue)> {
        let is_last = |at: usize| !self.0[at + 1..].iter().any(|(later, _)| *later == self.0[at].0);
        (0..self.0.len()).filter(move |at| is_last(*at)).map(|at| (self.0[at].0.as_ref(), self.0[at].1))
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Fields<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;

        impl<'de> Visitor<'de> for Members {
            type Value = Fields<'de>;

            fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str("an object")
            }

            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Fields<'de>, M::Error> {
                let mut members = Vec::new();
                while let Some(Text(name)) = map.next_key()? {
                    if members.len() == MAX_MEMBERS {
                        return Err(M::Error::custom("too many members"));
                    }
                    members.push((name, map.next_value()?));
                }
                Ok(Fields(members))
            }
        }

        deserializer.deserialize_map(Members)
    }
}

/// A JSON string, borrowed from the body where it holds no escape.
struct Text<'a>(Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Chars;

        impl<'de> Visitor<'de> for Chars {
            type Value = Text<'de>;

            fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str("a string")
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Borrowed(text)))
            }

            fn visit_str<E>(self, text: &str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }
        }

        deserializer.deserialize_str(Chars)
    }
}

/// A request that can be read from its members.
pub trait Request<'a>: Sized {
    /// Takes the members it knows from `reader`, which notes what is wrong with them.
    fn read(reader: &Reader<'_, 'a>) -> Self;

    /// Reads and checks a request.
    ///
    /// # Errors
    /// SerializationException for a wrong type, ValidationException naming every broken constraint.
    fn parse(fields: &Fields<'a>) -> Result<Self, Fault> {
        let reader = Reader { fields, within: String::new(), problems: RefCell::default() };
        let request = Self::read(&reader);
        reader.finish()?;
        Ok(request)
    }
}

/// Whether a member must be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presence {
    /// Its absence is a broken constraint.
    Required,
    /// It may be absent.
    Optional,
}

/// What a text must look like.
#[derive(Debug, Clone, Copy)]
pub struct Pattern {
    /// AWS's regular expression, for the error text.
    pub shown: &'static str,
    /// The same rule.
    pub accepts: fn(&str) -> bool,
}

#[derive(Debug, Default)]
struct Problems {
    wrong_type: Option<Fault>,
    broken: Vec<String>,
}

/// Hands out the members of a request and notes what is wrong with them.
#[derive(Debug)]
pub struct Reader<'f, 'a> {
    fields: &'f Fields<'a>,
    /// What leads to a member of a structure in the request: `constraints.`; empty for the request's own.
    within: String,
    problems: RefCell<Problems>,
}

/// `KeyId` as messages and CloudTrail spell it: `keyId`.
pub fn lower_first(name: &str) -> String {
    let mut lowered = name.to_owned();
    if let Some(first) = lowered.get_mut(..1) {
        first.make_ascii_lowercase();
    }
    lowered
}

impl<'a> Reader<'_, 'a> {
    fn finish(self) -> Result<(), Fault> {
        let problems = self.problems.into_inner();
        if let Some(fault) = problems.wrong_type {
            return Err(fault);
        }
        match problems.broken.as_slice() {
            [] => Ok(()),
            [one] => Err(Fault::validation(format!("1 validation error detected: {one}"))),
            many => Err(Fault::validation(format!("{} validation errors detected: {}", many.len(), many.join("; ")))),
        }
    }

    /// Notes a broken constraint of the member at `path`, which begins with the member's name.
    fn broken(&self, value: Option<&str>, path: &str, constraint: &str) {
        let path = format!("{}{}", self.within, lower_first(path));
        let shown = value.map(|value| format!(" '{value}'")).unwrap_or_default();
        let text = format!("Value{shown} at '{path}' failed to satisfy constraint: {constraint}");
        self.problems.borrow_mut().broken.push(text);
    }

    fn wrong_type(&self, raw: &RawValue, wanted: &str) {
        let found = match raw.get().as_bytes().first() {
            Some(b'"') => "STRING_VALUE",
            Some(b'{') => "START_OBJECT",
            Some(b'[') => "START_ARRAY",
            Some(b't') => "TRUE_VALUE",
            Some(b'f') => "FALSE_VALUE",
            _ => "NUMBER_VALUE",
        };
        let fault = Fault::new("SerializationException", format!("{found} can not be converted to {wanted}"));
        self.problems.borrow_mut().wrong_type.get_or_insert(fault);
    }

    /// The member, or nothing; its absence is noted where it is required.
    fn member(&self, name: &str, presence: Presence) -> Option<&'a RawValue> {
        let raw = self.fields.raw(name);
        if raw.is_none() && presence == Presence::Required {
            let path = format!("{}{}", self.within, lower_first(name));
            let text = format!("Value null at '{path}' failed to satisfy constraint: Member must not be null");
            self.problems.borrow_mut().broken.push(text);
        }
        raw
    }

    fn decode<T: Deserialize<'a>>(&self, raw: &'a RawValue, wanted: &str) -> Option<T> {
        let value = serde_json::from_str(raw.get()).ok();
        if value.is_none() {
            self.wrong_type(raw, wanted);
        }
        value
    }

    fn length(&self, value: Option<&str>, length: usize, path: &str, range: &RangeInclusive<usize>) {
        if length < *range.start() {
            let text = format!("Member must have length greater than or equal to {}", range.start());
            self.broken(value, path, &text);
        }
        if length > *range.end() {
            let text = format!("Member must have length less than or equal to {}", range.end());
            self.broken(value, path, &text);
        }
    }

    /// An optional text, its length in characters.
    pub fn text(&self, name: &str, lengths: RangeInclusive<usize>, pattern: Option<Pattern>) -> Option<Cow<'a, str>> {
        self.any_text(name, Presence::Optional, lengths, pattern)
    }

    /// A required text; empty where it is absent, which [`Request::parse`] then reports.
    pub fn required_text(&self, name: &str, lengths: RangeInclusive<usize>, pattern: Option<Pattern>) -> Cow<'a, str> {
        self.any_text(name, Presence::Required, lengths, pattern).unwrap_or_default()
    }

    /// An optional text that is not repeated in what is said of it.
    pub fn secret_text(
        &self,
        name: &str,
        lengths: RangeInclusive<usize>,
        pattern: Option<Pattern>,
    ) -> Option<Cow<'a, str>> {
        let Text(text) = self.decode(self.member(name, Presence::Optional)?, "a String")?;
        self.check_text(&text, None, name, &lengths, pattern);
        Some(text)
    }

    /// A required text that is not repeated in what is said of it.
    pub fn required_secret_text(
        &self,
        name: &str,
        lengths: RangeInclusive<usize>,
        pattern: Option<Pattern>,
    ) -> Option<Cow<'a, str>> {
        self.member(name, Presence::Required)?;
        self.secret_text(name, lengths, pattern)
    }

    fn any_text(
        &self,
        name: &str,
        presence: Presence,
        lengths: RangeInclusive<usize>,
        pattern: Option<Pattern>,
    ) -> Option<Cow<'a, str>> {
        let Text(text) = self.decode(self.member(name, presence)?, "a String")?;
        self.check_text(&text, Some(&text), name, &lengths, pattern);
        Some(text)
    }

    fn check_text(
        &self,
        text: &str,
        shown: Option<&str>,
        name: &str,
        lengths: &RangeInclusive<usize>,
        pattern: Option<Pattern>,
    ) {
        self.length(shown, text.chars().count(), name, lengths);
        if let Some(pattern) = pattern.filter(|pattern| !(pattern.accepts)(text)) {
            let rule = format!("Member must satisfy regular expression pattern: {}", pattern.shown);
            self.broken(shown, name, &rule);
        }
    }

    /// An optional text that must be one of `values`.
    pub fn choice(&self, name: &str, values: &[&'static str]) -> Option<&'static str> {
        self.any_choice(name, Presence::Optional, values).map(|at| values[at])
    }

    /// A required text that must be one of `values`; `None` is reported by [`Request::parse`].
    pub fn required_choice(&self, name: &str, values: &[&'static str]) -> Option<&'static str> {
        self.any_choice(name, Presence::Required, values).map(|at| values[at])
    }

    /// An optional value of an enumeration.
    pub fn word<T: Word>(&self, name: &str) -> Option<T> {
        self.any_choice(name, Presence::Optional, T::NAMES).map(|at| T::ALL[at])
    }

    /// A required value of an enumeration; some value where it is absent, which [`Request::parse`] then reports.
    pub fn required_word<T: Word>(&self, name: &str) -> T {
        self.any_choice(name, Presence::Required, T::NAMES).map_or(T::ALL[0], |at| T::ALL[at])
    }

    /// Which of `values` a text is.
    fn any_choice(&self, name: &str, presence: Presence, values: &[&'static str]) -> Option<usize> {
        let Text(text) = self.decode(self.member(name, presence)?, "a String")?;
        let chosen = values.iter().position(|value| *value == text);
        if chosen.is_none() {
            let rule = format!("Member must satisfy enum value set: [{}]", values.join(", "));
            self.broken(Some(&text), name, &rule);
        }
        chosen
    }

    /// A list of texts, each of which must be one of `values`.
    pub fn choices(&self, name: &str, presence: Presence, values: &[&'static str]) -> Vec<&'static str> {
        let mut chosen = Vec::new();
        let mut shown = Vec::new();
        for raw in self.items(name, presence, 0..=MAX_MEMBERS) {
            let Some(Text(text)) = self.decode(raw, "a String") else { continue };
            chosen.extend(values.iter().find(|value| **value == text));
            shown.push(text);
        }
        if chosen.len() < shown.len() {
            let rule = format!(
                "Member must satisfy constraint: [Member must satisfy enum value set: [{}]]",
                values.join(", ")
            );
            self.broken(Some(&format!("[{}]", shown.join(", "))), name, &rule);
        }
        chosen
    }

    /// An optional whole number.
    pub fn number(&self, name: &str, range: RangeInclusive<i64>) -> Option<i64> {
        let value: i64 = self.decode(self.member(name, Presence::Optional)?, "an Integer")?;
        if value < *range.start() {
            let text = format!("Member must have value greater than or equal to {}", range.start());
            self.broken(Some(&value.to_string()), name, &text);
        }
        if value > *range.end() {
            let text = format!("Member must have value less than or equal to {}", range.end());
            self.broken(Some(&value.to_string()), name, &text);
        }
        Some(value)
    }

    /// A switch; `false` where it is absent.
    pub fn flag(&self, name: &str) -> bool {
        self.member(name, Presence::Optional).and_then(|raw| self.decode(raw, "a Boolean")).unwrap_or(false)
    }

    /// A moment as epoch seconds, with a fraction or without.
    pub fn moment(&self, name: &str) -> Option<Timestamp> {
        let raw = self.member(name, Presence::Optional)?;
        let seconds: f64 = self.decode(raw, "a Timestamp")?;
        let moment =
            seconds.is_finite().then(|| Timestamp::from_millisecond((seconds * 1000.0).round() as i64).ok()).flatten();
        if moment.is_none() {
            self.wrong_type(raw, "a Timestamp");
        }
        moment
    }

    /// Optional bytes, base64 on the wire. Zeroized when dropped: they may be a plaintext.
    pub fn blob(&self, name: &str, lengths: RangeInclusive<usize>) -> Option<Zeroizing<Vec<u8>>> {
        self.any_blob(name, Presence::Optional, lengths)
    }

    /// Required bytes; empty where they are absent, which [`Request::parse`] then reports.
    pub fn required_blob(&self, name: &str, lengths: RangeInclusive<usize>) -> Zeroizing<Vec<u8>> {
        self.any_blob(name, Presence::Required, lengths).unwrap_or_default()
    }

    /// Required bytes that are a caller's own, and so never shown: not even their absence is. Recorded answers:
    /// `Value at 'plaintext' failed …`.
    pub fn required_secret(&self, name: &str, lengths: RangeInclusive<usize>) -> Zeroizing<Vec<u8>> {
        if !self.has(name) {
            self.broken(None, name, "Member must not be null");
            return Zeroizing::default();
        }
        self.any_blob(name, Presence::Optional, lengths).unwrap_or_default()
    }

    fn any_blob(&self, name: &str, presence: Presence, lengths: RangeInclusive<usize>) -> Option<Zeroizing<Vec<u8>>> {
        let raw = self.member(name, presence)?;
        let Text(text) = self.decode(raw, "a Blob")?;
        let Ok(bytes) = STANDARD.decode(text.as_bytes()).map(Zeroizing::new) else {
            self.wrong_type(raw, "a Blob");
            return None;
        };
        self.length(None, bytes.len(), name, &lengths);
        Some(bytes)
    }

    /// A map from text to text, in the order of the request; of a repeated key the last value.
    pub fn map(&self, name: &str) -> Vec<(Cow<'a, str>, Cow<'a, str>)> {
        let Some(raw) = self.member(name, Presence::Optional) else { return Vec::new() };
        let Some(fields) = self.decode::<Fields<'a>>(raw, "a Map") else { return Vec::new() };
        let mut pairs: Vec<(Cow<'a, str>, Cow<'a, str>)> = Vec::with_capacity(fields.0.len());
        for (key, value) in fields.0 {
            let Some(Text(value)) = self.decode(value, "a String") else { continue };
            match pairs.iter_mut().find(|(known, _)| *known == key) {
                Some(known) => known.1 = value,
                None => pairs.push((key, value)),
            }
        }
        pairs
    }

    /// A list of texts.
    pub fn texts(
        &self,
        name: &str,
        presence: Presence,
        counts: RangeInclusive<usize>,
        lengths: RangeInclusive<usize>,
    ) -> Vec<Cow<'a, str>> {
        let items: Vec<&'a RawValue> = self.items(name, presence, counts);
        let read = |(at, raw): (usize, &'a RawValue)| {
            let Text(text) = self.decode(raw, "a String")?;
            self.length(Some(&text), text.chars().count(), &format!("{name}.{}.member", at + 1), &lengths);
            Some(text)
        };
        items.into_iter().enumerate().filter_map(read).collect()
    }

    /// A structure with members of its own.
    pub fn structure<R: Request<'a>>(&self, name: &str) -> Option<R> {
        let fields: Fields<'a> = self.decode(self.member(name, Presence::Optional)?, "a Structure")?;
        let within = format!("{}{}.", self.within, lower_first(name));
        let reader = Reader { fields: &fields, within, problems: RefCell::default() };
        let read = R::read(&reader);
        let inner = reader.problems.into_inner();
        let mut problems = self.problems.borrow_mut();
        problems.broken.extend(inner.broken);
        if let Some(fault) = inner.wrong_type {
            problems.wrong_type.get_or_insert(fault);
        }
        Some(read)
    }

    /// A list of objects with two required texts each, such as tags: `(first, second)` by member name and length.
    pub fn pairs(
        &self,
        name: &str,
        presence: Presence,
        counts: RangeInclusive<usize>,
        members: [(&str, RangeInclusive<usize>); 2],
    ) -> Vec<(Cow<'a, str>, Cow<'a, str>)> {
        let path = lower_first(name);
        let read = |(at, raw): (usize, &'a RawValue)| {
            let fields: Fields<'a> = self.decode(raw, "a Structure")?;
            let mut found = members.iter().map(|(member, lengths)| {
                let path = format!("{path}.{}.member.{}", at + 1, lower_first(member));
                let Some(raw) = fields.raw(member) else {
                    let text = format!(
                        "Value null at '{}{path}' failed to satisfy constraint: Member must not be null",
                        self.within
                    );
                    self.problems.borrow_mut().broken.push(text);
                    return None;
                };
                let Text(text) = self.decode(raw, "a String")?;
                self.length(Some(&text), text.chars().count(), &path, lengths);
                Some(text)
            });
            let (first, second) = (found.next().flatten(), found.next().flatten());
            Some((first?, second?))
        };
        self.items(name, presence, counts).into_iter().enumerate().filter_map(read).collect()
    }

    fn items(&self, name: &str, presence: Presence, counts: RangeInclusive<usize>) -> Vec<&'a RawValue> {
        let Some(raw) = self.member(name, presence) else { return Vec::new() };
        let Some(items) = self.decode::<Vec<&'a RawValue>>(raw, "a List") else { return Vec::new() };
        self.length(Some(raw.get()), items.len(), name, &counts);
        items
    }

    /// Whether the member is there at all, whatever it holds.
    pub fn has(&self, name: &str) -> bool {
        self.fields.raw(name).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WORD: Pattern = Pattern { shown: "[a-z]+", accepts: |text| text.bytes().all(|b| b.is_ascii_lowercase()) };

    #[derive(Debug)]
    struct Sample<'a> {
        key: Cow<'a, str>,
        plaintext: Zeroizing<Vec<u8>>,
        tags: Vec<(Cow<'a, str>, Cow<'a, str>)>,
        context: Vec<(Cow<'a, str>, Cow<'a, str>)>,
    }

    impl<'a> Request<'a> for Sample<'a> {
        fn read(reader: &Reader<'_, 'a>) -> Sample<'a> {
            reader.number("Days", 1..=365);
            reader.choice("KeySpec", &["AES_256", "AES_128"]);
            reader.choices("Modifiers", Presence::Optional, &["ONE", "TWO"]);
            reader.flag("DryRun");
            reader.moment("StartTime");
            reader.text("Word", 1..=4, Some(WORD));
            reader.texts("GrantTokens", Presence::Optional, 0..=2, 1..=3);
            Sample {
                key: reader.required_text("KeyId", 1..=8, None),
                plaintext: reader.required_secret("Plaintext", 1..=4),
                tags: reader.pairs("Tags", Presence::Optional, 0..=50, [("TagKey", 1..=4), ("TagValue", 0..=4)]),
                context: reader.map("EncryptionContext"),
            }
        }
    }

    fn refused(body: &str) -> String {
        match Fields::parse(body.as_bytes()).and_then(|fields| Sample::parse(&fields)) {
            Ok(request) => panic!("accepted {request:?}"),
            Err(fault) => fault.to_string(),
        }
    }

    #[test]
    fn a_good_request_is_read_whole() {
        let body = br#"{"KeyId":"k","Plaintext":"AQI=","Unknown":[1,{}],"KeyId":"last","Word":null,
            "Tags":[{"TagKey":"a","TagValue":""}],"EncryptionContext":{"b":"1","a":"2","b":"3"}}"#;
        let fields = Fields::parse(body).unwrap();
        let request = Sample::parse(&fields).unwrap();
        assert_eq!(request.key, "last");
        assert_eq!(request.plaintext.as_slice(), [1, 2]);
        assert_eq!(request.tags, [("a".into(), "".into())]);
        assert_eq!(request.context, [("b".into(), "3".into()), ("a".into(), "2".into())]);
    }

    #[test]
    fn broken_constraints_are_named_as_aws_names_them() {
        let good = r#""KeyId":"k","Plaintext":"AQI=""#;
        for (body, expected) in [
            (
                r#"{"KeyId":"","Plaintext":"AQI="}"#.to_owned(),
                "1 validation error detected: Value '' at 'keyId' failed to satisfy constraint: Member must have length greater than or equal to 1",
            ),
            (
                "{}".to_owned(),
                "2 validation errors detected: Value null at 'keyId' failed to satisfy constraint: Member must not be null; Value at 'plaintext' failed to satisfy constraint: Member must not be null",
            ),
            (
                r#"{"KeyId":"k","Plaintext":""}"#.to_owned(),
                "1 validation error detected: Value at 'plaintext' failed to satisfy constraint: Member must have length greater than or equal to 1",
            ),
            (
                format!(r#"{{{good},"Days":366}}"#),
                "1 validation error detected: Value '366' at 'days' failed to satisfy constraint: Member must have value less than or equal to 365",
            ),
            (
                format!(r#"{{{good},"KeySpec":"x"}}"#),
                "1 validation error detected: Value 'x' at 'keySpec' failed to satisfy constraint: Member must satisfy enum value set: [AES_256, AES_128]",
            ),
            (
                format!(r#"{{{good},"Modifiers":["TWO","THREE"]}}"#),
                "1 validation error detected: Value '[TWO, THREE]' at 'modifiers' failed to satisfy constraint: Member must satisfy constraint: [Member must satisfy enum value set: [ONE, TWO]]",
            ),
            (
                format!(r#"{{{good},"Word":"A"}}"#),
                "1 validation error detected: Value 'A' at 'word' failed to satisfy constraint: Member must satisfy regular expression pattern: [a-z]+",
            ),
            (
                format!(r#"{{{good},"Tags":[{{"TagKey":"a","TagValue":"b"}},{{"TagKey":"abcde","TagValue":""}}]}}"#),
                "1 validation error detected: Value 'abcde' at 'tags.2.member.tagKey' failed to satisfy constraint: Member must have length less than or equal to 4",
            ),
            (
                format!(r#"{{{good},"GrantTokens":["abcd"]}}"#),
                "1 validation error detected: Value 'abcd' at 'grantTokens.1.member' failed to satisfy constraint: Member must have length less than or equal to 3",
            ),
        ] {
            assert_eq!(refused(&body), format!("ValidationException: {expected}"), "{body}");
        }
    }

    #[test]
    fn wrong_types_are_a_serialization_exception() {
        for body in [
            "[]",
            "{",
            "nonsense",
            r#"{"KeyId":1}"#,
            r#"{"KeyId":"k","Plaintext":"%%"}"#,
            r#"{"Days":"7"}"#,
            r#"{"Days":7.5}"#,
            r#"{"DryRun":"yes"}"#,
            r#"{"EncryptionContext":{"a":1}}"#,
            r#"{"EncryptionContext":[]}"#,
            r#"{"Tags":{}}"#,
            r#"{"StartTime":"now"}"#,
            r#"{"StartTime":1e300}"#,
        ] {
            assert!(refused(body).starts_with("SerializationException"), "{body}");
        }
    }

    #[test]
    fn what_a_request_may_hold_is_bounded() {
        let members: Vec<String> = (0..=MAX_MEMBERS).map(|n| format!("\"{n}\":0")).collect();
        assert!(refused(&format!("{{{}}}", members.join(","))).starts_with("SerializationException"));
        let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
        assert!(refused(&format!(r#"{{"KeyId":{deep}}}"#)).starts_with("SerializationException"));
    }
}
