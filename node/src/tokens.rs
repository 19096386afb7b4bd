//! Bearer tokens of the HTTP API: 256 random bits, shown once, stored as SHA-256.
//!
//! The file holds one line per token: name, scopes, hash. It is readable by its owner only and read
//! at the start: a new token counts from the node's next start on. An attacker who can read it cannot
//! use it; one who can write it can grant himself any scope. Losing it costs nothing but new tokens.

use hashpact_protocol::digest::{hex_decode, hex_encode, sha256};
use std::collections::BTreeSet;
use std::io::Write as _;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use subtle::ConstantTimeEq as _;

/// Tokens that one node keeps.
pub const TOKENS_MAX: usize = 1_024;
const PREFIX: &str = "hpt_";

/// What a token allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub enum Scope {
    /// Match, read records, proofs and status.
    Lookup,
    /// State, judge and retract.
    Contribute,
    /// Read logs and exports.
    Audit,
    /// Everything, and metrics.
    Admin,
}

impl Scope {
    /// Its word.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Lookup => "lookup",
            Self::Contribute => "contribute",
            Self::Audit => "audit",
            Self::Admin => "admin",
        }
    }

    fn parse(word: &str) -> Option<Self> {
        [Self::Lookup, Self::Contribute, Self::Audit, Self::Admin]
            .into_iter()
            .find(|scope| scope.name() == word)
    }
}

/// One token as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// For people and logs.
    pub name: String,
    /// What it allows.
    pub scopes: BTreeSet<Scope>,
    hash: [u8; 32],
}

impl Token {
    /// Whether it allows `scope`; `admin` allows everything.
    #[must_use]
    pub fn allows(&self, scope: Scope) -> bool {
        self.scopes.contains(&scope) || self.scopes.contains(&Scope::Admin)
    }

    /// A stable number for this token, to bind idempotency keys to their caller.
    #[must_use]
    pub fn caller(&self) -> [u8; 32] {
        self.hash
    }
}

/// All tokens of a node.
#[derive(Debug, Default)]
pub struct Tokens {
    tokens: Vec<Token>,
}

/// Why the token file is refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TokenError {
    /// Cannot be read or written.
    #[error("token file {path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's words.
        source: std::io::Error,
    },
    /// Readable by others.
    #[error("token file {path} has mode {mode:03o}; it must be readable by its owner only (chmod 600)")]
    Permissions {
        /// The file.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// A line is not a token.
    #[error("token file {path}, line {line}: {rule}")]
    Line {
        /// The file.
        path: PathBuf,
        /// From 1.
        line: usize,
        /// What is wrong.
        rule: &'static str,
    },
    /// The name is taken or not a name.
    #[error("token name {name:?}: {rule}")]
    Name {
        /// The name.
        name: String,
        /// What is wrong.
        rule: &'static str,
    },
    /// No randomness.
    #[error("the operating system gave no random bytes")]
    Random,
}

impl Tokens {
    /// Reads the file; a missing one holds no tokens.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn load(path: &Path) -> Result<Self, TokenError> {
        let io = |source| TokenError::Io { path: path.to_owned(), source };
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(io(error)),
        };
        let mode = std::fs::metadata(path).map_err(io)?.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            return Err(TokenError::Permissions { path: path.to_owned(), mode });
        }
        let mut tokens = Vec::new();
        for (line, text) in (1..).zip(text.lines()) {
            let token =
                parse_line(text).map_err(|rule| TokenError::Line { path: path.to_owned(), line, rule })?;
            tokens.push(token);
        }
        if tokens.len() > TOKENS_MAX {
            return Err(TokenError::Line {
                path: path.to_owned(),
                line: TOKENS_MAX + 1,
                rule: "too many tokens",
            });
        }
        Ok(Self { tokens })
    }

    /// The token that this secret belongs to; compares with every token in constant time.
    #[must_use]
    pub fn find(&self, secret: &str) -> Option<&Token> {
        let hash = sha256(&[secret.as_bytes()]);
        let mut found = None;
        for token in &self.tokens {
            if bool::from(token.hash.ct_eq(&hash)) {
                found = Some(token);
            }
        }
        found
    }

    /// Whether there is any token.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.tokens.is_empty()
    }

    /// Adds a token to the file and returns its secret, which is kept nowhere.
    ///
    /// # Errors
    /// A bad or taken name, or the file cannot be written.
    pub fn create(path: &Path, name: &str, scopes: &BTreeSet<Scope>) -> Result<String, TokenError> {
        let refuse = |rule| Err(TokenError::Name { name: name.to_owned(), rule });
        if name.is_empty() || name.len() > 64 || !name.bytes().all(is_name_byte) {
            return refuse("must be 1 to 64 of [a-z0-9._-]");
        }
        if scopes.is_empty() {
            return refuse("needs at least one scope");
        }
        let existing = Self::load(path)?;
        if existing.tokens.iter().any(|token| token.name == name) {
            return refuse("is taken");
        }
        if existing.tokens.len() >= TOKENS_MAX {
            return refuse("would be one token too many");
        }
        let mut random = [0u8; 32];
        getrandom::fill(&mut random).map_err(|_| TokenError::Random)?;
        let secret = format!("{PREFIX}{}", hex_encode(&random));
        let words: Vec<&str> = scopes.iter().map(|scope| scope.name()).collect();
        let line = format!("{name} {} {}\n", words.join(","), hex_encode(&sha256(&[secret.as_bytes()])));
        let io = |source| TokenError::Io { path: path.to_owned(), source };
        let mut file =
            std::fs::OpenOptions::new().create(true).append(true).mode(0o600).open(path).map_err(io)?;
        file.write_all(line.as_bytes()).map_err(io)?;
        file.sync_all().map_err(io)?;
        Ok(secret)
    }
}

fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"._-".contains(&byte)
}

fn parse_line(line: &str) -> Result<Token, &'static str> {
    let mut words = line.split(' ');
    let (Some(name), Some(scopes), Some(hash), None) =
        (words.next(), words.next(), words.next(), words.next())
    else {
        return Err("must be: name scopes hash");
    };
    let scopes =
        scopes.split(',').map(Scope::parse).collect::<Option<BTreeSet<_>>>().ok_or("unknown scope")?;
    let hash =
        hex_decode(hash).ok().and_then(|bytes| bytes.try_into().ok()).ok_or("hash must be 64 hex digits")?;
    Ok(Token { name: name.to_owned(), scopes, hash })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_created_token_is_found_and_only_its_hash_is_kept() {
        let dir = tempfile::tempdir().expect("temp dir");
        let path = dir.path().join("tokens");
        let secret = Tokens::create(&path, "pipeline", &BTreeSet::from([Scope::Lookup])).expect("create");
        let text = std::fs::read_to_string(&path).expect("read");
        assert!(!text.contains(&secret));
        let tokens = Tokens::load(&path).expect("load");
        let token = tokens.find(&secret).expect("found");
        assert!(token.allows(Scope::Lookup) && !token.allows(Scope::Contribute));
        assert!(tokens.find("hpt_00").is_none());
        assert!(Tokens::create(&path, "pipeline", &BTreeSet::from([Scope::Lookup])).is_err());
    }

    #[test]
    fn bad_files_are_named() {
        let dir = tempfile::tempdir().expect("temp dir");
        let path = dir.path().join("tokens");
        for (text, expected) in
            [("a b", "line 1: must be"), ("a root 00", "unknown scope"), ("a admin 00", "64 hex")]
        {
            std::fs::write(&path, text).expect("write");
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).expect("chmod");
            let error = Tokens::load(&path).expect_err(text).to_string();
            assert!(error.contains(expected), "{error}");
        }
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).expect("chmod");
        assert!(Tokens::load(&path).expect_err("mode").to_string().contains("chmod 600"));
    }
}
