//! Where one record ends and the next begins.
//!
//! A log file is a JSON document `{"Records":[…]}`; exports are events one behind the other, one a line or spread over lines, or
//! a list of them. All are a sequence of JSON values, and this module cuts it into records without reading them: it knows
//! strings, brackets and commas. It is strict about what stands *between* records, so that damage is seen, and indifferent to
//! what stands in them: whoever reads a record finds out.
//!
//! *Guarantee*: each byte of a file is in a delivered record, between records where only blanks, commas and brackets may stand,
//! in another member of a document, or behind the point where [`Broken`] says that reading stopped. No record is dropped.

use memchr::{memchr2, memchr3};
use serde::{Deserialize, Serialize};

/// Where and why a file could not be cut further.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[error("{what} at byte {at}")]
pub struct Broken {
    /// The place, from the file's first byte.
    pub at: usize,
    /// What was wrong there.
    pub what: What,
}

/// What was wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
pub enum What {
    /// The file ends within a value.
    #[error("the file is cut off")]
    CutOff,
    /// Another byte was due.
    #[error("this is not JSON")]
    NotJson,
}

/// What a file turned out to be.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Outline {
    /// Records delivered.
    pub records: u64,
    /// Documents with a list of records, empty ones too.
    pub documents: u64,
    /// Digest documents of CloudTrail, which hold no events.
    pub digests: u64,
    /// Values that are none of these, nor look like an event.
    pub others: u64,
}

/// Calls `each` with every record of `bytes`, in order.
///
/// Returns the outline of what was read, also where something was wrong: then up to there.
pub fn split<'a>(bytes: &'a [u8], mut each: impl FnMut(&'a [u8])) -> (Outline, Result<(), Broken>) {
    let mut outline = Outline::default();
    let mut splitter = Splitter { bytes, at: 0, outline: &mut outline };
    let result = splitter.values(&mut each);
    (outline, result)
}

struct Splitter<'a, 'o> {
    bytes: &'a [u8],
    at: usize,
    outline: &'o mut Outline,
}

impl<'a> Splitter<'a, '_> {
    /// The whole file: values one behind the other, blanks between.
    fn values(&mut self, each: &mut impl FnMut(&'a [u8])) -> Result<(), Broken> {
        if self.bytes.starts_with(b"\xef\xbb\xbf") {
            self.at = 3;
        }
        loop {
            self.blanks();
            match self.bytes.get(self.at) {
                None => return Ok(()),
                Some(b'{') => self.object(each)?,
                Some(b'[') => self.list(each)?,
                Some(_) => return Err(self.broken()),
            }
        }
    }

    /// A document, or an event that stands by itself.
    fn object(&mut self, each: &mut impl FnMut(&'a [u8])) -> Result<(), Broken> {
        let start = self.at;
        let (mut is_document, mut is_digest, mut is_event) = (false, false, false);
        self.at += 1;
        self.blanks();
        if self.take(b'}') {
            self.outline.others += 1;
            return Ok(());
        }
        loop {
            let name = self.name()?;
            if name == "Records" && self.bytes.get(self.at) == Some(&b'[') {
                is_document = true;
                self.list(each)?;
            } else {
                is_digest |= name == "digestStartTime";
                is_event |= name == "eventSource" || name == "eventName" || name == "eventVersion";
                self.value()?;
            }
            self.blanks();
            if self.take(b'}') {
                break;
            }
            self.expect(b',')?;
            self.blanks();
        }
        if is_document {
            self.outline.documents += 1;
        } else if is_event {
            self.outline.records += 1;
            each(&self.bytes[start..self.at]);
        } else if is_digest {
            self.outline.digests += 1;
        } else {
            self.outline.others += 1;
        }
        Ok(())
    }

    /// A list of records. What is no object is delivered as well, for the reader to refuse.
    fn list(&mut self, each: &mut impl FnMut(&'a [u8])) -> Result<(), Broken> {
        self.at += 1;
        self.blanks();
        if self.take(b']') {
            return Ok(());
        }
        loop {
            let start = self.at;
            self.value()?;
            self.outline.records += 1;
            each(&self.bytes[start..self.at]);
            self.blanks();
            if self.take(b']') {
                return Ok(());
            }
            self.expect(b',')?;
            self.blanks();
        }
    }

    /// A member's name and its colon. A name with escapes is decoded, so that no spelling hides a list of records.
    fn name(&mut self) -> Result<String, Broken> {
        let start = self.at;
        if self.bytes.get(start).is_some_and(|byte| *byte != b'"') {
            return Err(self.broken());
        }
        self.string()?;
        let raw = &self.bytes[start..self.at];
        let name = serde_json::from_slice(raw).map_err(|_| Broken { at: start, what: What::NotJson })?;
        self.blanks();
        self.expect(b':')?;
        self.blanks();
        Ok(name)
    }

    /// Steps over one value of any kind.
    fn value(&mut self) -> Result<(), Broken> {
        match self.bytes.get(self.at) {
            None => Err(self.broken()),
            Some(b'"') => self.string(),
            Some(b'{') => self.nested(b'{', b'}'),
            Some(b'[') => self.nested(b'[', b']'),
            Some(_) => self.scalar(),
        }
    }

    /// Steps over what `open` begins. Only brackets of this kind need counting: in well-formed JSON the other kind is balanced
    /// within, and what is not well formed is for the record's reader to refuse.
    fn nested(&mut self, open: u8, close: u8) -> Result<(), Broken> {
        let mut depth = 0_usize;
        loop {
            let found = memchr3(b'"', open, close, &self.bytes[self.at..]);
            self.at = found.map_or(self.bytes.len(), |ahead| self.at + ahead);
            match self.bytes.get(self.at) {
                None => return Err(self.broken()),
                Some(b'"') => self.string()?,
                Some(byte) => {
                    self.at += 1;
                    depth = if *byte == open { depth + 1 } else { depth - 1 };
                    if depth == 0 {
                        return Ok(());
                    }
                }
            }
        }
    }

    /// Steps over a string.
    fn string(&mut self) -> Result<(), Broken> {
        self.at += 1;
        loop {
            let Some(ahead) = self.bytes.get(self.at..).and_then(|rest| memchr2(b'"', b'\\', rest)) else {
                self.at = self.bytes.len();
                return Err(self.broken());
            };
            self.at += ahead;
            if self.bytes[self.at] == b'"' {
                self.at += 1;
                return Ok(());
            }
            self.at += 2;
        }
    }

    /// Steps over a number or a word.
    fn scalar(&mut self) -> Result<(), Broken> {
        let inside = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'+' | b'.');
        let length = self.bytes[self.at..].iter().take_while(|byte| inside(byte)).count();
        if length == 0 {
            return Err(self.broken());
        }
        self.at += length;
        Ok(())
    }

    fn blanks(&mut self) {
        while self.bytes.get(self.at).is_some_and(|byte| matches!(byte, b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn take(&mut self, byte: u8) -> bool {
        let here = self.bytes.get(self.at) == Some(&byte);
        self.at += usize::from(here);
        here
    }

    fn expect(&mut self, byte: u8) -> Result<(), Broken> {
        if self.take(byte) { Ok(()) } else { Err(self.broken()) }
    }

    fn broken(&self) -> Broken {
        let what = if self.at >= self.bytes.len() { What::CutOff } else { What::NotJson };
        Broken { at: self.at, what }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    /// The records of `text` joined by blanks, and how it ended.
    fn check(text: &str, records: &str, end: &str) -> Outline {
        let mut seen = Vec::new();
        let (outline, result) = split(text.as_bytes(), |record| seen.push(std::str::from_utf8(record).unwrap()));
        assert_eq!(seen.join(" "), records, "{text}");
        assert_eq!(result.map_or_else(|broken| broken.to_string(), |()| "whole".to_owned()), end, "{text}");
        assert_eq!(outline.records, seen.len() as u64);
        outline
    }

    #[test]
    fn a_document_is_its_records() {
        check(r#"{"Records":[{"a":1},{"b":"}]"}]}"#, r#"{"a":1} {"b":"}]"}"#, "whole");
        check(
            " {\n \"x\" : [ 1 ] , \"Records\" : [ {\"a\" : [{}] } ,{} ] , \"y\":-1.5e3}\r\n",
            r#"{"a" : [{}] } {}"#,
            "whole",
        );
        check(r#"{"\u0052ecords":[{"a":"\\\""}]}"#, r#"{"a":"\\\""}"#, "whole");
        assert_eq!(check(r#"{"Records":[]}"#, "", "whole").documents, 1);
        check(r#"{"Records":[1,null,"x",[2]]}"#, r#"1 null "x" [2]"#, "whole");
    }

    #[test]
    fn events_may_stand_by_themselves() {
        let lines = "\u{feff}{\"eventName\":\"a\"}\n{\"eventName\":\"b\"}\n{\"Records\":[{\"c\":1}]}";
        check(lines, r#"{"eventName":"a"} {"eventName":"b"} {"c":1}"#, "whole");
        check(r#"[{"a":1},{"b":2}]"#, r#"{"a":1} {"b":2}"#, "whole");
        check("", "", "whole");
    }

    #[test]
    fn what_is_no_log_file_is_told_apart() {
        let of = |text: &str| check(text, "", "whole");
        assert_eq!(of(r#"{"awsAccountId":"1","digestStartTime":"x","logFiles":[{}]}"#).digests, 1);
        assert_eq!(of(r#"{"name":"package"}"#).others, 1);
        assert_eq!(of("{}").others, 1);
        assert_eq!(of(r#"{"Records":"none"}"#).others, 1);
    }

    #[test]
    fn damage_is_seen_and_what_came_before_it_is_kept() {
        check(r#"{"Records":[{"a":1},{"b"#, r#"{"a":1}"#, "the file is cut off at byte 23");
        check(r#"{"Records":[{"a":1},{"b":"\"#, r#"{"a":1}"#, "the file is cut off at byte 27");
        check(r#"{"Records":[{"a":1}"#, r#"{"a":1}"#, "the file is cut off at byte 19");
        check(r#"{"Records":[{"a":1}]"#, r#"{"a":1}"#, "the file is cut off at byte 20");
        check(r#"{"Records":[{"a":1} {"b":2}]}"#, r#"{"a":1}"#, "this is not JSON at byte 20");
        check(r#"{"Records":[{"a":1}},{"b":2}]}"#, r#"{"a":1}"#, "this is not JSON at byte 19");
        check(r#"{"Records":[{"a":1}],{"b":2}]}"#, r#"{"a":1}"#, "this is not JSON at byte 21");
        check(r#"{"Records":[,]}"#, "", "this is not JSON at byte 12");
        check(r#"{"Records":[{}]} tail"#, "{}", "this is not JSON at byte 17");
        check("MIT License", "", "this is not JSON at byte 0");
        check(r#"{"Records""#, "", "the file is cut off at byte 10");
        check("{", "", "the file is cut off at byte 1");
    }

    #[test]
    fn depth_needs_no_stack() {
        let deep = format!(r#"{{"Records":[{}{}]}}"#, r#"{"a":"#.repeat(500_000), "}".repeat(500_000));
        let (outline, result) = split(deep.as_bytes(), |_| ());
        assert_eq!((outline.records, result), (1, Ok(())));
    }

    /// Values with strings that look like structure.
    fn value() -> impl Strategy<Value = Value> {
        let text = prop_oneof!["[\\[\\]{}\",:\\\\ a-c]{0,8}", any::<String>()];
        let leaf = prop_oneof![
            Just(json!(null)),
            any::<bool>().prop_map(|b| json!(b)),
            any::<i32>().prop_map(|n| json!(n)),
            text.clone().prop_map(|t| json!(t))
        ];
        leaf.prop_recursive(4, 24, 4, move |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map(text.clone(), inner, 0..4)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn splitting_is_parsing_the_list(records in prop::collection::vec(value(), 0..6), pretty in any::<bool>()) {
            let document = json!({"before": {"Records": [1]}, "Records": records.clone(), "zz": []});
            let text = if pretty { serde_json::to_string_pretty(&document) } else { serde_json::to_string(&document) }.unwrap();
            let mut seen = Vec::new();
            let (_, result) = split(text.as_bytes(), |record| seen.push(serde_json::from_slice::<Value>(record).unwrap()));
            prop_assert_eq!(result, Ok(()));
            prop_assert_eq!(seen, records);
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(prop::sample::select(b"{}[]\",:\\ a1Records".to_vec()), 0..60)) {
            let mut covered = 0;
            let (_, _) = split(&bytes, |record| covered += record.len());
            prop_assert!(covered <= bytes.len());
        }
    }
}
