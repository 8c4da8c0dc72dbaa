//! Custom key stores as they are outside: clusters of hardware security modules, by PKCS #11, and external key managers, by the
//! AWS KMS External Key Store Proxy API.
//!
//! The service asks through its trait [`Outside`]; every call blocks its thread, so callers stand where that is allowed.

mod hsm;
mod xks;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;

use service::{Access, Backing, Held, Knows, Outside, ProxyTrouble, Trouble};
use zeroize::Zeroizing;

pub use hsm::{Cluster, NoCluster};

use crate::error::StartError;
use hsm::Hsm;
use xks::Proxies;

/// What is outside, as the server's start says.
#[derive(Debug, Clone, Default)]
pub struct KeyStores {
    /// Clusters of hardware security modules.
    pub clusters: Vec<Cluster>,
    /// Certificates, PEM, that sign those of external key store proxies, beside the operating system's.
    pub xks_certificates: Option<PathBuf>,
    /// Where the hosts of external key store proxies are to be found, if not where their names lead: port 443 there.
    pub xks_hosts: BTreeMap<String, SocketAddr>,
}

/// What is outside, reached.
pub(crate) struct Reached {
    clusters: BTreeMap<String, Hsm>,
    proxies: Proxies,
}

impl Reached {
    /// Nothing is asked yet but whether the files are there.
    ///
    /// # Errors
    /// [`StartError`] where a file cannot be read or a cluster is named twice.
    pub(crate) fn open(stores: KeyStores) -> Result<Reached, StartError> {
        let mut clusters = BTreeMap::new();
        for cluster in stores.clusters {
            let name = cluster.name.clone();
            if clusters.insert(name.clone(), Hsm::open(cluster)?).is_some() {
                return Err(StartError::KeyStores { what: format!("cluster `{name}` is named twice") });
            }
        }
        let proxies = Proxies::open(stores.xks_certificates.as_deref(), stores.xks_hosts)?;
        Ok(Reached { clusters, proxies })
    }

    fn cluster(&self, name: &str) -> Result<&Hsm, Trouble> {
        let unknown = Trouble::Cluster(api::shape::key_stores::ConnectionErrorCode::ClusterNotFound);
        self.clusters.get(name).ok_or(unknown)
    }

    /// Where a key is; a store of one type has no key of the other.
    fn key<'a>(&'a self, key: &Held<'a>) -> Result<Place<'a>, Trouble> {
        match (key.access, key.backing) {
            (Access::Hsm { cluster, password }, Backing::Hsm { id }) => {
                Ok(Place::Hsm(self.cluster(cluster)?, password, *id))
            }
            (Access::Xks { .. }, Backing::Xks { id }) => Ok(Place::Xks(id)),
            (Access::Hsm { .. }, Backing::Xks { .. }) | (Access::Xks { .. }, Backing::Hsm { .. }) => {
                Err(Trouble::NoSuchKey)
            }
        }
    }
}

/// Where a key is.
enum Place<'a> {
    /// In a cluster, which opens with a password, under an ID.
    Hsm(&'a Hsm, &'a Zeroizing<String>, [u8; 16]),
    /// Behind the proxy that the access names, under an ID.
    Xks(&'a str),
}

impl Outside for Reached {
    fn knows_cluster(&self, cluster: &str, trust_anchor: &str) -> Knows {
        match self.clusters.get(cluster) {
            None => Knows::No,
            Some(cluster) if cluster.has_anchor(trust_anchor) => Knows::Yes,
            Some(_) => Knows::OtherAnchor,
        }
    }

    fn connect(&self, access: Access<'_>) -> Result<(), Trouble> {
        match access {
            Access::Hsm { cluster, password } => self.cluster(cluster)?.connect(password),
            Access::Xks { .. } => self.proxies.health(access),
        }
    }

    fn disconnect(&self, access: Access<'_>) {
        if let Access::Hsm { cluster, .. } = access
            && let Ok(cluster) = self.cluster(cluster)
        {
            cluster.disconnect();
        }
    }

    fn make_key(&self, access: Access<'_>, id: [u8; 16], label: &str) -> Result<(), Trouble> {
        match access {
            Access::Hsm { cluster, password } => self.cluster(cluster)?.make_key(password, id, label),
            Access::Xks { .. } => Err(Trouble::Proxy(ProxyTrouble::Unsupported)),
        }
    }

    fn random(&self, access: Access<'_>, bytes: &mut [u8]) -> Result<(), Trouble> {
        match access {
            Access::Hsm { cluster, password } => self.cluster(cluster)?.random(password, bytes),
            Access::Xks { .. } => Err(Trouble::Proxy(ProxyTrouble::Unsupported)),
        }
    }

    fn destroy_key(&self, access: Access<'_>, id: [u8; 16]) -> Result<(), Trouble> {
        match access {
            Access::Hsm { cluster, password } => self.cluster(cluster)?.destroy_key(password, id),
            Access::Xks { .. } => Err(Trouble::Proxy(ProxyTrouble::Unsupported)),
        }
    }

    fn check_key(&self, key: Held<'_>) -> Result<(), Trouble> {
        match self.key(&key)? {
            Place::Hsm(cluster, password, id) => cluster.check_key(password, id),
            Place::Xks(id) => self.proxies.metadata(key.access, id, key.purpose),
        }
    }

    fn seal(&self, key: Held<'_>, aad: &[u8], plaintext: &[u8]) -> Result<Vec<u8>, Trouble> {
        match self.key(&key)? {
            Place::Hsm(cluster, password, id) => cluster.seal(password, id, aad, plaintext),
            Place::Xks(id) => self.proxies.encrypt(key.access, id, key.purpose, aad, plaintext),
        }
    }

    fn open(&self, key: Held<'_>, aad: &[u8], sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, Trouble> {
        match self.key(&key)? {
            Place::Hsm(cluster, password, id) => cluster.open_sealed(password, id, aad, sealed),
            Place::Xks(id) => self.proxies.decrypt(key.access, id, key.purpose, aad, sealed),
        }
    }
}
