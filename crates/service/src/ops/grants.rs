//! ListGrants. No operation makes a grant yet: the list of every key is empty, and says so for keys that exist.

use api::Fault;
use api::page::Page;
use api::shape::Listed;
use api::shape::grants::ListGrants;

use crate::authorize::Asks;
use crate::decide::{Asked, Done};

pub(super) fn list_grants(asked: &Asked<'_>) -> Result<Done, Fault> {
    let request: ListGrants<'_> = asked.request()?;
    if Page::of(request.paging.limit, 50, request.paging.marker.as_deref())?.after.is_some() {
        return Err(Fault::bare("InvalidMarkerException"));
    }
    asked.key(&request.key, Asks::default())?;
    Ok(Done::answer(&Listed::<()> { name: "Grants", items: Vec::new(), next: None }))
}
