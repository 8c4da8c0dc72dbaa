//! What must hold of the trail scan for any bytes: it never panics; what it says can be written down and read again; and the short
//! way, which whole packed files take, misses no event that the long one sees.

use std::path::Path;

use libdeflater::{CompressionLvl, Compressor};
use trail::Selection;
use trail::part::Part;
use trail::scanner::Scanner;
use trail::summary::{Builder, Summary};

/// Reads the bytes as a file, as lines, as what comes out of a packed file, and as what is in one.
pub(crate) fn run(bytes: &[u8]) {
    let long = summary("x.json", bytes);
    summary("x.jsonl", bytes);
    let claimed = u32::try_from(64 * bytes.len()).unwrap_or(0).to_le_bytes();
    summary("x.json.gz", &[&[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3], bytes, &[0; 4], &claimed[..]].concat());
    let short = summary("x.json.gz", &packed(bytes));
    if long.gaps.is_empty() {
        assert!(short.totals.kms_records >= long.totals.kms_records, "the short way missed an event");
    }
}

/// The sum of the same file twice: from the bytes, and from the part that was written down.
fn summary(name: &str, bytes: &[u8]) -> Summary {
    let selection = Selection::all();
    let part = Scanner::default().scan(name, bytes, &selection);
    let written = part.to_bytes();
    let again = Part::from_bytes(&written).expect("what was written down is read");
    assert_eq!(again.to_bytes(), written);
    let mut builder = Builder::new(&selection);
    for part in [part, again] {
        builder.add(Path::new(name), part).expect("the parts are of one selection");
    }
    builder.finish()
}

fn packed(bytes: &[u8]) -> Vec<u8> {
    let mut compressor = Compressor::new(CompressionLvl::fastest());
    let mut out = vec![0; compressor.gzip_compress_bound(bytes.len())];
    let length = compressor.gzip_compress(bytes, &mut out).expect("the bound is enough");
    out.truncate(length);
    out
}
