//! GenerateMac, VerifyMac.

use std::sync::Arc;

use api::Fault;
use api::shape::Blob;
use api::shape::macs::{GenerateMac, Mac, VerifiedMac, VerifyMac};

use super::cryptographic::current;
use crate::authorize::Asks;
use crate::decide::{Asked, Done};
use crate::fault::{INVALID_MAC, wrong_algorithm};
use crate::state::Key;

pub(super) fn generate_mac(asked: &Asked<'_>) -> Result<Done, Fault> {
    let request: GenerateMac<'_> = asked.request()?;
    let key = admitted(asked, &request)?;
    asked.unless_dry(request.dry_run)?;
    let mac = current(asked, &key)?.mac(request.algorithm, &request.message).map_err(|_| Fault::internal())?;
    Ok(Done::answer(&Mac { mac: Blob(mac), mac_algorithm: request.algorithm, key_id: key.arn }))
}

pub(super) fn verify_mac(asked: &Asked<'_>) -> Result<Done, Fault> {
    let VerifyMac { made_of, mac } = asked.request()?;
    let key = admitted(asked, &made_of)?;
    current(asked, &key)?.verify_mac(made_of.algorithm, &made_of.message, &mac).map_err(|_| INVALID_MAC)?;
    asked.unless_dry(made_of.dry_run)?;
    Ok(Done::answer(&VerifiedMac { key_id: key.arn, mac_valid: true, mac_algorithm: made_of.algorithm }))
}

/// The key, when it makes such codes.
fn admitted(asked: &Asked<'_>, request: &GenerateMac<'_>) -> Result<Arc<Key>, Fault> {
    let asks = Asks { mac_algorithm: Some(request.algorithm), ..Asks::default() };
    let key = asked.key(&request.key, asks)?;
    if key.spec.mac_algorithms().contains(&request.algorithm) {
        Ok(key)
    } else {
        Err(wrong_algorithm(request.algorithm, key.spec))
    }
}
