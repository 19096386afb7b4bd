//! TLS towards one node: whose certificates are trusted, and which one is shown.
//!
//! Without options the roots that the program was built with are trusted. A CA file replaces them: a node inside an
//! organisation is then trusted by its own authority and by no other.

use std::path::{Path, PathBuf};

use reqwest::{Certificate, ClientBuilder, Identity};

use crate::error::ClientError;

/// No PEM file here is longer, in bytes.
const FILE_MAX_BYTES: u64 = 1024 * 1024;

/// What is special about the TLS of a node.
#[derive(Debug, Clone, Default)]
pub struct TlsOptions {
    /// PEM file of the authorities that are trusted, and no others.
    pub ca: Option<PathBuf>,
    /// PEM files of a client certificate and its private key.
    pub identity: Option<(PathBuf, PathBuf)>,
}

impl TlsOptions {
    pub(crate) fn apply(&self, builder: ClientBuilder) -> Result<ClientBuilder, ClientError> {
        let mut builder = builder;
        if let Some(path) = &self.ca {
            let wrong = |reason: String| ClientError::Tls { what: "CA file", path: path.clone(), reason };
            let roots = Certificate::from_pem_bundle(&read("CA file", path)?);
            let roots = roots.map_err(|error| wrong(format!("not a certificate in PEM: {error}")))?;
            if roots.is_empty() {
                return Err(wrong("holds no certificate (-----BEGIN CERTIFICATE-----)".to_owned()));
            }
            builder = builder.tls_built_in_root_certs(false);
            builder = roots.into_iter().fold(builder, ClientBuilder::add_root_certificate);
        }
        if let Some((certificate, key)) = &self.identity {
            let mut pem = read("client certificate", certificate)?;
            check_private(key)?;
            pem.push(b'\n');
            pem.extend(read("client key", key)?);
            let identity = Identity::from_pem(&pem).map_err(|_| {
                let reason = format!("not a certificate in PEM with the private key of {}", key.display());
                ClientError::Tls { what: "client certificate", path: certificate.clone(), reason }
            })?;
            builder = builder.identity(identity);
        }
        Ok(builder)
    }
}

/// A key that others can read is not used.
fn check_private(key: &Path) -> Result<(), ClientError> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = std::fs::metadata(key).map_or(0, |metadata| metadata.permissions().mode() & 0o777);
        if mode & 0o077 != 0 {
            let reason = format!("can be read by others (mode {mode:04o}); run: chmod 600 {}", key.display());
            return Err(ClientError::Tls { what: "client key", path: key.to_owned(), reason });
        }
    }
    Ok(())
}

fn read(what: &'static str, path: &Path) -> Result<Vec<u8>, ClientError> {
    let wrong = |reason: String| ClientError::Tls { what, path: path.to_owned(), reason };
    let metadata = std::fs::metadata(path).map_err(|error| wrong(error.to_string()))?;
    if !metadata.is_file() || metadata.len() > FILE_MAX_BYTES {
        return Err(wrong("expected a small regular file".to_owned()));
    }
    std::fs::read(path).map_err(|error| wrong(error.to_string()))
}
