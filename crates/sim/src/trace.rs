//! What happened in a run, line by line, and one number that two runs of a seed must share.

use std::fmt;

use api::Timestamp;

/// The lines of a run.
///
/// Keys stand in them by nickname: their ARNs come from the operating system's generator and differ from run to run, and so does
/// every digest that they go into.
#[derive(Debug, Clone)]
pub struct Trace {
    began: Timestamp,
    lines: Vec<String>,
    hash: u64,
}

/// FNV-1a, 64 bits.
const OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
const PRIME: u64 = 0x0000_0100_0000_01b3;

impl Trace {
    pub(crate) fn new(began: Timestamp) -> Trace {
        Trace { began, lines: Vec::new(), hash: OFFSET }
    }

    /// Writes down that `what` happened to `who`.
    pub(crate) fn say(&mut self, at: Timestamp, who: &str, what: impl fmt::Display) {
        let seconds = at.as_second() - self.began.as_second();
        let (day, hour, minute, second) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
        let line = format!("{day:4}d {hour:02}:{minute:02}:{second:02}  {who:<9} {what}");
        for byte in line.bytes().chain([b'\n']) {
            self.hash = (self.hash ^ u64::from(byte)).wrapping_mul(PRIME);
        }
        self.lines.push(line);
    }

    /// The lines, in order of time.
    pub fn lines(&self) -> &[String] {
        &self.lines
    }

    /// The same without its lines, which thousands of runs would fill the memory with.
    pub fn without_lines(self) -> Trace {
        Trace { lines: Vec::new(), ..self }
    }

    /// A number over all lines.
    pub fn hash(&self) -> u64 {
        self.hash
    }
}
