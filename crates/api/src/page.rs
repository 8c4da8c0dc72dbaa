//! Pages of lists: `Limit`, `Marker`, `Truncated`.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::Fault;

/// Version of the marker's form; a marker of another version is InvalidMarkerException.
const MARKER_VERSION: u8 = 1;

/// Which part of a list is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// Most items to answer.
    pub limit: usize,
    /// The last item of the page before, as the list orders it; nothing for the first page.
    pub after: Option<Vec<u8>>,
}

impl Page {
    /// A page of `limit` items, or `default` where none is named, after the one that ended at `marker`.
    ///
    /// # Errors
    /// InvalidMarkerException where the marker is not one that [`marker`] made.
    pub fn of(limit: Option<i64>, default: usize, marker: Option<&str>) -> Result<Page, Fault> {
        let invalid = || Fault::bare("InvalidMarkerException");
        let after = match marker {
            None => None,
            Some(text) => {
                let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| invalid())?;
                let (version, after) = bytes.split_first().ok_or_else(invalid)?;
                if *version != MARKER_VERSION {
                    return Err(invalid());
                }
                Some(after.to_vec())
            }
        };
        let limit = limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(default);
        Ok(Page { limit, after })
    }
}

/// The opaque `NextMarker` for a page that ends with the item `last`.
pub fn marker(last: &[u8]) -> String {
    let mut bytes = Vec::with_capacity(last.len() + 1);
    bytes.push(MARKER_VERSION);
    bytes.extend_from_slice(last);
    URL_SAFE_NO_PAD.encode(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_marker_leads_to_where_the_page_ended() {
        let page = Page::of(None, 100, Some(&marker(b"last"))).unwrap();
        assert_eq!(page, Page { limit: 100, after: Some(b"last".to_vec()) });
        assert_eq!(Page::of(Some(7), 100, None).unwrap(), Page { limit: 7, after: None });
        for wrong in ["", "%", "AAAA", "nonsense!"] {
            assert_eq!(Page::of(None, 1, Some(wrong)).unwrap_err().code, "InvalidMarkerException", "{wrong}");
        }
    }
}
