//! A cluster of hardware security modules, by its PKCS #11 module (OASIS PKCS #11 2.40).
//!
//! Keys are made inside and never leave: 256-bit AES, sensitive and not extractable, found by their `CKA_ID`. PKCS #11 logs a whole
//! process in, so sessions of a cluster are kept together, and all are closed before a password is tried. A module's own time limits
//! are the only ones: a call into it cannot be broken off.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::{Mutex, PoisonError};

use api::shape::key_stores::ConnectionErrorCode;
use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::error::{Error, RvError};
use cryptoki::mechanism::Mechanism;
use cryptoki::mechanism::aead::GcmParams;
use cryptoki::object::{Attribute, ObjectClass, ObjectHandle};
use cryptoki::session::{Session, UserType};
use cryptoki::slot::Slot;
use cryptoki::types::AuthPin;
use service::Trouble;
use tracing::warn;
use zeroize::Zeroizing;

use crate::error::StartError;

/// Sessions that are kept open with a cluster.
const SESSIONS: usize = 8;
/// Bytes of AES-GCM's nonce (NIST SP 800-38D, 8.2.2). Random: a key in a module encrypts at most 2^32 times.
const NONCE_BYTES: usize = 12;
/// Bits of AES-GCM's tag.
const TAG_BITS: u64 = 128;
/// Bytes of a 256-bit AES key.
const KEY_BYTES: u64 = 32;
/// A certificate that a cluster was initialized with may have so many bytes. Source: KMS API model, `TrustAnchorCertificateType`.
const ANCHOR_BYTES: u64 = 5000;

/// Where a cluster of hardware security modules is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cluster {
    /// `cluster-` and 11 to 16 letters and digits, as CreateCustomKeyStore names it.
    pub name: String,
    /// Its PKCS #11 module.
    pub module: PathBuf,
    /// The label of its token; the first token that is initialized where none is named.
    pub token: Option<String>,
    /// The user that the password is of, where the module asks for both in one text (`user:password`).
    pub user: Option<String>,
    /// The certificate that it was initialized with, PEM; any is taken where none is named.
    pub anchor: Option<PathBuf>,
}

/// A text that describes no cluster.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{given}` describes no cluster: {why}; write `cluster-1a2b3c4d5e6=/path/to/module.so,token=LABEL,user=NAME,anchor=FILE`"
)]
pub struct NoCluster {
    given: String,
    why: &'static str,
}

impl FromStr for Cluster {
    type Err = NoCluster;

    fn from_str(given: &str) -> Result<Cluster, NoCluster> {
        let no = |why| NoCluster { given: given.to_owned(), why };
        let (name, rest) = given.split_once('=').ok_or_else(|| no("it has no `=`"))?;
        if !name.starts_with("cluster-") {
            return Err(no("its name does not begin with `cluster-`"));
        }
        let mut parts = rest.split(',');
        let module = parts.next().filter(|path| !path.is_empty()).ok_or_else(|| no("it names no PKCS #11 module"))?;
        let mut cluster =
            Cluster { name: name.to_owned(), module: module.into(), token: None, user: None, anchor: None };
        for part in parts {
            match part.split_once('=') {
                Some(("token", label)) => cluster.token = Some(label.to_owned()),
                Some(("user", user)) => cluster.user = Some(user.to_owned()),
                Some(("anchor", file)) => cluster.anchor = Some(file.into()),
                Some(_) | None => return Err(no("beside the module only token, user and anchor are known")),
            }
        }
        Ok(cluster)
    }
}

/// A cluster, reached.
pub(crate) struct Hsm {
    cluster: Cluster,
    anchor: Option<String>,
    sessions: Mutex<Vec<Session>>,
}

impl Hsm {
    /// # Errors
    /// [`StartError`] where the certificate cannot be read.
    pub(crate) fn open(cluster: Cluster) -> Result<Hsm, StartError> {
        let anchor = match &cluster.anchor {
            None => None,
            Some(path) => {
                let what = |why: &dyn std::fmt::Display| StartError::KeyStores {
                    what: format!("the certificate `{}` of {}: {why}", path.display(), cluster.name),
                };
                let length = std::fs::metadata(path).map_err(|error| what(&error))?.len();
                if length > ANCHOR_BYTES {
                    return Err(what(&format_args!("it has more than {ANCHOR_BYTES} bytes")));
                }
                Some(std::fs::read_to_string(path).map_err(|error| what(&error))?)
            }
        };
        Ok(Hsm { cluster, anchor, sessions: Mutex::default() })
    }

    /// Whether the cluster was initialized with this certificate, as far as is known.
    pub(crate) fn has_anchor(&self, given: &str) -> bool {
        let bare = |text: &str| text.split_whitespace().collect::<String>();
        self.anchor.as_deref().is_none_or(|own| bare(own) == bare(given))
    }

    pub(crate) fn connect(&self, password: &Zeroizing<String>) -> Result<(), Trouble> {
        // A session that is logged in would take any password.
        self.disconnect();
        let session = self.log_in(password).map_err(|error| self.trouble(&error))?;
        self.give_back(session);
        Ok(())
    }

    pub(crate) fn disconnect(&self) {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    pub(crate) fn make_key(&self, password: &Zeroizing<String>, id: [u8; 16], label: &str) -> Result<(), Trouble> {
        let template = [
            Attribute::Class(ObjectClass::SECRET_KEY),
            Attribute::Token(true),
            Attribute::Private(true),
            Attribute::Sensitive(true),
            Attribute::Extractable(false),
            Attribute::Encrypt(true),
            Attribute::Decrypt(true),
            Attribute::ValueLen(KEY_BYTES.into()),
            Attribute::Id(id.to_vec()),
            Attribute::Label(label.as_bytes().to_vec()),
        ];
        self.with(password, |session| session.generate_key(&Mechanism::AesKeyGen, &template).map(|_| ()))
    }

    pub(crate) fn random(&self, password: &Zeroizing<String>, bytes: &mut [u8]) -> Result<(), Trouble> {
        let length = u32::try_from(bytes.len()).map_err(|_| Trouble::Device)?;
        let random = Zeroizing::new(self.with(password, |session| session.generate_random_vec(length))?);
        bytes.copy_from_slice(random.get(..bytes.len()).ok_or(Trouble::Device)?);
        Ok(())
    }

    pub(crate) fn destroy_key(&self, password: &Zeroizing<String>, id: [u8; 16]) -> Result<(), Trouble> {
        self.with(password, |session| match find(session, id)? {
            Some(key) => session.destroy_object(key),
            None => Ok(()),
        })
    }

    pub(crate) fn check_key(&self, password: &Zeroizing<String>, id: [u8; 16]) -> Result<(), Trouble> {
        self.with(password, |session| find(session, id))?.map(|_| ()).ok_or(Trouble::NoSuchKey)
    }

    /// Nonce, ciphertext and tag.
    pub(crate) fn seal(
        &self,
        password: &Zeroizing<String>,
        id: [u8; 16],
        aad: &[u8],
        plaintext: &[u8],
    ) -> Result<Vec<u8>, Trouble> {
        let sealed = self.with(password, |session| {
            let Some(key) = find(session, id)? else { return Ok(None) };
            let mut nonce = [0; NONCE_BYTES];
            crypto::random(&mut nonce);
            let mut sealed = nonce.to_vec();
            let parameters = GcmParams::new(&mut nonce, aad, TAG_BITS.into())?;
            sealed.extend(session.encrypt(&Mechanism::AesGcm(parameters), key, plaintext)?);
            Ok(Some(sealed))
        })?;
        sealed.ok_or(Trouble::NoSuchKey)
    }

    pub(crate) fn open_sealed(
        &self,
        password: &Zeroizing<String>,
        id: [u8; 16],
        aad: &[u8],
        sealed: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, Trouble> {
        let (nonce, rest) = sealed.split_first_chunk::<NONCE_BYTES>().ok_or(Trouble::Tampered)?;
        let opened = self.with(password, |session| {
            let Some(key) = find(session, id)? else { return Ok(None) };
            let mut nonce = *nonce;
            let parameters = GcmParams::new(&mut nonce, aad, TAG_BITS.into())?;
            session.decrypt(&Mechanism::AesGcm(parameters), key, rest).map(Zeroizing::new).map(Some)
        });
        match opened {
            Ok(opened) => opened.ok_or(Trouble::NoSuchKey),
            // Some modules say of a wrong tag only that something went wrong. Whether it is they or the ciphertext, another call
            // under the same key tells: nobody shall read that data are lost when a device is.
            Err(Trouble::Device) => Err(self.seal(password, id, aad, b"?").err().unwrap_or(Trouble::Tampered)),
            Err(trouble) => Err(trouble),
        }
    }

    /// Acts in a session that is logged in. A session that was lost is opened anew, once.
    fn with<T>(&self, password: &Zeroizing<String>, act: impl Fn(&Session) -> Result<T, Error>) -> Result<T, Trouble> {
        let kept = self.sessions.lock().unwrap_or_else(PoisonError::into_inner).pop();
        if let Some(session) = kept {
            match act(&session) {
                Err(error) if is_lost(&error) => self.disconnect(),
                done => {
                    self.give_back(session);
                    return done.map_err(|error| self.trouble(&error));
                }
            }
        }
        let session = self.log_in(password).map_err(|error| self.trouble(&error))?;
        let done = act(&session);
        self.give_back(session);
        done.map_err(|error| self.trouble(&error))
    }

    fn give_back(&self, session: Session) {
        let mut sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        if sessions.len() < SESSIONS {
            sessions.push(session);
        }
    }

    fn log_in(&self, password: &Zeroizing<String>) -> Result<Session, Error> {
        let module = module(&self.cluster.module)?;
        let session = module.open_rw_session(self.slot(&module)?)?;
        let pin = match &self.cluster.user {
            Some(user) => format!("{user}:{}", password.as_str()),
            None => password.to_string(),
        };
        match session.login(UserType::User, Some(&AuthPin::new(pin.into()))) {
            Ok(()) | Err(Error::Pkcs11(RvError::UserAlreadyLoggedIn, _)) => Ok(session),
            Err(error) => Err(error),
        }
    }

    fn slot(&self, module: &Pkcs11) -> Result<Slot, Error> {
        for slot in module.get_slots_with_initialized_token()? {
            let label = self.cluster.token.as_deref();
            if label.is_none_or(|label| module.get_token_info(slot).is_ok_and(|token| token.label() == label)) {
                return Ok(slot);
            }
        }
        Err(Error::InvalidValue)
    }

    fn trouble(&self, error: &Error) -> Trouble {
        warn!(cluster = self.cluster.name, %error, "a cluster of hardware security modules refused");
        match error {
            Error::LibraryLoading(_) | Error::MissingSymbol(_) | Error::InvalidValue => {
                Trouble::Cluster(ConnectionErrorCode::ClusterNotFound)
            }
            Error::Pkcs11(
                RvError::PinIncorrect | RvError::PinInvalid | RvError::PinLenRange | RvError::PinExpired,
                _,
            ) => Trouble::Cluster(ConnectionErrorCode::InvalidCredentials),
            Error::Pkcs11(RvError::PinLocked, _) => Trouble::Cluster(ConnectionErrorCode::UserLockedOut),
            Error::Pkcs11(RvError::UserPinNotInitialized, _) => Trouble::Cluster(ConnectionErrorCode::UserNotFound),
            Error::Pkcs11(RvError::TokenNotPresent | RvError::DeviceRemoved | RvError::SlotIdInvalid, _) => {
                Trouble::Cluster(ConnectionErrorCode::NetworkErrors)
            }
            Error::Pkcs11(RvError::EncryptedDataInvalid | RvError::EncryptedDataLenRange, _) => Trouble::Tampered,
            _ => Trouble::Device,
        }
    }
}

/// Whether a session is no longer one.
fn is_lost(error: &Error) -> bool {
    matches!(
        error,
        Error::Pkcs11(
            RvError::SessionHandleInvalid
                | RvError::SessionClosed
                | RvError::UserNotLoggedIn
                | RvError::DeviceRemoved
                | RvError::TokenNotPresent,
            _
        )
    )
}

fn find(session: &Session, id: [u8; 16]) -> Result<Option<ObjectHandle>, Error> {
    let template = [Attribute::Class(ObjectClass::SECRET_KEY), Attribute::Id(id.to_vec())];
    Ok(session.find_objects(&template)?.first().copied())
}

/// A module of this process: loaded and initialized once, since PKCS #11 knows one user of a module in a process.
fn module(path: &PathBuf) -> Result<Pkcs11, Error> {
    static LOADED: Mutex<BTreeMap<PathBuf, Pkcs11>> = Mutex::new(BTreeMap::new());
    let mut loaded = LOADED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(module) = loaded.get(path) {
        return Ok(module.clone());
    }
    let module = Pkcs11::new(path)?;
    match module.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)) {
        Ok(()) | Err(Error::Pkcs11(RvError::CryptokiAlreadyInitialized, _)) => {}
        Err(error) => return Err(error),
    }
    loaded.insert(path.clone(), module.clone());
    Ok(module)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cluster_is_described_in_one_text() {
        let given = "cluster-1a2b3c4d5e6=/usr/lib/softhsm/libsofthsm2.so,token=kms,user=kmsuser,anchor=/etc/anchor.pem";
        let cluster: Cluster = given.parse().unwrap();
        assert_eq!(cluster.name, "cluster-1a2b3c4d5e6");
        assert_eq!(cluster.module.to_str(), Some("/usr/lib/softhsm/libsofthsm2.so"));
        assert_eq!((cluster.token.as_deref(), cluster.user.as_deref()), (Some("kms"), Some("kmsuser")));
        for wrong in ["cluster-1", "hsm=/a.so", "cluster-1=", "cluster-1=/a.so,label=x"] {
            let why = wrong.parse::<Cluster>().unwrap_err().to_string();
            assert!(why.contains(wrong) && why.contains("write `cluster-"), "{why}");
        }
    }
}
