//! Marks: a file's attribute values in four bytes each, to tell without opening it that a value is not in it.
//!
//! A mark is a checksum of an attribute and its value. Two values may share one, and then a file is opened for nothing, once in
//! about 2^32 marks; whoever makes values collide on purpose gains no more than that.
//!
//! INVARIANT: the marks of a file are those of every attribute of every record in it, so a value whose mark is missing is not there.

use libdeflater::Crc;

use crate::lookup::{Attribute, Record};

/// Bytes of a mark as it is written down.
const MARK_BYTES: usize = 4;

/// The mark of a value.
///
/// Marks are written to disk: what this returns for a value never changes within a version of what holds them.
pub fn mark(attribute: Attribute, value: &str) -> u32 {
    let number = match attribute {
        Attribute::EventId => 1,
        Attribute::EventName => 2,
        Attribute::ReadOnly => 3,
        Attribute::Username => 4,
        Attribute::ResourceType => 5,
        Attribute::ResourceName => 6,
        Attribute::EventSource => 7,
        Attribute::AccessKeyId => 8,
    };
    let mut checksum = Crc::new();
    checksum.update(&[number]);
    checksum.update(value.as_bytes());
    checksum.sum()
}

/// The marks of some records: ascending, each once.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Marks(Vec<u32>);

impl Marks {
    /// How they are written down: four bytes each, little-endian, ascending.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.0.iter().flat_map(|mark| mark.to_le_bytes()).collect()
    }
}

/// Collects the marks of one record after another.
#[derive(Debug, Default)]
pub struct Marker {
    marks: Vec<u32>,
    /// So many of `marks` are ascending, each once.
    tidy: usize,
}

/// Marks are put in order when there are so many more than there were: most say what others said before.
const UNTIDY: usize = 4096;

impl Marker {
    /// Takes up a record.
    pub fn add(&mut self, record: &Record<'_>) {
        self.marks.extend(record.attributes().map(|(attribute, value)| mark(attribute, value)));
        if self.marks.len() > 2 * self.tidy + UNTIDY {
            self.tidy();
        }
    }

    fn tidy(&mut self) {
        self.marks.sort_unstable();
        self.marks.dedup();
        self.tidy = self.marks.len();
    }

    /// The marks of all of them.
    pub fn finish(mut self) -> Marks {
        self.tidy();
        Marks(self.marks)
    }
}

/// Whether `mark` is among the marks that were written down as `bytes`.
pub fn hold(bytes: &[u8], mark: u32) -> bool {
    let (marks, _) = bytes.as_chunks::<MARK_BYTES>();
    marks.binary_search_by_key(&mark, |bytes| u32::from_le_bytes(*bytes)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn marks_on_disk_keep_their_meaning() {
        let table = [
            (Attribute::EventId, mark(Attribute::EventId, "x")),
            (Attribute::EventName, mark(Attribute::EventName, "x")),
        ];
        assert_ne!(table[0].1, table[1].1, "the attribute is part of it");
        // CRC-32 of the bytes 06 and `key`: a change here needs a new version of the files that hold marks.
        assert_eq!(mark(Attribute::ResourceName, "key"), libdeflater::crc32(b"\x06key"));
        assert_eq!(mark(Attribute::AccessKeyId, ""), libdeflater::crc32(b"\x08"));
    }

    proptest! {
        #[test]
        fn every_attribute_of_every_record_is_marked(ids in prop::collection::vec("[a-f0-9]{1,5}", 0..40)) {
            let json = |id: &str| format!(
                r#"{{"eventTime":"2026-06-01T00:00:00Z","eventID":"{id}","awsRegion":"r","eventName":"n","eventSource":"s","readOnly":true,"resources":[{{"ARN":"key/{id}"}}]}}"#
            );
            let mut marker = Marker::default();
            for id in &ids {
                marker.add(&Record::parse(&json(id)).unwrap());
            }
            let bytes = marker.finish().to_bytes();
            for id in &ids {
                let json = json(id);
                for (attribute, value) in Record::parse(&json).unwrap().attributes() {
                    prop_assert!(hold(&bytes, mark(attribute, value)));
                }
            }
            prop_assert!(!hold(&bytes, mark(Attribute::EventId, "none of these")));
        }
    }

    #[test]
    fn many_marks_stay_few_where_they_repeat() {
        let json =
            r#"{"eventTime":"2026-06-01T00:00:00Z","eventID":"e","awsRegion":"r","eventName":"n","eventSource":"s"}"#;
        let record = Record::parse(json).unwrap();
        let mut marker = Marker::default();
        for _ in 0..20_000 {
            marker.add(&record);
            assert!(marker.marks.len() <= UNTIDY + 16);
        }
        assert_eq!(marker.finish().0.len(), 3);
    }
}
