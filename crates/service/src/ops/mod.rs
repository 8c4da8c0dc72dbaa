//! The operations, one file for each family; the same file names as in `api::shape`.
//!
//! A handler reads its request, names its keys (which authorizes the call and asks the lifecycle), and says what happens.

mod aliases;
mod cryptographic;
pub(crate) mod custody;
mod data_keys;
mod grants;
mod identity;
mod imports;
mod key_stores;
mod keys;
mod lifecycle;
mod macs;
mod multi_region;
mod policies;
mod public_keys;
mod random;
mod recipient;
mod rotation;
mod shared_secrets;
mod signing;
mod tags;
mod usage;

use api::shape::Listed;
use api::{Fault, Service};

use crate::decide::{Asked, Done};

/// Answers a call by its operation's handler.
pub(crate) fn answer(asked: &Asked<'_>) -> Result<Done, Fault> {
    let row = asked.call.operation;
    match (row.service, row.name) {
        (Service::Kms, "CancelKeyDeletion") => lifecycle::cancel_key_deletion(asked),
        (Service::Kms, "ConnectCustomKeyStore") => key_stores::connect_custom_key_store(asked),
        (Service::Kms, "CreateAlias") => aliases::create_alias(asked),
        (Service::Kms, "CreateCustomKeyStore") => key_stores::create_custom_key_store(asked),
        (Service::Kms, "CreateGrant") => grants::create_grant(asked),
        (Service::Kms, "CreateKey") => keys::create_key(asked),
        (Service::Kms, "Decapsulate") => shared_secrets::decapsulate(asked),
        (Service::Kms, "Decrypt") => cryptographic::decrypt(asked),
        (Service::Kms, "DeleteAlias") => aliases::delete_alias(asked),
        (Service::Kms, "DeleteCustomKeyStore") => key_stores::delete_custom_key_store(asked),
        (Service::Kms, "DeleteImportedKeyMaterial") => imports::delete_imported_key_material(asked),
        (Service::Kms, "DeriveSharedSecret") => shared_secrets::derive_shared_secret(asked),
        (Service::Kms, "DescribeCustomKeyStores") => key_stores::describe_custom_key_stores(asked),
        (Service::Kms, "DescribeKey") => keys::describe_key(asked),
        (Service::Kms, "DisableKey") => lifecycle::disable_key(asked),
        (Service::Kms, "DisableKeyRotation") => rotation::disable_key_rotation(asked),
        (Service::Kms, "DisconnectCustomKeyStore") => key_stores::disconnect_custom_key_store(asked),
        (Service::Kms, "EnableKey") => lifecycle::enable_key(asked),
        (Service::Kms, "EnableKeyRotation") => rotation::enable_key_rotation(asked),
        (Service::Kms, "Encapsulate") => shared_secrets::encapsulate(asked),
        (Service::Kms, "Encrypt") => cryptographic::encrypt(asked),
        (Service::Kms, "GenerateDataKey") => data_keys::generate_data_key(asked),
        (Service::Kms, "GenerateDataKeyPair") => data_keys::generate_data_key_pair(asked),
        (Service::Kms, "GenerateDataKeyPairWithoutPlaintext") => {
            data_keys::generate_data_key_pair_without_plaintext(asked)
        }
        (Service::Kms, "GenerateDataKeyWithoutPlaintext") => data_keys::generate_data_key_without_plaintext(asked),
        (Service::Kms, "GenerateMac") => macs::generate_mac(asked),
        (Service::Kms, "GenerateRandom") => random::generate_random(asked),
        (Service::Kms, "GetKeyLastUsage") => usage::get_key_last_usage(asked),
        (Service::Kms, "GetKeyPolicy") => policies::get_key_policy(asked),
        (Service::Kms, "GetKeyRotationStatus") => rotation::get_key_rotation_status(asked),
        (Service::Kms, "GetParametersForImport") => imports::get_parameters_for_import(asked),
        (Service::Kms, "GetPublicKey") => public_keys::get_public_key(asked),
        (Service::Kms, "ImportKeyMaterial") => imports::import_key_material(asked),
        (Service::Kms, "ListAliases") => aliases::list_aliases(asked),
        (Service::Kms, "ListGrants") => grants::list_grants(asked),
        (Service::Kms, "ListKeyPolicies") => policies::list_key_policies(asked),
        (Service::Kms, "ListKeyRotations") => rotation::list_key_rotations(asked),
        (Service::Kms, "ListKeys") => keys::list_keys(asked),
        (Service::Kms, "ListResourceTags") => tags::list_resource_tags(asked),
        (Service::Kms, "ListRetirableGrants") => grants::list_retirable_grants(asked),
        (Service::Kms, "PutKeyPolicy") => policies::put_key_policy(asked),
        (Service::Kms, "ReEncrypt") => cryptographic::re_encrypt(asked),
        (Service::Kms, "ReplicateKey") => multi_region::replicate_key(asked),
        (Service::Kms, "RotateKeyOnDemand") => rotation::rotate_key_on_demand(asked),
        (Service::Kms, "RetireGrant") => grants::retire_grant(asked),
        (Service::Kms, "RevokeGrant") => grants::revoke_grant(asked),
        (Service::Kms, "ScheduleKeyDeletion") => lifecycle::schedule_key_deletion(asked),
        (Service::Kms, "Sign") => signing::sign(asked),
        (Service::Kms, "TagResource") => tags::tag_resource(asked),
        (Service::Kms, "UntagResource") => tags::untag_resource(asked),
        (Service::Kms, "UpdateAlias") => aliases::update_alias(asked),
        (Service::Kms, "UpdateCustomKeyStore") => key_stores::update_custom_key_store(asked),
        (Service::Kms, "UpdateKeyDescription") => keys::update_key_description(asked),
        (Service::Kms, "UpdatePrimaryRegion") => multi_region::update_primary_region(asked),
        (Service::Kms, "Verify") => signing::verify(asked),
        (Service::Kms, "VerifyMac") => macs::verify_mac(asked),
        (Service::Sts, "GetCallerIdentity") => Ok(identity::get_caller_identity(asked)),
        // Every row of the table is above, or is answered elsewhere: a test holds this.
        _ => Err(Fault::bare("UnknownOperationException")),
    }
}

/// One page of `items`, each with the text that a marker can lead back to.
fn listed<T>(name: &'static str, limit: usize, items: impl Iterator<Item = (Vec<u8>, T)>) -> Listed<T> {
    let mut page: Vec<(Vec<u8>, T)> = items.take(limit + 1).collect();
    let more = page.len() > limit;
    page.truncate(limit);
    let next = if more { page.last().map(|(last, _)| api::page::marker(last)) } else { None };
    Listed { name, items: page.into_iter().map(|(_, item)| item).collect(), next }
}
