//! CreateCustomKeyStore, ConnectCustomKeyStore, DisconnectCustomKeyStore, UpdateCustomKeyStore, DeleteCustomKeyStore,
//! DescribeCustomKeyStores.
//!
//! A change of a store's connection is one record; what it means for the keys in it is read off it by the state. Connecting takes
//! time: the call only asks for it, and the server settles it by [`crate::connections`].

use api::page::Page;
use api::shape::Epoch;
use api::shape::key_stores::{
    CreateCustomKeyStore, CreatedKeyStore, DescribeCustomKeyStores, ListedKeyStore, OfKeyStore, Properties,
    UpdateCustomKeyStore, XksProxyConfiguration,
};
use api::{Fault, Region};
use serde_json::json;

use super::listed;
use crate::authorize;
use crate::decide::{Asked, Change, Done};
use crate::fault::limit_exceeded;
use crate::outside::{Knows, Trouble};
use crate::state::{Connection, KeyStore, KeyStoreId, KeyStoreKind, Name, StoreKey, Stored, encode_key_store};

/// Custom key stores of an account and Region. Source: AWS KMS quotas.
const STORES_PER_REGION: usize = 10;

pub(super) fn create_custom_key_store(asked: &Asked<'_>) -> Result<Done, Fault> {
    let request: CreateCustomKeyStore<'_> = asked.request()?;
    authorize::in_account(asked.call, asked.call.operation.action, "*")?;
    let call = asked.call;
    let (account, region) = (call.caller.account, call.region);
    let mut random = [0; 9];
    crypto::random(&mut random);
    let name: StoreKey = (account, region, KeyStoreId::of(random));
    check_name(asked, &request.name, None)?;
    if asked.state.key_stores_of(account, region).count() >= STORES_PER_REGION {
        return Err(limit_exceeded(format!(
            "An account may have at most {STORES_PER_REGION} custom key stores in a Region, and this one has them."
        )));
    }
    let kind = match request.kind {
        "EXTERNAL_KEY_STORE" => external(asked, &name, request.properties, request.trust_anchor.is_some())?,
        _ => cloud_hsm(asked, &name, request.properties, request.trust_anchor.as_deref())?,
    };
    let store = KeyStore {
        id: name.2.clone(),
        name: request.name.into_owned(),
        created: call.now,
        kind,
        connection: Connection::Disconnected,
    };
    probe(asked, &name, &store)?;
    let answer = CreatedKeyStore { custom_key_store_id: store.id.to_string() };
    let shown = json!({ "customKeyStoreId": answer.custom_key_store_id });
    let change = Change::on(Name::KeyStore(name.clone()), None).put(Name::KeyStore(name), encode_key_store(&store));
    Ok(Done::answer(&answer).changing(change).showing(&shown))
}

pub(super) fn connect_custom_key_store(asked: &Asked<'_>) -> Result<Done, Fault> {
    let request: OfKeyStore<'_> = asked.request()?;
    let (name, stored) = find(asked, &request.store)?;
    match stored.1.connection {
        Connection::Disconnected | Connection::Failed(_) => turn(asked, name, stored, Connection::Connecting),
        Connection::Connecting | Connection::Connected => Err(wrong_connection(&stored.1, "DISCONNECTED or FAILED")),
    }
}

pub(super) fn disconnect_custom_key_store(asked: &Asked<'_>) -> Result<Done, Fault> {
    let request: OfKeyStore<'_> = asked.request()?;
    let (name, stored) = find(asked, &request.store)?;
    match stored.1.connection {
        Connection::Disconnected => Err(wrong_connection(&stored.1, "CONNECTED, CONNECTING or FAILED")),
        Connection::Connecting | Connection::Connected | Connection::Failed(_) => {
            asked.vault.with_access(&name, &stored.1, |outside, access| outside.disconnect(access)).map_err(ours)?;
            turn(asked, name, stored, Connection::Disconnected)
        }
    }
}

pub(super) fn update_custom_key_store(asked: &Asked<'_>) -> Result<Done, Fault> {
    let request: UpdateCustomKeyStore<'_> = asked.request()?;
    let (name, stored) = find(asked, &request.store)?;
    let mut store = KeyStore::clone(&stored.1);
    if let Some(new) = request.name {
        check_name(asked, &new, Some(&store.id))?;
        store.name = new.into_owned();
    }
    let moved = change_kind(asked, &name, &mut store, request.properties)?;
    if moved {
        probe(asked, &name, &store)?;
    }
    let change =
        Change::on(Name::KeyStore(name.clone()), Some(stored.0)).put(Name::KeyStore(name), encode_key_store(&store));
    Ok(Done::nothing().changing(change))
}

pub(super) fn delete_custom_key_store(asked: &Asked<'_>) -> Result<Done, Fault> {
    let request: OfKeyStore<'_> = asked.request()?;
    let (name, stored) = find(asked, &request.store)?;
    match stored.1.connection {
        Connection::Disconnected | Connection::Failed(_) => {}
        Connection::Connecting | Connection::Connected => {
            return Err(wrong_connection(&stored.1, "DISCONNECTED or FAILED"));
        }
    }
    // INVARIANT: no key outlives its store. CreateKey expects the store's record as it found it, so a key that is being made
    // meanwhile does not commit.
    if asked.state.keys_in(&name).next().is_some() {
        let text = format!("Custom key store {} still has KMS keys; keys that wait for their deletion count.", name.2);
        return Err(Fault::new("CustomKeyStoreHasCMKsException", text));
    }
    let change = Change::on(Name::KeyStore(name.clone()), Some(stored.0)).delete(Name::KeyStore(name));
    Ok(Done::nothing().changing(change))
}

pub(super) fn describe_custom_key_stores(asked: &Asked<'_>) -> Result<Done, Fault> {
    let request: DescribeCustomKeyStores<'_> = asked.request()?;
    let page = Page::of(request.paging.limit, 100, request.paging.marker.as_deref())?;
    let call = asked.call;
    authorize::in_account(call, call.operation.action, "*")?;
    if request.store.is_some() && request.name.is_some() {
        return Err(Fault::validation("You can specify CustomKeyStoreId or CustomKeyStoreName, but not both."));
    }
    let after = match page.after {
        None => None,
        Some(bytes) => {
            let id = String::from_utf8(bytes).ok().and_then(|text| text.parse::<KeyStoreId>().ok());
            Some(id.ok_or(Fault::bare("InvalidMarkerException"))?)
        }
    };
    let stores: Vec<_> = asked
        .state
        .key_stores_of(call.caller.account, call.region)
        .map(|(_, store)| store)
        .filter(|store| request.store.as_deref().is_none_or(|id| store.id.to_string() == id))
        .filter(|store| request.name.as_deref().is_none_or(|name| store.name == name))
        .filter(|store| after.as_ref().is_none_or(|after| store.id > *after))
        .collect();
    if let Some(wanted) = request.store.as_deref().or(request.name.as_deref())
        && stores.is_empty()
    {
        return Err(no_such_store(wanted));
    }
    let items = stores.into_iter().map(|store| (store.id.to_string().into_bytes(), shown(store)));
    Ok(Done::answer(&listed("CustomKeyStores", page.limit, items)))
}

fn shown(store: &KeyStore) -> ListedKeyStore {
    let (cluster, anchor, proxy) = match &store.kind {
        KeyStoreKind::CloudHsm { cluster, trust_anchor, .. } => {
            (Some(cluster.clone()), Some(trust_anchor.clone()), None)
        }
        KeyStoreKind::External { endpoint, path, connectivity, vpc, access_key, .. } => {
            let configuration = XksProxyConfiguration {
                connectivity: connectivity.clone(),
                access_key_id: access_key.clone(),
                uri_endpoint: endpoint.clone(),
                uri_path: path.clone(),
                vpc_endpoint_service_name: vpc.as_ref().map(|(service, _)| service.clone()),
                vpc_endpoint_service_owner: vpc.as_ref().and_then(|(_, owner)| owner.clone()),
            };
            (None, None, Some(configuration))
        }
    };
    ListedKeyStore {
        custom_key_store_id: store.id.to_string(),
        custom_key_store_name: store.name.clone(),
        cloud_hsm_cluster_id: cluster,
        trust_anchor_certificate: anchor,
        connection_state: store.connection.name(),
        connection_error_code: match store.connection {
            Connection::Failed(code) => Some(code),
            Connection::Disconnected | Connection::Connecting | Connection::Connected => None,
        },
        creation_date: Epoch(store.created),
        custom_key_store_type: store.kind.as_str(),
        xks_proxy_configuration: proxy,
    }
}

/// The store that a request names, of the caller's account and Region, when the caller may do the operation.
fn find<'a>(asked: &Asked<'a>, given: &str) -> Result<(StoreKey, &'a Stored<KeyStore>), Fault> {
    authorize::in_account(asked.call, asked.call.operation.action, "*")?;
    let id = given.parse::<KeyStoreId>().map_err(|()| no_such_store(given))?;
    let name = (asked.call.caller.account, asked.call.region, id);
    let stored = asked.state.key_store(&name).ok_or_else(|| no_such_store(given))?;
    Ok((name, stored))
}

fn turn(asked: &Asked<'_>, name: StoreKey, stored: &Stored<KeyStore>, connection: Connection) -> Result<Done, Fault> {
    debug_assert_eq!(asked.call.region, name.1, "a store is changed in its own Region");
    let store = KeyStore { connection, ..KeyStore::clone(&stored.1) };
    let change =
        Change::on(Name::KeyStore(name.clone()), Some(stored.0)).put(Name::KeyStore(name), encode_key_store(&store));
    Ok(Done::nothing().changing(change))
}

/// The properties of a store over a cluster.
fn cloud_hsm(
    asked: &Asked<'_>,
    name: &StoreKey,
    given: Properties<'_>,
    trust_anchor: Option<&str>,
) -> Result<KeyStoreKind, Fault> {
    if has_external(&given) {
        return Err(not_of("AWS_CLOUDHSM", "XksProxy properties"));
    }
    let missing =
        |member| Fault::validation(format!("{member} is required for a custom key store of type AWS_CLOUDHSM."));
    let cluster = given.cluster.ok_or_else(|| missing("CloudHsmClusterId"))?;
    let trust_anchor = trust_anchor.ok_or_else(|| missing("TrustAnchorCertificate"))?;
    let password = given.password.ok_or_else(|| missing("KeyStorePassword"))?;
    match asked.vault.outside().knows_cluster(&cluster, trust_anchor) {
        Knows::Yes => {}
        Knows::No => return Err(no_such_cluster(&cluster)),
        Knows::OtherAnchor => {
            let text =
                format!("The trust anchor certificate is not the one that cluster {cluster} was initialized with.");
            return Err(Fault::new("IncorrectTrustAnchorException", text));
        }
    }
    let used = asked
        .state
        .key_stores_of(name.0, name.1)
        .any(|(_, store)| matches!(&store.kind, KeyStoreKind::CloudHsm { cluster: known, .. } if **known == *cluster));
    if used {
        let text = format!("Cluster {cluster} belongs to another custom key store.");
        return Err(Fault::new("CloudHsmClusterInUseException", text));
    }
    Ok(KeyStoreKind::CloudHsm {
        cluster: cluster.into_owned(),
        trust_anchor: trust_anchor.to_owned(),
        password: asked.vault.wrap_secret(name, &password.0).map_err(ours)?,
    })
}

/// The properties of a store over an external key manager.
fn external(
    asked: &Asked<'_>,
    name: &StoreKey,
    given: Properties<'_>,
    has_trust_anchor: bool,
) -> Result<KeyStoreKind, Fault> {
    if given.cluster.is_some() || given.password.is_some() || has_trust_anchor {
        return Err(not_of("EXTERNAL_KEY_STORE", "CloudHsmClusterId, KeyStorePassword and TrustAnchorCertificate"));
    }
    let missing =
        |member| Fault::validation(format!("{member} is required for a custom key store of type EXTERNAL_KEY_STORE."));
    let endpoint = given.endpoint.ok_or_else(|| missing("XksProxyUriEndpoint"))?.into_owned();
    let path = given.path.ok_or_else(|| missing("XksProxyUriPath"))?.into_owned();
    let connectivity = given.connectivity.ok_or_else(|| missing("XksProxyConnectivity"))?.to_owned();
    let credential = given.credential.ok_or_else(|| missing("XksProxyAuthenticationCredential"))?;
    let vpc = vpc(&connectivity, given.vpc_service.as_deref(), given.vpc_owner.as_deref())?;
    check_address(asked, name, &endpoint, &path, vpc.as_ref())?;
    Ok(KeyStoreKind::External {
        endpoint,
        path,
        connectivity,
        vpc,
        access_key: credential.access_key.into_owned(),
        secret: asked.vault.wrap_secret(name, &credential.secret.0).map_err(ours)?,
    })
}

type Vpc = (String, Option<String>);

fn vpc(connectivity: &str, service: Option<&str>, owner: Option<&str>) -> Result<Option<Vpc>, Fault> {
    match (connectivity, service) {
        ("VPC_ENDPOINT_SERVICE", Some(service)) => Ok(Some((service.to_owned(), owner.map(str::to_owned)))),
        ("VPC_ENDPOINT_SERVICE", None) => Err(Fault::validation(
            "XksProxyVpcEndpointServiceName is required when XksProxyConnectivity is VPC_ENDPOINT_SERVICE.",
        )),
        (_, Some(_)) => Err(Fault::validation(
            "XksProxyVpcEndpointServiceName is valid only when XksProxyConnectivity is VPC_ENDPOINT_SERVICE.",
        )),
        (_, None) => Ok(None),
    }
}

/// Applies what UpdateCustomKeyStore gives; whether the outside must be asked again.
fn change_kind(asked: &Asked<'_>, name: &StoreKey, store: &mut KeyStore, given: Properties<'_>) -> Result<bool, Fault> {
    let disconnected = matches!(store.connection, Connection::Disconnected | Connection::Failed(_));
    let needs_disconnected = wrong_connection(store, "DISCONNECTED or FAILED");
    match &mut store.kind {
        KeyStoreKind::CloudHsm { cluster, trust_anchor, password } => {
            if has_external(&given) {
                return Err(not_of("AWS_CLOUDHSM", "XksProxy properties"));
            }
            if (given.cluster.is_some() || given.password.is_some()) && !disconnected {
                return Err(needs_disconnected);
            }
            if let Some(new) = given.cluster {
                match asked.vault.outside().knows_cluster(&new, trust_anchor) {
                    Knows::Yes => {}
                    Knows::No => return Err(no_such_cluster(&new)),
                    // Clusters with one trust anchor share a backup history.
                    Knows::OtherAnchor => {
                        let text =
                            format!("Cluster {new} is not related to cluster {cluster} of the custom key store.");
                        return Err(Fault::new("CloudHsmClusterNotRelatedException", text));
                    }
                }
                *cluster = new.into_owned();
            }
            if let Some(new) = given.password {
                *password = asked.vault.wrap_secret(name, &new.0).map_err(ours)?;
            }
            Ok(false)
        }
        KeyStoreKind::External { endpoint, path, connectivity, vpc: known, access_key, secret } => {
            if given.cluster.is_some() || given.password.is_some() {
                return Err(not_of("EXTERNAL_KEY_STORE", "CloudHsmClusterId and KeyStorePassword"));
            }
            let moves = given.endpoint.is_some()
                || given.connectivity.is_some()
                || given.vpc_service.is_some()
                || given.vpc_owner.is_some();
            if moves && !disconnected {
                return Err(needs_disconnected);
            }
            let touched = moves || given.path.is_some() || given.credential.is_some();
            if let Some(new) = given.endpoint {
                *endpoint = new.into_owned();
            }
            if let Some(new) = given.path {
                *path = new.into_owned();
            }
            if let Some(new) = given.connectivity {
                *connectivity = new.to_owned();
            }
            if moves {
                let service = given.vpc_service.as_deref().or(known.as_ref().map(|(service, _)| service.as_str()));
                let owner = given.vpc_owner.as_deref().or(known.as_ref().and_then(|(_, owner)| owner.as_deref()));
                let stays = connectivity == "VPC_ENDPOINT_SERVICE" || given.vpc_service.is_some();
                *known = vpc(connectivity, service.filter(|_| stays), owner)?;
            }
            if let Some(new) = given.credential {
                *access_key = new.access_key.into_owned();
                *secret = asked.vault.wrap_secret(name, &new.secret.0).map_err(ours)?;
            }
            check_address(asked, name, endpoint, path, known.as_ref())?;
            Ok(touched)
        }
    }
}

fn has_external(given: &Properties<'_>) -> bool {
    given.endpoint.is_some()
        || given.path.is_some()
        || given.connectivity.is_some()
        || given.vpc_service.is_some()
        || given.vpc_owner.is_some()
        || given.credential.is_some()
}

/// An endpoint and path belong to one store of an account and Region; so does a VPC endpoint service.
fn check_address(
    asked: &Asked<'_>,
    name: &StoreKey,
    endpoint: &str,
    path: &str,
    vpc: Option<&Vpc>,
) -> Result<(), Fault> {
    for (_, other) in asked.state.key_stores_of(name.0, name.1).filter(|(_, other)| other.id != name.2) {
        let KeyStoreKind::External { endpoint: known, path: known_path, vpc: known_vpc, .. } = &other.kind else {
            continue;
        };
        if known == endpoint && known_path == path {
            let text = format!("Custom key store {} uses {endpoint}{path} already.", other.id);
            return Err(Fault::new("XksProxyUriInUseException", text));
        }
        if let (Some((service, _)), Some((known, _))) = (vpc, known_vpc)
            && service == known
        {
            let text = format!("Custom key store {} uses {service} already.", other.id);
            return Err(Fault::new("XksProxyVpcEndpointServiceInUseException", text));
        }
    }
    Ok(())
}

/// Asks a public proxy whether it is there before anything relies on it; other stores are asked when they are connected.
fn probe(asked: &Asked<'_>, name: &StoreKey, store: &KeyStore) -> Result<(), Fault> {
    let KeyStoreKind::External { connectivity, .. } = &store.kind else { return Ok(()) };
    if connectivity != "PUBLIC_ENDPOINT" {
        return Ok(());
    }
    match asked.vault.with_access(name, store, |outside, access| outside.connect(access)).map_err(ours)? {
        Ok(()) => Ok(()),
        Err(Trouble::Proxy(trouble)) => Err(Fault::new(trouble.code_for_store(), trouble.message())),
        Err(Trouble::Cluster(_) | Trouble::NoSuchKey | Trouble::Tampered | Trouble::Device) => Err(Fault::internal()),
    }
}

fn check_name(asked: &Asked<'_>, wanted: &str, of: Option<&KeyStoreId>) -> Result<(), Fault> {
    let (account, region): (_, Region) = (asked.call.caller.account, asked.call.region);
    let taken =
        asked.state.key_stores_of(account, region).any(|(_, store)| store.name == wanted && Some(&store.id) != of);
    if taken {
        let text = format!("Another custom key store is named {wanted}.");
        return Err(Fault::new("CustomKeyStoreNameInUseException", text));
    }
    Ok(())
}

fn not_of(kind: &str, members: &str) -> Fault {
    Fault::validation(format!("{members} are not valid for a custom key store of type {kind}."))
}

fn no_such_cluster(cluster: &str) -> Fault {
    Fault::new("CloudHsmClusterNotFoundException", format!("Cluster {cluster} does not exist."))
}

/// A custom key store that does not exist in the caller's account and Region.
pub(super) fn no_such_store(given: &str) -> Fault {
    Fault::new("CustomKeyStoreNotFoundException", format!("Custom key store {given} does not exist."))
}

/// A store whose connection does not let the operation happen.
pub(super) fn wrong_connection(store: &KeyStore, needed: &str) -> Fault {
    let (id, state) = (&store.id, store.connection.name());
    let text = format!("Custom key store {id} is {state}; for this operation it must be {needed}.");
    Fault::new("CustomKeyStoreInvalidStateException", text)
}

/// A stored secret that does not open is damage or another keyring: our fault, not the caller's.
pub(super) fn ours(_: crypto::Error) -> Fault {
    Fault::internal()
}
