//! TLS of the API: certificate and key from files, read anew when they change; client certificates if wished.
//!
//! Files are PEM. A certificate that is renewed counts for the next connection, without a restart; while the files do not fit
//! together (a renewal writes two) the ones before go on, and the log says why. Versions 1.2 and 1.3, rustls's own choice of
//! ciphers. Who may do what is decided by tokens all the same: a client certificate opens the door and nothing else.

use crate::config::{ClientCertificates, TlsFiles};
use std::fmt;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock, Weak};
use std::time::{Duration, SystemTime};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{Error as RustlsError, RootCertStore, ServerConfig};

/// How often a running node looks whether a file was changed.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);
/// Longest file that is read.
const FILE_MAX_BYTES: u64 = 1024 * 1024;

/// Why TLS cannot be offered, or the new files not be taken.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// A file cannot be read.
    #[error("{key} = {path:?}: {source}")]
    Read {
        /// Key of the configuration.
        key: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file holds something else.
    #[error("{key} = {path:?}: {what}")]
    Content {
        /// Key of the configuration.
        key: &'static str,
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// Certificate and key do not belong together.
    #[error(
        "http.tls.key {key:?} is not the key of the first certificate in http.tls.certificate {certificate:?}"
    )]
    Mismatch {
        /// The key's file.
        key: PathBuf,
        /// The certificate's file.
        certificate: PathBuf,
    },
    /// Something that rustls does not accept.
    #[error("http.tls: {0}")]
    Other(#[from] RustlsError),
}

/// The files as they are now.
pub(super) struct LiveTls {
    files: TlsFiles,
    config: RwLock<Arc<ServerConfig>>,
}

impl fmt::Debug for LiveTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LiveTls").field("files", &self.files).finish_non_exhaustive()
    }
}

impl LiveTls {
    /// Reads all files.
    ///
    /// # Errors
    /// [`TlsError`] names the file and what is wrong with it.
    pub(super) fn open(files: &TlsFiles) -> Result<Self, TlsError> {
        Ok(Self { files: files.clone(), config: RwLock::new(load(files)?) })
    }

    /// What a new connection is greeted with.
    pub(super) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(Arc::clone(&self.config.read().unwrap_or_else(PoisonError::into_inner)))
    }

    /// Reads the files anew whenever one was changed, until the server is dropped.
    pub(super) async fn watch(live: Weak<Self>) {
        let Some(mut seen) = live.upgrade().map(|tls| tls.stamps()) else { return };
        loop {
            tokio::time::sleep(LOOK_INTERVAL).await;
            let Some(tls) = live.upgrade() else { return };
            let now = tls.stamps();
            if now == seen {
                continue;
            }
            seen = now;
            match load(&tls.files) {
                Ok(config) => {
                    *tls.config.write().unwrap_or_else(PoisonError::into_inner) = config;
                    tracing::info!("the files of http.tls were read anew");
                }
                Err(error) => {
                    tracing::error!(%error, "the files of http.tls were changed and cannot be used; those before go on");
                }
            }
        }
    }

    fn stamps(&self) -> Vec<Option<(SystemTime, u64, u64)>> {
        let TlsFiles { certificate, key, client_ca, .. } = &self.files;
        let files = [Some(certificate), Some(key), client_ca.as_ref()];
        let stamp = |path: &PathBuf| {
            let metadata = std::fs::metadata(path).ok()?;
            Some((metadata.modified().ok()?, metadata.len(), metadata.ino()))
        };
        files.into_iter().flatten().map(stamp).collect()
    }
}

fn load(files: &TlsFiles) -> Result<Arc<ServerConfig>, TlsError> {
    let TlsFiles { certificate, key, client_ca, client_certificates } = files;
    let chain = certificates("http.tls.certificate", certificate)?;
    let secret = private_key(key)?;
    let provider = Arc::new(default_provider());
    let builder =
        ServerConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions()?;
    let builder = match client_ca {
        None => builder.with_no_client_auth(),
        Some(path) => {
            let mut roots = RootCertStore::empty();
            let wrong =
                |what: String| TlsError::Content { key: "http.tls.client_ca", path: path.clone(), what };
            for root in certificates("http.tls.client_ca", path)? {
                roots
                    .add(root)
                    .map_err(|error| wrong(format!("not the certificate of an authority: {error}")))?;
            }
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
            let verifier = match client_certificates {
                ClientCertificates::Required => verifier,
                ClientCertificates::Optional => verifier.allow_unauthenticated(),
            };
            builder.with_client_cert_verifier(verifier.build().map_err(|error| wrong(error.to_string()))?)
        }
    };
    let mut config = builder.with_single_cert(chain, secret).map_err(|error| match error {
        RustlsError::InconsistentKeys(_) => {
            TlsError::Mismatch { key: key.clone(), certificate: certificate.clone() }
        }
        RustlsError::InvalidCertificate(error) => TlsError::Content {
            key: "http.tls.certificate",
            path: certificate.clone(),
            what: format!("the first certificate cannot be used: {error:?}"),
        },
        error => TlsError::Other(error),
    })?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

fn read(key: &'static str, path: &Path) -> Result<Vec<u8>, TlsError> {
    let read = std::fs::metadata(path).and_then(|metadata| {
        if metadata.len() > FILE_MAX_BYTES {
            return Err(std::io::Error::other(format!("is longer than {FILE_MAX_BYTES} bytes")));
        }
        std::fs::read(path)
    });
    read.map_err(|source| TlsError::Read { key, path: path.to_owned(), source })
}

/// All certificates of a PEM file, in its order; at least one.
fn certificates(key: &'static str, path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let bytes = read(key, path)?;
    let wrong = |what: String| TlsError::Content { key, path: path.to_owned(), what };
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
    let found = found.map_err(|error| wrong(format!("not PEM: {error}")))?;
    if found.is_empty() {
        return Err(wrong("holds no certificate (-----BEGIN CERTIFICATE-----)".to_owned()));
    }
    Ok(found)
}

/// The key, from a file that only its owner can read.
fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    let key = "http.tls.key";
    let wrong = |what: String| TlsError::Content { key, path: path.to_owned(), what };
    let bytes = zeroize::Zeroizing::new(read(key, path)?);
    let metadata = std::fs::metadata(path);
    let mode = metadata.map_or(0, |metadata| metadata.permissions().mode() & 0o777);
    if mode & 0o077 != 0 {
        return Err(wrong(format!("has mode {mode:03o}; it must be readable by its owner only (chmod 600)")));
    }
    PrivateKeyDer::from_pem_slice(&bytes).map_err(|error| {
        use tokio_rustls::rustls::pki_types::pem::Error as Pem;
        match error {
            Pem::NoItemsFound => wrong("holds no private key (-----BEGIN PRIVATE KEY-----)".to_owned()),
            // What follows in the error may be a part of the key.
            _ => wrong("not a private key in PEM".to_owned()),
        }
    })
}
