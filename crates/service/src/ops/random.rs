//! GenerateRandom.

use api::Fault;
use api::shape::Blob;
use api::shape::cryptographic::not_offered;
use api::shape::random::{GenerateRandom, Random};
use zeroize::Zeroizing;

use crate::authorize;
use crate::decide::{Asked, Done};

pub(super) fn generate_random(asked: &Asked<'_>) -> Result<Done, Fault> {
    let request: GenerateRandom<'_> = asked.request()?;
    if let Some(member) = request.not_offered {
        return Err(not_offered(member));
    }
    authorize::in_account(asked.call, asked.call.operation.action, "*")?;
    let length = request.number_of_bytes.ok_or_else(|| Fault::validation("NumberOfBytes is required."))?;
    if let Some(named) = request.custom_key_store {
        let text = format!("Custom key store {named} does not exist.");
        return Err(Fault::new("CustomKeyStoreNotFoundException", text));
    }
    let mut plaintext = Zeroizing::new(vec![0; usize::try_from(length).map_err(|_| Fault::internal())?]);
    crypto::random(&mut plaintext);
    Ok(Done::answer(&Random { plaintext: Blob(plaintext) }))
}
