//! TLS at the door: certificate and key from PEM files, by AWS-LC, for HTTP/1.1 and HTTP/2.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crypto::NitroRoot;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{ProtocolVersion, ServerConfig, ServerConnection};

use crate::error::StartError;

/// Where the certificate and its key are.
#[derive(Debug, Clone)]
pub struct TlsFiles {
    /// The certificate chain, PEM, the server's own first.
    pub certificate: PathBuf,
    /// Its private key, PEM.
    pub key: PathBuf,
}

/// What accepts TLS connections.
pub(crate) fn acceptor(files: &TlsFiles) -> Result<TlsAcceptor, StartError> {
    let wrong = |what: &'static str, path: &Path| {
        let path = path.to_owned();
        move |why: &dyn std::fmt::Display| StartError::Tls { what, path, why: why.to_string() }
    };
    let path = &files.certificate;
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect)
        .map_err(|error| wrong("certificate", path)(&error))?;
    if chain.is_empty() {
        return Err(wrong("certificate", path)(&"it holds no certificate in PEM form"));
    }
    let path = &files.key;
    let key = PrivateKeyDer::from_pem_file(path).map_err(|error| wrong("private key", path)(&error))?;
    let mut config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("AWS-LC has what TLS 1.2 and 1.3 need")
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(|error| wrong("private key", path)(&error))?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// The root certificate of enclaves.
///
/// # Errors
/// [`StartError`] where the file holds no certificate in PEM form.
pub(crate) fn nitro_root(path: &Path) -> Result<NitroRoot, StartError> {
    let wrong = |why: &dyn std::fmt::Display| StartError::Tls {
        what: "root certificate of enclaves",
        path: path.to_owned(),
        why: why.to_string(),
    };
    let certificate = CertificateDer::from_pem_file(path).map_err(|error| wrong(&error))?;
    NitroRoot::of(certificate.to_vec()).map_err(|_| wrong(&"it is no certificate"))
}

/// TLS version and cipher suite of a connection, as CloudTrail spells them.
pub(crate) fn details(connection: &ServerConnection) -> Option<(String, String)> {
    let version = match connection.protocol_version()? {
        ProtocolVersion::TLSv1_2 => "TLSv1.2".to_owned(),
        ProtocolVersion::TLSv1_3 => "TLSv1.3".to_owned(),
        other => format!("{other:?}"),
    };
    let suite = connection.negotiated_cipher_suite()?.suite();
    Some((version, suite_name(&format!("{suite:?}"))))
}

/// TLS 1.3 suites by their IANA name, older ones as OpenSSL names them: `ECDHE-RSA-AES128-GCM-SHA256`.
fn suite_name(rustls: &str) -> String {
    if let Some(name) = rustls.strip_prefix("TLS13_") {
        return format!("TLS_{name}");
    }
    let name = rustls.strip_prefix("TLS_").unwrap_or(rustls);
    let name = name.replace("WITH_", "").replace("AES_", "AES").replace("_POLY1305_SHA256", "_POLY1305");
    name.replace('_', "-")
}

#[cfg(test)]
mod tests {
    use super::suite_name;

    #[test]
    fn suites_are_spelt_as_cloudtrail_spells_them() {
        for (rustls, cloudtrail) in [
            ("TLS13_AES_128_GCM_SHA256", "TLS_AES_128_GCM_SHA256"),
            ("TLS13_CHACHA20_POLY1305_SHA256", "TLS_CHACHA20_POLY1305_SHA256"),
            ("TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", "ECDHE-RSA-AES128-GCM-SHA256"),
            ("TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384", "ECDHE-ECDSA-AES256-GCM-SHA384"),
            ("TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256", "ECDHE-RSA-CHACHA20-POLY1305"),
        ] {
            assert_eq!(suite_name(rustls), cloudtrail);
        }
    }
}
