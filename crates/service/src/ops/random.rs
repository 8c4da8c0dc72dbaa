//! GenerateRandom.

use api::Fault;
use api::shape::random::{GenerateRandom, Random};
use zeroize::Zeroizing;

use super::{custody, recipient};
use crate::authorize::{self, Asks};
use crate::decide::{Asked, Done};

pub(super) fn generate_random(asked: &Asked<'_>) -> Result<Done, Fault> {
    let request: GenerateRandom<'_> = asked.request()?;
    let enclave = recipient::proven(asked, request.recipient.as_ref())?;
    let asks = Asks { enclave: enclave.as_ref(), ..Asks::default() };
    authorize::in_account_asking(asked.call, asked.call.operation.action, "*", asks)?;
    let length = request.number_of_bytes.ok_or_else(|| Fault::validation("NumberOfBytes is required."))?;
    let mut plaintext = Zeroizing::new(vec![0; usize::try_from(length).map_err(|_| Fault::internal())?]);
    match request.custom_key_store.as_deref() {
        None => crypto::random(&mut plaintext),
        Some(named) => custody::random(asked, named, &mut plaintext)?,
    }
    let (plaintext, ciphertext_for_recipient) = recipient::reply(plaintext, enclave.as_ref())?;
    Ok(Done::answer(&Random { plaintext, ciphertext_for_recipient }))
}
