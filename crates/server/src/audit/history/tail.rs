//! Records that are not sealed yet, in memory.

use super::search::Found;
use crate::audit::Error;
use crate::audit::segment::Segment;
use api::Timestamp;
use std::ops::Range;
use trail::lookup::Record;

/// Records in memory with their times, so that a lookup parses only those it may answer with.
#[derive(Default)]
pub(super) struct Rows {
    text: String,
    /// Time, and the record's place in `text`.
    rows: Vec<(Timestamp, Range<usize>)>,
}

impl Rows {
    pub(super) fn of(segment: &Segment) -> Result<Rows, Error> {
        let mut rows = Rows::default();
        rows.extend(segment)?;
        Ok(rows)
    }

    pub(super) fn extend(&mut self, segment: &Segment) -> Result<(), Error> {
        for (index, record) in segment.records().enumerate() {
            let unfiled = |missing| Error::Unfiled { segment: segment.number(), index, missing };
            let text = std::str::from_utf8(record.bytes).map_err(|_| unfiled("JSON object"))?;
            let time = Record::parse(text).ok_or_else(|| unfiled("time, ID and name of an event"))?.event_time;
            let start = self.text.len();
            self.text.push_str(text);
            self.rows.push((time, start..self.text.len()));
        }
        Ok(())
    }

    /// From the newest on: once the page is full, the rest costs a comparison each.
    pub(super) fn look(&self, found: &mut Found<'_>) {
        for (time, range) in self.rows.iter().rev() {
            let text = &self.text[range.clone()];
            if found.wants(*time)
                && found.search.may_match(text.as_bytes())
                && let Some(record) = Record::parse(text)
            {
                found.offer(&record, text);
            }
        }
    }
}

/// The active segment's durable records.
#[derive(Default)]
pub(super) struct Tail {
    pub(super) segment: u64,
    /// How much of the segment's file is in `rows`.
    pub(super) read_to: u64,
    pub(super) rows: Rows,
}
