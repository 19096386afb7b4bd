//! Where the passphrase of sealed keys comes from: a file, an inherited descriptor, or the environment; asked for once.

use std::fmt;
use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use zeroize::Zeroizing;

/// Shortest passphrase for new keys, in bytes.
pub const PASSPHRASE_MIN_BYTES: usize = 12;
/// Longest passphrase.
const PASSPHRASE_MAX_BYTES: u64 = 1_024;
/// The variable that may hold it.
const VARIABLE: &str = "HASHPACT_PASSPHRASE";

/// Why there is no passphrase.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PassphraseError {
    /// Nobody gave one.
    #[error(
        "a passphrase is needed: --passphrase-file FILE, --passphrase-fd NUMBER, keys.passphrase_file in the configuration, or the \
         variable {VARIABLE}"
    )]
    Missing,
    /// Others may read the file.
    #[error("passphrase file {} has mode {mode:03o}: only its owner may access it (chmod 600)", path.display())]
    Permissions {
        /// The file.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// It cannot be read.
    #[error("{from}: {why}")]
    Read {
        /// From where.
        from: String,
        /// Why.
        why: String,
    },
    /// Nothing, more than one line, or too much.
    #[error("{from}: a passphrase is one line of 1 to {PASSPHRASE_MAX_BYTES} bytes")]
    Form {
        /// From where.
        from: String,
    },
    /// Too short to seal keys with.
    #[error("a passphrase for keys has at least {PASSPHRASE_MIN_BYTES} bytes; this one has {bytes}")]
    Short {
        /// Its length.
        bytes: usize,
    },
}

/// Where it comes from.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum PassphraseSource {
    /// The environment, if anything.
    #[default]
    Environment,
    /// A file of mode 600.
    File(PathBuf),
    /// A descriptor that this process inherited; read once.
    Descriptor(u32),
}

/// A passphrase that is asked for when it is needed, and then kept.
#[derive(Clone, Default)]
pub struct Passphrase {
    source: PassphraseSource,
    known: Arc<OnceLock<Result<Zeroizing<String>, PassphraseError>>>,
}

impl fmt::Debug for Passphrase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Passphrase").field("source", &self.source).finish_non_exhaustive()
    }
}

impl Passphrase {
    /// One from this source.
    #[must_use]
    pub fn from_source(source: PassphraseSource) -> Self {
        Self { source, known: Arc::default() }
    }

    /// This one.
    #[must_use]
    pub fn given(text: &str) -> Self {
        let known = Arc::new(OnceLock::from(Ok(Zeroizing::new(text.to_owned()))));
        Self { source: PassphraseSource::Environment, known }
    }

    /// Its bytes.
    ///
    /// # Errors
    /// [`PassphraseError`]: there is none, or it cannot be read.
    pub fn get(&self) -> Result<&[u8], PassphraseError> {
        match self.known.get_or_init(|| read(&self.source)) {
            Ok(text) => Ok(text.as_bytes()),
            Err(error) => Err(error.clone()),
        }
    }

    /// Its bytes, to seal keys with.
    ///
    /// # Errors
    /// As [`Passphrase::get`], and [`PassphraseError::Short`].
    pub fn get_for_sealing(&self) -> Result<&[u8], PassphraseError> {
        let bytes = self.get()?;
        if bytes.len() < PASSPHRASE_MIN_BYTES {
            return Err(PassphraseError::Short { bytes: bytes.len() });
        }
        Ok(bytes)
    }
}

fn read(source: &PassphraseSource) -> Result<Zeroizing<String>, PassphraseError> {
    match source {
        PassphraseSource::Environment => match std::env::var(VARIABLE) {
            Ok(text) => line(&Zeroizing::new(text), VARIABLE),
            Err(_) => Err(PassphraseError::Missing),
        },
        PassphraseSource::File(path) => {
            let mode = std::fs::metadata(path).map_or(0, |metadata| metadata.permissions().mode() & 0o777);
            if mode & 0o077 != 0 {
                return Err(PassphraseError::Permissions { path: path.clone(), mode });
            }
            read_line(path, &format!("passphrase file {}", path.display()))
        }
        PassphraseSource::Descriptor(number) => {
            // The system's name for a descriptor that this process holds: no unsafe code takes it over.
            let path = PathBuf::from(format!("/proc/self/fd/{number}"));
            read_line(&path, &format!("passphrase descriptor {number}"))
        }
    }
}

fn read_line(path: &Path, from: &str) -> Result<Zeroizing<String>, PassphraseError> {
    let mut text = Zeroizing::new(String::new());
    let read = std::fs::File::open(path)
        .and_then(|file| file.take(PASSPHRASE_MAX_BYTES + 2).read_to_string(&mut text));
    read.map_err(|error| PassphraseError::Read { from: from.to_owned(), why: error.to_string() })?;
    line(&text, from)
}

/// One line, with or without its end.
fn line(text: &str, from: &str) -> Result<Zeroizing<String>, PassphraseError> {
    let text = text.strip_suffix('\n').unwrap_or(text);
    let fits = !text.is_empty() && text.len() as u64 <= PASSPHRASE_MAX_BYTES && !text.contains('\n');
    if fits {
        Ok(Zeroizing::new(text.to_owned()))
    } else {
        Err(PassphraseError::Form { from: from.to_owned() })
    }
}
