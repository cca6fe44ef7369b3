//! The run's certificate authority: certificates for the hosts whose requests are answered here.
//!
//! Made anew for every run; its key exists in this process's memory alone, and its certificate is
//! trusted by nothing but the tools inside the run's own sandboxes, while they are there.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose,
};
use thiserror::Error;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::PrivatePkcs8KeyDer;

use crate::url::HostName;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// More hosts than recipes name; a sandbox that asks for ever new ones only empties the cache.
const MOST_CACHED_LEAVES: usize = 256;

/// A certificate authority for one run.
pub struct CertificateAuthority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    leaves: Mutex<BTreeMap<HostName, Arc<ServerConfig>>>,
}

impl CertificateAuthority {
    /// A new authority with a new key (ECDSA P-256). Valid from two days ago until eight days from
    /// now; its leaves from one day ago until seven days from now, which covers a guest's clock.
    ///
    /// # Errors
    /// The system gives no randomness.
    pub fn generate() -> Result<Self, CertificateError> {
        let mut params = CertificateParams::new(Vec::new())?;
        params
            .distinguished_name
            .push(DnType::CommonName, "Assay, this run only");
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.not_before = (SystemTime::now() - 2 * DAY).into();
        params.not_after = (SystemTime::now() + 8 * DAY).into();
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;
        Ok(Self {
            issuer,
            leaves: Mutex::default(),
        })
    }

    /// The authority's certificate in PEM: what a sandbox is told to trust.
    #[must_use]
    pub fn certificate_pem(&self) -> String {
        self.issuer.pem()
    }

    /// The TLS server configuration for a host, with a leaf certificate of this authority. Made
    /// once for each host. HTTP/1.1 is the only protocol offered.
    ///
    /// # Errors
    /// The system gives no randomness.
    pub fn server_config(&self, host: &HostName) -> Result<Arc<ServerConfig>, CertificateError> {
        let mut leaves = self.leaves.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(config) = leaves.get(host) {
            return Ok(config.clone());
        }
        let config = Arc::new(self.new_leaf(host)?);
        if leaves.len() >= MOST_CACHED_LEAVES {
            leaves.clear();
        }
        leaves.insert(host.clone(), config.clone());
        Ok(config)
    }

    fn new_leaf(&self, host: &HostName) -> Result<ServerConfig, CertificateError> {
        let mut params = CertificateParams::new(vec![host.to_string()])?;
        params
            .distinguished_name
            .push(DnType::CommonName, "Assay, this run only: host");
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.use_authority_key_identifier_extension = true;
        params.not_before = (SystemTime::now() - DAY).into();
        params.not_after = (SystemTime::now() + 7 * DAY).into();
        let key = KeyPair::generate()?;
        let leaf = params.signed_by(&key, &self.issuer)?;
        let chain = vec![leaf.der().clone(), self.issuer.der().clone()];
        let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(chain, PrivatePkcs8KeyDer::from(key.serialize_der()).into())?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(config)
    }
}

impl fmt::Debug for CertificateAuthority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CertificateAuthority")
            .finish_non_exhaustive()
    }
}

/// Why no certificate could be made.
#[derive(Debug, Error)]
pub enum CertificateError {
    /// The certificate could not be written or signed.
    #[error("cannot make a certificate")]
    Certificate(#[from] rcgen::Error),
    /// The TLS library does not take it.
    #[error("cannot set up TLS")]
    Tls(#[from] tokio_rustls::rustls::Error),
}
